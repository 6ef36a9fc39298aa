//! Changes of what may be busy whose answers are lost, and gates that are gone meanwhile: what became of them is read at the
//! resource itself.

use tidegate::task::{Event, Outcome, Source, State, Status};

use crate::busy::{ENVIRONMENT, RUN, RUNS, blameless, brief, looks, put};
use crate::rig::{Call, Kept, Rig, times, until};
use crate::vendors::skytap::Skytap;
use crate::vendors::{Fault, Kind, Pace, Twist, When};

/// So that a call whose answer was lost can be under way no more after a second.
const SOON: &str = "response_timeout = \"1s\"\n";

fn post(body: &str) -> Call {
    Call::new("POST", ENVIRONMENT, "environment-post-v2", body)
}

#[tokio::test]
async fn a_put_that_was_made_is_found_and_not_sent_again() {
    let skytap = Skytap::start(brief()).await;
    skytap
        .faults
        .on(Kind::Start, When::Next(1), Fault::LostAnswer);
    let rig = Rig::skytap(skytap.address).await;
    let id = rig.submit(&put(ENVIRONMENT, RUN)).await;
    let task = rig.over(id).await;
    assert_eq!(task.status.state(), State::Completed, "{task:?}");
    assert_eq!(task.result.as_ref().unwrap().source, Source::Probe);
    assert_eq!(
        (skytap.books.count(Kind::Start), skytap.books.effects(RUNS)),
        (1, 1)
    );
    blameless(&skytap);
    rig.stop().await;
}

#[tokio::test]
async fn a_put_that_was_not_made_is_sent_again() {
    let skytap = Skytap::start(brief()).await;
    skytap.faults.on(Kind::Start, When::Next(1), Fault::Closed);
    let rig = Rig::skytap(skytap.address).await;
    let id = rig.submit(&put(ENVIRONMENT, RUN)).await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), times(&task, Event::Again)),
        (State::Completed, 1),
        "{task:?}"
    );
    assert_eq!(
        (skytap.books.count(Kind::Start), skytap.books.effects(RUNS)),
        (2, 1)
    );
    blameless(&skytap);
    rig.stop().await;
}

#[tokio::test]
async fn a_post_is_never_sent_twice_whatever_became_of_it() {
    for (fault, made) in [(Fault::LostAnswer, true), (Fault::Closed, false)] {
        let skytap = Skytap::start(brief()).await;
        skytap.faults.on(Kind::Start, When::Next(1), fault);
        let rig = Rig::start(skytap.address, "skytap", SOON, &Kept::default()).await;
        let id = rig.submit(&post(RUN)).await;
        let task = rig.over(id).await;
        let end = if made {
            (State::Completed, None, 1)
        } else {
            (State::Failed, Some(Outcome::NotApplied), 0)
        };
        let outcome = task.outcome.filter(|_| !made);
        assert_eq!(
            (task.status.state(), outcome, skytap.books.effects(RUNS)),
            end,
            "{task:?}"
        );
        assert_eq!(skytap.books.count(Kind::Start), 1);
        blameless(&skytap);
        rig.stop().await;
    }
}

/// What was so before proves nothing: whether the POST was made, nobody knows.
#[tokio::test]
async fn a_post_for_what_was_so_before_is_in_doubt_for_good() {
    let skytap = Skytap::start(brief()).await;
    skytap.faults.on(Kind::Start, When::Next(1), Fault::Closed);
    let rig = Rig::start(skytap.address, "skytap", SOON, &Kept::default()).await;
    let id = rig.submit(&post(r#"{"runstate":"stopped"}"#)).await;
    let task = rig.over(id).await;
    assert_eq!(
        (task.status.state(), task.outcome),
        (State::Failed, Some(Outcome::Unknown)),
        "{task:?}"
    );
    assert_eq!(skytap.books.count(Kind::Start), 1);
    rig.stop().await;
}

/// Between "sent" and "answered": the next gate reads what became of it, beside what the store says was there before.
#[tokio::test]
async fn a_gate_that_dies_before_the_answer_leaves_enough_to_find_out() {
    for is_made in [true, false] {
        let skytap = Skytap::start(Pace::ByHand).await;
        skytap.error("1", "VMware Tools is still loading");
        if !is_made {
            let full = Twist::fails("error", "The disk is full");
            skytap.works.twist(When::Always, full);
        }
        skytap.faults.on(Kind::Start, When::Next(1), Fault::Hangs);
        let kept = Kept::default();
        let first = Rig::start(skytap.address, "skytap", "", &kept).await;
        let id = first.submit(&put(ENVIRONMENT, RUN)).await;
        until("it is up", || skytap.books.count(Kind::Start) == 1).await;
        let earlier = first.task(id).await.earlier.clone().unwrap();
        assert!(!earlier.contains("Tools"), "marks alone: {earlier}");
        first.crew.stop().await;
        skytap.works.finish_all();

        let second = Rig::start(skytap.address, "skytap", "", &kept).await;
        assert_eq!((second.found.in_doubt, second.found.seats), (1, 0));
        let task = second.over(id).await;
        let end = if is_made {
            State::Completed
        } else {
            State::Failed
        };
        assert_eq!(task.status.state(), end, "{task:?}");
        let (status, body) = second.said(id).await;
        let said = if is_made {
            "running"
        } else {
            "The disk is full"
        };
        assert!(body.contains(said), "{status} {body}");
        assert_eq!(skytap.books.count(Kind::Start), 1);
        blameless(&skytap);
        second.stop().await;
    }
}

#[tokio::test]
async fn what_waits_and_what_is_polled_goes_on_with_the_next_gate() {
    let skytap = Skytap::start(Pace::ByHand).await;
    let kept = Kept::default();
    let first = Rig::start(skytap.address, "skytap", "", &kept).await;
    let runs = first.submit(&put(ENVIRONMENT, RUN)).await;
    first.reaches(runs, Status::Polling).await;
    let waits = first
        .submit(&put(ENVIRONMENT, r#"{"name":"second"}"#))
        .await;
    looks(&skytap, 3).await;
    first.crew.stop().await;

    let second = Rig::start(skytap.address, "skytap", "", &kept).await;
    assert_eq!((second.found.followed, second.found.waiting), (1, 1));
    looks(&skytap, 5).await;
    assert_eq!(second.task(waits).await.status, Status::Queued);
    assert_eq!(skytap.books.count(Kind::Start), 1);
    skytap.works.finish_all();
    assert_eq!(second.over(runs).await.status.state(), State::Completed);
    second.reaches(waits, Status::Polling).await;
    skytap.works.finish_all();
    assert_eq!(second.over(waits).await.status.state(), State::Completed);
    assert_eq!(skytap.books.count(Kind::Start), 2);
    assert_eq!(skytap.truth("1")["name"], "second");
    blameless(&skytap);
    second.stop().await;
}

#[tokio::test]
async fn what_a_dead_gate_did_not_get_made_the_next_one_sends_again() {
    let skytap = Skytap::start(brief()).await;
    skytap.faults.on(Kind::Start, When::Next(1), Fault::Closed);
    let kept = Kept::default();
    let first = Rig::start(skytap.address, "skytap", "", &kept).await;
    let id = first.submit(&put(ENVIRONMENT, RUN)).await;
    until("it is up", || skytap.books.count(Kind::Start) == 1).await;
    // Somebody else's work: nobody can say yet what became of it.
    skytap.busy("1", true);
    first.reaches(id, Status::Reconciling).await;
    first.crew.stop().await;

    let second = Rig::start(skytap.address, "skytap", "", &kept).await;
    assert_eq!(second.found.in_doubt, 1);
    looks(&skytap, 3).await;
    assert_eq!(second.task(id).await.status, Status::Reconciling);
    skytap.busy("1", false);
    let task = second.over(id).await;
    assert_eq!(
        (task.status.state(), times(&task, Event::Again)),
        (State::Completed, 1)
    );
    assert_eq!(
        (skytap.books.count(Kind::Start), skytap.books.effects(RUNS)),
        (2, 1)
    );
    blameless(&skytap);
    second.stop().await;
}
