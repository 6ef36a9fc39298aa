//! Tasks that are taken back while the upstream is at work on them.

use tidegate::task::{CancelError, Event, State, Status};

use crate::rig::{LONG, Rig, times, until};
use crate::vendors::vcenter::VCenter;
use crate::vendors::{Fault, Kind, Pace, Twist, When};

/// A clone that the upstream would take back, as far as is known.
async fn cancelable(rig: &Rig) -> tidegate::task::TaskId {
    let id = rig.clone("web-1").await;
    rig.reaches(id, Status::Polling).await;
    let live = || rig.desk.live(id);
    until("it can be taken back", || {
        live().is_some_and(|live| live.cancelable)
    })
    .await;
    id
}

#[tokio::test]
async fn a_task_is_taken_back_once_the_upstream_says_so() {
    let vc = VCenter::start(Pace::Lasts(LONG)).await;
    let rig = Rig::vcenter(vc.address).await;
    let id = cancelable(&rig).await;
    vc.faults.on(Kind::Cancel, When::Next(1), Fault::Closed);
    let task = rig.desk.cancel(id).await.unwrap();
    assert_eq!(task.status, Status::Canceling);
    let again = rig.desk.cancel(id).await.unwrap();
    assert_eq!(again.version, task.version, "once more is no step");
    let task = rig.over(id).await;
    assert_eq!(task.status.state(), State::Aborted);
    assert!(task.dispatched);
    assert_eq!(vc.books.count(Kind::Cancel), 2, "the first was not heard");
    assert_eq!(vc.books.effects("clone web-1"), 0);
    rig.stop().await;
}

#[tokio::test]
async fn a_task_that_cannot_be_taken_back_says_so_and_goes_on() {
    let vc = VCenter::start(Pace::Lasts(LONG)).await;
    vc.works.twist(When::Always, Twist::NotCancelable);
    let rig = Rig::vcenter(vc.address).await;
    let id = rig.clone("web-1").await;
    rig.reaches(id, Status::Polling).await;
    until("it was read", || {
        rig.desk.live(id).is_some_and(|live| live.percent.is_some())
    })
    .await;
    let refused = rig.desk.cancel(id).await;
    assert!(
        matches!(refused, Err(CancelError::NotCancelable)),
        "{refused:?}"
    );
    assert_eq!(vc.books.count(Kind::Cancel), 0);
    vc.works.finish_all();
    assert_eq!(rig.over(id).await.status.state(), State::Completed);
    rig.stop().await;
}

#[tokio::test]
async fn a_task_that_the_upstream_would_not_take_back_goes_on_and_may_end_well() {
    let vc = VCenter::start(Pace::Lasts(LONG)).await;
    let rig = Rig::vcenter(vc.address).await;
    let id = cancelable(&rig).await;
    vc.faults
        .on(Kind::Cancel, When::Next(1), Fault::answer(400));
    rig.desk.cancel(id).await.unwrap();
    let task = rig.reaches(id, Status::Polling).await;
    assert_eq!(times(&task, Event::CancelRefused), 1);
    vc.works.finish_all();
    let task = rig.over(id).await;
    assert_eq!(task.status.state(), State::Completed);
    assert_eq!(vc.books.effects("clone web-1"), 1);
    rig.stop().await;
}

#[tokio::test]
async fn what_somebody_else_took_back_upstream_is_taken_back() {
    let vc = VCenter::start(Pace::Lasts(LONG)).await;
    vc.works
        .twist(When::Always, Twist::Ends(crate::vendors::Ending::Canceled));
    let rig = Rig::vcenter(vc.address).await;
    let id = rig.clone("web-1").await;
    rig.reaches(id, Status::Polling).await;
    vc.works.finish_all();
    assert_eq!(rig.over(id).await.status.state(), State::Aborted);
    rig.stop().await;
}
