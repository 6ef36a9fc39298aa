//! Tasks in line: never more at the upstream than its limit, and what ends a wait.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Method};
use tidegate::admit::{Entry, Terms};
use tidegate::forward::{Carried, Freight};
use tidegate::limit::{Memory, Rank};
use tidegate::session::Keys;
use tidegate::store;
use tidegate::task::{Bounds, CancelError, Change, Desk, Event, Outcome, State, Submission};

use crate::model::{Act, Model};
use crate::rig::{LONG, Rig, Set, clone, seats, shortly, until};

/// A call whose client waits, in the same line.
async fn held(rig: Arc<Rig>) {
    let asked = rig
        .upstream
        .table()
        .target(&Method::POST, "/api/clone", &HeaderMap::new())
        .unwrap();
    let headers = HeaderMap::new();
    let address = "192.0.2.9".parse().unwrap();
    let terms = || Terms {
        rank: Rank::Usual,
        weight: NonZeroU32::MIN,
        patience: Duration::from_secs(600),
    };
    let stack = rig.upstream.stack();
    let mut turn = None;
    let claim = loop {
        let entry = {
            let call = asked.call(&Method::POST, &headers, None, address);
            match turn.take() {
                None => stack.enter(&call, terms, rig.now()),
                Some(turn) => stack.resume(&call, terms, turn, rig.now()),
            }
        };
        match entry {
            Entry::Passed(claim) => break claim,
            Entry::Waits(waiting) => turn = Some(waiting.await),
            Entry::Refused(refusal) => panic!("{refusal:?}"),
        }
    };
    let carrier = rig.upstream.carrier(claim.socket_group()).await.unwrap();
    let freight = Freight {
        method: Method::POST,
        target: "/api/clone".to_owned(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
    };
    assert!(matches!(
        carrier.carry(freight, 99, &Memory::new(99)).await,
        Carried::Answer(_)
    ));
}

#[tokio::test]
async fn never_more_than_the_limit_with_held_calls_among_them() {
    let model = Model::start(|_, _| Act::Answer(200, "{}")).await;
    let rig = Arc::new(Rig::start(model.address, Set::default()).await);
    let mut calls = Vec::new();
    let mut ids = Vec::new();
    for n in 0..300 {
        ids.push(rig.submit(clone()).await);
        if n % 3 == 0 {
            calls.push(tokio::spawn(held(rig.clone())));
        }
    }
    for id in ids {
        assert_eq!(rig.over(id).await.status.state(), State::Completed);
    }
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(model.times("POST /api/clone"), 400);
    assert!(
        (2..=10).contains(&model.most_running()),
        "{}",
        model.most_running()
    );
    rig.stop().await;
}

#[tokio::test]
async fn thousands_in_line_leave_its_places_to_calls() {
    let model = Model::start(|_, _| Act::Hold).await;
    let set = Set {
        lines: seats(2).replace("line = 500, per_user = 500", "line = 1, per_user = 1"),
        ..Set::default()
    };
    let rig = Arc::new(Rig::start(model.address, set).await);
    let mut ids = Vec::new();
    for _ in 0..2000 {
        ids.push(rig.submit(clone()).await);
    }
    until("all wait", || rig.view("blocking_tasks").waiting == 1998).await;
    let call = tokio::spawn(held(rig.clone()));
    until("the call waits too", || {
        rig.view("blocking_tasks").waiting == 1999
    })
    .await;
    model.release();
    call.await.unwrap();
    for id in ids {
        assert_eq!(rig.over(id).await.status.state(), State::Completed);
    }
    assert_eq!(model.most_running(), 2);
    rig.stop().await;
}

#[tokio::test]
async fn what_is_taken_back_leaves_the_line_at_once() {
    let model = Model::start(|_, _| Act::Hold).await;
    let set = Set {
        lines: seats(1),
        ..Set::default()
    };
    let rig = Rig::start(model.address, set).await;
    let first = rig.submit(clone()).await;
    until("the first is up", || model.running() == 1).await;
    let second = rig.submit(clone()).await;
    until("the second waits", || {
        rig.view("blocking_tasks").waiting == 1
    })
    .await;
    assert!(matches!(
        rig.desk.cancel(first).await,
        Err(CancelError::NotCancelable)
    ));
    let task = rig.desk.cancel(second).await.unwrap();
    assert_eq!(
        (task.status.state(), task.dispatched),
        (State::Aborted, false)
    );
    until("the line is empty", || {
        rig.view("blocking_tasks").waiting == 0
    })
    .await;
    model.release();
    assert_eq!(rig.over(first).await.status.state(), State::Completed);
    assert_eq!(model.asked().len(), 1);
    rig.stop().await;
}

#[tokio::test]
async fn who_waits_for_the_answer_is_not_let_go_from_a_call_that_has_just_begun() {
    let bounds = Bounds {
        of_upstream: 1,
        of_owner: 1,
        retention: LONG,
    };
    let keys = Arc::new(Keys::random().unwrap());
    let clock = Arc::new(SystemTime::now);
    let (desk, _arriving) = Desk::new(Arc::<store::Memory>::default(), keys, clock, bounds);
    let desk = Arc::new(desk.detaching(true));
    let submission = Submission {
        requested: clone(),
        request: Bytes::from_static(b"request"),
        key: None,
    };
    let id = desk.submit(submission).await.unwrap().task.id;
    let up = desk.advance(id, Event::Dispatch, Change::default()).await;
    assert_eq!(up.unwrap().status.state(), State::Running);
    let unbegun = desk.recall(id, "too late").await;
    assert!(
        matches!(unbegun, Err(CancelError::NotCancelable)),
        "{unbegun:?}"
    );
    let let_go = desk.cancel(id).await.unwrap();
    assert_eq!(let_go.status.state(), State::Failed, "who asks for it is");
}

#[tokio::test]
async fn what_cannot_begin_in_time_expires_and_was_never_sent() {
    let model = Model::start(|_, _| Act::Hold).await;
    let set = Set {
        lines: seats(1),
        ..Set::default()
    };
    let rig = Rig::start(model.address, set).await;
    let first = rig.submit(clone()).await;
    until("the first is up", || model.running() == 1).await;
    let mut brief = clone();
    brief.start_deadline = Some(shortly(Duration::from_millis(50)));
    let late = rig.submit(brief).await;
    let task = rig.over(late).await;
    assert_eq!(
        (task.status.state(), task.dispatched),
        (State::Expired, false)
    );
    assert_eq!(task.outcome, Some(Outcome::NotApplied));
    until("the line is empty", || {
        rig.view("blocking_tasks").waiting == 0
    })
    .await;
    model.release();
    assert_eq!(rig.over(first).await.status.state(), State::Completed);
    assert_eq!(model.asked().len(), 1);
    rig.stop().await;
}

#[tokio::test]
async fn a_limit_without_a_line_is_asked_again() {
    let model = Model::start(|_, _| Act::Answer(200, "{}")).await;
    let set = Set {
        lines: seats(1).replace("line = 500, per_user = 500", "line = 0"),
        ..Set::default()
    };
    let rig = Rig::start(model.address, set).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(rig.submit(clone()).await);
    }
    for id in ids {
        assert_eq!(rig.over(id).await.status.state(), State::Completed);
    }
    assert_eq!(model.most_running(), 1);
    rig.stop().await;
}

#[tokio::test]
async fn a_crew_that_drains_finishes_what_is_up_and_begins_nothing() {
    let model = Model::start(|_, _| Act::Hold).await;
    let set = Set {
        lines: seats(1),
        ..Set::default()
    };
    let rig = Rig::start(model.address, set).await;
    let first = rig.submit(clone()).await;
    until("the first is up", || model.running() == 1).await;
    let second = rig.submit(clone()).await;
    until("the second waits", || {
        rig.view("blocking_tasks").waiting == 1
    })
    .await;
    rig.crew.drain();
    until("the line is empty", || {
        rig.view("blocking_tasks").waiting == 0
    })
    .await;
    let third = rig.submit(clone()).await;
    model.release();
    assert_eq!(rig.over(first).await.status.state(), State::Completed);
    until("nothing is up", || rig.crew.in_flight() == 0).await;
    for id in [second, third] {
        assert_eq!(rig.task(id).await.status.state(), State::Scheduled);
    }
    assert_eq!(model.asked().len(), 1);
    rig.stop().await;
}
