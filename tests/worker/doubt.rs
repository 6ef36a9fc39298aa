//! Tasks whose answer is lost.

use std::time::Duration;

use tidegate::task::{Event, Outcome, Record, Replay, Source, State};

use crate::model::{Act, Model};
use crate::rig::{LONG, Rig, Set, clone, seats, shortly, until};

const CLONE: &str = "POST /api/clone";
const PROBE: &str = "GET /api/vm?names=web%2002";

/// Whether a call that takes no longer than this was over by now.
fn is_over(task: &Record, longest: Duration) -> bool {
    shortly(Duration::ZERO) >= task.started.unwrap().after(longest)
}

fn with_probe(more: &str) -> String {
    seats(1)
        + "probe = { get = \"/api/vm?names={/name}\", json = \"/0/vm\", every = \"100ms\" }\n"
        + more
}

#[tokio::test]
async fn what_may_be_done_once_is_not_sent_again_and_its_call_keeps_its_seat() {
    for act in [
        Act::Close,
        Act::Garbage,
        Act::Cut,
        Act::Answer(502, "broken"),
        Act::Answer(504, ""),
    ] {
        let said = act.clone();
        let model = Model::start(move |_, _| said.clone()).await;
        let set = Set {
            max_blocking: Duration::from_secs(2),
            ..Set::default()
        };
        let rig = Rig::start(model.address, set).await;
        let mut requested = clone();
        requested.run_for = Duration::from_secs(2);
        let id = rig.submit(requested).await;
        let task = rig.over(id).await;
        assert_eq!(
            (task.status.state(), task.outcome),
            (State::Failed, Some(Outcome::Unknown)),
            "{act:?}"
        );
        assert!(task.dispatched);
        assert_eq!(task.error.clone().unwrap().kind, "outcome-unknown");
        let seated = rig.seated();
        let may_be = !is_over(&task, Duration::from_secs(2));
        assert!(seated == 1 || !may_be, "{act:?}: it may still be at work");
        until("it can be no more", || rig.seated() == 0).await;
        let store = rig.desk.store().clone();
        while !store.unfinished(None, 9).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(model.times(CLONE), 1);
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_call_that_the_upstream_has_ended_itself_holds_no_seat_though_nobody_knows_what_it_did() {
    let model = Model::start(|_, _| Act::Answer(503, "restarting")).await;
    let rig = Rig::start(model.address, Set::default()).await;
    for _ in 0..3 {
        let id = rig.submit(clone()).await;
        let task = rig.over(id).await;
        assert_eq!(
            (task.status.state(), task.outcome),
            (State::Failed, Some(Outcome::Unknown))
        );
        until("its seat is free", || rig.seated() == 0).await;
    }
    assert_eq!(model.times(CLONE), 3, "each once");
    let store = rig.desk.store();
    assert!(store.unfinished(None, 9).await.unwrap().is_empty());
    rig.stop().await;
}

#[tokio::test]
async fn what_does_no_harm_is_sent_again() {
    let model = Model::start(|_, before| match before {
        0 => Act::Close,
        _ => Act::Answer(200, "{}"),
    })
    .await;
    let rig = Rig::start(model.address, Set::default()).await;
    let mut harmless = clone();
    harmless.replay = Replay::AtLeastOnce;
    let id = rig.submit(harmless).await;
    let task = rig.over(id).await;
    assert_eq!((task.status.state(), task.attempts), (State::Completed, 2));
    assert_eq!(model.times(CLONE), 2);
    assert_eq!(rig.seated(), 1, "the first call may still be at work");
    rig.stop().await;
}

#[tokio::test]
async fn a_call_that_ends_late_leaves_the_seat_of_one_that_was_lost_before() {
    let model = Model::start(|_, before| match before {
        0 => Act::Close,
        _ => Act::Hold,
    })
    .await;
    let rig = Rig::start(model.address, Set::default()).await;
    let mut harmless = clone();
    harmless.replay = Replay::AtLeastOnce;
    harmless.run_for = Duration::from_millis(30);
    let id = rig.submit(harmless).await;
    assert_eq!(rig.over(id).await.status.state(), State::Expired);
    assert_eq!(rig.seated(), 2, "of the lost call, and of the late one");
    model.release();
    until("the late one is over", || rig.crew.in_flight() == 0).await;
    assert_eq!(rig.seated(), 1, "the lost one may still be at work");
    let kept = rig.desk.store().unfinished(None, 9).await.unwrap();
    assert_eq!(kept.len(), 1, "and a gate that comes after this one knows");
    rig.stop().await;
}

#[tokio::test]
async fn a_probe_that_finds_it_completes_it_and_frees_its_seat() {
    let model = Model::start(|asked, before| match (asked.line.as_str(), before) {
        (CLONE, _) => Act::Close,
        (PROBE, 0) => Act::Answer(500, ""),
        (PROBE, 1) => Act::Answer(200, "[]"),
        (PROBE, _) => Act::Answer(200, "[{\"vm\":\"vm-7\"}]"),
        _ => Act::Answer(418, ""),
    })
    .await;
    let set = Set {
        lines: with_probe(""),
        ..Set::default()
    };
    let rig = Rig::start(model.address, set).await;
    let id = rig.submit(clone()).await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.outcome),
        (State::Completed, Some(Outcome::Known))
    );
    assert_eq!(task.result.clone().unwrap().source, Source::Probe);
    assert_eq!((model.times(CLONE), model.times(PROBE)), (1, 3));
    let probe = model.asked().pop().unwrap();
    assert!(
        probe
            .head
            .to_lowercase()
            .contains("vmware-api-session-id: token"),
        "asked as its user"
    );
    assert!(probe.body.is_empty());
    until("the seat is free", || rig.seated() == 0).await;
    rig.stop().await;
}

#[tokio::test]
async fn absence_proves_nothing_while_it_can_be_at_work_and_then_all() {
    for requeue in [false, true] {
        let model = Model::start(move |asked, before| match (asked.line.as_str(), before) {
            (CLONE, 0) => Act::Close,
            (PROBE, _) => Act::Answer(200, "[]"),
            _ => Act::Answer(200, "{}"),
        })
        .await;
        let set = Set {
            lines: with_probe(&format!("requeue = {requeue}\n")),
            max_blocking: Duration::from_millis(300),
            ..Set::default()
        };
        let rig = Rig::start(model.address, set).await;
        let mut requested = clone();
        requested.run_for = Duration::from_millis(300);
        let id = rig.submit(requested).await;
        let task = rig.over(id).await;
        let moved = |wanted| task.history.iter().find(|moved| moved.event == wanted);
        let sent = moved(Event::Dispatch).unwrap().at;
        let proven = if requeue { Event::Again } else { Event::Fail };
        let waited = moved(proven).unwrap().at.since(sent);
        assert!(waited >= Duration::from_millis(300), "{waited:?}");
        assert!(model.times(PROBE) > 0);
        if requeue {
            assert_eq!(
                (task.status.state(), model.times(CLONE)),
                (State::Completed, 2)
            );
        } else {
            assert_eq!(
                (task.status.state(), model.times(CLONE)),
                (State::Failed, 1)
            );
            assert_eq!(task.outcome, Some(Outcome::NotApplied));
            assert_eq!(task.error.clone().unwrap().kind, "not-applied");
        }
        until("no seat is held", || rig.seated() == 0).await;
        rig.stop().await;
    }
}

#[tokio::test]
async fn an_upstream_that_says_nothing_of_use_is_not_asked_for_ever() {
    let model = Model::start(|asked, _| match asked.line.as_str() {
        CLONE => Act::Close,
        _ => Act::Answer(500, ""),
    })
    .await;
    let set = Set {
        lines: with_probe(""),
        reconcile: Duration::from_millis(250),
        max_blocking: LONG,
        ..Set::default()
    };
    let rig = Rig::start(model.address, set).await;
    let id = rig.submit(clone()).await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.outcome),
        (State::Failed, Some(Outcome::Unknown))
    );
    assert_eq!(rig.seated(), 1);
    rig.stop().await;
}
