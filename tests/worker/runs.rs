//! Tasks that are answered, in every way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tidegate::task::{Outcome, Source, State};

use crate::model::{Act, Model};
use crate::rig::{LONG, Nobody, Rig, Set, clone, seats, until};

const CLONE: &str = "POST /api/clone";

#[tokio::test]
async fn a_task_is_done_and_its_answer_kept() {
    let model = Model::start(|_, _| Act::With(200, "Location: /api/vm/7", "\"vm-7\"")).await;
    let rig = Rig::start(model.address, Set::default()).await;
    let id = rig.submit(clone()).await;
    let task = rig.over(id).await;
    assert_eq!(task.status.state(), State::Completed);
    assert_eq!((task.attempts, task.outcome), (1, Some(Outcome::Known)));
    let result = task.result.clone().unwrap();
    assert_eq!(
        (result.status, result.bytes, result.source),
        (200, 6, Source::Answer)
    );
    let answer = rig.desk.answer(id).await.unwrap().unwrap();
    assert_eq!(&answer.body[..], b"\"vm-7\"");
    let names: Vec<_> = answer
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(
        names,
        ["location", "content-type"],
        "no cookies, nothing of the connection"
    );
    let asked = model.asked().remove(0);
    assert_eq!(
        (asked.line.as_str(), &asked.body[..]),
        (CLONE, &b"{\"name\":\"web 02\"}"[..])
    );
    assert!(
        asked
            .head
            .to_lowercase()
            .contains("vmware-api-session-id: token")
    );
    // The request is not kept any more, nor is a seat.
    assert_eq!(rig.desk.request(id).await.unwrap(), None);
    assert_eq!(rig.desk.store().unfinished(None, 9).await.unwrap(), []);
    rig.stop().await;
}

#[tokio::test]
async fn what_the_upstream_refuses_fails_with_its_answer() {
    let model = Model::start(|_, _| Act::Answer(400, r#"{"error_type":"ALREADY_EXISTS"}"#)).await;
    let rig = Rig::start(model.address, Set::default()).await;
    let id = rig.submit(clone()).await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.dispatched),
        (State::Failed, true)
    );
    let fault = task.error.clone().unwrap();
    assert_eq!(
        (fault.kind, fault.detail.as_str()),
        ("upstream-error", "ALREADY_EXISTS")
    );
    assert_eq!(rig.desk.answer(id).await.unwrap().unwrap().status, 400);
    rig.stop().await;
}

#[tokio::test]
async fn credentials_that_expired_are_told_and_nothing_counts_as_sent() {
    let model = Model::start(|_, _| Act::Answer(401, "{}")).await;
    let rig = Rig::start(model.address, Set::default()).await;
    let id = rig.submit(clone()).await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.dispatched),
        (State::Failed, false)
    );
    assert_eq!(task.outcome, Some(Outcome::NotApplied));
    assert_eq!(task.error.clone().unwrap().kind, "credentials-expired");
    rig.stop().await;
}

#[tokio::test]
async fn what_is_refused_and_not_executed_goes_up_again() {
    let model = Model::start(|_, before| match before {
        0 => Act::With(503, "Retry-After: 0", "come back later"),
        1 => Act::With(429, "Retry-After: 0", ""),
        _ => Act::Answer(200, "{}"),
    })
    .await;
    let sign = "[[upstream.refused]]\nname = \"busy\"\nstatus = 503\nbody = \"come back\"\n";
    let set = Set {
        lines: seats(10) + sign,
        ..Set::default()
    };
    let rig = Rig::start(model.address, set).await;
    let id = rig.submit(clone()).await;
    let task = rig.over(id).await;
    assert_eq!((task.status.state(), task.attempts), (State::Completed, 3));
    assert_eq!(model.times(CLONE), 3);
    assert!(
        rig.view("blocking_tasks")
            .effective
            .is_some_and(|effective| effective < 10)
    );
    rig.stop().await;
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_told_from_a_failure() {
    let model = Model::start(|_, _| Act::Answer(200, "0123456789")).await;
    let cap = "[upstream.limits.response_bytes]\ncounts = \"response_bytes\"\nlimit = 4\nmatch = { class = [\"blocking\"] }\n";
    let set = Set {
        lines: cap.to_owned() + &seats(10),
        ..Set::default()
    };
    let rig = Rig::start(model.address, set).await;
    let id = rig.submit(clone()).await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.outcome),
        (State::Failed, Some(Outcome::Known))
    );
    assert_eq!(task.error.clone().unwrap().kind, "answer-too-large");
    rig.stop().await;
}

#[tokio::test]
async fn past_its_deadline_a_task_is_over_and_its_call_keeps_its_seat() {
    let model = Model::start(|_, _| Act::Hold).await;
    let rig = Rig::start(model.address, Set::default()).await;
    let mut brief = clone();
    brief.run_for = Duration::from_millis(30);
    let id = rig.submit(brief).await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.dispatched),
        (State::Expired, true)
    );
    assert_eq!(task.outcome, Some(Outcome::Unknown));
    assert_eq!(rig.seated(), 1);
    assert_eq!(
        rig.desk.store().unfinished(None, 9).await.unwrap().len(),
        1,
        "the store remembers its seat"
    );
    model.release();
    until("the seat is free", || rig.seated() == 0).await;
    until("nothing is up", || rig.crew.in_flight() == 0).await;
    assert_eq!(rig.desk.store().unfinished(None, 9).await.unwrap(), []);
    assert_eq!(
        rig.task(id).await.status.state(),
        State::Expired,
        "what is over never changes"
    );
    rig.stop().await;
}

#[tokio::test]
async fn a_call_that_never_ends_is_given_up_when_none_can_last_so_long() {
    let model = Model::start(|_, _| Act::Hold).await;
    let set = Set {
        max_blocking: Duration::from_millis(200),
        ..Set::default()
    };
    let rig = Rig::start(model.address, set).await;
    let mut brief = clone();
    brief.run_for = Duration::from_millis(30);
    let id = rig.submit(brief).await;
    assert_eq!(rig.over(id).await.status.state(), State::Expired);
    until("the seat is free", || {
        rig.seated() == 0 && rig.crew.in_flight() == 0
    })
    .await;
    assert_eq!(rig.desk.store().unfinished(None, 9).await.unwrap(), []);
    rig.stop().await;
}

#[tokio::test]
async fn an_upstream_that_is_down_is_waited_for() {
    let place = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = place.local_addr().unwrap();
    drop(place);
    let rig = Rig::start(address, Set::default()).await;
    let mut ids = Vec::new();
    for _ in 0..30 {
        ids.push(rig.submit(clone()).await);
    }
    until("it is found to be down", || {
        !rig.upstream.health().is_steady()
    })
    .await;
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let model = Model::on(listener, |_, _| Act::Answer(200, "{}"));
    for id in ids {
        let task = rig.over(id).await;
        assert_eq!((task.status.state(), task.attempts), (State::Completed, 1));
    }
    assert_eq!(model.times(CLONE), 30);
    rig.stop().await;
}

#[tokio::test]
async fn a_task_of_an_upstream_that_is_gone_fails_and_says_so() {
    let model = Model::start(|_, _| Act::Answer(200, "{}")).await;
    let rig = Rig::start(model.address, Set::default()).await;
    let mut other = clone();
    other.upstream = "old".into();
    let id = rig.submit(other).await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.dispatched),
        (State::Failed, false)
    );
    assert_eq!(task.error.clone().unwrap().kind, "upstream-gone");
    rig.stop().await;
}

/// Breaks the first time that a session is to be marked as in use.
struct Breaks(AtomicBool);

impl tidegate::task::Roster for Breaks {
    fn caller(
        &self,
        upstream: usize,
        task: &tidegate::task::Requested,
    ) -> (tidegate::call::Caller, std::num::NonZeroU32) {
        Nobody.caller(upstream, task)
    }

    fn busy(&self, _: &tidegate::task::Requested) -> Option<Box<dyn std::any::Any + Send>> {
        assert!(self.0.swap(true, Ordering::SeqCst), "it breaks here");
        None
    }
}

#[tokio::test]
async fn a_job_that_breaks_begins_anew() {
    let model = Model::start(|_, _| Act::Answer(200, "{}")).await;
    let set = Set {
        lines: seats(1),
        max_blocking: LONG,
        roster: std::sync::Arc::new(Breaks(AtomicBool::new(false))),
        ..Set::default()
    };
    let rig = Rig::start(model.address, set).await;
    for _ in 0..3 {
        let id = rig.submit(clone()).await;
        assert_eq!(rig.over(id).await.status.state(), State::Completed);
    }
    assert_eq!(model.times(CLONE), 3);
    rig.stop().await;
}
