//! What a dead gate left is taken up by the next.

use std::sync::Arc;
use std::time::Duration;

use tidegate::call::Caller;
use tidegate::session::Keys;
use tidegate::store::Memory;
use tidegate::task::{
    Change, Event, Mode, Outcome, Record, Recovered, Replay, Seat, SeatChange, SeatOf, State,
    Status, TaskStore,
};

use crate::after::{CLONE, RETRY};
use crate::faulty::Faulty;
use crate::model::{Act, Model};
use crate::rig::{LONG, Rig, Set, clone, seats, shortly, until};

fn set(store: &Arc<Memory>, keys: &Arc<Keys>, limit: u64, max_blocking: Duration) -> Set {
    Set {
        lines: seats(limit),
        max_blocking,
        store: store.clone(),
        keys: keys.clone(),
        ..Set::default()
    }
}

#[tokio::test]
async fn a_dead_gate_s_call_holds_its_seat_until_it_can_be_at_work_no_more() {
    let (store, keys) = (
        Arc::new(Memory::default()),
        Arc::new(Keys::random().unwrap()),
    );
    let model = Model::start(|_, before| {
        if before < 2 {
            Act::Hold
        } else {
            Act::Answer(200, "{}")
        }
    })
    .await;
    let brief = Duration::from_secs(4);
    let mut requested = clone();
    requested.run_for = brief;
    let first = Rig::start(model.address, set(&store, &keys, 2, brief)).await;
    let mut harmless = requested.clone();
    harmless.replay = Replay::AtLeastOnce;
    let once = first.submit(requested.clone()).await;
    let again = first.submit(harmless).await;
    let sent = shortly(Duration::ZERO);
    until("two are up", || model.running() == 2).await;
    let waiting = first.submit(requested).await;
    until("one waits", || first.view("blocking_tasks").waiting == 1).await;
    first.stop().await;

    let second = Rig::start(model.address, set(&store, &keys, 2, brief)).await;
    let found = Recovered {
        waiting: 1,
        in_doubt: 2,
        followed: 0,
        seats: 2,
    };
    let seated = second.seated();
    // On a machine that stood still meanwhile, they are over rightly.
    let may_be = || shortly(Duration::ZERO) < sent.after(brief);
    if may_be() {
        assert_eq!(second.found, found);
        assert_eq!(seated, 2, "before anybody is let in");
    }
    let lost = second.over(once).await;
    assert_eq!(
        (lost.status.state(), lost.outcome),
        (State::Failed, Some(Outcome::Unknown))
    );
    let times = model.times("POST /api/clone");
    if may_be() {
        assert_eq!(times, 2, "nothing goes up while both may be at work");
    }
    for id in [again, waiting] {
        assert_eq!(second.over(id).await.status.state(), State::Completed);
    }
    assert_eq!(model.times("POST /api/clone"), 4);
    until("no seat is held", || second.seated() == 0).await;
    second.stop().await;
}

#[tokio::test]
async fn a_call_that_was_lost_and_taken_back_holds_one_seat_and_gives_it_back() {
    let (store, keys) = (
        Arc::new(Memory::default()),
        Arc::new(Keys::random().unwrap()),
    );
    let model = Model::start(|_, _| Act::Hold).await;
    let brief = Duration::from_secs(4);
    let mut requested = clone();
    (requested.run_for, requested.replay) = (brief, Replay::AtLeastOnce);
    let first = Rig::start(model.address, set(&store, &keys, 1, brief)).await;
    let id = first.submit(requested).await;
    let sent = shortly(Duration::ZERO);
    until("it is up", || model.running() == 1).await;
    first.stop().await;
    // Lost, and to be sent again; the only seat is that of the call that was lost.
    let second = Rig::start(model.address, set(&store, &keys, 1, brief)).await;
    until("it waits", || second.view("blocking_tasks").waiting == 1).await;
    let taken_back = second.desk.cancel(id).await.unwrap();
    assert_eq!(taken_back.outcome, Some(Outcome::Unknown));
    second.stop().await;

    let third = Rig::start(model.address, set(&store, &keys, 1, brief)).await;
    let seats = (third.found.seats, third.seated());
    // On a machine that stood still meanwhile, it is over rightly.
    if shortly(Duration::ZERO) < sent.after(brief) {
        assert_eq!(seats, (1, 1));
    }
    until("no seat is held", || third.seated() == 0).await;
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seat_whose_time_is_up_at_the_start_is_given_back() {
    const CALLS: u64 = 200;
    let (store, keys) = (
        Arc::new(Memory::default()),
        Arc::new(Keys::random().unwrap()),
    );
    let model = Model::start(|_, _| Act::Hold).await;
    let brief = Duration::from_secs(2);
    let mut requested = clone();
    requested.run_for = brief;
    let first = Rig::start(model.address, set(&store, &keys, CALLS, brief)).await;
    for _ in 0..CALLS {
        first.submit(requested.clone()).await;
    }
    until("all are up", || model.running() == 200).await;
    let up = shortly(Duration::ZERO);
    first.stop().await;
    until("none can be at work", || {
        shortly(Duration::ZERO) > up.after(brief)
    })
    .await;

    let second = Rig::start(model.address, set(&store, &keys, CALLS, brief)).await;
    assert_eq!(second.found.in_doubt, 200);
    until("no seat is held", || second.seated() == 0).await;
    second.stop().await;
}

#[tokio::test]
async fn a_request_that_cannot_be_opened_any_more_fails_and_says_so() {
    let (store, keys) = (
        Arc::new(Memory::default()),
        Arc::new(Keys::random().unwrap()),
    );
    let model = Model::start(|_, _| Act::Hold).await;
    let first = Rig::start(model.address, set(&store, &keys, 1, crate::rig::LONG)).await;
    first.submit(clone()).await;
    until("the first is up", || model.running() == 1).await;
    let waiting = first.submit(clone()).await;
    first.stop().await;
    let other = Arc::new(Keys::random().unwrap());
    let second = Rig::start(model.address, set(&store, &other, 1, crate::rig::LONG)).await;
    let task = second.over(waiting).await;
    assert_eq!(
        (task.status.state(), task.dispatched),
        (State::Failed, false)
    );
    assert_eq!(task.error.clone().unwrap().kind, "request-lost");
    second.stop().await;
}

#[tokio::test]
async fn a_call_that_the_upstream_ended_holds_no_seat_at_the_next_start() {
    let (store, keys) = (
        Arc::new(Memory::default()),
        Arc::new(Keys::random().unwrap()),
    );
    let model = Model::start(|_, _| Act::Answer(503, "restarting")).await;
    let mut harmless = clone();
    harmless.replay = Replay::AtLeastOnce;
    let first = Rig::start(model.address, set(&store, &keys, 1, LONG)).await;
    let id = first.submit(harmless).await;
    let mut seen = first.desk.watch(id).unwrap();
    let is_back = |task: &Arc<Record>| task.attempts > 0 && task.status == Status::Queued;
    seen.wait_for(is_back).await.unwrap();
    first.stop().await;
    let second = Rig::start(model.address, set(&store, &keys, 1, LONG)).await;
    assert_eq!((second.found.seats, second.found.waiting), (0, 1));
    second.stop().await;
}

/// Its run was over before its connection broke: nothing in its history says that a call of it is at work still.
#[tokio::test]
async fn each_lost_call_of_a_task_holds_one_seat_at_the_next_start_until_it_is_freed_for_good() {
    let model = Model::start(|_, before| match before {
        0 => Act::Breaks,
        _ => Act::Hangs,
    })
    .await;
    let (store, keys) = (Faulty::remembering(), Arc::new(Keys::random().unwrap()));
    let again = || Set {
        store: store.clone(),
        keys: keys.clone(),
        ..crate::after::set(&[&format!("state = [\"EXPIRED\"]\n{RETRY}")])
    };
    let mut harmless = clone();
    (harmless.replay, harmless.run_for) = (Replay::AtLeastOnce, Duration::from_millis(100));
    let first = Rig::start(model.address, again()).await;
    let id = first.submit(harmless).await;
    let mut seen = first.desk.watch(id).unwrap();
    seen.wait_for(|task| task.retries() == 1).await.unwrap();
    assert_eq!(first.seated(), 1, "its call is at work");
    model.release();
    until("it is up again", || model.times(CLONE) == 2).await;
    assert_eq!(first.seated(), 2);
    first.stop().await;

    let second = Rig::start(model.address, again()).await;
    assert_eq!((second.found.seats, second.seated() >= 2), (2, true));
    until("it is up once more", || model.times(CLONE) == 3).await;
    let lever = second.crew.lever();
    assert_eq!((lever.lost().len(), second.seated()), (2, 3));
    for call in lever.lost() {
        lever.free(call.id).await.unwrap();
    }
    assert_eq!((lever.lost(), second.seated()), (vec![], 1));
    second.stop().await;

    let third = Rig::start(model.address, again()).await;
    assert_eq!(third.found.seats, 1, "that of the call which was up");
    third.stop().await;
}

/// A call that the gate made of several had one seat, that of its lead.
#[tokio::test]
async fn those_that_went_up_as_one_call_hold_one_seat_at_the_next_start() {
    let model = Model::start(|_, _| Act::Hangs).await;
    let (store, keys) = (
        Arc::new(Memory::default()),
        Arc::new(Keys::random().unwrap()),
    );
    let first = Rig::start(model.address, set(&store, &keys, 9, LONG)).await;
    // It works on nothing: what happens to its tasks is made by hand.
    first.stop().await;
    let until_then = shortly(LONG);
    for seat in [
        SeatChange::Keep,
        SeatChange::Keep,
        SeatChange::Take { until: until_then },
    ] {
        let mut harmless = clone();
        harmless.replay = Replay::AtLeastOnce;
        let id = first.submit(harmless).await;
        let sent = Change {
            seat,
            mode: Some(Mode::Merged),
            ..Change::default()
        };
        for (event, change) in [
            (Event::Dispatch, sent),
            (Event::Lost, Change::default()),
            (Event::Again, Change::default()),
        ] {
            first.desk.advance(id, event, change).await.unwrap();
        }
    }
    let second = Rig::start(model.address, set(&store, &keys, 9, LONG)).await;
    assert_eq!((second.found.seats, second.found.waiting), (1, 3));
    second.stop().await;
}

#[tokio::test]
async fn what_the_store_has_of_a_lost_call_goes_with_its_seat_and_the_task_s_with_its_end() {
    let model = Model::start(|_, before| match before {
        0 => Act::Close,
        _ => Act::Answer(200, "{}"),
    })
    .await;
    let store = Faulty::remembering();
    let brief = Duration::from_secs(3);
    let set = Set {
        max_blocking: brief,
        store: store.clone(),
        ..Set::default()
    };
    let rig = Rig::start(model.address, set).await;
    let mut harmless = clone();
    (harmless.replay, harmless.run_for) = (Replay::AtLeastOnce, brief);
    let task = rig.over(rig.submit(harmless).await).await;
    assert_eq!((task.status.state(), task.attempts), (State::Completed, 2));
    let (seated, kept) = (rig.seated(), store.seats().await.unwrap());
    // On a machine that stood still meanwhile, it is over rightly.
    if shortly(Duration::ZERO) < task.started.unwrap().after(brief) {
        assert_eq!((seated, kept.len()), (1, 1), "the first may be at work");
    }
    assert_eq!(store.unfinished(None, 9).await.unwrap(), []);
    until("it can be no more", || rig.seated() == 0).await;
    assert!(rig.desk.forget_free_seats().await);
    assert_eq!(store.seats().await.unwrap(), []);
    rig.stop().await;
}

#[tokio::test]
async fn a_lost_call_is_remembered_while_the_configuration_has_no_such_upstream() {
    let (store, keys) = (Faulty::remembering(), Arc::new(Keys::random().unwrap()));
    let model = Model::start(|_, before| if before == 0 { Act::Close } else { Act::Hangs }).await;
    let again = || Set {
        store: store.clone(),
        keys: keys.clone(),
        ..Set::default()
    };
    let first = Rig::start(model.address, again()).await;
    first.over(first.submit(clone()).await).await;
    let up = first.submit(clone()).await;
    until("it is up", || model.running() == 1).await;
    let seat = Seat {
        id: first.desk.new_id(),
        of: SeatOf::Call,
        upstream: "up".into(),
        limits: vec!["blocking_tasks".into()],
        caller: Caller::default(),
        address: "192.0.2.1".parse().unwrap(),
        since: None,
        until: Some(shortly(LONG)),
    };
    first.desk.note_seat(seat).await.stay();
    first.stop().await;
    let second = Rig::named("other", model.address, again()).await;
    assert_eq!((second.found.seats, second.seated()), (0, 0));
    let lost = second.over(up).await;
    assert_eq!(lost.outcome, Some(Outcome::Unknown));
    second.stop().await;
    let third = Rig::start(model.address, again()).await;
    assert_eq!((third.found.seats, third.seated()), (3, 3));
    third.stop().await;
}
