//! Calls that block become the upstream's own tasks, and are told as if they had blocked.

use std::time::Duration;

use tidegate::task::{Event, Mode, Outcome, State, Status};

use crate::rig::{CLONE, Call, Kept, Rig, times};
use crate::vendors::vcenter::{VCenter, sign};
use crate::vendors::{Kind, Pace, Twist, When};

#[tokio::test]
async fn a_clone_is_the_upstream_s_own_task_and_ends_as_if_it_had_blocked() {
    let vc = VCenter::start(Pace::ByHand).await;
    let rig = Rig::vcenter(vc.address).await;
    let id = rig.clone("web-1").await;
    let task = rig.reaches(id, Status::Polling).await;
    assert_eq!(task.mode, Mode::Native);
    assert_eq!(task.upstream_task.as_deref(), Some(&*vc.works.all()[0]));
    assert_eq!(
        vc.books.targets(Kind::Start),
        ["POST /api/vcenter/vm?action=clone&vmw-task=true"]
    );
    assert_eq!((rig.seated(), vc.books.most("blocking")), (0, 0));
    assert_eq!(rig.crew.in_flight(), 0, "nothing of it is under way");

    vc.works.finish_all();
    let task = rig.over(id).await;
    assert_eq!(task.status.state(), State::Completed);
    assert_eq!(task.outcome, Some(Outcome::Known));
    assert_eq!(rig.said(id).await, (200, "\"vm-12\"".to_owned()));
    let result = task.result.as_ref().unwrap();
    assert_eq!(result.content_type.as_deref(), Some("application/json"));
    assert_eq!(times(&task, Event::Dispatch), 1);
    assert_eq!(vc.books.effects("clone web-1"), 1);
    assert_eq!(vc.books.violations(), [""; 0]);
    for heard in vc.books.heard() {
        let packed = heard.request.header("accept-encoding");
        assert_eq!(packed, None, "it has to be read: {heard:?}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_move_ends_without_a_word_as_its_blocking_form_does() {
    let vc = VCenter::start(Pace::Lasts(Duration::from_millis(20))).await;
    let rig = Rig::vcenter(vc.address).await;
    let target = "/api/vcenter/vm/vm-11?action=relocate";
    let call = Call::new("POST", target, "vm-relocate", "{}");
    let id = rig.submit(&call).await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.mode),
        (State::Completed, Mode::Native)
    );
    assert_eq!(rig.said(id).await, (204, String::new()));
    assert_eq!(vc.books.effects("relocate vm-11"), 1);
    rig.stop().await;
}

#[tokio::test]
async fn a_failure_says_what_the_blocking_call_would_have_said() {
    let vc = VCenter::start(Pace::Lasts(Duration::from_millis(20))).await;
    vc.works.twist(
        When::Always,
        Twist::fails("ALREADY_EXISTS", "The name exists."),
    );
    let rig = Rig::vcenter(vc.address).await;
    let id = rig.clone("web-1").await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.outcome),
        (State::Failed, Some(Outcome::Known))
    );
    let fault = task.error.as_ref().unwrap();
    assert_eq!(
        (fault.kind, &*fault.detail),
        ("upstream-error", "ALREADY_EXISTS")
    );
    let (status, body) = rig.said(id).await;
    assert_eq!(status, 400);
    assert!(body.contains("\"error_type\":\"ALREADY_EXISTS\""), "{body}");
    rig.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_the_call_is_said_at_once() {
    let vc = VCenter::start(Pace::ByHand).await;
    let rig = Rig::vcenter(vc.address).await;
    let body = "{\"source\":\"vm-404\",\"name\":\"a\"}";
    let id = rig
        .submit(&Call::new("POST", CLONE, "vm-clone", body))
        .await;
    let task = rig.over(id).await;
    assert_eq!(task.status.state(), State::Failed);
    assert_eq!(rig.said(id).await.0, 404);
    assert_eq!(
        vc.books.count(Kind::Start),
        1,
        "that VM is missing, not the form"
    );
    assert_eq!(vc.books.count(Kind::Blocking), 0);
    rig.stop().await;
}

#[tokio::test]
async fn an_upstream_without_the_form_is_asked_once_and_gets_the_blocking_call() {
    let vc = VCenter::start(Pace::Lasts(Duration::from_millis(20))).await;
    vc.twins(&[]);
    let rig = Rig::vcenter(vc.address).await;
    for (name, started) in [("web-1", 1), ("web-2", 1)] {
        let id = rig.clone(name).await;
        let task = rig.over(id).await;
        assert_eq!(
            (task.status.state(), task.mode),
            (State::Completed, Mode::Queued)
        );
        assert_eq!(rig.said(id).await.0, 200);
        assert_eq!(vc.books.effects(&format!("clone {name}")), 1);
        assert_eq!(vc.books.count(Kind::Start), started, "{name}");
    }
    assert_eq!(vc.books.count(Kind::Blocking), 2);
    rig.stop().await;
}

#[tokio::test]
async fn a_signed_call_goes_up_as_it_came() {
    let vc = VCenter::start(Pace::Lasts(Duration::from_millis(20))).await;
    let rig = Rig::vcenter(vc.address).await;
    let mut call = Call::clone("web-1");
    call.headers[0].1 = sign("POST", CLONE, call.body.as_bytes(), "a@vsphere.local");
    let id = rig.submit(&call).await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.mode),
        (State::Completed, Mode::Queued)
    );
    assert_eq!(vc.books.targets(Kind::Blocking), [format!("POST {CLONE}")]);
    assert_eq!(vc.books.count(Kind::Start), 0);
    assert_eq!(vc.books.violations(), [""; 0]);
    rig.stop().await;
}

#[tokio::test]
async fn an_operator_may_want_none_of_it() {
    let vc = VCenter::start(Pace::Lasts(Duration::from_millis(20))).await;
    let rig = Rig::start(vc.address, "vcenter", "native = false\n", &Kept::default()).await;
    let id = rig.clone("web-1").await;
    assert_eq!(rig.over(id).await.mode, Mode::Queued);
    assert_eq!(
        (vc.books.count(Kind::Start), vc.books.count(Kind::Blocking)),
        (0, 1)
    );
    rig.stop().await;
}

#[tokio::test]
async fn what_outlives_its_deadline_is_expired_and_asked_for_no_more() {
    let vc = VCenter::start(Pace::ByHand).await;
    let rig = Rig::vcenter(vc.address).await;
    let mut call = Call::clone("web-1");
    call.requested.run_for = Duration::from_millis(500);
    let id = rig.submit(&call).await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.outcome),
        (State::Expired, Some(Outcome::Unknown))
    );
    // Another's polls show that it is not in the list any more.
    let other = rig.clone("web-2").await;
    rig.reaches(other, Status::Polling).await;
    let polls = vc.books.count(Kind::BatchPoll);
    crate::rig::until("three more polls", || {
        vc.books.count(Kind::BatchPoll) > polls + 3
    })
    .await;
    let heard = vc.books.heard();
    let last = heard.iter().rev();
    let mut lists = last.filter(|heard| heard.kind == Kind::BatchPoll);
    let list = lists.next().unwrap().request.json();
    assert_eq!(
        list["filter_spec"]["tasks"],
        serde_json::json!([vc.works.all()[1]])
    );
    rig.stop().await;
}
