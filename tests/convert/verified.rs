//! Who polls with credentials that the upstream has not accepted lately is verified by one call, and then by none for a while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use tidegate::app::Running;

use crate::rig::{ALICE, ASYNC, BOB, get, id, post, say, text};
use crate::support::gate;
use crate::support::script::scripted;

const OK: u8 = 0;
const REVOKED: u8 = 1;
const BROKEN: u8 = 2;

/// What a model upstream was asked, and how it takes alice's credentials; bob's it never does.
#[derive(Default)]
struct Model {
    mode: AtomicU8,
    verified: AtomicUsize,
    calls: AtomicUsize,
}

impl Model {
    fn verified(&self) -> usize {
        self.verified.load(Ordering::SeqCst)
    }
}

/// An upstream whose `/me` (or NSX's page of the user) wants credentials; `/clone?hold` never ends.
async fn model() -> (SocketAddr, Arc<Model>) {
    let model = Arc::new(Model::default());
    let of = model.clone();
    let address = scripted(move |text| {
        let is_alice = text.contains("Basic YWxpY2U6YQ==");
        let mode = of.mode.load(Ordering::SeqCst);
        let refused = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
        if text.starts_with("GET /me?x=1 ") || text.starts_with("GET /api/v1/aaa/user-info ") {
            of.verified.fetch_add(1, Ordering::SeqCst);
            assert!(!text.to_lowercase().contains("prefer"), "{text}");
            return match mode {
                BROKEN => "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
                OK if is_alice => "{}",
                _ => refused,
            };
        }
        of.calls.fetch_add(1, Ordering::SeqCst);
        if !is_alice || mode == REVOKED {
            refused
        } else if text.contains("?hold") {
            ""
        } else if text.contains("/forbidden") {
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
        } else {
            "{}"
        }
    })
    .await;
    (address, model)
}

fn start(upstream: SocketAddr, lines: &str) -> Running {
    let named = format!("name = \"up\"\n{lines}");
    gate(&text(upstream, "").replace("name = \"up\"", &named))
}

const WITH_ME: &str = "verify_with = { get = \"/me?x=1\" }";

async fn status(gate: &Running, task: &str, who: &str) -> u16 {
    get(gate, &format!("/-/tasks/{task}"), who).await.status
}

async fn submit(gate: &Running, target: &str) -> String {
    id(&say(gate, post(target, &format!("{ALICE}{ASYNC}"))).await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_polls_with_basic_is_verified_once_for_all_who_come_at_the_same_time() {
    let (upstream, model) = model().await;
    for lines in [WITH_ME, "dialect = \"nsx\""] {
        model.verified.store(0, Ordering::SeqCst);
        let gate = Arc::new(start(upstream, lines));
        let task = submit(&gate, "/clone?hold").await;
        let polls = (0..100).map(|number| {
            let (gate, task) = (gate.clone(), task.clone());
            tokio::spawn(async move {
                let who = if number % 2 == 0 { ALICE } else { BOB };
                (who, status(&gate, &task, who).await)
            })
        });
        for poll in polls.collect::<Vec<_>>() {
            let (who, status) = poll.await.unwrap();
            assert_eq!(status, if who == ALICE { 200 } else { 401 });
        }
        assert_eq!(model.verified(), 2, "{lines}: one for each of them");
    }
}

#[tokio::test]
async fn revoked_credentials_show_no_task_once_an_answer_has_told_of_it() {
    let (upstream, model) = model().await;
    let gate = start(upstream, WITH_ME);
    let task = submit(&gate, "/clone?hold").await;
    assert_eq!(status(&gate, &task, ALICE).await, 200);
    assert_eq!(status(&gate, &task, ALICE).await, 200);
    assert_eq!(model.verified(), 1);
    model.mode.store(REVOKED, Ordering::SeqCst);
    assert_eq!(say(&gate, post("/never", ALICE)).await.status, 401);
    for _ in 0..3 {
        assert_eq!(status(&gate, &task, ALICE).await, 401);
    }
    assert_eq!(model.verified(), 2, "what it said is remembered");
}

#[tokio::test]
async fn a_call_that_was_accepted_is_a_verification() {
    let (upstream, model) = model().await;
    let gate = start(upstream, WITH_ME);
    let task = submit(&gate, "/clone?hold").await;
    assert_eq!(say(&gate, post("/never", ALICE)).await.status, 200);
    assert_eq!(status(&gate, &task, ALICE).await, 200);
    assert_eq!(model.verified(), 0);
    // That she may not do something, or is nobody there, is not said clearly by every API.
    assert_eq!(say(&gate, post("/forbidden", ALICE)).await.status, 403);
    assert_eq!(status(&gate, &task, ALICE).await, 200);
    assert_eq!(model.verified(), 1);
}

#[tokio::test]
async fn so_is_the_answer_to_a_task() {
    let (upstream, model) = model().await;
    let gate = start(upstream, WITH_ME);
    let waits = format!("{ALICE}Prefer: respond-async, wait=50\r\n");
    let done = say(&gate, post("/clone", &waits)).await;
    assert_eq!(done.status, 200, "{done:?}");
    let task = done.header("task-id").unwrap();
    assert_eq!(status(&gate, task, ALICE).await, 200);
    assert_eq!(
        model.verified(),
        0,
        "she never did anything but submit tasks"
    );
    // And its refusal is one of the credentials.
    model.mode.store(REVOKED, Ordering::SeqCst);
    let refused = say(&gate, post("/clone", &waits)).await;
    assert_eq!(refused.status, 401, "{refused:?}");
    assert_eq!(status(&gate, task, ALICE).await, 401);
    assert_eq!(model.verified(), 1);
}

/// A 403 may say that they are good no more: what was heard before does not hold.
#[tokio::test]
async fn a_403_has_the_upstream_asked_anew() {
    let (upstream, model) = model().await;
    let gate = start(upstream, WITH_ME);
    let task = submit(&gate, "/clone?hold").await;
    assert_eq!(status(&gate, &task, ALICE).await, 200);
    assert_eq!(say(&gate, post("/forbidden", ALICE)).await.status, 403);
    assert_eq!(status(&gate, &task, ALICE).await, 200);
    assert_eq!(model.verified(), 2);
    assert_eq!(say(&gate, post("/forbidden", ALICE)).await.status, 403);
    model.mode.store(REVOKED, Ordering::SeqCst);
    assert_eq!(status(&gate, &task, ALICE).await, 401);
}

#[tokio::test]
async fn what_was_refused_is_not_good_again_because_the_upstream_is_silent() {
    let (upstream, model) = model().await;
    let gate = start(upstream, WITH_ME);
    let task = submit(&gate, "/clone?hold").await;
    assert_eq!(status(&gate, &task, ALICE).await, 200);
    model.mode.store(REVOKED, Ordering::SeqCst);
    assert_eq!(say(&gate, post("/never", ALICE)).await.status, 401);
    model.mode.store(BROKEN, Ordering::SeqCst);
    assert_eq!(status(&gate, &task, ALICE).await, 401);
    // Once a call is accepted, they are good; and once one is in doubt, nobody knows.
    assert_eq!(say(&gate, post("/never", ALICE)).await.status, 200);
    assert_eq!(status(&gate, &task, ALICE).await, 200);
    assert_eq!(say(&gate, post("/forbidden", ALICE)).await.status, 403);
    for path in [format!("/-/tasks/{task}"), "/-/tasks".to_owned()] {
        let doubtful = get(&gate, &path, ALICE).await;
        assert_eq!(doubtful.status, 503, "{doubtful:?}");
        assert!(doubtful.header("retry-after").is_some());
    }
}

/// That the gate has no room to ask is no silence of the upstream: else whoever takes the room would be let in.
#[tokio::test]
async fn where_nobody_can_ask_only_what_was_accepted_is_good() {
    let (upstream, model) = model().await;
    let none = "counts = \"requests_in_flight\"\nmatch = { class = [\"rest\"] }\nlimit = 0";
    let named = format!("name = \"up\"\n{WITH_ME}");
    let text = text(upstream, "").replace("name = \"up\"", &named);
    let gate = gate(&format!("{text}\n[upstream.limits.none]\n{none}\n"));
    let task = submit(&gate, "/clone?hold").await;
    let path = format!("/-/tasks/{task}");
    let both = tokio::join!(get(&gate, &path, ALICE), get(&gate, &path, BOB));
    for unasked in [both.0, both.1] {
        assert_eq!(unasked.status, 503, "{unasked:?}");
        assert!(unasked.header("retry-after").is_some());
    }
    assert_eq!(say(&gate, post("/never", ALICE)).await.status, 200);
    assert_eq!(status(&gate, &task, ALICE).await, 200);
    assert_eq!(model.verified(), 0);
}

#[tokio::test]
async fn an_upstream_that_says_nothing_of_use_takes_nobodys_tasks_away() {
    let (upstream, model) = model().await;
    let gate = start(upstream, WITH_ME);
    let task = submit(&gate, "/clone?hold").await;
    model.mode.store(BROKEN, Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(status(&gate, &task, ALICE).await, 200);
        assert_eq!(status(&gate, &task, BOB).await, 404);
    }
    assert_eq!(model.verified(), 2, "asked once for each of them");
}

#[tokio::test]
async fn a_page_that_the_operator_names_makes_nobody_a_user() {
    // One that is open to everybody: with another password alice is not let in for her name.
    let open = scripted(|text| if text.contains("?hold") { "" } else { "{}" }).await;
    let gate = start(open, WITH_ME);
    assert_eq!(say(&gate, post("/never", ALICE)).await.status, 200);
    let task = submit(&gate, "/clone?hold").await;
    let other_password = "Authorization: Basic YWxpY2U6Yg==\r\n";
    assert_eq!(status(&gate, &task, other_password).await, 404);
}
