//! The front desk: takes tasks in, knows how each does, and lets nothing happen to one that the machine or another step
//! forbids.

mod books;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use self::books::{Books, Room};
use super::id::TaskId;
use super::port::{
    Advanced, Answer, Filter, Found, Hook, Key, New, SeatChange, Step, Submitted, TaskStore,
};
use super::record::{Fault, Millis, Outcome, Owner, Record, Requested, ResultHead};
use super::state::{Event, Illegal, State};
use crate::session::{Keys, SealError, StoreError};

/// How much the desk takes in, and how long it keeps what is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most tasks of an upstream that are not over.
    pub of_upstream: usize,
    /// Most of these that are one owner's.
    pub of_owner: usize,
    /// How long a result is kept, and an idempotency key.
    pub retention: Duration,
}

/// Tells the time of day.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// A request to be made a task of.
pub struct Submission {
    /// What is asked for, and by whom.
    pub requested: Requested,
    /// Head and body, with the credentials in them.
    pub request: Bytes,
    /// Its idempotency key.
    pub key: Option<Key>,
}

/// What a client gets for its request.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The task.
    pub task: Arc<Record>,
    /// It was there before: the key was seen with the same request.
    pub replayed: bool,
}

/// Why a request does not become a task. Nothing of it is kept.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The owner has as many tasks waiting as it may.
    #[error("{0} tasks of this user are not over yet, as many as may be")]
    OwnerFull(usize),
    /// The upstream has.
    #[error("{0} tasks of this upstream are not over yet, as many as may be")]
    Full(usize),
    /// The key is that of another request.
    #[error("the Idempotency-Key was used for another request")]
    KeyTaken,
    /// It cannot be encrypted.
    #[error("the request cannot be kept: {0}")]
    Seal(#[from] SealError),
    /// It cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a task was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AdvanceError {
    /// There is no such task.
    #[error("there is no such task")]
    Unknown,
    /// Something else happened to it first.
    #[error("something else happened to it first")]
    Stale,
    /// The machine does not know the step.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// It cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a task is not taken back.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// It is at work upstream, which has no word for that.
    #[error("the upstream is at work on it, and cannot be asked to stop")]
    NotCancelable,
    /// It is over.
    #[error("it is over already")]
    Over,
    /// It could not be changed.
    #[error(transparent)]
    Advance(#[from] AdvanceError),
}

/// What a step changes beside the status.
#[derive(Debug, Default)]
pub struct Change {
    /// Its seat.
    pub seat: SeatChange,
    /// What the upstream answered.
    pub answer: Option<Answer>,
    /// What is known of the answer.
    pub result: Option<ResultHead>,
    /// What is known of what became of it.
    pub outcome: Option<Outcome>,
    /// Why it failed.
    pub error: Option<Fault>,
    /// When it may be sent again.
    pub not_before: Option<Millis>,
}

/// Every task that is not over, and those that were over lately.
pub struct Desk {
    store: Arc<dyn TaskStore>,
    keys: Arc<Keys>,
    clock: Clock,
    bounds: Bounds,
    books: Arc<Books>,
    arrivals: mpsc::UnboundedSender<TaskId>,
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Desk")
    }
}

impl Desk {
    /// A desk over `store`, and where the names of tasks come out that are to be worked on: there are never more than
    /// its bounds let in.
    #[must_use]
    pub fn new(
        store: Arc<dyn TaskStore>,
        keys: Arc<Keys>,
        clock: Clock,
        bounds: Bounds,
    ) -> (Self, mpsc::UnboundedReceiver<TaskId>) {
        let (arrivals, arriving) = mpsc::unbounded_channel();
        let desk = Self {
            store,
            keys,
            clock,
            bounds,
            books: Arc::default(),
            arrivals,
        };
        (desk, arriving)
    }

    /// The time of day.
    #[must_use]
    pub fn now(&self) -> Millis {
        (self.clock)().into()
    }

    /// How much it takes in.
    #[must_use]
    pub const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Where tasks are kept.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn TaskStore> {
        &self.store
    }

    /// Takes a task in: once this is done, it is kept for good. It goes on though its client does not wait for it.
    ///
    /// # Errors
    /// [`SubmitError`]; then nothing is kept.
    pub async fn submit(self: &Arc<Self>, submission: Submission) -> Result<Receipt, SubmitError> {
        let desk = self.clone();
        to_its_end(async move { desk.take_in(submission).await }).await
    }

    async fn take_in(&self, submission: Submission) -> Result<Receipt, SubmitError> {
        let Submission {
            requested,
            request,
            key,
        } = submission;
        let room = self.room(&requested)?;
        let id = TaskId::new((self.clock)());
        let sealed = self.keys.seal_request(&id.bytes(), &request)?.into();
        let record = Arc::new(Record::new(id, requested, key.is_some(), self.now()));
        let new = New {
            record: record.clone(),
            sealed,
            key,
        };
        match self.store.submit(new).await? {
            Submitted::New => {
                self.take_up(&record, room);
                Ok(Receipt {
                    task: record,
                    replayed: false,
                })
            }
            Submitted::Other => Err(SubmitError::KeyTaken),
            Submitted::Same(id) => match self.find(id).await? {
                Found::Task(task) => Ok(Receipt {
                    task,
                    replayed: true,
                }),
                // It was forgotten between the two: the key is free by now, or soon.
                Found::Gone(_) | Found::Nothing => Err(SubmitError::KeyTaken),
            },
        }
    }

    fn room(&self, requested: &Requested) -> Result<Room, SubmitError> {
        let Bounds {
            of_upstream,
            of_owner,
            ..
        } = self.bounds;
        self.books.room(requested, of_upstream, of_owner)
    }

    /// Puts a task on the desk that is kept already, and has it worked on.
    pub fn restore(&self, record: &Arc<Record>) {
        let room = self.books.room_regardless(&record.requested);
        self.take_up(record, room);
    }

    fn take_up(&self, record: &Arc<Record>, room: Room) {
        let id = record.id;
        self.books.open(record, room);
        if self.arrivals.send(id).is_err() {
            tracing::debug!(%id, "nobody works any more: the next start takes it up");
        }
    }

    /// A task, from memory where it is there.
    ///
    /// # Errors
    /// When the store has to be asked and does not answer.
    pub async fn find(&self, id: TaskId) -> Result<Found, StoreError> {
        if let Some(task) = self.books.find(id) {
            return Ok(Found::Task(task));
        }
        let found = self.store.task(id).await?;
        if let Found::Task(task) = &found
            && task.status.state().is_done()
        {
            self.books.remember(task.clone());
        }
        Ok(found)
    }

    /// Hears of every change of a task that is not over.
    #[must_use]
    pub fn watch(&self, id: TaskId) -> Option<watch::Receiver<Arc<Record>>> {
        self.books.watch(id)
    }

    /// Makes a step: by the machine, committed before anybody hears of it. It goes on though nobody waits for it.
    ///
    /// # Errors
    /// [`AdvanceError`]; then nothing has changed.
    pub async fn advance(
        self: &Arc<Self>,
        id: TaskId,
        event: Event,
        change: Change,
    ) -> Result<Arc<Record>, AdvanceError> {
        let desk = self.clone();
        to_its_end(async move { desk.step(id, event, change).await }).await
    }

    async fn step(
        &self,
        id: TaskId,
        event: Event,
        change: Change,
    ) -> Result<Arc<Record>, AdvanceError> {
        let before = self.books.find(id).ok_or(AdvanceError::Unknown)?;
        let now = self.now();
        let mut next = before.after(event, now)?;
        let is_done = next.status.state().is_done();
        next.outcome = change.outcome.or(next.outcome);
        next.error = change.error.or(next.error);
        next.result = change.result.or(next.result);
        next.not_before = change.not_before;
        if is_done {
            next.expires = Some(now.after(self.bounds.retention));
        }
        // What never reached the upstream was not executed: the key may be used again (as Stripe's may).
        let release_key = next.keyed && is_done && !next.dispatched;
        next.keyed &= !release_key;
        let next = Arc::new(next);
        let step = Step {
            record: next.clone(),
            fence: before.fence,
            seat: change.seat,
            answer: change.answer,
            forget_request: is_done,
            release_key,
            hook: is_done.then(|| self.hook(&next)).flatten(),
        };
        match self.store.advance(step).await? {
            Advanced::Done => {
                self.books.changed(&next);
                Ok(next)
            }
            Advanced::Stale => Err(AdvanceError::Stale),
        }
    }

    fn hook(&self, task: &Record) -> Option<Hook> {
        let url = task.requested.callback.clone()?;
        Some(Hook {
            id: TaskId::new((self.clock)()),
            task: task.id,
            url,
            body: super::hook::body(task),
            next: self.now(),
            tries: 0,
        })
    }

    /// Takes a task back, as far as that can be.
    ///
    /// # Errors
    /// [`CancelError`]. Once taken back, again is none.
    pub async fn cancel(self: &Arc<Self>, id: TaskId) -> Result<Arc<Record>, CancelError> {
        loop {
            let Found::Task(task) = self.find(id).await.map_err(AdvanceError::Store)? else {
                return Err(AdvanceError::Unknown.into());
            };
            match task.status.state() {
                State::Scheduled => {}
                State::Running => return Err(CancelError::NotCancelable),
                State::Aborted => return Ok(task),
                _ => return Err(CancelError::Over),
            }
            match self.advance(id, Event::Abort, Change::default()).await {
                // It went up meanwhile, or ended: its state says what is to be said.
                Err(AdvanceError::Stale | AdvanceError::Illegal(_)) => {
                    tokio::task::yield_now().await;
                }
                other => return Ok(other?),
            }
        }
    }

    /// Forgets a task that is over. False where it is not.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn forget(&self, id: TaskId) -> Result<bool, StoreError> {
        let until = self.now().after(self.bounds.retention);
        let gone = self.store.forget(id, until).await?;
        if gone {
            self.books.forget(id);
        }
        Ok(gone)
    }

    /// The upstream's answer to a task.
    ///
    /// # Errors
    /// When the store does not say.
    pub async fn answer(&self, id: TaskId) -> Result<Option<Answer>, StoreError> {
        self.store.answer(id).await
    }

    /// The request of a task, with its credentials.
    ///
    /// # Errors
    /// When the store does not say.
    pub async fn request(&self, id: TaskId) -> Result<Option<Bytes>, StoreError> {
        let Some(sealed) = self.store.request(id).await? else {
            return Ok(None);
        };
        let opened = self.keys.unseal_request(&id.bytes(), &sealed);
        opened
            .map(|request| Some(request.into()))
            .map_err(|error| StoreError {
                lasting: true,
                what: format!(
                    "the request of task {id} cannot be read: {error}; was state.key_file replaced?"
                ),
            })
    }

    /// Tasks by `filter`, the newest first. They are read from the store: what is on the desk takes their place.
    ///
    /// # Errors
    /// When the store does not say.
    pub async fn list(
        &self,
        filter: &Filter,
        before: Option<TaskId>,
        most: usize,
    ) -> Result<Vec<Arc<Record>>, StoreError> {
        self.store.list(filter, before, most).await
    }

    /// Where a waiting task stands among those of its upstream that wait: 1 is next. By age: users take turns, so that
    /// one of few tasks comes sooner.
    #[must_use]
    pub fn position(&self, task: &Record) -> Option<usize> {
        self.books.position(task)
    }

    /// Tasks that are not over, by state.
    #[must_use]
    pub fn counts(&self, upstream: &str) -> [(State, u64); 2] {
        self.books.counts(upstream)
    }

    /// Every task on the desk that is not over.
    #[must_use]
    pub fn open(&self) -> Vec<Arc<Record>> {
        self.books.all_open()
    }

    /// Whether `viewer` may see it.
    #[must_use]
    pub fn is_for(task: &Record, viewer: &Owner, upstream: &str) -> bool {
        task.requested.owner == *viewer && *task.requested.upstream == *upstream
    }
}

/// Does `work` to its end, whether or not somebody still waits for it: what the store was told, the desk has to know.
async fn to_its_end<T, E>(work: impl Future<Output = Result<T, E>> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    match tokio::spawn(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(E::from(StoreError {
            lasting: false,
            what: "the gate is stopping".to_owned(),
        })),
    }
}
