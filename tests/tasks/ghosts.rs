//! The calls of a dead gate: they go on upstream, and hold their seats until they are known to be over.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::model::{Model, SEATS};
use crate::people::{Asked, Person, Work};
use crate::rig::{Gate, Setup};
use crate::support::{PATIENCE, until};

/// The row of the limit whose seats are taken.
async fn seats(gate: &Gate) -> Value {
    let limits: Value = serde_json::from_str(&gate.shown("/limits").await).unwrap();
    let mut rows = limits["limits"].as_array().unwrap().iter();
    rows.find(|row| row["name"] == "blocking_tasks")
        .unwrap()
        .clone()
}

pub async fn in_use(gate: &Gate) -> Value {
    seats(gate).await["in_use"].clone()
}

#[tokio::test]
async fn a_dead_gates_calls_keep_their_seats_until_a_probe_finds_their_work() {
    let model = Model::start(20);
    let setup = Setup::new("ghosts").tasks("max_blocking = \"1h\"\nreconcile = \"1h\"");
    let mut gate = Gate::start(setup, &model).await;
    let person = Person::log_in(gate.http(), "user1@corp").await;
    model.hold();
    let mut ghosts = Vec::new();
    for n in 0..SEATS {
        let asked = Asked::new(Work::Clone, &format!("ghost-{n}"));
        ghosts.push(person.submitted(gate.http(), &asked).await);
    }
    until("ten run", || model.books.running() == SEATS).await;
    gate.kill();
    gate.again().await;
    assert_eq!(in_use(&gate).await, SEATS, "the dead gate's");
    let late = person
        .submitted(gate.http(), &Asked::new(Work::Clone, "late"))
        .await;
    let probes = model.books.asked("names=");
    until("each was asked for", || {
        model.books.asked("names=") >= probes + 2 * SEATS
    })
    .await;
    for id in &ghosts {
        let status = person.status(gate.http(), id).await;
        assert_eq!(
            (&status["state"], &status["substate"]),
            (&"RUNNING".into(), &"RECONCILING".into())
        );
    }
    let status = person.status(gate.http(), &late).await;
    assert_eq!(
        status["state"], "SCHEDULED",
        "there is no seat for it: {status}"
    );
    assert_eq!(
        (model.books.running(), model.books.effects("late")),
        (SEATS, 0)
    );
    assert_eq!(in_use(&gate).await, SEATS);
    model.let_go();
    for id in &ghosts {
        let status = person.end(gate.http(), id).await;
        assert_eq!(
            (&status["state"], &status["result_source"]),
            (&"COMPLETED".into(), &"probe".into())
        );
    }
    let status = person.end(gate.http(), &late).await;
    assert_eq!(status["state"], "COMPLETED", "{status}");
    gate.all_given_back().await;
    assert_eq!(
        (model.books.most_running(), model.books.violations()),
        (SEATS, vec![])
    );
}

#[tokio::test]
async fn a_dead_gates_calls_give_their_seats_back_when_none_can_be_at_work_any_more() {
    let model = Model::start(400);
    let mut gate = Gate::start(Setup::new("blind-ghosts"), &model).await;
    let person = Person::log_in(gate.http(), "user1@corp").await;
    for n in 0..SEATS {
        person
            .submitted(gate.http(), &Asked::new(Work::Blind, &format!("ghost-{n}")))
            .await;
    }
    until("ten run", || model.books.running() == SEATS).await;
    gate.kill();
    gate.again().await;
    let late = person
        .submitted(gate.http(), &Asked::new(Work::Blind, "late"))
        .await;
    let status = person.end(gate.http(), &late).await;
    assert_eq!(status["state"], "COMPLETED", "{status}");
    assert_eq!(
        (model.books.effects("late"), model.books.violations()),
        (1, vec![])
    );
    gate.all_given_back().await;
}

#[tokio::test]
async fn what_is_sent_again_keeps_a_seat_for_each_time() {
    let model = Model::start(20);
    let setup = Setup::new("twice").tasks("max_blocking = \"8s\"");
    let mut gate = Gate::start(setup, &model).await;
    let person = Person::log_in(gate.http(), "user1@corp").await;
    model.hold();
    let mut tasks = Vec::new();
    for n in 0..SEATS / 2 {
        let asked = Asked::new(Work::Set, &format!("state-{n}"));
        tasks.push(person.submitted(gate.http(), &asked).await);
    }
    until("five run", || model.books.running() == SEATS / 2).await;
    gate.kill();
    gate.again().await;
    until("they run twice", || model.books.running() == SEATS).await;
    gate.kill();
    gate.again().await;
    // Ten calls are at work upstream, of five tasks: nobody may go up.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let row = seats(&gate).await;
        assert_eq!(model.books.violations(), [""; 0], "{row}");
        if row["in_use"] == SEATS && row["waiting"] == SEATS / 2 {
            break;
        }
        assert!(Instant::now() < deadline, "{row}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    model.let_go();
    for id in &tasks {
        let status = person.end(gate.http(), id).await;
        assert_eq!(status["state"], "COMPLETED", "{status}");
    }
    assert_eq!(model.books.violations(), [""; 0]);
    gate.all_given_back().await;
}

#[tokio::test]
async fn what_may_have_been_done_is_not_said_to_be_taken_back_in_time() {
    let model = Model::start(20);
    let setup = Setup::new("taken-back").tasks("max_blocking = \"6s\"");
    let mut gate = Gate::start(setup, &model).await;
    let person = Person::log_in(gate.http(), "user1@corp").await;
    model.hold();
    let mut tasks = Vec::new();
    for n in 0..SEATS {
        let asked = Asked::new(Work::Set, &format!("state-{n}")).keyed(&format!("key-{n}"));
        tasks.push(person.submitted(gate.http(), &asked).await);
    }
    until("ten run", || model.books.running() == SEATS).await;
    gate.kill();
    gate.again().await;
    let queued = |status: &Value| status["state"] == "SCHEDULED";
    person.when(gate.http(), &tasks[0], queued).await;
    let answer = person.cancel(gate.http(), &tasks[0]).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let status = person.status(gate.http(), &tasks[0]).await;
    let said = ["state", "outcome", "dispatched"].map(|key| status[key].clone());
    assert_eq!(
        said,
        [Value::from("ABORTED"), "unknown".into(), true.into()],
        "{status}"
    );
    let asked = Asked::new(Work::Set, "state-0").keyed("key-0");
    let again = person.submitted(gate.http(), &asked).await;
    assert_eq!(again, tasks[0], "nor may its key be used again");
    model.let_go();
    for id in &tasks[1..] {
        assert_eq!(person.end(gate.http(), id).await["state"], "COMPLETED");
    }
    gate.all_given_back().await;
}
