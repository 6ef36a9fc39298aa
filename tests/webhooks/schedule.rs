//! When it is tried, in virtual time, with a carrier that only notes what it is given.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tidegate::task::{Carrier, Delivery, Letter, TaskId, TaskStore, Tried};
use tokio::time::Instant;

use crate::rig::Rig;

type Reply = dyn Fn(&Letter) -> Option<u16> + Send + Sync;

/// Answers as it is told; never, where it is told nothing.
struct Noting {
    reply: Box<Reply>,
    seen: Mutex<Vec<(Instant, Letter)>>,
}

impl Noting {
    fn new(reply: impl Fn(&Letter) -> Option<u16> + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            reply: Box::new(reply),
            seen: Mutex::default(),
        })
    }

    fn to(&self, url: &str) -> Vec<(Instant, Letter)> {
        let seen = self.seen.lock().unwrap();
        let to = seen
            .iter()
            .filter(|(_, letter)| letter.url.starts_with(url));
        to.cloned().collect()
    }
}

#[async_trait]
impl Carrier for Noting {
    async fn post(&self, letter: Letter) -> Tried {
        let status = (self.reply)(&letter);
        self.seen.lock().unwrap().push((Instant::now(), letter));
        match status {
            Some(status) => Tried::Answered {
                status,
                retry_after: None,
            },
            None => std::future::pending().await,
        }
    }
}

const ALLOWED: [&str; 2] = ["https://a/", "https://dead/"];

fn count(rig: &Rig, which: Delivery) -> u64 {
    let place = Delivery::ALL.iter().position(|one| *one == which);
    rig.desk.tally().told().deliveries[place.unwrap()]
}

#[tokio::test(start_paused = true)]
async fn a_message_nobody_hears_is_tried_ten_times_over_three_days_and_given_up() {
    let rig = Rig::new();
    let carrier = Noting::new(|_| Some(500));
    rig.outbox(carrier.clone(), &ALLOWED);
    rig.done("https://a/x").await;
    tokio::time::sleep(Duration::from_hours(120)).await;
    let seen = carrier.to("https://a/");
    assert_eq!(seen.len(), 10);
    let waits = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
    for (pair, wanted) in seen.windows(2).zip(waits) {
        let waited = pair[1].0.duration_since(pair[0].0).as_secs_f64();
        let wanted = f64::from(wanted);
        // A sleep may be cut into minutes, but nothing is tried too soon.
        assert!(
            (wanted..wanted * 1.1 + 2.0).contains(&waited),
            "{waited} for {wanted}"
        );
        assert_eq!(pair[0].1.id, pair[1].1.id);
        assert!(pair[0].1.timestamp < pair[1].1.timestamp);
    }
    assert!(rig.is_settled().await);
    assert_eq!(
        (
            count(&rig, Delivery::Failed),
            count(&rig, Delivery::GivenUp)
        ),
        (9, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_never_answers_keeps_no_other_waiting() {
    let rig = Rig::new();
    let carrier = Noting::new(|letter| letter.url.starts_with("https://a/").then_some(204));
    let began = Instant::now();
    for _ in 0..1000 {
        rig.done("https://dead/x").await;
    }
    rig.outbox(carrier.clone(), &ALLOWED);
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..20 {
        rig.done("https://a/x").await;
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let heard = carrier.to("https://a/");
    assert_eq!(heard.len(), 20);
    let tried = carrier.to("https://dead/");
    assert_eq!(tried.len(), 2, "two at a time, and each for 15 s");
    tokio::time::sleep(Duration::from_secs(15)).await;
    let tried = carrier.to("https://dead/");
    assert_eq!(tried.len(), 4);
    let gap = tried[2].0.duration_since(began).as_secs();
    assert!(gap >= 15, "{gap}");
    assert_eq!(count(&rig, Delivery::Delivered), 20);
}

#[tokio::test(start_paused = true)]
async fn what_is_put_off_because_its_receiver_is_crowded_loses_no_try() {
    let rig = Rig::new();
    for _ in 0..500 {
        rig.done("https://dead/x").await;
    }
    let carrier = Noting::new(|_| None);
    let outbox = rig.outbox(carrier, &ALLOWED);
    tokio::time::sleep(Duration::from_secs(5)).await;
    outbox.abort();
    let later = rig.desk.now().after(Duration::from_hours(1));
    let kept = rig.store.due_hooks(later, 1000).await.unwrap();
    assert_eq!(kept.len(), 500);
    assert!(kept.iter().all(|hook| hook.tries == 0));
}

#[tokio::test(start_paused = true)]
async fn a_gone_receiver_gets_no_more_and_others_theirs() {
    let rig = Rig::new();
    let carrier = Noting::new(|letter| {
        Some(if letter.url.ends_with("/gone") {
            410
        } else {
            200
        })
    });
    rig.outbox(carrier.clone(), &ALLOWED);
    rig.done("https://a/gone").await;
    rig.settled().await;
    for _ in 0..3 {
        rig.done("https://a/gone").await;
        rig.done("https://a/here").await;
    }
    rig.settled().await;
    assert_eq!(carrier.to("https://a/gone").len(), 1);
    assert_eq!(carrier.to("https://a/here").len(), 3);
    assert_eq!(count(&rig, Delivery::Disabled), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_allowed_any_more_is_not_sent() {
    let rig = Rig::new();
    let carrier = Noting::new(|_| Some(200));
    for url in ["https://elsewhere/x", "https://a/../x", "https://a/ok"] {
        rig.done(url).await;
    }
    rig.outbox(carrier.clone(), &ALLOWED);
    rig.settled().await;
    assert_eq!(carrier.to("https://").len(), 1);
    assert_eq!(count(&rig, Delivery::NotAllowed), 2);
}

#[tokio::test(start_paused = true)]
async fn an_outbox_that_dies_while_it_tells_leaves_the_message_to_the_next() {
    let rig = Rig::new();
    let hanging = Noting::new(|_| None);
    let first = rig.outbox(hanging.clone(), &ALLOWED);
    let id: TaskId = rig.done("https://a/x").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(hanging.to("https://a/").len(), 1);
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    let again = Rig::over(rig.store.clone());
    let carrier = Noting::new(|_| Some(200));
    again.outbox(carrier.clone(), &ALLOWED);
    again.settled().await;
    let (first, second) = (hanging.to("https://a/"), carrier.to("https://a/"));
    assert_eq!(second.len(), 1);
    assert_eq!(
        first[0].1.id, second[0].1.id,
        "the receiver tells by the id that it is the same"
    );
    let body = String::from_utf8(second[0].1.body.to_vec()).unwrap();
    assert!(body.contains(&id.to_string()), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_try_that_breaks_inside_the_gate_is_one_that_failed_and_holds_up_nobody() {
    let rig = Rig::new();
    let carrier = Noting::new(|letter| {
        assert!(!letter.url.starts_with("https://dead/"), "as it was told");
        Some(200)
    });
    rig.outbox(carrier.clone(), &ALLOWED);
    // As many as are tried at the same time, and more to one receiver than it gets at a time.
    for n in 0..20 {
        rig.done(&format!("https://dead/{n}")).await;
    }
    rig.done("https://a/x").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(carrier.to("https://a/").len(), 1);
    assert!(count(&rig, Delivery::Failed) >= 20, "each was tried");
    tokio::time::sleep(Duration::from_hours(120)).await;
    assert_eq!(
        count(&rig, Delivery::GivenUp),
        20,
        "and is given up in time"
    );
    assert!(rig.is_settled().await);
}
