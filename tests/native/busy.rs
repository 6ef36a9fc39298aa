//! Skytap's checklist on busyness (seed 002), item by item: the resource is looked at before a change and after it, and what is not
//! made is asked for again.

use std::time::Duration;

use serde_json::Value;
use tidegate::task::{Event, Mode, Outcome, Record, Replay, State, Status};

use crate::rig::{Call, Rig, times, until};
use crate::vendors::skytap::{Skytap, WhenBusy};
use crate::vendors::{Fault, Kind, Model, Pace, Twist, When};

pub const ENVIRONMENT: &str = "/v2/configurations/1";
pub const RUN: &str = r#"{"runstate":"running"}"#;
pub const RUNS: &str = "configurations/1 {\"runstate\":\"running\"}";
/// Changes that a gate sends to what it should know to be busy.
const WRONG: &str = "sent while busy";
const MET: &str = "met by another's work";

/// A PUT, which may be made again.
pub fn put(target: &str, body: &str) -> Call {
    let mut call = Call::new("PUT", target, "environment-put-v2", body);
    call.requested.replay = Replay::AtLeastOnce;
    call
}

pub fn brief() -> Pace {
    Pace::Lasts(Duration::from_millis(20))
}

/// Nothing was sent that should not have been.
pub fn blameless(skytap: &Model<Skytap>) {
    assert_eq!(skytap.books.effects(WRONG), 0);
    assert_eq!(skytap.books.violations(), [""; 0]);
}

pub async fn looks(skytap: &Model<Skytap>, more: u64) {
    let so_far = skytap.books.count(Kind::Poll);
    until("it is looked at", || {
        skytap.books.count(Kind::Poll) >= so_far + more
    })
    .await;
}

async fn completes(rig: &Rig, skytap: &Model<Skytap>, call: &Call) -> std::sync::Arc<Record> {
    let id = rig.submit(call).await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.outcome),
        (State::Completed, Some(Outcome::Known)),
        "{task:?}"
    );
    let (status, body) = rig.said(id).await;
    let shown: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &shown["runstate"]), (200, &"running".into()));
    assert_eq!(skytap.books.effects(RUNS), 1, "it is made once");
    blameless(skytap);
    task
}

/// "Don't perform PUT or POST requests while runstate is busy. Retry the GET request until …"
#[tokio::test]
async fn before_while_it_is_busy_nothing_is_sent() {
    let skytap = Skytap::start(brief()).await;
    skytap.busy("1", true);
    let rig = Rig::skytap(skytap.address).await;
    let id = rig.submit(&put(ENVIRONMENT, RUN)).await;
    looks(&skytap, 5).await;
    let task = rig.task(id).await;
    assert_eq!((task.status, task.dispatched), (Status::Queued, false));
    let live = rig.desk.live(id).unwrap();
    assert_eq!(
        live.message.as_deref(),
        Some("waits its turn: environment 1")
    );
    assert_eq!(skytap.books.count(Kind::Start), 0);
    skytap.busy("1", false);
    let task = rig.over(id).await;
    assert_eq!(
        (
            task.status.state(),
            task.mode,
            times(&task, Event::Dispatch)
        ),
        (State::Completed, Mode::Native, 1)
    );
    assert_eq!(skytap.books.effects(RUNS), 1);
    blameless(&skytap);
    rig.stop().await;
}

/// "If an environment is being rate-limited, rate_limited will be true."
#[tokio::test]
async fn before_while_it_is_rate_limited_nothing_is_sent_either() {
    let skytap = Skytap::start(brief()).await;
    skytap.rate_limit("1", true);
    let rig = Rig::skytap(skytap.address).await;
    let id = rig.submit(&put(ENVIRONMENT, RUN)).await;
    looks(&skytap, 5).await;
    assert_eq!(skytap.books.count(Kind::Start), 0);
    skytap.rate_limit("1", false);
    assert_eq!(rig.over(id).await.status.state(), State::Completed);
    blameless(&skytap);
    rig.stop().await;
}

/// "A 200 doesn't indicate a completed update. Continue polling the VM until you can verify that the VM is running."
#[tokio::test]
async fn after_a_200_it_is_polled_until_it_runs() {
    let skytap = Skytap::start(Pace::ByHand).await;
    let rig = Rig::skytap(skytap.address).await;
    let id = rig.submit(&put(ENVIRONMENT, RUN)).await;
    rig.reaches(id, Status::Polling).await;
    looks(&skytap, 5).await;
    assert_eq!(rig.task(id).await.status, Status::Polling);
    let polls = skytap.books.count(Kind::Poll);
    skytap.works.finish_all();
    let task = rig.over(id).await;
    assert_eq!(task.status.state(), State::Completed);
    let more = skytap.books.count(Kind::Poll) - polls;
    assert!(more >= 3, "three equal readings: {more}");
    assert_eq!(skytap.books.count(Kind::Start), 1);
    let (status, body) = rig.said(id).await;
    assert!(
        status == 200 && body.contains("\"runstate\":\"running\""),
        "{body}"
    );
    rig.stop().await;
}

/// "The API may return a 200 even if the VM is busy and can't be edited. If you receive a 200 code and the runstate is busy, retry."
#[tokio::test]
async fn after_a_200_that_made_nothing_it_is_sent_again() {
    let skytap = Skytap::start(brief()).await;
    skytap.when_busy(WhenBusy::Ignored);
    skytap.ambush(1, 3);
    let rig = Rig::skytap(skytap.address).await;
    let task = completes(&rig, &skytap, &put(ENVIRONMENT, RUN)).await;
    assert_eq!(
        (skytap.books.effects(MET), skytap.books.count(Kind::Start)),
        (1, 2)
    );
    assert_eq!(times(&task, Event::Started), 2);
    rig.stop().await;
}

/// A POST that was taken and made nothing is not sent twice: it failed.
#[tokio::test]
async fn after_a_200_that_made_nothing_a_post_has_failed() {
    let skytap = Skytap::start(brief()).await;
    skytap.when_busy(WhenBusy::Ignored);
    skytap.ambush(1, 3);
    let rig = Rig::skytap(skytap.address).await;
    let id = rig
        .submit(&Call::new("POST", ENVIRONMENT, "environment-post-v2", RUN))
        .await;
    let task = rig.over(id).await;
    assert_eq!(task.status.state(), State::Failed, "{task:?}");
    assert_eq!(
        (rig.said(id).await.0, skytap.books.count(Kind::Start)),
        (422, 1)
    );
    rig.stop().await;
}

/// What never comes true is not asked for for ever.
#[tokio::test]
async fn what_is_never_made_fails_in_the_end() {
    let skytap = Skytap::start(brief()).await;
    skytap.when_busy(WhenBusy::Ignored);
    skytap.ambush(u64::MAX, 1);
    let rig = Rig::skytap(skytap.address).await;
    let id = rig.submit(&put(ENVIRONMENT, RUN)).await;
    let task = rig.over(id).await;
    assert_eq!(task.status.state(), State::Failed);
    assert_eq!(
        (skytap.books.count(Kind::Start), skytap.books.effects(RUNS)),
        (6, 0)
    );
    rig.stop().await;
}

/// "A 422 may indicate that a runstate change was attempted on a busy resource."
#[tokio::test]
async fn a_422_that_says_busy_is_sent_again() {
    let skytap = Skytap::start(brief()).await;
    skytap.when_busy(WhenBusy::Unprocessable);
    skytap.ambush(2, 2);
    let rig = Rig::skytap(skytap.address).await;
    let task = completes(&rig, &skytap, &put(ENVIRONMENT, RUN)).await;
    assert_eq!(
        (skytap.books.effects(MET), times(&task, Event::Refused)),
        (2, 2)
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_422_that_says_something_else_is_the_answer() {
    let skytap = Skytap::start(brief()).await;
    let rig = Rig::skytap(skytap.address).await;
    let id = rig
        .submit(&put(ENVIRONMENT, r#"{"runstate":"flying"}"#))
        .await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.outcome),
        (State::Failed, Some(Outcome::Known))
    );
    let (status, body) = rig.said(id).await;
    assert!(
        status == 422 && body.contains("runstate is invalid"),
        "{body}"
    );
    assert_eq!(skytap.books.count(Kind::Start), 1);
    rig.stop().await;
}

/// "Retry the request after the number of seconds indicated in the header."
#[tokio::test]
async fn a_423_or_429_is_sent_again_when_it_says() {
    for is_locked in [true, false] {
        let skytap = Skytap::start(brief()).await;
        if is_locked {
            skytap.retry_after(Some(2));
            skytap.ambush(1, 1);
        } else {
            let refused = Fault::answer_after(429, 2);
            skytap.faults.on(Kind::Start, When::Next(1), refused);
        }
        let rig = Rig::skytap(skytap.address).await;
        let id = rig.submit(&put(ENVIRONMENT, RUN)).await;
        let task = rig.reaches(id, Status::WaitingRetry).await;
        let rest = task.not_before.unwrap().since(task.updated);
        // The two are read from the clock one after the other.
        assert!(rest > Duration::from_millis(1800), "{rest:?}");
        assert!(!task.dispatched, "it was not executed");
        let task = rig.over(id).await;
        assert_eq!(
            (task.status.state(), times(&task, Event::Refused)),
            (State::Completed, 1)
        );
        let refused = task
            .history
            .iter()
            .find(|moved| moved.event == Event::Refused);
        let mut sent = task
            .history
            .iter()
            .filter(|moved| moved.event == Event::Dispatch);
        let pause = sent.next_back().unwrap().at.since(refused.unwrap().at);
        assert!(pause > Duration::from_millis(1800), "{pause:?}");
        assert_eq!(
            (skytap.books.effects(RUNS), skytap.books.count(Kind::Start)),
            (1, 2)
        );
        blameless(&skytap);
        rig.stop().await;
    }
}

/// "No further action is needed": what Skytap holds back it makes by itself.
#[tokio::test]
async fn rate_limited_is_waited_for_and_never_sent_again() {
    let skytap = Skytap::start(brief()).await;
    skytap.limits_changes(true);
    let rig = Rig::skytap(skytap.address).await;
    let id = rig.submit(&put(ENVIRONMENT, RUN)).await;
    rig.reaches(id, Status::Blocked).await;
    looks(&skytap, 12).await;
    assert_eq!(
        (rig.task(id).await.status, skytap.books.count(Kind::Start)),
        (Status::Blocked, 1)
    );
    skytap.rate_limit("1", false);
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), times(&task, Event::Dispatch)),
        (State::Completed, 1)
    );
    blameless(&skytap);
    rig.stop().await;
}

/// "These error messages linger until the next successful state change."
#[tokio::test]
async fn an_error_that_was_there_before_is_none() {
    let skytap = Skytap::start(Pace::ByHand).await;
    skytap.error("1", "VMware Tools is still loading");
    let rig = Rig::skytap(skytap.address).await;
    let id = rig.submit(&put(ENVIRONMENT, RUN)).await;
    rig.reaches(id, Status::Polling).await;
    looks(&skytap, 3).await;
    skytap.works.finish_all();
    skytap.error("1", "VMware Tools is still loading");
    assert_eq!(rig.over(id).await.status.state(), State::Completed);
    assert_eq!(skytap.truth("1")["error"], "VMware Tools is still loading");
    rig.stop().await;
}

#[tokio::test]
async fn an_error_that_is_new_is_the_end_of_it() {
    let skytap = Skytap::start(brief()).await;
    skytap.error("1", "VMware Tools is still loading");
    skytap
        .works
        .twist(When::Always, Twist::fails("error", "The disk is full"));
    let rig = Rig::skytap(skytap.address).await;
    let id = rig.submit(&put(ENVIRONMENT, RUN)).await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.outcome),
        (State::Failed, Some(Outcome::Known))
    );
    assert_eq!(
        rig.said(id).await,
        (422, r#"{"error":"The disk is full"}"#.to_owned())
    );
    assert_eq!(skytap.books.count(Kind::Start), 1);
    rig.stop().await;
}

/// "Retry … until the response indicates that the resource is no longer busy": a reading that is taken back does not count.
#[tokio::test]
async fn readings_that_flap_are_not_believed() {
    let skytap = Skytap::start(brief()).await;
    skytap.works.twist(When::Always, Twist::Flaps { back: 3 });
    let rig = Rig::skytap(skytap.address).await;
    let task = completes(&rig, &skytap, &put(ENVIRONMENT, RUN)).await;
    assert_eq!(times(&task, Event::Dispatch), 1);
    rig.stop().await;
}

/// Looks and polls that fail only delay.
#[tokio::test]
async fn a_look_that_says_nothing_is_made_again() {
    let skytap = Skytap::start(brief()).await;
    for fault in [
        Fault::answer(503),
        Fault::Closed,
        Fault::answer_after(429, 1),
    ] {
        skytap.faults.on(Kind::Poll, When::Next(1), fault);
    }
    let rig = Rig::skytap(skytap.address).await;
    let task = completes(&rig, &skytap, &put(ENVIRONMENT, RUN)).await;
    assert_eq!(times(&task, Event::Dispatch), 1);
    rig.stop().await;
}

/// What is not there, or not for whoever asks, the upstream says itself.
#[tokio::test]
async fn what_cannot_be_looked_at_goes_up_and_is_answered_there() {
    let skytap = Skytap::start(brief()).await;
    let rig = Rig::skytap(skytap.address).await;
    let id = rig.submit(&put("/v2/configurations/404", RUN)).await;
    assert_eq!(rig.over(id).await.status.state(), State::Failed);
    assert_eq!(rig.said(id).await.0, 404);
    let mut stranger = put(ENVIRONMENT, RUN);
    stranger.headers.retain(|(name, _)| name != "authorization");
    let id = rig.submit(&stranger).await;
    let task = rig.over(id).await;
    assert_eq!(task.error.as_ref().unwrap().kind, "credentials-expired");
    assert_eq!(skytap.books.effects(RUNS), 0);
    rig.stop().await;
}

/// What is reset runs afterwards, and what is halted is stopped.
#[tokio::test]
async fn words_for_changes_that_name_no_state_are_understood() {
    let skytap = Skytap::start(brief()).await;
    let rig = Rig::skytap(skytap.address).await;
    let vm = "/v2/configurations/1/vms/2";
    for (body, state) in [(RUN, "running"), (r#"{"runstate":"reset"}"#, "running")] {
        let id = rig.submit(&put(vm, body)).await;
        let task = rig.over(id).await;
        assert_eq!(task.status.state(), State::Completed, "{body}: {task:?}");
        assert!(rig.said(id).await.1.contains(state));
    }
    assert_eq!(skytap.books.count(Kind::Start), 2);
    rig.stop().await;
}
