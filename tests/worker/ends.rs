//! The machine of seed 003, with every end, and each of the three answers to it.

use tidegate::task::{Change, Event, Outcome, Replay, State, TaskId};

use crate::after::{CLONE, alerts, set};
use crate::model::{Act, Model};
use crate::rig::{Rig, clone};

/// Drives a task by hand, as one that the upstream's own task does, to the end that `last` is.
async fn by_hand(rig: &Rig, last: Event, outcome: Outcome) -> TaskId {
    let mut requested = clone();
    requested.replay = Replay::AtLeastOnce;
    let id = rig.submit(requested).await;
    let nothing_there = Change {
        stood: Some(false),
        ..Change::default()
    };
    rig.desk
        .advance(id, Event::Dispatch, nothing_there)
        .await
        .unwrap();
    rig.desk
        .advance(id, Event::Started, Change::default())
        .await
        .unwrap();
    let change = Change {
        outcome: Some(outcome),
        ..Change::default()
    };
    rig.desk.advance(id, last, change).await.unwrap();
    id
}

#[tokio::test]
async fn the_machine_of_seed_003_with_each_end_and_each_answer_to_it() {
    // SCHEDULED RUNNING COMPLETED | FAILED | ABORTED | PARTIAL_SUCCESS | EXPIRED: retry, alert, or compensate?
    let model = Model::start(|asked, _| match asked.line.as_str() {
        CLONE => Act::Answer(200, "{}"),
        _ => Act::Answer(204, ""),
    })
    .await;
    let ends = [
        (Event::Fail, State::Failed),
        (Event::Abort, State::Aborted),
        (Event::PartlyDone, State::PartialSuccess),
        (Event::Expire, State::Expired),
    ];
    for (event, state) in ends {
        let name = state.as_str();
        for (rule, is_retried, is_told, is_undone) in [
            (
                format!("state = [\"{name}\"]\nretry = {{ times = 1, first = \"5ms\" }}"),
                true,
                false,
                false,
            ),
            (
                format!("state = [\"{name}\"]\nalert = true"),
                false,
                true,
                false,
            ),
            (
                format!(
                    "state = [\"{name}\"]\noutcome = \"unknown\"\ncompensate = {{ method = \"DELETE\", target = \"/api/vm/{{found:0.vm}}\", find = {{ get = \"/api/vm?names={{/name}}\", json = \"/0/vm\" }} }}"
                ),
                false,
                false,
                true,
            ),
        ] {
            let rig = Rig::start(model.address, set(&[&rule])).await;
            // By hand: nobody works on it.
            rig.crew.stop().await;
            let outcome = if is_undone {
                Outcome::Unknown
            } else {
                Outcome::Known
            };
            let id = by_hand(&rig, event, outcome).await;
            let task = rig.task(id).await;
            assert_eq!(
                task.status.state() == State::Scheduled,
                is_retried,
                "{name}: {rule}"
            );
            assert_eq!(task.retries(), u32::from(is_retried), "{name}: {rule}");
            assert_eq!(alerts(&rig, state), u64::from(is_told), "{name}: {rule}");
            assert_eq!(task.bond.is_some(), is_undone, "{name}: {rule}");
            if !is_retried {
                assert_eq!(task.status.state(), state);
                let again = rig.desk.advance(id, Event::Retry, Change::default()).await;
                assert!(again.is_err(), "{name}: what is over never changes");
            }
        }
    }
    let rig = Rig::start(model.address, set(&["state = [\"FAILED\"]\nalert = true"])).await;
    let task = rig.over(rig.submit(clone()).await).await;
    assert_eq!((task.status.state(), task.bond), (State::Completed, None));
    rig.stop().await;
}
