//! Everything that is gathered, by the resource that it is for; and who sees to each: one driver for each, as long as there is
//! something to do.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use super::plan::Item;
use super::queue::{Asks, Done, Queue, Turn};
use crate::config::Merge;
use crate::limit::Mutex;
use crate::task::id::TaskId;
use crate::task::worker::crew::Told;
use crate::task::worker::works::Works;

/// A resource, by the operation that changes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::task::worker) struct Key {
    pub(super) upstream: usize,
    /// Place of the adapter.
    pub(super) place: usize,
    pub(super) path: Arc<str>,
}

/// How requests for a resource are gathered.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) merge: Arc<Merge>,
    pub(super) period: Duration,
    /// What the crew is told.
    pub(super) told: watch::Receiver<Told>,
}

/// All that is gathered.
#[derive(Debug, Default)]
pub(in crate::task::worker) struct Gathered {
    all: Mutex<All>,
    numbers: AtomicU64,
}

#[derive(Debug, Default)]
struct All {
    queues: HashMap<Key, Queue>,
    /// Tasks that are known of, and have not come yet.
    expected: HashMap<Key, BTreeSet<TaskId>>,
}

impl Gathered {
    /// A task is going to come, or to say that it does not.
    pub(super) fn expect(&self, key: &Key, id: TaskId) {
        let mut all = self.all.lock();
        all.expected.entry(key.clone()).or_default().insert(id);
    }

    /// It has come, or never will.
    pub(super) fn met(&self, key: &Key, id: TaskId) {
        let mut all = self.all.lock();
        all.met(key, id);
        if let Some(queue) = all.queues.get(key) {
            queue.wake.notify_one();
        }
    }

    /// Does something with the queue of a resource.
    pub(super) fn with<T>(&self, key: &Key, work: impl FnOnce(&mut Queue) -> T) -> Option<T> {
        self.all.lock().queues.get_mut(key).map(work)
    }

    /// Drops everything: once this is done, every unit is given back.
    pub(in crate::task::worker) async fn stop(&self) {
        let gone = std::mem::take(&mut *self.all.lock());
        for queue in gone.queues.values() {
            queue.driver.abort();
        }
        for queue in gone.queues.values() {
            while !queue.driver.is_finished() {
                tokio::task::yield_now().await;
            }
        }
    }

    fn turn(&self, key: &Key, number: u64, is_open: impl Fn(TaskId) -> bool) -> Option<Turn> {
        let none = BTreeSet::new();
        let mut all = self.all.lock();
        let All { queues, expected } = &mut *all;
        let queue = queues.get_mut(key).filter(|queue| queue.number == number)?;
        let now = Instant::now();
        queue.prune(now, is_open);
        if queue.is_idle() {
            queues.remove(key);
            return None;
        }
        let expected = expected.get(key).unwrap_or(&none);
        Some(queue.turn(now, expected))
    }

    fn end(&self, key: &Key, number: u64) {
        let mut all = self.all.lock();
        let is_own = all.queues.get(key).is_some_and(|one| one.number == number);
        let gone = if is_own { all.queues.remove(key) } else { None };
        drop(all);
        // Its jobs hear that it broke with nothing locked.
        drop(gone);
    }
}

impl All {
    fn met(&mut self, key: &Key, id: TaskId) {
        if let Some(expected) = self.expected.get_mut(key) {
            expected.remove(&id);
            if expected.is_empty() {
                self.expected.remove(key);
            }
        }
    }
}

/// A task's place among those that are gathered. Dropped, it is given up, unless the task is on its way.
pub(super) struct Place {
    works: Arc<Works>,
    key: Key,
    id: TaskId,
    is_doubt: bool,
}

impl Place {
    /// Leaves, if it is not on its way: false where it is, or is done with.
    pub(super) fn leave(&self) -> bool {
        let gathered = &self.works.gathered;
        let left = gathered.with(&self.key, |queue| queue.leave(self.id));
        left.unwrap_or(false)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (id, is_doubt) = (self.id, self.is_doubt);
        self.works.gathered.with(&self.key, |queue| {
            if is_doubt {
                queue.give_up(id);
            } else {
                queue.leave(id);
            }
        });
    }
}

impl Works {
    /// A task joins those that are gathered; it was accepted so long ago, and was put off until then.
    pub(super) fn gather(
        self: &Arc<Self>,
        (key, way): (&Key, &Way),
        id: TaskId,
        (item, age, put_off): (Item, Duration, Option<Instant>),
    ) -> (Place, oneshot::Receiver<()>) {
        self.enter((key, way), id, |queue, done| {
            queue.join(id, item, done, (Instant::now(), age));
            if let Some(until) = put_off {
                queue.put_off(&[id], until);
            }
        })
    }

    /// A task whose call was lost joins those that are asked after.
    pub(super) fn gather_doubt(
        self: &Arc<Self>,
        (key, way): (&Key, &Way),
        id: TaskId,
        asks: impl FnOnce(Done) -> Asks,
    ) -> (Place, oneshot::Receiver<()>) {
        let (mut place, done) = self.enter((key, way), id, |queue, done| {
            queue.doubt(id, asks(done), Instant::now());
        });
        place.is_doubt = true;
        (place, done)
    }

    fn enter(
        self: &Arc<Self>,
        (key, way): (&Key, &Way),
        id: TaskId,
        enter: impl FnOnce(&mut Queue, Done),
    ) -> (Place, oneshot::Receiver<()>) {
        let (done, hears) = oneshot::channel();
        let mut all = self.gathered.all.lock();
        let queue = all
            .queues
            .entry(key.clone())
            .or_insert_with(|| self.open(key, way));
        enter(queue, done);
        all.met(key, id);
        drop(all);
        let place = Place {
            works: self.clone(),
            key: key.clone(),
            id,
            is_doubt: false,
        };
        (place, hears)
    }

    /// Called with everything locked: the driver that goes off finds its queue entered.
    fn open(self: &Arc<Self>, key: &Key, way: &Way) -> Queue {
        let number = self.gathered.numbers.fetch_add(1, Ordering::Relaxed);
        let wake = Arc::new(Notify::new());
        let work = drive(
            self.clone(),
            key.clone(),
            (number, wake.clone()),
            way.clone(),
        );
        let driver = tokio::spawn(work).abort_handle();
        Queue::new(number, (way.merge.clone(), way.period), wake, driver)
    }
}

/// A driver that goes on. However it ends, its queue is not left behind: the jobs of its tasks begin another.
struct Going<'a> {
    gathered: &'a Gathered,
    key: &'a Key,
    number: u64,
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        self.gathered.end(self.key, self.number);
    }
}

async fn drive(works: Arc<Works>, key: Key, (number, wake): (u64, Arc<Notify>), way: Way) {
    let gathered = &works.gathered;
    let _going = Going {
        gathered,
        key: &key,
        number,
    };
    let is_open = |id| works.desk.watch(id).is_some();
    while let Some(turn) = gathered.turn(&key, number, is_open) {
        match turn {
            Turn::Rest(until) => {
                tokio::select! {
                    () = at(until) => {}
                    () = wake.notified() => {}
                }
            }
            Turn::Merge(calls) => {
                let (making, made) = oneshot::channel();
                let merge = async {
                    works.merge(&key, &way, calls).await;
                    drop(making);
                };
                tokio::join!(merge, meanwhile(&works, (&key, &way), made));
            }
            Turn::Ask(ids) => works.ask_after(&key, &way, &ids).await,
        }
    }
}

/// Asks after what is in doubt while calls are made: they may wait for the very seats that a lost call holds.
async fn meanwhile(
    works: &Arc<Works>,
    (key, way): (&Key, &Way),
    mut made: oneshot::Receiver<Infallible>,
) {
    let gathered = &works.gathered;
    while let Some((ids, next)) = gathered.with(key, |queue| queue.asks(Instant::now())) {
        if !ids.is_empty() {
            works.ask_after(key, way, &ids).await;
            continue;
        }
        tokio::select! {
            biased;
            // It never says anything, and ends with the calls.
            _ = &mut made => return,
            () = sleep_until(next) => {}
        }
    }
}

async fn at(until: Option<Instant>) {
    match until {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
