//! What a dead gate's tasks do upstream goes on, and the next gate follows it from where it is.

use std::time::{Duration, SystemTime};

use tidegate::task::{Outcome, Recovered, State, Status};

use crate::rig::{Call, Kept, LONG, Rig, until};
use crate::vendors::redfish::Redfish;
use crate::vendors::vcenter::VCenter;
use crate::vendors::{Fault, Kind, Pace, Twist, When};

#[tokio::test]
async fn tasks_are_followed_from_where_they_are_and_none_is_begun_twice() {
    let vc = VCenter::start(Pace::Lasts(LONG)).await;
    vc.works
        .twist(When::Nth(2), Twist::Blocked { readings: 1000 });
    let kept = Kept::default();
    let first = Rig::start(vc.address, "vcenter", "", &kept).await;
    let mut ids = Vec::new();
    for (name, status) in [
        ("web-1", Status::Polling),
        ("web-2", Status::Blocked),
        ("web-3", Status::Polling),
    ] {
        let id = first.clone(name).await;
        ids.push(first.reaches(id, status).await.id);
    }
    let last = ids[2];
    until("it can be taken back", || {
        first.desk.live(last).is_some_and(|live| live.cancelable)
    })
    .await;
    vc.faults.on(Kind::Cancel, When::Next(1), Fault::Closed);
    first.desk.cancel(last).await.unwrap();
    until("that was asked in vain", || {
        vc.books.count(Kind::Cancel) == 1
    })
    .await;
    first.stop().await;

    let second = Rig::start(vc.address, "vcenter", "", &kept).await;
    let found = Recovered {
        followed: 3,
        ..Recovered::default()
    };
    assert_eq!((second.found, second.seated()), (found, 0));
    let task = second.over(last).await;
    assert_eq!(
        task.status.state(),
        State::Aborted,
        "it is still to be taken back"
    );
    assert_eq!(second.task(ids[1]).await.status, Status::Blocked);
    vc.works.finish_all();
    for id in &ids[..2] {
        assert_eq!(second.over(*id).await.status.state(), State::Completed);
        assert_eq!(second.said(*id).await.0, 200);
    }
    assert_eq!(vc.books.count(Kind::Start), 3);
    assert_eq!(vc.books.effects("clone web-3"), 0);
    second.stop().await;
}

#[tokio::test]
async fn a_start_of_a_dead_gate_is_in_doubt_and_holds_no_seat() {
    let vc = VCenter::start(Pace::Lasts(Duration::from_millis(20))).await;
    vc.faults.on(Kind::Start, When::Next(1), Fault::Hangs);
    let kept = Kept::default();
    let first = Rig::start(vc.address, "vcenter", "", &kept).await;
    let id = first.clone("web-1").await;
    until("it is up", || vc.books.count(Kind::Start) == 1).await;
    first.stop().await;

    let second = Rig::start(vc.address, "vcenter", "", &kept).await;
    assert_eq!((second.found.in_doubt, second.found.seats), (1, 0));
    let task = second.over(id).await;
    assert_eq!(
        (task.status.state(), task.outcome),
        (State::Completed, Some(Outcome::Known)),
        "it is found in the list: {task:?}"
    );
    assert_eq!(second.said(id).await, (200, "\"vm-12\"".to_owned()));
    assert_eq!(vc.books.effects("clone web-1"), 1);
    assert_eq!(vc.books.count(Kind::Start), 1);
    second.stop().await;
}

#[tokio::test]
async fn what_ended_while_no_gate_was_there_has_not_expired() {
    let vc = VCenter::start(Pace::ByHand).await;
    let kept = Kept::default();
    let first = Rig::start(vc.address, "vcenter", "", &kept).await;
    let mut call = Call::clone("web-1");
    call.requested.run_for = Duration::from_millis(400);
    let id = first.submit(&call).await;
    let task = first.reaches(id, Status::Polling).await;
    first.stop().await;
    vc.works.finish_all();
    let deadline = SystemTime::from(task.deadline.unwrap());
    until("its time is up", || SystemTime::now() > deadline).await;
    let second = Rig::start(vc.address, "vcenter", "", &kept).await;
    assert_eq!(second.over(id).await.status.state(), State::Completed);
    second.stop().await;
}

/// A service that is asynchronous by itself may do the work before it answers all the same.
#[tokio::test]
async fn a_call_of_a_dead_gate_that_may_block_holds_its_seat() {
    let redfish = Redfish::start(Pace::ByHand).await;
    redfish.native(false);
    let kept = Kept::default();
    let lines = "[upstream.limits.blocking_tasks]\ncounts = \"requests_in_flight\"\nlimit = 10\n\
                 match = { class = [\"blocking\"] }\nwait = { line = 10, per_user = 10, at_most = \"60s\" }\n\
                 [[upstream.route]]\nname = \"work\"\nclass = \"blocking\"\n\
                 match = { method = \"POST\", path = \"/redfish/v1/**\" }\n";
    let first = Rig::start(redfish.address, "redfish", lines, &kept).await;
    let call = Call::new("POST", "/redfish/v1/Volumes", "work", "{}");
    let id = first.submit(&call).await;
    until("it blocks", || redfish.books.now("blocking") == 1).await;
    assert_eq!(first.seated(), 1);
    first.stop().await;

    let second = Rig::start(redfish.address, "redfish", lines, &kept).await;
    assert_eq!((second.found.in_doubt, second.found.seats), (1, 1));
    assert_eq!(second.seated(), 1, "it is at work still");
    let task = second.over(id).await;
    assert_eq!(
        (task.status.state(), task.outcome),
        (State::Failed, Some(Outcome::Unknown))
    );
    assert_eq!(redfish.books.count(Kind::Blocking), 1);
    second.stop().await;
}
