//! One key, one task, one effect.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use crate::model::Model;
use crate::people::{Asked, Person, Work, id};
use crate::rig::{Gate, Setup};

const STORM: usize = 100;

/// Submits until it is not the race before the first commit that answers (409, and to come again in a second).
async fn insists(person: Person, gate: std::net::SocketAddr, asked: Asked) -> (String, bool) {
    loop {
        let answer = person.submit(gate, &asked).await.expect("an answer");
        if answer.status == 409 {
            assert_eq!(answer.header("retry-after"), Some("1"), "{answer:?}");
            continue;
        }
        assert_eq!(answer.status, 202, "{answer:?}");
        let replayed = answer.header("idempotent-replayed") == Some("true");
        return (id(&answer.json()), replayed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_at_once_with_one_key_are_one_task() {
    let model = Model::start(30);
    let gate = Gate::start(Setup::new("keys"), &model).await;
    let person = Person::log_in(gate.http(), "user1@corp").await;
    let asked = Asked::new(Work::Clone, "only").keyed("8e03978e-40d5-43e8-bc93-6894a57f9324");
    let mut storm = JoinSet::new();
    for _ in 0..STORM {
        storm.spawn(insists(person.clone(), gate.http(), asked.clone()));
    }
    let answers = storm.join_all().await;
    let ids: BTreeSet<&String> = answers.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let new = answers.iter().filter(|(_, replayed)| !replayed).count();
    assert_eq!(new, 1, "all but the first are told that they are not");
    let only = &answers[0].0;
    assert_eq!(person.end(gate.http(), only).await["state"], "COMPLETED");
    let (again, replayed) = insists(person.clone(), gate.http(), asked.clone()).await;
    assert_eq!((&again, replayed), (only, true), "when it is over, too");
    assert_eq!(model.books.effects("only"), 1);
    assert_eq!(model.books.asked("action=clone"), 1);
    let sent = model.books.seen();
    let clone = sent
        .iter()
        .find(|seen| seen.call.contains("action=clone"))
        .unwrap();
    for field in ["idempotency-key", "prefer"] {
        assert!(
            !clone.fields.iter().any(|sent| sent == field),
            "{field} is the gate's own"
        );
    }
    gate.all_given_back().await;
}

#[tokio::test]
async fn a_key_outlives_the_gate_and_is_for_one_request_and_one_user() {
    let model = Model::start(10);
    let mut gate = Gate::start(Setup::new("keys-kept"), &model).await;
    let person = Person::log_in(gate.http(), "user1@corp").await;
    let other = Person::log_in(gate.http(), "user2@corp").await;
    let asked = Asked::new(Work::Clone, "first").keyed("one");
    let first = person.submitted(gate.http(), &asked).await;
    person.end(gate.http(), &first).await;
    gate.kill();
    gate.again().await;
    let again = person.submit(gate.http(), &asked).await.unwrap();
    assert_eq!((again.status, id(&again.json())), (202, first.clone()));
    let different = Asked::new(Work::Clone, "second").keyed("one");
    let answer = person.submit(gate.http(), &different).await.unwrap();
    assert_eq!(answer.status, 422, "{answer:?}");
    let theirs = other.submitted(gate.http(), &different).await;
    assert_ne!(theirs, first, "each user has keys of their own");
    assert_eq!(other.poll(gate.http(), &first).await.unwrap().status, 404);
    other.end(gate.http(), &theirs).await;
    let effects = ["first", "second"].map(|name| model.books.effects(name));
    assert_eq!(effects, [1, 1]);
}

#[tokio::test]
async fn clients_that_vanish_in_their_body_leave_nothing() {
    let model = Model::start(10);
    let mut gate = Gate::start(Setup::new("vanish"), &model).await;
    let person = Person::log_in(gate.http(), "user1@corp").await;
    let whole = person.submission(&Asked::new(Work::Clone, "half").keyed("half"));
    let end = whole.find("\r\n\r\n").unwrap() + 4;
    for cut in [end, end + 1, whole.len() - 1] {
        let mut client = crate::support::client::Client::connect(gate.http()).await;
        client.send(&whole.as_bytes()[..cut]).await;
    }
    // The key is free, and what comes whole is the only one.
    let asked = Asked::new(Work::Clone, "whole").keyed("half");
    let only = person.submitted(gate.http(), &asked).await;
    person.end(gate.http(), &only).await;
    assert_eq!(
        (model.books.effects("half"), model.books.effects("whole")),
        (0, 1)
    );
    gate.stop();
    let rows = crate::rows::rows(&gate.database()).await;
    let ids: Vec<String> = rows.records.iter().map(|row| row.id.to_string()).collect();
    assert_eq!(ids, [only]);
}
