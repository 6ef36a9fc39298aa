//! Calls that do what several tasks ask for, and whose answer is lost: the resource is read, and nobody overtakes what may come yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidegate::task::{Event, Outcome, Source, State};

use crate::faulty::Faulty;
use crate::merged::{
    EMPTY, FULL, PATCH, at_once, body, ended, lines, model, patch, roomy, set, two,
};
use crate::model::{Act, Model};
use crate::rig::{LONG, Rig, Set, shortly, until};

/// A server that is there may have been there before: then nothing says that the lost call has come through, and it may yet.
#[tokio::test]
async fn what_may_have_stood_so_before_is_done_but_its_call_is_waited_for() {
    let model = model(FULL, |before| match before {
        0 => Act::Close,
        _ => Act::Answer(200, EMPTY),
    })
    .await;
    let rig = Rig::start(model.address, roomy("3s")).await;
    let first = rig.submit_of(patch(LONG), body("add", 1)).await.unwrap();
    let task = rig.over(first).await;
    assert_eq!(ended(&task), (State::Completed, Some(Outcome::Known)));
    assert_eq!(task.result.clone().unwrap().source, Source::Probe);
    let over = task.started.unwrap().after(Duration::from_secs(3));
    let seated = rig.seated();
    assert!(
        seated == 1 || shortly(Duration::ZERO) >= over,
        "it may be at work"
    );
    let same = rig.submit_of(patch(LONG), body("delete", 1)).await.unwrap();
    let same = rig.over(same).await;
    assert_eq!(same.status.state(), State::Completed);
    assert!(
        same.started.unwrap() >= over,
        "it overtook a call that was lost"
    );
    assert_eq!(model.times(PATCH), 2);
    until("its seat is free", || rig.seated() == 0).await;
    rig.stop().await;
}

#[tokio::test]
async fn the_next_gate_holds_the_seat_of_a_call_that_may_come_through_though_its_task_is_done() {
    let model = model(FULL, |_| Act::Close).await;
    let store = Faulty::new(&[]);
    let set = || Set {
        store: store.clone(),
        ..set("600s")
    };
    let rig = Rig::start(model.address, set()).await;
    let first = rig.submit_of(patch(LONG), body("add", 1)).await.unwrap();
    assert_eq!(rig.over(first).await.status.state(), State::Completed);
    assert_eq!(rig.seated(), 1);
    rig.stop().await;
    let rig = Rig::start(model.address, set()).await;
    let lost = rig.crew.lever().lost();
    assert_eq!((rig.found.seats, rig.seated(), lost.len()), (1, 1, 1));
    assert_eq!(lost[0].id, first);
    rig.stop().await;
}

#[tokio::test]
async fn what_is_seen_to_come_through_is_over_and_nobody_waits_for_it() {
    let model = Model::start(|asked, before| match (&*asked.line, before) {
        (PATCH, 0) => Act::Close,
        (PATCH, _) => Act::Answer(200, EMPTY),
        // The first look is too early.
        (_, 0) => Act::Answer(200, EMPTY),
        _ => Act::Answer(200, FULL),
    })
    .await;
    // Longer than any test waits.
    let rig = Rig::start(model.address, set("600s")).await;
    let first = rig.submit_of(patch(LONG), body("add", 1)).await.unwrap();
    let task = rig.over(first).await;
    assert_eq!(ended(&task), (State::Completed, Some(Outcome::Known)));
    assert_eq!((rig.seated(), rig.crew.lever().lost().len()), (0, 0));
    let same = rig.submit_of(patch(LONG), body("delete", 1)).await.unwrap();
    assert_eq!(rig.over(same).await.status.state(), State::Completed);
    rig.stop().await;
}

/// What goes up next waits for the seat that the lost call holds.
#[tokio::test]
async fn what_is_in_doubt_is_asked_after_while_the_next_call_waits_for_its_limits() {
    let model = Model::start(|asked, before| match (&*asked.line, before) {
        (PATCH, 0) => Act::Breaks,
        (PATCH, _) => Act::Answer(200, FULL),
        (_, 0) => Act::Answer(200, EMPTY),
        _ => Act::Answer(200, FULL),
    })
    .await;
    let rig = Rig::start(model.address, at_once(set("600s"))).await;
    let first = rig.submit_of(patch(LONG), body("add", 1)).await.unwrap();
    until("it is up", || model.running() == 1).await;
    let next = rig.submit_of(patch(LONG), body("add", 2)).await.unwrap();
    model.release();
    for id in [first, next] {
        assert_eq!(rig.over(id).await.status.state(), State::Completed);
    }
    assert_eq!((rig.seated(), model.times(PATCH)), (0, 2));
    rig.stop().await;
}

#[tokio::test]
async fn what_was_not_applied_goes_up_again_where_its_route_says_so_before_what_came_behind_it() {
    let model = model(EMPTY, |before| match before {
        0 => Act::Close,
        _ => Act::Answer(200, FULL),
    })
    .await;
    let requeue = "probe = { get = \"/api/never\" }\nrequeue = true\n";
    let set = Set {
        lines: lines("2s", requeue),
        ..Set::default()
    };
    let rig = Rig::start(model.address, set).await;
    let ids = two(&rig).await;
    until("it went up", || model.times(PATCH) == 1).await;
    let behind = rig.submit_of(patch(LONG), body("delete", 1)).await.unwrap();
    let mut back = Vec::new();
    for id in ids {
        let task = rig.over(id).await;
        assert_eq!(task.status.state(), State::Completed, "{task:?}");
        assert_eq!(task.attempts, 2);
        let mut moves = task.history.iter();
        back.extend(
            moves
                .find(|moved| moved.event == Event::Again)
                .map(|moved| moved.at),
        );
    }
    let behind = rig.over(behind).await;
    assert_eq!(
        (behind.status.state(), behind.attempts),
        (State::Completed, 1)
    );
    assert!(back.len() == 2 && behind.started.unwrap() >= back[0]);
    let patches = model
        .asked()
        .into_iter()
        .filter(|asked| asked.line == PATCH);
    let bodies = patches.map(|asked| String::from_utf8(asked.body).unwrap());
    let mut behind_it = bodies.skip_while(|body| !body.contains("delete")).skip(1);
    assert!(
        behind_it.all(|body| !body.contains("10.0.0.1")),
        "the last word holds"
    );
    assert_eq!(model.times("GET /api/never"), 0, "the pool is read");
    rig.stop().await;
}

#[tokio::test]
async fn one_request_that_cannot_be_read_any_more_does_not_hide_the_pool_from_the_others() {
    let is_there = Arc::new(AtomicBool::new(false));
    let shows = is_there.clone();
    let model = Model::start(move |asked, _| match &*asked.line {
        PATCH => Act::Close,
        _ if shows.load(Ordering::SeqCst) => Act::Answer(200, FULL),
        _ => Act::Answer(500, ""),
    })
    .await;
    let store = Faulty::new(&[]);
    let set = Set {
        store: store.clone(),
        ..set("600s")
    };
    let rig = Rig::start(model.address, set).await;
    let [first, last] = two(&rig).await;
    // By the second look both are asked after.
    until("it was asked twice", || model.times("GET /api/pool/p") >= 2).await;
    *store.damaged.lock().unwrap() = Some(last);
    is_there.store(true, Ordering::SeqCst);
    for id in [first, last] {
        let task = rig.over(id).await;
        assert_eq!(ended(&task), (State::Completed, Some(Outcome::Known)));
        assert_eq!(task.result.is_some(), id == first, "whose question it was");
    }
    rig.stop().await;
}
