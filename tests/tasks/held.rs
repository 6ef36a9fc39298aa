//! Calls that clients hold, and rows that cannot be read: their seats outlive the gate too.

use std::path::Path;

use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tokio::task::JoinHandle;

use crate::ghosts::in_use;
use crate::model::{Model, SEATS};
use crate::people::{Asked, Person, Work, exchange};
use crate::rig::{Gate, Setup, TOKEN};
use crate::support::client::{Answer, Client};
use crate::support::until;

async fn shown(gate: &Gate, path: &str) -> Value {
    serde_json::from_str(&gate.shown(path).await).unwrap()
}

async fn lost_calls(gate: &Gate) -> Vec<Value> {
    let tasks = shown(gate, "/tasks").await;
    tasks["lost_calls"].as_array().unwrap().clone()
}

/// Calls that their clients hold.
fn hold(gate: &Gate, person: &Person, calls: usize) -> Vec<JoinHandle<Option<Answer>>> {
    let calls = (0..calls).map(|n| {
        let text = person.call(&Asked::new(Work::Blind, &format!("held-{n}")));
        let gate = gate.http();
        tokio::spawn(async move { exchange(gate, &text).await })
    });
    calls.collect()
}

async fn delete(gate: &Gate, path: &str, token: &str) -> Answer {
    let mut client = Client::connect(gate.door()).await;
    let fields = format!("Authorization: Bearer {token}\r\n");
    let text = format!("DELETE {path} HTTP/1.1\r\nHost: door\r\n{fields}\r\n");
    client.send(text).await;
    client.answer().await.unwrap()
}

/// Changes the database of a gate that is dead.
async fn change(database: &Path, sql: &str) {
    let options = SqliteConnectOptions::new().filename(database);
    let mut raw = SqliteConnection::connect_with(&options).await.unwrap();
    raw.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    raw.close().await.unwrap();
}

#[tokio::test]
async fn the_held_calls_of_a_killed_gate_keep_their_seats() {
    let model = Model::start(20);
    let setup = Setup::new("held").tasks("max_blocking = \"6s\"\nreconcile = \"6s\"");
    let mut gate = Gate::start(setup, &model).await;
    let person = Person::log_in(gate.http(), "user1@corp").await;
    model.hold();
    let held = hold(&gate, &person, SEATS);
    until("ten run", || model.books.running() == SEATS).await;
    gate.kill();
    gate.again().await;
    assert_eq!(in_use(&gate).await, SEATS, "the dead gate's");
    let lost = lost_calls(&gate).await;
    assert_eq!(lost.len(), SEATS);
    for call in &lost {
        assert_eq!(
            (&call["of"], &call["upstream"]),
            (&"call".into(), &"vc".into())
        );
        assert_eq!(call["limits"][0], "blocking_tasks");
        assert!(call["since"].as_str().unwrap() < call["until"].as_str().unwrap());
    }
    let late = person
        .submitted(gate.http(), &Asked::new(Work::Clone, "late"))
        .await;
    let status = person.status(gate.http(), &late).await;
    assert_eq!(status["state"], "SCHEDULED", "{status}");
    // They are remembered for one more life.
    gate.kill();
    gate.again().await;
    assert_eq!(in_use(&gate).await, SEATS);
    model.let_go();
    let status = person.end(gate.http(), &late).await;
    assert_eq!(status["state"], "COMPLETED", "{status}");
    gate.all_given_back().await;
    assert_eq!(
        (model.books.most_running(), model.books.violations()),
        (SEATS, vec![])
    );
    for call in held {
        assert!(call.await.unwrap().is_none());
    }
}

#[tokio::test]
async fn held_calls_that_ended_leave_no_seat_behind() {
    let model = Model::start(5);
    let mut gate = Gate::start(
        Setup::new("held-ended").tasks("max_blocking = \"1h\""),
        &model,
    )
    .await;
    let person = Person::log_in(gate.http(), "user1@corp").await;
    for call in hold(&gate, &person, 3 * SEATS) {
        assert_eq!(call.await.unwrap().unwrap().status, 200);
    }
    gate.stop();
    gate.again().await;
    assert_eq!(in_use(&gate).await, 0, "{:?}", lost_calls(&gate).await);
}

#[tokio::test]
async fn held_calls_that_a_stop_cuts_keep_their_seats() {
    let model = Model::start(20);
    let setup = Setup::new("held-cut").tasks("max_blocking = \"1h\"");
    let mut gate = Gate::start(setup, &model).await;
    let person = Person::log_in(gate.http(), "user1@corp").await;
    model.hold();
    let held = hold(&gate, &person, 3);
    until("three run", || model.books.running() == 3).await;
    // Its time to drain is five seconds.
    gate.stop();
    gate.again().await;
    assert_eq!(in_use(&gate).await, 3);
    model.let_go();
    drop(held);
}

#[tokio::test]
async fn the_operator_frees_the_seats_of_lost_calls() {
    let model = Model::start(20);
    let setup = Setup::new("lever").tasks("max_blocking = \"1h\"\nreconcile = \"1h\"");
    let mut gate = Gate::start(setup, &model).await;
    let person = Person::log_in(gate.http(), "user1@corp").await;
    model.hold();
    let held = hold(&gate, &person, SEATS - 1);
    until("nine run", || model.books.running() == SEATS - 1).await;
    let asked = Asked::new(Work::Blind, "blind");
    let blind = person.submitted(gate.http(), &asked).await;
    until("ten run", || model.books.running() == SEATS).await;
    gate.kill();
    gate.again().await;
    let over = person.end(gate.http(), &blind).await;
    assert_eq!(over["outcome"], "unknown", "{over}");
    let lost = lost_calls(&gate).await;
    let named = |of: &str| lost.iter().filter(|call| call["of"] == of).count();
    assert_eq!(
        (lost.len(), named("call"), named("task")),
        (SEATS, SEATS - 1, 1)
    );
    assert!(lost.iter().any(|call| call["id"] == blind.as_str()));

    let path = format!("/tasks/{blind}/seat");
    assert_eq!(delete(&gate, &path, "wrong").await.status, 401);
    assert_eq!(in_use(&gate).await, SEATS);
    let freed = delete(&gate, &path, TOKEN).await;
    assert_eq!(freed.status, 200, "{freed:?}");
    assert_eq!(freed.json()["freed"][0]["id"], blind.as_str());
    assert_eq!(in_use(&gate).await, SEATS - 1);
    assert_eq!(delete(&gate, &path, TOKEN).await.status, 404, "it is free");
    let log = gate.log();
    assert!(log.contains("the operator says that a lost call is over") && log.contains(&blind));

    for call in lost.iter().filter(|call| call["of"] == "call") {
        let path = format!("/tasks/{}/seat", call["id"].as_str().unwrap());
        assert_eq!(delete(&gate, &path, TOKEN).await.status, 200);
    }
    assert_eq!(in_use(&gate).await, 0);
    // And they stay free.
    gate.kill();
    gate.again().await;
    assert_eq!(
        (in_use(&gate).await, lost_calls(&gate).await),
        (0.into(), vec![])
    );
    model.let_go();
    drop(held);
}

#[tokio::test]
async fn the_seat_of_a_task_in_doubt_is_freed_for_good() {
    let model = Model::start(20);
    let setup = Setup::new("lever-doubt").tasks("max_blocking = \"1h\"\nreconcile = \"1h\"");
    let mut gate = Gate::start(setup, &model).await;
    let person = Person::log_in(gate.http(), "user1@corp").await;
    model.hold();
    let asked = Asked::new(Work::Clone, "doubtful");
    let id = person.submitted(gate.http(), &asked).await;
    until("it runs", || model.books.running() == 1).await;
    gate.kill();
    gate.again().await;
    let is_in_doubt = |status: &Value| status["substate"] == "RECONCILING";
    person.when(gate.http(), &id, is_in_doubt).await;
    let freed = delete(&gate, &format!("/tasks/{id}/seat"), TOKEN).await;
    assert_eq!((freed.status, in_use(&gate).await), (200, 0.into()));
    gate.kill();
    gate.again().await;
    assert_eq!(in_use(&gate).await, 0);
    model.let_go();
    let status = person.end(gate.http(), &id).await;
    assert_eq!(status["state"], "COMPLETED", "it is still asked after");
    gate.all_given_back().await;
}

#[tokio::test]
async fn the_seat_of_a_call_before_the_last_is_freed_for_good() {
    let model = Model::start(20);
    let setup = Setup::new("lever-again").tasks("max_blocking = \"1h\"\nreconcile = \"1h\"");
    let mut gate = Gate::start(setup, &model).await;
    let person = Person::log_in(gate.http(), "user1@corp").await;
    model.hold();
    let asked = Asked::new(Work::Set, "state");
    let id = person.submitted(gate.http(), &asked).await;
    until("it runs", || model.books.running() == 1).await;
    gate.kill();
    gate.again().await;
    until("it runs twice", || model.books.running() == 2).await;
    assert_eq!(in_use(&gate).await, 2);
    let freed = delete(&gate, &format!("/tasks/{id}/seat"), TOKEN).await;
    assert_eq!((freed.status, in_use(&gate).await), (200, 1.into()));
    gate.kill();
    gate.again().await;
    until("it runs once more", || model.books.running() == 3).await;
    assert_eq!(
        in_use(&gate).await,
        2,
        "the first is over, says the operator"
    );
    model.let_go();
    assert_eq!(person.end(gate.http(), &id).await["state"], "COMPLETED");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_holds_its_seat() {
    let model = Model::start(20);
    let setup = Setup::new("unreadable").tasks("max_blocking = \"1h\"\nreconcile = \"1h\"");
    let mut gate = Gate::start(setup, &model).await;
    let person = Person::log_in(gate.http(), "user1@corp").await;
    model.hold();
    let mut ids = Vec::new();
    for n in 0..4 {
        let asked = Asked::new(Work::Blind, &format!("n-{n}"));
        ids.push(person.submitted(gate.http(), &asked).await);
    }
    let held = hold(&gate, &person, 1);
    until("five run", || model.books.running() == 5).await;
    gate.kill();
    // One of each kind: what was asked for; that and its seat; the row itself; and the seat of the held call.
    let hex = |id: &str| {
        let id: tidegate::task::TaskId = id.parse().unwrap();
        let bytes: String = id
            .bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("x'{bytes}'")
    };
    let (first, second, third) = (hex(&ids[0]), hex(&ids[1]), hex(&ids[2]));
    for sql in [
        format!("UPDATE task SET requested = 'x' WHERE id IN ({first}, {second})"),
        format!("DELETE FROM seat WHERE task = {second}"),
        format!("DELETE FROM task WHERE id = {third}"),
        "UPDATE seat SET held = 'x' WHERE held IS NOT NULL".to_owned(),
    ] {
        change(&gate.database(), &sql).await;
    }
    gate.again().await;
    assert_eq!(in_use(&gate).await, 5, "{:?}", lost_calls(&gate).await);
    let lost = lost_calls(&gate).await;
    let named = |id: &String| {
        let call = lost.iter().find(|call| call["id"] == id.as_str());
        call.map(|call| call["of"].as_str().unwrap())
    };
    let of: Vec<_> = ids.iter().map(named).collect();
    let wanted = ["unreadable", "unreadable", "unreadable", "task"].map(Some);
    assert_eq!(of, wanted);
    let (log, file) = (gate.log(), gate.database());
    for id in &ids[..3] {
        assert!(log.contains(id.as_str()), "{id} is not in {log}");
    }
    assert!(log.contains(file.to_str().unwrap()), "{log}");
    let freed = delete(&gate, &format!("/tasks/{}/seat", ids[0]), TOKEN).await;
    assert_eq!((freed.status, in_use(&gate).await), (200, 4.into()));
    // And it stays free, though the row is as it was; the others hold theirs no longer for that.
    gate.kill();
    gate.again().await;
    assert_eq!(in_use(&gate).await, 4, "{:?}", lost_calls(&gate).await);
    let still = lost_calls(&gate).await;
    assert_eq!(still.len(), 4);
    for call in still {
        let before = lost.iter().find(|before| before["id"] == call["id"]);
        assert_eq!(call["until"], before.unwrap()["until"], "{call}");
    }
    model.let_go();
    drop(held);
}
