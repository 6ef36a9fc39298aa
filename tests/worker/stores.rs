//! A store that fails at each point of a task's way: nothing is sent that it did not take, and nothing is done twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate::call::Caller;
use tidegate::task::{Found, Outcome, Seat, SeatOf, State, Status, SubmitError, TaskId, TaskStore};
use tokio::sync::Semaphore;

use crate::faulty::{Faulty, Whim};
use crate::model::{Act, Model};
use crate::rig::{Rig, Set, clone, seats, until};

const CLONE: &str = "POST /api/clone";

async fn done(whims: &[Whim]) -> (Model, Rig, Arc<Faulty>) {
    let model = Model::start(|_, _| Act::Answer(200, "{}")).await;
    let store = Faulty::new(whims);
    let set = Set {
        lines: seats(1),
        store: store.clone(),
        ..Set::default()
    };
    let rig = Rig::start(model.address, set).await;
    (model, rig, store)
}

#[tokio::test]
async fn whatever_the_store_does_a_task_is_done_once_and_seen_to_its_end() {
    use Whim::{Lies, Refuses, Works};
    let mut all = tokio::task::JoinSet::new();
    for whims in [
        &[Refuses][..],
        &[Refuses, Refuses],
        &[Lies],
        &[Works, Refuses],
        &[Works, Lies],
        &[Lies, Refuses, Lies],
        &[Refuses, Works, Refuses],
    ] {
        all.spawn(one(whims));
    }
    all.join_all().await;
}

async fn one(whims: &'static [Whim]) {
    let (model, rig, store) = done(whims).await;
    let id = rig.submit(clone()).await;
    let task = rig.over(id).await;
    assert_eq!(task.status.state(), State::Completed, "{whims:?}: {task:?}");
    assert_eq!(model.times(CLONE), 1, "{whims:?}");
    assert_eq!(store.left(), 0);
    assert_eq!(store.unfinished(None, 9).await.unwrap(), [], "{whims:?}");
    until("nothing is up", || rig.crew.in_flight() == 0).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_call_that_is_over_gives_its_seat_back_though_its_answer_waits_for_the_store() {
    use Whim::{Refuses, Works};
    // The second task goes up while the answer of the first still waits.
    let (model, rig, _) = done(&[Works, Refuses, Works, Works]).await;
    let first = rig.submit(clone()).await;
    until("the first was up", || model.times(CLONE) == 1).await;
    until("its seat is free", || rig.seated() == 0).await;
    assert_eq!(rig.task(first).await.status.state(), State::Running);
    let second = rig.submit(clone()).await;
    for id in [second, first] {
        assert_eq!(rig.over(id).await.status.state(), State::Completed);
    }
    assert_eq!(model.times(CLONE), 2);
    rig.stop().await;
}

#[tokio::test]
async fn an_upstream_that_hangs_up_on_everybody_is_not_asked_without_a_pause() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hangs_up = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            drop(socket);
        }
    });
    // It hangs up while it is written down that the task goes up.
    let store = Faulty::new(&[Whim::Dawdles]);
    let set = Set {
        lines: seats(1),
        store: store.clone(),
        ..Set::default()
    };
    let rig = Rig::start(address, set).await;
    let id = rig.submit(clone()).await;
    let waits = || {
        let open = rig.desk.open().into_iter();
        open.into_iter()
            .find(|task| task.status == Status::WaitingRetry)
    };
    until("it is back in its line", || waits().is_some()).await;
    let task = rig.task(id).await;
    let pause = task.not_before.unwrap().since(task.updated);
    assert!(pause > Duration::from_millis(500), "{pause:?}");
    assert!(!task.dispatched, "nothing was sent");
    rig.stop().await;
    hangs_up.abort();
}

async fn rig_over(model: &Model, store: &Arc<Faulty>) -> Rig {
    let set = Set {
        lines: seats(1),
        store: store.clone(),
        ..Set::default()
    };
    Rig::start(model.address, set).await
}

#[tokio::test]
async fn a_task_waits_while_the_store_cannot_be_read_and_none_is_taken_in() {
    let model = Model::start(|_, _| Act::Answer(200, "{}")).await;
    let store = Faulty::new(&[]);
    let rig = rig_over(&model, &store).await;
    store.unreadable.store(true, Ordering::SeqCst);
    let id = rig.submit(clone()).await;
    until("it was read in vain twice", || store.failed() >= 2).await;
    let task = rig.task(id).await;
    assert_eq!(task.status, Status::Queued, "{task:?}");
    assert_eq!(rig.seated(), 0, "it takes nobody's seat meanwhile");
    assert!(rig.desk.store_lost().is_some(), "and the gate is not ready");
    let refused = rig.try_submit(clone()).await.unwrap_err();
    assert!(matches!(refused, SubmitError::Store(_)), "{refused}");
    store.unreadable.store(false, Ordering::SeqCst);
    assert_eq!(rig.over(id).await.status.state(), State::Completed);
    assert_eq!(rig.desk.store_lost(), None);
    let id = rig.submit(clone()).await;
    assert_eq!(rig.over(id).await.status.state(), State::Completed);
    rig.stop().await;
}

#[tokio::test]
async fn a_task_at_the_head_of_its_line_gives_its_seat_up_while_the_store_cannot_be_read() {
    let model = Model::start(|_, _| Act::Answer(200, "{}")).await;
    // It was read for its place in line, and cannot be for its way up.
    let store = Faulty::reading(&[true]);
    store.unreadable.store(true, Ordering::SeqCst);
    let rig = rig_over(&model, &store).await;
    let id = rig.submit(clone()).await;
    until("it was read in vain", || store.failed() >= 1).await;
    until("its seat is free", || rig.seated() == 0).await;
    assert_eq!(model.times(CLONE), 0, "and it was not sent");
    store.unreadable.store(false, Ordering::SeqCst);
    assert_eq!(rig.over(id).await.status.state(), State::Completed);
    assert_eq!(model.times(CLONE), 1);
    rig.stop().await;
}

#[tokio::test]
async fn a_job_that_breaks_while_its_call_is_up_leaves_no_gap_for_another() {
    let model = Model::start(|_, before| match before {
        0 => Act::Hold,
        _ => Act::Answer(200, "{}"),
    })
    .await;
    // It breaks as it notes that the call is in flight.
    let store = Faulty::new(&[Whim::Works, Whim::Breaks]);
    let rig = rig_over(&model, &store).await;
    let first = rig.submit(clone()).await;
    until("it is up", || model.running() == 1).await;
    let second = rig.submit(clone()).await;
    let task = rig.over(first).await;
    assert_eq!(
        (task.status.state(), task.outcome),
        (State::Failed, Some(Outcome::Unknown))
    );
    assert_eq!((rig.seated(), store.left()), (1, 0), "its call is at work");
    assert_eq!(model.times(CLONE), 1, "and no other went up beside it");
    let waits = rig.task(second).await;
    assert_eq!(waits.status, Status::Queued, "{waits:?}");
    model.release();
    rig.stop().await;
}

#[tokio::test]
async fn a_job_that_breaks_in_doubt_holds_no_seat_for_a_call_that_is_over() {
    let model = Model::start(|_, _| Act::Answer(503, "restarting")).await;
    // It breaks as it notes that nobody will know.
    let store = Faulty::new(&[Whim::Works, Whim::Works, Whim::Breaks]);
    let rig = rig_over(&model, &store).await;
    let task = rig.over(rig.submit(clone()).await).await;
    assert_eq!(
        (task.status.state(), task.outcome),
        (State::Failed, Some(Outcome::Unknown))
    );
    assert_eq!((rig.seated(), store.left()), (0, 0), "its call is over");
    assert_eq!(store.unfinished(None, 9).await.unwrap(), []);
    rig.stop().await;
}

#[tokio::test]
async fn what_was_forgotten_while_it_was_read_is_not_remembered() {
    let model = Model::start(|_, _| Act::Answer(200, "{}")).await;
    let store = Faulty::new(&[]);
    let id = {
        let rig = rig_over(&model, &store).await;
        let id = rig.submit(clone()).await;
        rig.over(id).await;
        rig.stop().await;
        id
    };
    // One that knows nothing of it by heart.
    let rig = rig_over(&model, &store).await;
    let slow = Arc::new(Semaphore::new(0));
    *store.slow.lock().unwrap() = Some(slow.clone());
    let desk = rig.desk.clone();
    let finding = tokio::spawn(async move { desk.find(id).await.unwrap() });
    until("it was read", || store.slowed.load(Ordering::SeqCst) == 1).await;
    *store.slow.lock().unwrap() = None;
    assert!(rig.desk.forget(id).await.unwrap());
    slow.add_permits(1);
    assert!(
        matches!(finding.await.unwrap(), Found::Task(_)),
        "it was there"
    );
    let found = rig.desk.find(id).await.unwrap();
    assert!(matches!(found, Found::Gone(_)), "{found:?}");
    rig.stop().await;
}

fn seat(id: TaskId) -> Seat {
    Seat {
        id,
        of: SeatOf::Call,
        upstream: "up".into(),
        limits: vec!["blocking_tasks".into()],
        caller: Caller::default(),
        address: "192.0.2.1".parse().unwrap(),
        since: None,
        until: None,
    }
}

#[tokio::test]
async fn a_seat_is_forgotten_though_whoever_saw_to_it_is_cut_short() {
    let model = Model::start(|_, _| Act::Answer(200, "{}")).await;
    let store = Faulty::new(&[]);
    let rig = rig_over(&model, &store).await;
    let mut seats = Vec::new();
    for _ in 0..100 {
        let id = rig.desk.new_id();
        drop(rig.desk.note_seat(seat(id)).await);
        seats.push(id);
    }
    store.stuck.store(true, Ordering::SeqCst);
    let desk = rig.desk.clone();
    let cut = tokio::spawn(async move { desk.forget_seats().await });
    until("it sees to them", || {
        !store.freed.lock().unwrap().is_empty()
    })
    .await;
    cut.abort();
    assert!(cut.await.unwrap_err().is_cancelled());
    store.stuck.store(false, Ordering::SeqCst);
    store.freed.lock().unwrap().clear();
    assert!(rig.desk.forget_free_seats().await);
    let mut freed = store.freed.lock().unwrap().clone();
    freed.sort();
    seats.sort();
    assert_eq!(freed, seats, "each of them");
    rig.stop().await;
}
