//! A store that fails when it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tidegate::session::StoreError;
use tidegate::store::Memory;
use tidegate::task::{
    Advanced, Answer, Filter, Found, Hook, HookId, HookOutcome, Kept, Millis, New, Purged, Record,
    Seat, Step, Submitted, TaskId, TaskStore,
};
use tokio::sync::Semaphore;

/// What the store does with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whim {
    /// What it should.
    Works,
    /// Nothing, and says so.
    Refuses,
    /// What it should, and says that it did not.
    Lies,
    /// What it should, a while later.
    Dawdles,
    /// Nothing, and says nothing: the process dies before the step.
    DiesBefore,
    /// What it should, and says nothing: the process dies behind the step.
    DiesBehind,
    /// It breaks, and whoever asked with it.
    Breaks,
}

/// A store of memory, with whims: one for each step, in their order; then it works.
#[derive(Debug, Default)]
pub struct Faulty {
    inner: Memory,
    whims: Mutex<VecDeque<Whim>>,
    /// Whether requests can be read, each time; then as `unreadable` says.
    reads: Mutex<VecDeque<bool>>,
    /// Requests cannot be read until this is taken back.
    pub unreadable: AtomicBool,
    failed: AtomicUsize,
    /// What is kept of the request of this task is damaged.
    pub damaged: Mutex<Option<TaskId>>,
    /// Whoever reads the request of this task waits until this is closed.
    pub held_back: Mutex<Option<(TaskId, Arc<Semaphore>)>>,
    /// Whoever reads a task has read it, and comes back when this is let go.
    pub slow: Mutex<Option<Arc<Semaphore>>>,
    pub slowed: AtomicUsize,
    /// Whoever gives a seat back waits for ever, from now on.
    pub stuck: AtomicBool,
    /// Seats that somebody gives back, or gave.
    pub freed: Mutex<Vec<TaskId>>,
    /// Seats of calls, as a store that outlives the process remembers them; none where it is not one.
    seats: Option<Mutex<BTreeMap<TaskId, Seat>>>,
}

impl Faulty {
    pub fn new(whims: &[Whim]) -> Arc<Self> {
        Arc::new(Self {
            inner: Memory::default(),
            whims: Mutex::new(whims.iter().copied().collect()),
            ..Self::default()
        })
    }

    /// One that remembers seats, as those that outlive the process do.
    pub fn remembering() -> Arc<Self> {
        Arc::new(Self {
            seats: Some(Mutex::default()),
            ..Self::default()
        })
    }

    /// One whose requests can be read so.
    pub fn reading(reads: &[bool]) -> Arc<Self> {
        Arc::new(Self {
            reads: Mutex::new(reads.iter().copied().collect()),
            ..Self::default()
        })
    }

    /// How often a request could not be read.
    pub fn failed(&self) -> usize {
        self.failed.load(Ordering::SeqCst)
    }

    pub fn left(&self) -> usize {
        self.whims.lock().unwrap().len()
    }
}

fn fails() -> StoreError {
    StoreError {
        lasting: false,
        what: "it does not want to".to_owned(),
    }
}

#[async_trait]
impl TaskStore for Faulty {
    async fn submit(&self, new: New) -> Result<Submitted, StoreError> {
        self.inner.submit(new).await
    }

    async fn advance(&self, step: Step) -> Result<Advanced, StoreError> {
        let whim = self.whims.lock().unwrap().pop_front();
        match whim.unwrap_or(Whim::Works) {
            Whim::Works => self.inner.advance(step).await,
            Whim::Refuses => Err(fails()),
            Whim::Breaks => panic!("the store breaks, as it was told"),
            Whim::Dawdles => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                self.inner.advance(step).await
            }
            Whim::DiesBefore => std::future::pending().await,
            Whim::DiesBehind => {
                self.inner.advance(step).await?;
                std::future::pending().await
            }
            Whim::Lies => {
                self.inner.advance(step).await?;
                Err(fails())
            }
        }
    }

    async fn task(&self, id: TaskId) -> Result<Found, StoreError> {
        let found = self.inner.task(id).await;
        let slow = self.slow.lock().unwrap().clone();
        if let Some(slow) = slow {
            self.slowed.fetch_add(1, Ordering::SeqCst);
            slow.acquire().await.unwrap().forget();
        }
        found
    }

    async fn task_of(&self, upstream: &str, name: &str) -> Result<Option<TaskId>, StoreError> {
        self.inner.task_of(upstream, name).await
    }

    async fn request(&self, id: TaskId) -> Result<Option<Bytes>, StoreError> {
        let next = self.reads.lock().unwrap().pop_front();
        let can = next.unwrap_or_else(|| !self.unreadable.load(Ordering::SeqCst));
        if !can {
            self.failed.fetch_add(1, Ordering::SeqCst);
            return Err(StoreError {
                lasting: true,
                ..fails()
            });
        }
        let held_back = self.held_back.lock().unwrap().clone();
        if let Some((_, until)) = held_back.filter(|(task, _)| *task == id) {
            drop(until.acquire().await);
        }
        if *self.damaged.lock().unwrap() == Some(id) {
            return Ok(Some(Bytes::from_static(b"damaged")));
        }
        self.inner.request(id).await
    }

    async fn answer(&self, id: TaskId) -> Result<Option<Answer>, StoreError> {
        self.inner.answer(id).await
    }

    async fn unfinished(
        &self,
        after: Option<TaskId>,
        most: usize,
    ) -> Result<Vec<Kept>, StoreError> {
        self.inner.unfinished(after, most).await
    }

    async fn list(
        &self,
        filter: &Filter,
        before: Option<TaskId>,
        most: usize,
    ) -> Result<Vec<Arc<Record>>, StoreError> {
        self.inner.list(filter, before, most).await
    }

    fn remembers(&self) -> bool {
        self.seats.is_some()
    }

    async fn take_seat(&self, seat: &Seat) -> Result<(), StoreError> {
        if let Some(seats) = &self.seats {
            seats.lock().unwrap().insert(seat.id, seat.clone());
        }
        Ok(())
    }

    async fn seats(&self) -> Result<Vec<Seat>, StoreError> {
        let seats = self.seats.as_ref().map(|seats| seats.lock().unwrap());
        Ok(seats.map_or_else(Vec::new, |seats| seats.values().cloned().collect()))
    }

    async fn free_seat(&self, id: TaskId) -> Result<(), StoreError> {
        self.freed.lock().unwrap().push(id);
        if self.stuck.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if let Some(seats) = &self.seats {
            seats.lock().unwrap().remove(&id);
        }
        self.inner.free_seat(id).await
    }

    async fn forget(&self, id: TaskId, until: Millis) -> Result<bool, StoreError> {
        self.inner.forget(id, until).await
    }

    async fn purge(&self, now: Millis, until: Millis, most: usize) -> Result<Purged, StoreError> {
        self.inner.purge(now, until, most).await
    }

    async fn due_hooks(&self, now: Millis, most: usize) -> Result<Vec<Hook>, StoreError> {
        self.inner.due_hooks(now, most).await
    }

    async fn next_hook(&self) -> Result<Option<Millis>, StoreError> {
        self.inner.next_hook().await
    }

    async fn settle_hook(&self, id: HookId, outcome: HookOutcome) -> Result<(), StoreError> {
        self.inner.settle_hook(id, outcome).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        TaskStore::check(&self.inner).await
    }
}
