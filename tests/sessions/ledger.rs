//! The gate's list of sessions is the upstream's own, also after a stop and after a crash.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::task::JoinSet;

use crate::model::{Model, PASSWORD};
use crate::people::{Session, Way, Work, ask, ask_all, ask_once, log_all_in, login, opened};
use crate::rig::{Setup, folder, listed, rows, shown};
use crate::support::PATIENCE;
use crate::support::client::Client;

/// Everybody has one session: what is in the lists is who is logged in.
fn everybody(count: usize) -> Vec<(Way, String)> {
    let who = (0..count).map(|n| (Way::ALL[n % 4], format!("user{n}@corp")));
    who.collect()
}

fn setup(folder: &Path) -> Setup {
    Setup::of("vcenter-8.0")
        .limit("sessions", "limit = 10000")
        .limit("soap_sessions", "limit = 10000")
        .kept_in(folder)
}

/// A third logs out, a third is ended by the upstream and then used, a third works and stays. All at once.
async fn a_third_each(model: &Model, gate: SocketAddr, sessions: &[Session]) {
    for session in sessions.iter().skip(1).step_by(3) {
        assert!(model.books.end(&session.token));
    }
    let asked = sessions
        .iter()
        .zip([Work::Logout, Work::List, Work::List].into_iter().cycle());
    let asked: Vec<String> = asked.map(|(session, work)| session.asks(work)).collect();
    let answers = ask_all(gate, asked, 16).await;
    let limited = answers
        .iter()
        .filter(|answer| answer.header("tidegate-limit").is_some());
    assert_eq!(limited.count(), 0);
    let stay = sessions.iter().skip(2).step_by(3).count();
    assert_eq!(model.books.now("sessions"), stay as u64);
}

/// Fails unless the gate knows exactly the sessions that the model has, and its limits count them.
async fn is_equal(model: &Model, door: SocketAddr) {
    let live = model.books.live();
    assert_eq!(listed(door).await, live);
    let limits = shown(door, "/limits").await;
    for (name, kind) in [("sessions", "rest"), ("soap_sessions", "soap")] {
        let of_kind = live.iter().filter(|(other, _)| other == kind).count();
        let limits = limits["limits"].as_array().unwrap().iter();
        let in_use: Vec<_> = limits
            .filter(|one| one["name"] == name)
            .map(|one| &one["in_use"])
            .collect();
        assert_eq!(in_use, [&serde_json::Value::from(of_kind)], "{name}");
    }
    let metrics = Client::connect(door).await.get("/metrics").await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    for line in metrics
        .lines()
        .filter(|line| line.starts_with("tidegate_audit_mismatch"))
    {
        assert!(line.ends_with(" 0"), "{line}");
    }
}

/// The ids that the operator sees, sorted.
async fn ids(door: SocketAddr) -> Vec<String> {
    let rows = rows(door).await;
    let mut ids: Vec<_> = rows
        .iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_5000_logins_the_list_is_the_upstreams_and_stays_so_over_a_restart() {
    let folder = folder("restart");
    let model = Model::start().await;
    let setup = setup(&folder);
    let gate = setup.start(model.address);
    let (http, door) = (gate.http()[0], gate.admin());
    let sessions = log_all_in(http, everybody(5000), 16).await;
    is_equal(&model, door).await;
    a_third_each(&model, http, &sessions).await;
    is_equal(&model, door).await;
    let before = ids(door).await;
    let drained = tokio::task::spawn_blocking(move || gate.drain())
        .await
        .unwrap();
    assert_eq!(drained.cut, 0);

    let gate = setup.start(model.address);
    let (http, door) = (gate.http()[0], gate.admin());
    is_equal(&model, door).await;
    assert_eq!(ids(door).await, before, "each under its old id");
    let stay: Vec<&Session> = sessions.iter().skip(2).step_by(3).collect();
    let asked = stay.iter().map(|session| session.asks(Work::List));
    for answer in ask_all(http, asked.collect(), 16).await {
        assert_eq!(answer.status, 200);
    }
    let asked = stay.iter().map(|session| session.asks(Work::Logout));
    ask_all(http, asked.take(500).collect(), 16).await;
    is_equal(&model, door).await;
    assert_eq!(model.books.now("sessions"), stay.len() as u64 - 500);
    assert_eq!(model.books.done("whose"), 0, "nobody had to be asked about");
}

/// Polls the gate's own file until it holds so many sessions.
async fn kept(folder: &Path, count: usize) {
    let options = SqliteConnectOptions::new()
        .filename(folder.join("tidegate.db"))
        .read_only(true);
    let mut file = SqliteConnection::connect_with(&options).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let query = sqlx::query_scalar("SELECT count(*) FROM session");
        let kept: i64 = query.fetch_one(&mut file).await.unwrap();
        if kept == count as i64 {
            return file.close().await.unwrap();
        }
        assert!(
            Instant::now() < deadline,
            "{kept} are kept, {count} are wanted"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_gate_knows_every_session_again() {
    let folder = folder("killed");
    let model = Model::start().await;
    let setup = setup(&folder);
    let mut gate = setup.process(model.address, &folder).await;
    let sessions = log_all_in(gate.http, everybody(600), 16).await;
    a_third_each(&model, gate.http, &sessions).await;
    is_equal(&model, gate.door).await;
    let before = ids(gate.door).await;
    kept(&folder, before.len()).await;
    gate.kill();

    let gate = setup.process(model.address, &folder).await;
    is_equal(&model, gate.door).await;
    assert_eq!(ids(gate.door).await, before, "each under its old id");
    let session = &sessions[2];
    assert_eq!(
        ask_once(gate.http, &session.asks(Work::List)).await.status,
        200
    );
    assert_eq!(model.books.done("whose"), 0, "nobody had to be asked about");
}

/// Logs in and out until the gate is gone; every session whose token was seen.
async fn until_it_is_gone(gate: SocketAddr, number: usize) -> Vec<Session> {
    let mut seen = Vec::new();
    for round in 0.. {
        let way = Way::ALL[(number + round) % 4];
        let user = format!("user{number}-{round}@corp");
        let Ok(stream) = tokio::net::TcpStream::connect(gate).await else {
            break;
        };
        let mut client = Client::over(stream);
        if client.try_send(login(way, &user, PASSWORD)).await.is_err() {
            break;
        }
        let Some(answer) = client.answer().await.filter(|answer| answer.whole) else {
            break;
        };
        let token = opened(way, &answer).unwrap_or_else(|| panic!("{answer:?}"));
        let session = Session::new(way, &user, &token);
        seen.push(session.clone());
        if round % 3 == 0 {
            if client.try_send(session.asks(Work::Logout)).await.is_err() {
                break;
            }
            if client.answer().await.is_none() {
                break;
            }
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_the_middle_of_logins_each_sessions_next_use_sets_the_list_right() {
    let folder = folder("midway");
    let model = Model::start().await;
    let setup = setup(&folder);
    let mut gate = setup.process(model.address, &folder).await;
    let mut busy = JoinSet::new();
    for number in 0..8 {
        busy.spawn(until_it_is_gone(gate.http, number));
    }
    let books = model.books.clone();
    crate::support::until("logins and logouts are under way", || {
        books.done("logout") >= 50
    })
    .await;
    gate.kill();
    let sessions: Vec<Session> = busy.join_all().await.into_iter().flatten().collect();
    let users: BTreeSet<String> = sessions.iter().map(|one| one.user.clone()).collect();
    // Logins whose answer nobody saw, of each client the last: these idle out, wherever they are known.
    let unseen = |list: &mut Vec<(String, String)>| {
        let before = list.len();
        list.retain(|(_, user)| users.contains(user));
        before - list.len()
    };
    let mut live = model.books.live();
    assert!(unseen(&mut live) <= 8 && !live.is_empty());

    let gate = setup.process(model.address, &folder).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        for session in &sessions {
            let mut client = Client::connect(gate.http).await;
            ask(&mut client, &session.asks(Work::List)).await;
        }
        let mut known = listed(gate.door).await;
        assert!(unseen(&mut known) <= 8);
        if known == live {
            break;
        }
        assert!(Instant::now() < deadline, "{known:?}\n{live:?}");
    }
    let counted = shown(gate.door, "/limits").await;
    let limits = counted["limits"].as_array().unwrap().iter();
    let of_sessions = limits.filter(|one| one["counts"] == "sessions" && one["key"] == "all");
    let in_use: u64 = of_sessions.map(|one| one["in_use"].as_u64().unwrap()).sum();
    assert_eq!(in_use, rows(gate.door).await.len() as u64);
}
