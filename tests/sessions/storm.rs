//! Two hundred clients with no retry at all, at once, at a vCenter that refuses what real ones refuse: with
//! and without the gate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::model::{Model, PASSWORD, Strict};
use crate::people::{Session, Way, Work, ask, login, opened, request};
use crate::rig::{Setup, in_use};
use crate::support::client::Client;
use crate::support::{all_given_back, until};

const CLIENTS: usize = 200;
const USERS: usize = 20;
/// How long the model takes for a login and for a clone.
const LOGIN: Duration = Duration::from_millis(400);
const CLONE: Duration = Duration::from_millis(150);

/// How far a client came.
struct Came {
    /// What it failed at; none where it did all of it.
    failed_at: Option<&'static str>,
    /// The longest of its calls.
    longest: Duration,
}

/// Logs in, lists, clones, polls, logs out. Whatever is refused is the end.
async fn client(to: SocketAddr, user: String, start: Arc<Barrier>) -> Came {
    let mut longest = Duration::ZERO;
    let mut wire = Client::connect(to).await;
    start.wait().await;
    let mut session = Session::new(Way::Api, &user, "");
    for step in ["login", "list", "clone", "poll", "logout"] {
        let text = match step {
            "login" => login(Way::Api, &user, PASSWORD),
            "list" => session.asks(Work::List),
            "clone" => session.asks(Work::Clone),
            "poll" => {
                let token = format!("vmware-api-session-id: {}\r\n", session.token);
                request("GET", "/api/cis/tasks/52f9f1b0", &token, "")
            }
            _ => session.asks(Work::Logout),
        };
        let began = Instant::now();
        let answer = ask(&mut wire, &text).await;
        longest = longest.max(began.elapsed());
        if answer.status >= 300 {
            let failed_at = Some(step);
            return Came { failed_at, longest };
        }
        if step == "login" {
            session.token = opened(Way::Api, &answer).expect("a token");
        }
    }
    Came {
        failed_at: None,
        longest,
    }
}

/// How many did all of it, and the longest call of anybody; says what the others failed at.
async fn storm(name: &str, to: SocketAddr) -> (usize, Duration) {
    let start = Arc::new(Barrier::new(CLIENTS));
    let mut clients = JoinSet::new();
    for n in 0..CLIENTS {
        clients.spawn(client(to, format!("user{}@corp", n % USERS), start.clone()));
    }
    let began = Instant::now();
    let came = clients.join_all().await;
    let done = came.iter().filter(|one| one.failed_at.is_none()).count();
    let longest = came.iter().map(|one| one.longest).max().unwrap();
    let failed = |step| {
        came.iter()
            .filter(|one| one.failed_at == Some(step))
            .count()
    };
    println!(
        "{name}: {done} of {CLIENTS} completed in {:.2?}, longest call {longest:.2?}; failed at login {}, clone {}, other {}",
        began.elapsed(),
        failed("login"),
        failed("clone"),
        failed("list") + failed("poll") + failed("logout"),
    );
    (done, longest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_200_clients_most_fail_without_the_gate_and_all_finish_with_it() {
    let bare = Model::start_strict(Strict::new(LOGIN, CLONE)).await;
    let (done, _) = storm("without the gate", bare.address).await;
    assert!(done < CLIENTS / 2, "most fail: {done}");
    assert!(bare.books.done("refused: logins") > 0);
    assert!(bare.books.done("refused: clones") > 0);

    let model = Model::start_strict(Strict::new(LOGIN, CLONE)).await;
    let gate = Setup::as_it_is("vcenter-7.0").start(model.address);
    let (done, _) = storm("with the gate", gate.http()[0]).await;
    assert_eq!(done, CLIENTS);
    for name in [
        "logins",
        "clones",
        "calls",
        "sockets of rest",
        "rate",
        "sessions",
    ] {
        assert_eq!(model.books.done(&format!("refused: {name}")), 0, "{name}");
    }
    assert_eq!(model.books.most("clones"), 10);
    assert!(model.books.most("logins") <= 160);
    assert_eq!(model.books.done("logout"), 200);
    until("nobody is logged in", || in_use(&gate, "sessions") == 0).await;
    all_given_back(&gate).await;
}
