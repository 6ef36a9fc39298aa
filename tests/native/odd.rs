//! What is odd about the upstream's tasks, or goes wrong between: it delays, and nothing is done twice.

use std::time::Duration;

use tidegate::task::{Event, Outcome, State, Status};

use crate::rig::{Call, LONG, Rig, times, until};
use crate::vendors::vcenter::VCenter;
use crate::vendors::{Fault, Kind, Pace, Twist, When};

#[tokio::test]
async fn whatever_readings_show_meanwhile_a_task_ends_once_and_as_it_did() {
    for twist in [
        Twist::Flaps { back: 3 },
        Twist::Lags { readings: 4 },
        Twist::Bare { readings: 1 },
        Twist::slow_commit(2),
        Twist::vanishes_once(2),
        Twist::Blocked { readings: 3 },
    ] {
        let vc = VCenter::start(Pace::Lasts(Duration::from_millis(400))).await;
        vc.early_results(true);
        vc.works.twist(When::Always, twist.clone());
        let rig = Rig::vcenter(vc.address).await;
        let id = rig.clone("web-1").await;
        let task = rig.over(id).await;
        assert_eq!(task.status.state(), State::Completed, "{twist:?}: {task:?}");
        assert_eq!(
            rig.said(id).await,
            (200, "\"vm-12\"".to_owned()),
            "{twist:?}"
        );
        assert_eq!(vc.books.effects("clone web-1"), 1, "{twist:?}");
        assert_eq!(vc.books.count(Kind::Start), 1, "{twist:?}");
        let is_held_up = times(&task, Event::HeldUp) == 1;
        assert_eq!(
            is_held_up,
            matches!(twist, Twist::Blocked { .. }),
            "{twist:?}"
        );
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_task_that_is_held_up_says_so_and_goes_on() {
    let vc = VCenter::start(Pace::Lasts(LONG)).await;
    vc.works.twist(When::Always, Twist::Blocked { readings: 3 });
    let rig = Rig::vcenter(vc.address).await;
    let id = rig.clone("web-1").await;
    rig.reaches(id, Status::Blocked).await;
    rig.reaches(id, Status::Polling).await;
    vc.works.finish_all();
    assert_eq!(rig.over(id).await.status.state(), State::Completed);
    rig.stop().await;
}

#[tokio::test]
async fn a_task_that_is_gone_for_good_is_in_doubt_and_not_begun_again() {
    let vc = VCenter::start(Pace::ByHand).await;
    vc.works.twist(When::Always, Twist::vanishes_for_good(3));
    let rig = Rig::vcenter(vc.address).await;
    let id = rig.clone("web-1").await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.outcome),
        (State::Failed, Some(Outcome::Unknown))
    );
    assert_eq!(times(&task, Event::Lost), 1);
    assert_eq!(vc.books.count(Kind::Start), 1);
    assert!(
        vc.books.count(Kind::Poll) >= 3,
        "once is no proof that it is gone"
    );
    rig.stop().await;
}

#[tokio::test]
async fn polls_that_tell_nothing_only_delay() {
    let vc = VCenter::start(Pace::ByHand).await;
    vc.faults
        .on(Kind::BatchPoll, When::Next(1), Fault::answer(503));
    vc.faults
        .on(Kind::BatchPoll, When::Next(2), Fault::answer_after(429, 1));
    vc.faults
        .on(Kind::BatchPoll, When::Next(3), Fault::LostAnswer);
    vc.faults.on(Kind::Poll, When::Next(2), Fault::answer(500));
    let rig = Rig::vcenter(vc.address).await;
    let id = rig.clone("web-1").await;
    rig.reaches(id, Status::Polling).await;
    let live = || rig.desk.live(id);
    until("a poll told nothing", || {
        live().is_some_and(|live| live.poll_errors > 0 && live.unreachable_since.is_some())
    })
    .await;
    assert_eq!(rig.task(id).await.status, Status::Polling);
    until("one told something", || {
        live().is_some_and(|live| live.unreachable_since.is_none())
    })
    .await;
    vc.works.finish_all();
    let task = rig.over(id).await;
    assert_eq!(task.status.state(), State::Completed);
    assert_eq!(vc.books.effects("clone web-1"), 1);
    rig.stop().await;
}

#[tokio::test]
async fn a_start_whose_answer_is_lost_is_asked_after_as_the_route_says() {
    let vc = VCenter::start(Pace::Lasts(Duration::from_millis(300))).await;
    vc.faults.on(Kind::Start, When::Next(1), Fault::LostAnswer);
    // Nothing can be found by the list.
    vc.faults
        .on(Kind::BatchPoll, When::Always, Fault::answer(500));
    let lines = "[[upstream.route]]\nname = \"probed\"\nclass = \"blocking\"\n\
                 match = { method = \"POST\", path = \"/api/vcenter/vm\", query = { action = \"clone\" } }\n\
                 probe = { get = \"/api/vcenter/vm?names={/name}\", json = \"/0/vm\", every = \"1s\" }\n";
    let rig = Rig::start(vc.address, "vcenter", lines, &crate::rig::Kept::default()).await;
    let mut call = Call::clone("web-1");
    call.requested.route = "probed".into();
    let id = rig.submit(&call).await;
    let task = rig.over(id).await;
    assert_eq!(task.status.state(), State::Completed);
    assert_eq!(vc.books.effects("clone web-1"), 1);
    assert_eq!(vc.books.count(Kind::Start), 1);
    rig.stop().await;
}
