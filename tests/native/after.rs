//! Tasks of a vCenter that end badly: tried again where it was busy, and what an overdue clone made all the same is deleted.

use std::time::Duration;

use tidegate::task::{Bond, Mode, Outcome, Replay, State, Status};

use crate::rig::{CLONE, Call, Kept, LONG, Rig};
use crate::vendors::redfish::Redfish;
use crate::vendors::vcenter::VCenter;
use crate::vendors::{Kind, Pace, Twist, When};

/// A route of the operator's own before those of the profile, and its rules.
const RULED: &str = r#"
[[upstream.route]]
name = "ruled"
match = { method = "POST", path = "/api/vcenter/vm", query = { action = "clone" } }
class = "blocking"
[[upstream.route.after]]
state = ["FAILED"]
status = [400]
error = ["RESOURCE_BUSY"]
refusal = true
retry = { times = 3, first = "5ms" }
[[upstream.route.after]]
state = ["EXPIRED"]
outcome = "unknown"
alert = true
compensate = { method = "DELETE", target = "/api/vcenter/vm/{found:0.vm}", find = { get = "/api/vcenter/vm?names={/name}", json = "/0/vm", every = "100ms" } }
[[upstream.route.after]]
state = ["ABORTED"]
alert = true
"#;

async fn ruled(vc: &VCenterModel) -> Rig {
    by_rules(vc, RULED).await
}

async fn by_rules(vc: &VCenterModel, rules: &str) -> Rig {
    Rig::start(vc.address, "vcenter", rules, &Kept::default()).await
}

type VCenterModel = crate::vendors::Model<VCenter>;

fn clone(name: &str, run_for: Duration) -> Call {
    let body = format!("{{\"source\":\"vm-11\",\"name\":\"{name}\"}}");
    let mut call = Call::new("POST", CLONE, "ruled", &body);
    call.requested.run_for = run_for;
    call
}

fn alerts(rig: &Rig, state: State) -> u64 {
    let place = State::ALL.iter().position(|one| *one == state).unwrap();
    rig.desk.tally().work("up").alerts[place]
}

fn deleted(vc: &VCenterModel) -> usize {
    let effects = vc.books.all_effects();
    effects
        .keys()
        .filter(|what| what.starts_with("delete "))
        .count()
}

#[tokio::test]
async fn a_task_that_failed_as_the_appliance_was_busy_is_started_once_more() {
    let vc = VCenter::start(Pace::Lasts(Duration::from_millis(20))).await;
    vc.works
        .twist(When::Next(2), Twist::fails("RESOURCE_BUSY", "It is busy."));
    let rig = ruled(&vc).await;
    let id = rig.submit(&clone("web-1", LONG)).await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.mode),
        (State::Completed, Mode::Native),
        "{task:?}"
    );
    assert_eq!((task.retries(), vc.books.count(Kind::Start)), (2, 3));
    assert_eq!(vc.books.effects("clone web-1"), 1);
    rig.stop().await;
}

#[tokio::test]
async fn what_an_overdue_clone_made_after_all_is_deleted_once() {
    let vc = VCenter::start(Pace::ByHand).await;
    let rig = ruled(&vc).await;
    let id = rig
        .submit(&clone("web-1", Duration::from_millis(300)))
        .await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.outcome),
        (State::Expired, Some(Outcome::Unknown))
    );
    assert_eq!((task.stood, alerts(&rig, State::Expired)), (Some(false), 1));
    let Some(Bond::CompensatedBy(by)) = task.bond else {
        panic!("{task:?}");
    };
    assert_eq!(deleted(&vc), 0, "nothing is there yet");
    // The clone is done now, and later the deletion, which blocks.
    crate::rig::until("it is gone again", || {
        vc.works.finish_all();
        deleted(&vc) == 1
    })
    .await;
    vc.works.finish_all();
    let undo = rig.over(by).await;
    assert_eq!(undo.status.state(), State::Completed, "{undo:?}");
    assert_eq!((vc.books.effects("clone web-1"), deleted(&vc)), (1, 1));
    assert_eq!(vc.books.violations(), [] as [String; 0]);
    rig.crew.stop().await;
}

#[tokio::test]
async fn what_its_owner_takes_back_is_told_of_and_not_tried_again() {
    let vc = VCenter::start(Pace::Lasts(LONG)).await;
    let harmless = RULED.replace(
        "class = \"blocking\"",
        "class = \"blocking\"\nreplay = \"at-least-once\"",
    );
    let rules = harmless + "retry = { times = 3, first = \"5ms\" }\n";
    let rig = by_rules(&vc, &rules).await;
    let mut call = clone("web-1", LONG);
    call.requested.replay = Replay::AtLeastOnce;
    let id = rig.submit(&call).await;
    rig.reaches(id, Status::Polling).await;
    let live = || rig.desk.live(id).is_some_and(|live| live.cancelable);
    crate::rig::until("it can be taken back", live).await;
    rig.desk.cancel(id).await.unwrap();
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.retries(), task.bond),
        (State::Aborted, 0, None)
    );
    assert_eq!(
        (alerts(&rig, State::Aborted), vc.books.count(Kind::Start)),
        (1, 1)
    );
    rig.stop().await;
}

/// What makes up for another, once it was found, is the upstream's own task here.
#[tokio::test]
async fn a_deletion_that_the_upstream_has_begun_is_followed_by_the_next_gate() {
    let redfish = Redfish::start(Pace::ByHand).await;
    redfish.native(false);
    let rules = r#"
[upstream.limits.blocking_tasks]
counts = "requests_in_flight"
limit = 10
match = { class = ["blocking"] }
[[upstream.route]]
name = "ruled"
match = { method = "PUT", path = "/volumes/*" }
class = "blocking"
[[upstream.route.after]]
state = ["EXPIRED"]
outcome = "unknown"
compensate = { method = "DELETE", target = "/redfish/v1/Volumes/{found:Id}", find = { get = "{path}", json = "/Id", every = "100ms" } }
"#;
    let kept = Kept::default();
    let first = Rig::start(redfish.address, "redfish", rules, &kept).await;
    let mut call = Call::new("PUT", "/volumes/web", "ruled", r#"{"Id":"7"}"#);
    call.requested.run_for = Duration::from_millis(300);
    let id = first.submit(&call).await;
    let task = first.over(id).await;
    let Some(Bond::CompensatedBy(by)) = task.bond else {
        panic!("{task:?}");
    };
    redfish.native(true);
    redfish.works.finish_all();
    let undo = first.reaches(by, Status::Polling).await;
    assert_eq!(undo.mode, Mode::Native);
    first.crew.stop().await;

    let second = Rig::start(redfish.address, "redfish", rules, &kept).await;
    assert_eq!(second.found.followed, 1);
    crate::rig::until("it is asked for", || redfish.books.count(Kind::Poll) > 0).await;
    redfish.works.finish_all();
    let undo = second.over(by).await;
    assert_eq!(undo.status.state(), State::Completed, "{undo:?}");
    assert_eq!((undo.attempts, redfish.books.count(Kind::Start)), (1, 1));
    let deleted = redfish.books.effects("DELETE /redfish/v1/Volumes/7");
    assert_eq!(deleted, 1);
    second.crew.stop().await;
}
