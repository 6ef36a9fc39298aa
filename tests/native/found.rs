//! Starts whose answers are lost: found in the upstream's list of tasks where one of them alone can be it, and never begun twice.

use std::time::Duration;

use base64::Engine as _;
use tidegate::task::{Event, Outcome, Poll, Record, State, Status, TaskId};

use crate::rig::{CLONE, Call, Kept, LONG, Rig, times, until};
use crate::support::client::Client;
use crate::vendors::nsx_v::NsxV;
use crate::vendors::vcenter::VCenter;
use crate::vendors::{Fault, Kind, Model, Pace, Twist, Vendor, When};

const NAT: &str = "/api/4.0/edges/edge-4/nat/config";

/// A call that the gate has no part in.
async fn call<V: Vendor>(model: &Model<V>, line: &str, user: &str, body: &str) {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:pw"));
    let length = body.len();
    let mut client = Client::connect(model.address).await;
    client
        .send(format!(
            "{line} HTTP/1.1\r\nHost: a\r\nAuthorization: Basic {pair}\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
        .await;
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
}

fn clone_of(source: &str, name: &str) -> String {
    format!("{{\"source\":\"{source}\",\"name\":\"{name}\"}}")
}

fn is_unknown(task: &Record) {
    assert_eq!(
        (task.status.state(), task.outcome),
        (State::Failed, Some(Outcome::Unknown)),
        "{task:?}"
    );
    assert_eq!(times(task, Event::Found), 0);
}

#[tokio::test]
async fn a_start_whose_answer_is_lost_is_found_and_followed_and_not_made_again() {
    let vc = VCenter::start(Pace::ByHand).await;
    // Another's clone of the same VM, another of the same user's of another VM: seen by the same credentials.
    vc.sees_all("a");
    vc.add_vm("vm-7", "other");
    let twin = format!("POST {CLONE}&vmw-task=true");
    call(&vc, &twin, "b", &clone_of("vm-11", "web-8")).await;
    call(&vc, &twin, "a", &clone_of("vm-7", "web-9")).await;
    vc.faults.on(Kind::Start, When::Next(1), Fault::LostAnswer);
    let rig = Rig::vcenter(vc.address).await;
    let id = rig.clone("web-1").await;
    let task = rig.reaches(id, Status::Polling).await;
    assert_eq!(
        (times(&task, Event::Lost), times(&task, Event::Found)),
        (1, 1)
    );
    assert!(task.upstream_task.is_some());
    assert_eq!(rig.seated(), 0, "its call was no blocking one");
    vc.works.finish_all();
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.outcome),
        (State::Completed, Some(Outcome::Known))
    );
    assert_eq!(rig.said(id).await.0, 200);
    assert_eq!(vc.books.count(Kind::Start), 3);
    assert_eq!(vc.books.effects("clone web-1"), 1);
    let polls = rig.desk.tally().polls("up");
    assert!(polls.upstream[Poll::ALL.iter().position(|one| *one == Poll::Find).unwrap()] >= 2);
    let work = rig.desk.tally().work("up");
    assert_eq!(
        (work.dispatched, work.reconciled),
        ([0, 0, 1], [1, 0, 0, 0])
    );
    rig.stop().await;
}

#[tokio::test]
async fn one_that_never_came_to_be_stays_in_doubt_though_others_did() {
    let vc = VCenter::start(Pace::ByHand).await;
    let rig = Rig::vcenter(vc.address).await;
    // It is the gate's own, by another name.
    let other = rig.clone("web-2").await;
    rig.reaches(other, Status::Polling).await;
    vc.faults.on(Kind::Start, When::Next(1), Fault::Closed);
    let id = rig.clone("web-1").await;
    is_unknown(&*rig.over(id).await);
    assert_eq!(rig.task(other).await.status, Status::Polling);
    vc.works.finish_all();
    assert_eq!(rig.over(other).await.status.state(), State::Completed);
    assert_eq!(vc.books.effects("clone web-1"), 0);
    rig.stop().await;
}

#[tokio::test]
async fn what_could_be_either_of_two_is_neither() {
    for lost in [Fault::LostAnswer, Fault::Closed] {
        let vc = VCenter::start(Pace::ByHand).await;
        vc.faults.on(Kind::Start, When::Nth(1), Fault::LostAnswer);
        vc.faults.on(Kind::Start, When::Nth(2), lost);
        let rig = Rig::vcenter(vc.address).await;
        let ids: [TaskId; 2] = [rig.clone("web-1").await, rig.clone("web-2").await];
        for id in ids {
            is_unknown(&*rig.over(id).await);
        }
        assert_eq!(vc.books.count(Kind::Start), 2);
        rig.stop().await;
    }
}

#[tokio::test]
async fn two_lost_starts_are_told_apart_by_what_they_are_about() {
    let vc = VCenter::start(Pace::ByHand).await;
    vc.add_vm("vm-7", "other");
    vc.faults.on(Kind::Start, When::Next(2), Fault::LostAnswer);
    let rig = Rig::vcenter(vc.address).await;
    let mut other = Call::clone("web-2");
    other.body = clone_of("vm-7", "web-2");
    let ids = [rig.clone("web-1").await, rig.submit(&other).await];
    for id in ids {
        rig.reaches(id, Status::Polling).await;
    }
    vc.works.finish_all();
    for id in ids {
        assert_eq!(rig.over(id).await.status.state(), State::Completed);
    }
    for name in ["clone web-1", "clone web-2"] {
        assert_eq!(vc.books.effects(name), 1);
    }
    assert_eq!(vc.books.count(Kind::Start), 2);
    rig.stop().await;
}

#[tokio::test]
async fn an_older_task_is_not_taken_for_it() {
    let vc = VCenter::start(Pace::ByHand).await;
    vc.works.clock("2026-03-01T10:15:02.651Z");
    let twin = format!("POST {CLONE}&vmw-task=true");
    call(&vc, &twin, "a", &clone_of("vm-11", "web-9")).await;
    vc.faults.on(Kind::Start, When::Next(1), Fault::Closed);
    let rig = Rig::vcenter(vc.address).await;
    let id = rig.clone("web-1").await;
    is_unknown(&*rig.over(id).await);
    rig.stop().await;
}

#[tokio::test]
async fn a_job_that_was_not_there_before_is_found_and_the_change_is_not_made_again() {
    let nsx = NsxV::start(Pace::ByHand).await;
    nsx.add(NAT);
    // A job of the same edge that was there before.
    call(&nsx, &format!("PUT {NAT}?async=true"), "a", "<nat/>").await;
    nsx.faults.on(Kind::Start, When::Next(1), Fault::LostAnswer);
    let rig = Rig::start(nsx.address, "nsx-v", "", &Kept::default()).await;
    let id = rig
        .submit(&Call::new("PUT", NAT, "edge-put", "<nat/>"))
        .await;
    let task = rig.reaches(id, Status::Polling).await;
    assert_eq!(task.upstream_task.as_deref(), Some("jobdata-2129"));
    assert_eq!(times(&task, Event::Found), 1);
    nsx.works.finish_all();
    assert_eq!(rig.over(id).await.status.state(), State::Completed);
    assert_eq!(nsx.books.count(Kind::Start), 2);
    rig.stop().await;
}

#[tokio::test]
async fn a_job_beside_a_new_one_of_somebody_else_stays_in_doubt() {
    let nsx = NsxV::start(Pace::ByHand).await;
    let below = "/api/4.0/edges/edge-4/loadbalancer/config/monitors";
    nsx.faults.on(Kind::Start, When::Nth(1), Fault::Hangs);
    let rig = Rig::start(
        nsx.address,
        "nsx-v",
        "response_timeout = \"1s\"",
        &Kept::default(),
    )
    .await;
    let id = rig
        .submit(&Call::new("POST", below, "edge-post", "<monitor/>"))
        .await;
    until("it is up", || nsx.books.count(Kind::Start) == 1).await;
    call(&nsx, &format!("PUT {NAT}?async=true"), "b", "<nat/>").await;
    is_unknown(&*rig.over(id).await);
    assert_eq!(nsx.books.count(Kind::Start), 2);
    rig.stop().await;
}

#[tokio::test]
async fn a_change_that_may_be_made_twice_is_made_again_where_it_is_not_found() {
    let nsx = NsxV::start(Pace::Lasts(Duration::from_millis(50))).await;
    nsx.add(NAT);
    nsx.faults.on(Kind::Start, When::Next(1), Fault::Closed);
    let rig = Rig::start(nsx.address, "nsx-v", "", &Kept::default()).await;
    let mut call = Call::new("PUT", NAT, "edge-put", "<nat/>");
    call.requested.replay = tidegate::task::Replay::AtLeastOnce;
    let id = rig.submit(&call).await;
    let task = rig.over(id).await;
    assert_eq!(task.status.state(), State::Completed, "{task:?}");
    assert_eq!((times(&task, Event::Again), task.attempts), (1, 2));
    assert!(task.requested.run_for <= LONG);
    rig.stop().await;
}

#[tokio::test]
async fn a_job_of_a_dead_gate_is_found_by_the_next_by_what_was_there_before() {
    let nsx = NsxV::start(Pace::ByHand).await;
    nsx.add(NAT);
    call(&nsx, &format!("PUT {NAT}?async=true"), "a", "<nat/>").await;
    nsx.faults.on(Kind::Start, When::Next(1), Fault::Hangs);
    let kept = Kept::default();
    let first = Rig::start(nsx.address, "nsx-v", "", &kept).await;
    let id = first
        .submit(&Call::new("PUT", NAT, "edge-put", "<nat/>"))
        .await;
    until("it is up", || nsx.books.count(Kind::Start) == 2).await;
    first.stop().await;

    let second = Rig::start(nsx.address, "nsx-v", "", &kept).await;
    let task = second.reaches(id, Status::Polling).await;
    assert_eq!(task.upstream_task.as_deref(), Some("jobdata-2129"));
    nsx.works.finish_all();
    assert_eq!(second.over(id).await.status.state(), State::Completed);
    assert_eq!(nsx.books.count(Kind::Start), 2);
    second.stop().await;
}

/// The name of the job that is gone is not its name any more.
#[tokio::test]
async fn one_that_is_begun_again_after_its_job_was_gone_is_found_by_its_new_name() {
    let nsx = NsxV::start(Pace::ByHand).await;
    nsx.add(NAT);
    nsx.works.twist(When::Nth(1), Twist::vanishes_for_good(1));
    nsx.faults.on(Kind::Start, When::Nth(2), Fault::LostAnswer);
    let rig = Rig::start(nsx.address, "nsx-v", "", &Kept::default()).await;
    let mut call = Call::new("PUT", NAT, "edge-put", "<nat/>");
    call.requested.replay = tidegate::task::Replay::AtLeastOnce;
    let id = rig.submit(&call).await;
    let is_found = |task: &Record| times(task, Event::Found) == 1;
    let task = rig.until(id, is_found).await;
    assert_eq!(task.upstream_task.as_deref(), Some("jobdata-2129"));
    assert_eq!((task.attempts, times(&task, Event::Again)), (2, 1));
    nsx.works.finish_all();
    assert_eq!(rig.over(id).await.status.state(), State::Completed);
    rig.stop().await;
}
