//! The way to the store: what is written when, what a failing store costs, and what is told of it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::*;
use crate::limit::Mutex;

#[derive(Debug, Default)]
struct Inside {
    kept: BTreeMap<SessionKey, Record>,
    /// Sizes of the transactions.
    applied: Vec<usize>,
    fails: Option<StoreError>,
    checks: usize,
    /// Never answers.
    hangs: bool,
}

/// A store that fails when told to.
#[derive(Debug, Default)]
struct Moody(Mutex<Inside>);

impl Moody {
    fn set(&self, fails: Option<(bool, &str)>) {
        self.0.lock().fails = fails.map(|(lasting, what)| StoreError {
            lasting,
            what: what.to_owned(),
        });
    }

    fn kept(&self) -> usize {
        self.0.lock().kept.len()
    }

    async fn mood(&self) -> Result<(), StoreError> {
        if self.0.lock().hangs {
            std::future::pending::<()>().await;
        }
        self.0.lock().fails.clone().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl SessionStore for Moody {
    async fn load(&self, _: usize) -> Result<Vec<Record>, StoreError> {
        Ok(self.0.lock().kept.values().cloned().collect())
    }

    async fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        self.mood().await?;
        let mut inside = self.0.lock();
        inside.applied.push(changes.len());
        for change in changes {
            match change {
                Change::Put(record) => drop(inside.kept.insert(record.key, *record.clone())),
                Change::Touch(key, used) => {
                    let known = inside.kept.get_mut(key);
                    known
                        .into_iter()
                        .for_each(|record| record.last_used = *used);
                }
                Change::Remove(key) => drop(inside.kept.remove(key)),
            }
        }
        Ok(())
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.0.lock().checks += 1;
        self.mood().await
    }

    async fn close(&self) {}
}

/// A ledger, its store, and a clock that stands until it is set.
struct Desk {
    rig: Rig,
    store: Arc<Moody>,
    clock: Arc<Mutex<u64>>,
}

impl Desk {
    fn new() -> Self {
        Self {
            rig: Rig::holding(20_000),
            store: Arc::default(),
            clock: Arc::default(),
        }
    }

    fn writer(&self) -> Writer<Seat> {
        let clock = Arc::clone(&self.clock);
        let ledger = Arc::clone(&self.rig.ledger);
        let store = Arc::clone(&self.store) as Arc<dyn SessionStore>;
        Writer::new(ledger, store, move || at(*clock.lock()))
    }

    fn set(&self, millis: u64) {
        *self.clock.lock() = millis;
    }

    fn standing(&self, writer: &Writer<Seat>) -> Standing {
        writer
            .health()
            .standing(&self.rig.ledger, ms(*self.clock.lock()))
    }
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "not within 20 s: {what}");
}

/// Runs the writer beside `story`, and gives it back when that is told.
async fn beside(mut writer: Writer<Seat>, story: impl Future<Output = ()>) -> Writer<Seat> {
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(async move {
        let stopped = async move { drop(stopped.await) };
        writer.run(stopped).await;
        writer
    });
    story.await;
    drop(stop);
    running.await.unwrap()
}

#[tokio::test]
async fn what_opens_and_closes_is_written_at_once() {
    let desk = Desk::new();
    let story = async {
        let _ = desk.rig.open("a", "alice", 1);
        let _ = desk.rig.adopt("b", 1, 1);
        until("both are kept", || desk.store.kept() == 2).await;
        desk.rig.close("a", 2);
        until("one is forgotten", || desk.store.kept() == 1).await;
        desk.rig
            .ledger
            .name(&desk.rig.key("b"), user("bob"), |_| (), ms(3));
        let named = || {
            desk.store
                .0
                .lock()
                .kept
                .values()
                .all(|one| one.user == Some(user("bob")))
        };
        until("the name is kept", named).await;
    };
    let writer = beside(desk.writer(), story).await;
    let standing = desk.standing(&writer);
    assert_eq!(
        (standing.waiting, standing.lost, standing.failures),
        (0, None, 0)
    );
}

#[tokio::test]
async fn a_session_that_the_store_never_heard_of_leaves_nothing() {
    let desk = Desk::new();
    let mut writer = desk.writer();
    for now in 0..1000 {
        let _ = desk.rig.open("t", "alice", now * 2);
        desk.rig.close("t", now * 2 + 1);
    }
    assert_eq!(desk.standing(&writer).waiting, 0);
    writer.flush(Duration::from_secs(10)).await.unwrap();
    assert_eq!(desk.store.0.lock().applied, [] as [usize; 0]);
}

#[tokio::test]
async fn while_the_store_is_away_changes_are_bounded_by_sessions() {
    let desk = Desk::new();
    let mut writer = desk.writer();
    let _ = desk.rig.open("kept", "alice", 1);
    writer.flush(Duration::from_secs(10)).await.unwrap();
    desk.store.set(Some((false, "away")));
    for now in (10..50_000).step_by(2) {
        let _ = desk.rig.open("kept", "alice", now);
        let _ = desk.rig.open(&format!("t{}", now % 7), "alice", now);
        desk.rig.close("kept", now + 1);
        desk.rig.close(&format!("t{}", now % 7), now + 1);
    }
    assert_eq!(
        desk.standing(&writer).waiting,
        1,
        "only the store's own one is to be forgotten"
    );
    assert!(writer.flush(Duration::from_millis(1)).await.is_err());
    assert_eq!(desk.standing(&writer).waiting, 1);
    desk.store.set(None);
    writer.flush(Duration::from_secs(10)).await.unwrap();
    assert_eq!((desk.store.kept(), desk.standing(&writer).waiting), (0, 0));
}

#[tokio::test]
async fn last_uses_are_written_now_and_then() {
    let desk = Desk::new();
    let mut writer = desk.writer();
    let _ = desk.rig.open("t", "alice", 0);
    writer.flush(Duration::from_secs(10)).await.unwrap();
    let used = || desk.store.0.lock().kept.values().next().unwrap().last_used;
    // The clock stands: ten thousand uses are no reason to write.
    for now in 1..10_000 {
        desk.rig.find("t", now % 4000);
    }
    writer = beside(writer, async { tokio::task::yield_now().await }).await;
    assert_eq!(used(), wall(0));
    desk.set(5000);
    writer = beside(writer, until("it is written", || used() == wall(3999))).await;
    assert_eq!(desk.store.0.lock().applied, [1, 1]);
    desk.rig.find("t", 6000);
    desk.set(6000);
    writer.flush(Duration::from_secs(10)).await.unwrap();
    assert_eq!(used(), wall(6000), "and before the end");
}

#[tokio::test]
async fn large_batches_go_in_parts_and_in_order() {
    let desk = Desk::new();
    for number in 0..10_000 {
        let _ = desk.rig.open(&number.to_string(), "alice", 1);
    }
    let mut writer = desk.writer();
    writer.flush(Duration::from_secs(10)).await.unwrap();
    assert_eq!(desk.store.0.lock().applied, [4096, 4096, 1808]);
    assert_eq!(desk.store.kept(), 10_000);
}

#[tokio::test]
async fn a_failing_store_is_tried_until_it_answers() {
    let desk = Desk::new();
    let writer = desk.writer();
    let health = writer.health();
    desk.store.set(Some((false, "away")));
    let standing = |now| health.standing(&desk.rig.ledger, ms(now));
    let story = async {
        desk.set(1000);
        let _ = desk.rig.open("t", "alice", 1000);
        until("it failed twice", || standing(1000).failures >= 2).await;
        assert_eq!(standing(5999).lost, None, "one short failure is no loss");
        let later = standing(6000);
        assert_eq!(later.lost.as_deref(), Some("away"));
        assert_eq!((later.lag.as_secs(), later.waiting), (5, 1));
        desk.store.set(None);
        until("it is kept", || desk.store.kept() == 1).await;
        until("it is told", || standing(6000).waiting == 0).await;
        assert_eq!(
            (standing(9000).lost, standing(9000).lag),
            (None, Duration::ZERO)
        );
    };
    beside(writer, story).await;
}

#[tokio::test]
async fn what_needs_a_person_is_told_at_once() {
    let desk = Desk::new();
    let mut writer = desk.writer();
    desk.store.set(Some((true, "read-only")));
    let _ = desk.rig.open("t", "alice", 0);
    let said = writer.flush(Duration::from_millis(50)).await.unwrap_err();
    assert_eq!((said.lasting, said.what.as_str()), (true, "read-only"));
    assert_eq!(desk.standing(&writer).lost.as_deref(), Some("read-only"));
}

#[tokio::test]
async fn a_quiet_gate_asks_whether_the_store_is_there() {
    let desk = Desk::new();
    let mut writer = desk.writer();
    writer.flush(Duration::from_secs(10)).await.unwrap();
    assert!(desk.store.0.lock().checks > 0);
    desk.store.set(Some((true, "gone")));
    assert!(writer.flush(Duration::from_millis(1)).await.is_err());
    assert_eq!(desk.standing(&writer).lost.as_deref(), Some("gone"));
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_lost() {
    let desk = Desk::new();
    let writer = desk.writer();
    let health = writer.health();
    desk.store.0.lock().hangs = true;
    let _ = desk.rig.open("t", "alice", 0);
    let story = async {
        let lost = |now| health.standing(&desk.rig.ledger, ms(now)).lost;
        until("it is asked", || lost(5000).is_some()).await;
        assert_eq!(lost(4999), None);
    };
    let mut writer = beside(writer, story).await;
    // Stopped in the middle: what was not acknowledged is written by the flush.
    desk.store.0.lock().hangs = false;
    writer.flush(Duration::from_secs(10)).await.unwrap();
    assert_eq!(desk.store.kept(), 1);
}

#[tokio::test]
async fn a_restart_keeps_sessions_and_drops_what_cannot_be_kept() {
    let desk = Desk::new();
    let mut writer = desk.writer();
    for (token, now) in [("old", 0), ("young", 900), ("gone", 900)] {
        let _ = desk.rig.open(token, "alice", now);
    }
    let credential = Credential {
        token: Token::new(b"t"),
        xsrf: None,
    };
    let other = Keys::derive(&[9; KEY_LEN]).unwrap();
    desk.set(900);
    writer.flush(Duration::from_secs(10)).await.unwrap();
    let mut records = desk.store.load(100).await.unwrap();
    let mut foreign = records[0].clone();
    foreign.key = SessionKey::new([9; 16]);
    foreign.last_used = wall(900);
    foreign.sealed = other.seal(&foreign.key, &credential).ok();
    desk.store
        .apply(&[Change::Put(Box::new(foreign.clone()))])
        .await
        .unwrap();
    records.push(foreign);
    let gone = desk.rig.key("gone");
    let next = Desk {
        store: Arc::clone(&desk.store),
        ..Desk::new()
    };
    let now = Now {
        moment: ms(50),
        wall: wall(1100),
    };
    let bound = |_: &str, _| Some(Duration::from_millis(1000));
    let seats = &next.rig.seats;
    let place = |record: &mut Record| (record.key != gone).then(|| (3, seats.seat().unwrap()));
    let said = next.rig.ledger.restore(records, now, bound, place);
    let wanted = Restored {
        kept: 1,
        idle: 1,
        unreadable: 1,
        homeless: 1,
        surplus: 0,
    };
    assert_eq!(said, wanted);
    next.rig.balanced(1);
    let row = &next.rig.ledger.rows(now.moment)[0];
    assert_eq!((row.idle.as_millis(), row.age.as_millis()), (200, 200));
    assert_eq!(next.rig.find("young", 60).unwrap().upstream, 3);
    let mut writer = next.writer();
    writer.flush(Duration::from_secs(10)).await.unwrap();
    assert_eq!(next.store.kept(), 1, "the others are forgotten");
}
