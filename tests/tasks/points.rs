//! Killed at each moment of a call that the upstream can see.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::judge::{Account, End, Table};
use crate::model::{Model, Stage};
use crate::people::{Asked, Person, Work, id};
use crate::rig::{Gate, Setup};
use crate::rows::{are_legal, rows};
use crate::support::until;

const STAGES: [Stage; 5] = [
    Stage::FirstByte,
    Stage::Begun,
    Stage::Applied,
    Stage::Answering,
    Stage::Answered,
];

/// Submits one piece of work, kills the gate when the upstream has it at `stage`, starts another, and submits it again.
async fn killed_at(
    model: &Model,
    gate: &mut Gate,
    person: &Person,
    work: Work,
    stage: Stage,
) -> Account {
    let name = format!("{work:?}-{stage:?}").to_lowercase();
    let asked = Asked::new(work, &name).keyed(&format!("key-{name}"));
    let mut account = Account::new(work, true);
    model.trap(stage, gate.killer());
    if let Some(answer) = person.submit(gate.http(), &asked).await {
        assert_eq!(answer.status, 202, "{answer:?}");
        account.ids.insert(id(&answer.json()));
    }
    until("it is dead", || gate.is_dead()).await;
    assert!(model.has_sprung());
    gate.kill();
    gate.again().await;
    let again = person.submit(gate.http(), &asked).await.unwrap();
    assert_eq!(
        (again.status, again.header("idempotent-replayed")),
        (202, Some("true")),
        "{again:?}"
    );
    account.ids.insert(id(&again.json()));
    let status = person.end(gate.http(), &id(&again.json())).await;
    account.end = End::of(&status);
    account.effects = model.books.effects(&name);
    is_replayed(person, gate, &status).await;
    account
}

/// `/result` says the same as the status.
async fn is_replayed(person: &Person, gate: &Gate, status: &Value) {
    let target = format!("/-/tasks/{}/result", id(status));
    let result = person.get(gate.http(), &target, "").await.unwrap();
    assert_eq!(
        result.header("task-state"),
        status["state"].as_str(),
        "{result:?}"
    );
    match status["state"].as_str().unwrap() {
        "COMPLETED" if status["result_source"] == "probe" => {}
        "COMPLETED" => {
            assert_eq!(
                (result.status, result.header("asyncresult")),
                (200, Some("200")),
                "{result:?}"
            );
        }
        _ => assert_eq!(
            (result.status, result.header("asyncresult")),
            (502, None),
            "{result:?}"
        ),
    }
}

async fn at_each_stage(work: Work) -> Table {
    let model = Model::start(60);
    let mut gate = Gate::start(Setup::new(&format!("points-{work:?}")), &model).await;
    let person = Person::log_in(gate.http(), "user1@corp").await;
    let mut table = Table::default();
    for stage in STAGES {
        let account = killed_at(&model, &mut gate, &person, work, stage).await;
        table.kills += 1;
        table.accounts.insert(format!("{stage:?}"), account);
    }
    gate.all_given_back().await;
    gate.stop();
    table.print(&format!("{work:?}: killed when the upstream has its first byte, all of it, its work done, its answer ready, its answer written"));
    let rows = rows(&gate.database()).await;
    are_legal(&rows.records);
    assert_eq!((rows.records.len(), rows.unfinished), (STAGES.len(), 0));
    assert!(rows.unforgotten.is_empty(), "{:?}", rows.unforgotten);
    assert_eq!(table.faults(), [""; 0]);
    assert_eq!(model.books.violations(), [""; 0]);
    table
}

/// How each of them ended.
fn ways(table: &Table) -> BTreeMap<&'static str, usize> {
    let mut ways = BTreeMap::new();
    for account in table.accounts.values() {
        *ways.entry(account.end.as_ref().unwrap().how()).or_default() += 1;
    }
    ways
}

#[tokio::test]
async fn a_clone_in_doubt_is_found_by_its_probe() {
    let table = at_each_stage(Work::Clone).await;
    // Of the first byte alone nothing comes: then the probe finds nothing.
    let found = ways(&table)["completed, as a probe found"];
    assert!(found >= 3, "{table:?}");
    let ends = table.accounts.values().map(|account| account.end.as_ref());
    let in_doubt = ends.flatten().filter(|end| end.was_in_doubt()).count();
    assert!(in_doubt >= 4, "{table:?}");
}

#[tokio::test]
async fn a_clone_that_may_be_sent_again_is_done_once() {
    let table = at_each_stage(Work::CloneAgain).await;
    assert!(
        table.accounts.values().all(|account| account.effects == 1),
        "{table:?}"
    );
}

#[tokio::test]
async fn what_nobody_can_ask_for_is_said_to_be_unknown() {
    let table = at_each_stage(Work::Blind).await;
    let unknown = ways(&table)["failed, outcome unknown"];
    assert!(unknown >= 4, "{table:?}");
}

#[tokio::test]
async fn what_may_be_done_twice_is_sent_again() {
    let table = at_each_stage(Work::Set).await;
    let again = ways(&table)["completed, sent again"];
    assert!(again >= 4, "{table:?}");
}
