//! What is over is forgotten in time, however the clock is set.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tidegate::session::Keys;
use tidegate::store::Memory;
use tidegate::task::{
    Bounds, Change, Desk, Event, Found, Keep, Keeping, Key, Most, Outcome, Owner, Reaper, Replay,
    Requested, Submission, TaskId,
};

const HOUR: u64 = 3600;
const RETENTION: u64 = 2 * HOUR;

/// A desk whose time of day is set by hand.
struct Rig {
    desk: Arc<Desk>,
    wall: Arc<AtomicU64>,
    reaper: Reaper,
    /// The clock of the process.
    at: u64,
}

impl Rig {
    fn new() -> Self {
        Self::keeping(Keeping::default())
    }

    fn keeping(keeping: Keeping) -> Self {
        let wall = Arc::new(AtomicU64::new(1_000_000));
        let seen = wall.clone();
        let clock = Arc::new(move || {
            SystemTime::UNIX_EPOCH + Duration::from_secs(seen.load(Ordering::Relaxed))
        });
        let bounds = Bounds {
            of_upstream: 10_000,
            of_owner: 10_000,
            retention: Duration::from_secs(RETENTION),
        };
        let keys = Arc::new(Keys::random().unwrap());
        let (desk, _) = Desk::new(Arc::<Memory>::default(), keys, clock, bounds);
        let desk = Arc::new(desk.keeping(keeping));
        Self {
            reaper: Reaper::new(desk.clone(), Duration::ZERO),
            desk,
            wall,
            at: 0,
        }
    }

    async fn ended(&self, key: &str) -> TaskId {
        let id = self.submitted(key).await;
        self.desk.cancel(id).await.unwrap();
        id
    }

    async fn submitted(&self, key: &str) -> TaskId {
        let owner = Owner("user:ada@example".into());
        let submission = Submission {
            requested: requested(&owner),
            request: Bytes::from_static(b"x"),
            key: Some(Key {
                owner,
                scope: "POST /x".into(),
                key: key.into(),
                fingerprint: [0; 32],
            }),
        };
        self.desk.submit(submission).await.unwrap().task.id
    }

    /// Time passes, on both clocks, in ticks of ten seconds.
    async fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds / 10 {
            self.at += 10;
            self.wall.fetch_add(10, Ordering::Relaxed);
            self.reaper
                .round(Duration::from_secs(self.at))
                .await
                .unwrap();
        }
    }

    async fn is_there(&self, id: TaskId) -> bool {
        matches!(self.desk.find(id).await.unwrap(), Found::Task(_))
    }

    async fn has_tombstone(&self, id: TaskId) -> bool {
        matches!(self.desk.find(id).await.unwrap(), Found::Gone(_))
    }
}

fn requested(owner: &Owner) -> Requested {
    Requested {
        upstream: "vc1".into(),
        route: "clone".into(),
        pool: "blocking_tasks".into(),
        method: "POST".to_owned(),
        target: "/x".to_owned(),
        operation: None,
        body_sha256: [0; 32],
        owner: owner.clone(),
        user: None,
        session: None,
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        replay: Replay::AtMostOnce,
        start_deadline: None,
        run_for: Duration::from_secs(60),
        callback: None,
        request_id: None,
    }
}

#[tokio::test]
async fn what_is_over_is_kept_for_its_time_and_its_tombstone_for_a_day_more() {
    let mut rig = Rig::new();
    let id = rig.ended("k").await;
    rig.pass(RETENTION - 10).await;
    assert!(rig.is_there(id).await);
    rig.pass(20).await;
    assert!(rig.has_tombstone(id).await);
    rig.pass(24 * HOUR - 100).await;
    assert!(rig.has_tombstone(id).await);
    rig.pass(200).await;
    assert_eq!(rig.desk.find(id).await.unwrap(), Found::Nothing);
}

#[tokio::test]
async fn a_key_is_kept_for_a_day_with_the_task_that_did_something() {
    let mut rig = Rig::new();
    let id = rig.submitted("k").await;
    for event in [Event::Dispatch, Event::Complete] {
        let change = Change::default();
        rig.desk.advance(id, event, change).await.unwrap();
    }
    rig.pass(24 * HOUR - 100).await;
    assert_eq!(rig.submitted("k").await, id);
    rig.pass(200).await;
    assert!(rig.has_tombstone(id).await);
    assert_ne!(rig.submitted("k").await, id);
}

#[tokio::test]
async fn a_backlog_is_forgotten_in_batches_within_a_few_rounds() {
    let mut rig = Rig::new();
    let mut ids = Vec::new();
    for number in 0..3000 {
        ids.push(rig.ended(&number.to_string()).await);
    }
    rig.pass(RETENTION + 10).await;
    for id in ids {
        assert!(rig.has_tombstone(id).await);
    }
}

#[tokio::test]
async fn a_clock_that_jumps_forward_makes_nothing_expire_at_once() {
    let mut rig = Rig::new();
    let id = rig.ended("k").await;
    rig.wall.fetch_add(1000 * HOUR, Ordering::Relaxed);
    rig.pass(RETENTION / 2 - 10).await;
    assert!(rig.is_there(id).await, "half of its time at least");
    rig.pass(RETENTION / 2 + 30).await;
    assert!(rig.has_tombstone(id).await, "and no more than all of it");
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_nothing_for_ever() {
    let mut rig = Rig::new();
    let id = rig.ended("k").await;
    rig.wall.fetch_sub(200 * HOUR, Ordering::Relaxed);
    rig.pass(RETENTION - 20).await;
    assert!(rig.is_there(id).await);
    let of_now = rig.ended("l").await;
    rig.pass(60).await;
    assert!(
        rig.has_tombstone(id).await,
        "its time has passed by the clock of the process"
    );
    assert!(rig.is_there(of_now).await);
}

/// What is kept of so many tasks.
fn keeping(tasks: usize) -> Keeping {
    let most = Most {
        tasks,
        bytes: u64::MAX,
    };
    Keeping {
        keep: Keep {
            of_all: most,
            of_one: most,
            tombstones: tasks,
        },
        slight: Duration::from_secs(HOUR),
    }
}

#[tokio::test]
async fn what_was_never_executed_is_kept_for_a_short_time() {
    let mut rig = Rig::keeping(keeping(1000));
    let taken_back = rig.ended("a").await;
    let refused = rig.submitted("b").await;
    rig.desk
        .advance(refused, Event::Dispatch, Change::default())
        .await
        .unwrap();
    let change = Change {
        outcome: Some(Outcome::NotApplied),
        not_executed: true,
        ..Change::default()
    };
    rig.desk
        .advance(refused, Event::Fail, change)
        .await
        .unwrap();
    let done = rig.submitted("c").await;
    for event in [Event::Dispatch, Event::Complete] {
        let change = Change::default();
        rig.desk.advance(done, event, change).await.unwrap();
    }
    rig.pass(HOUR - 10).await;
    assert!(rig.is_there(taken_back).await && rig.is_there(refused).await);
    rig.pass(20).await;
    assert!(rig.has_tombstone(taken_back).await && rig.has_tombstone(refused).await);
    assert!(rig.is_there(done).await);
}

#[tokio::test]
async fn no_more_is_kept_than_may_be_however_young_it_is() {
    let mut rig = Rig::keeping(keeping(10));
    let mut ids = Vec::new();
    for number in 0..30 {
        rig.wall.fetch_add(1, Ordering::Relaxed);
        ids.push(rig.ended(&number.to_string()).await);
    }
    rig.pass(10).await;
    for id in &ids[10..20] {
        assert!(rig.has_tombstone(*id).await, "and it is not in memory");
    }
    for id in &ids[20..] {
        assert!(rig.is_there(*id).await);
    }
    let first = rig.desk.find(ids[0]).await.unwrap();
    assert_eq!(first, Found::Nothing, "there are ten tombstones");
}

#[tokio::test]
async fn many_that_end_at_once_are_not_waited_out() {
    let rig = Rig::keeping(keeping(10));
    let reaper = tokio::spawn(rig.reaper.run());
    let desk = rig.desk.clone();
    let first = desk.new_id();
    for number in 0..300 {
        let owner = Owner("user:ada@example".into());
        let submission = Submission {
            requested: requested(&owner),
            request: Bytes::from_static(b"x"),
            key: None,
        };
        let id = if number == 0 { first } else { desk.new_id() };
        desk.submit_as(id, submission, ()).await.unwrap();
        desk.cancel(id).await.unwrap();
    }
    // Long before it looks by itself.
    tokio::time::timeout(Duration::from_secs(5), async {
        while matches!(desk.find(first).await.unwrap(), Found::Task(_)) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    reaper.abort();
}
