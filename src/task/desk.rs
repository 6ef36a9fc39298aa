//! The front desk: takes tasks in, knows how each does, and lets nothing happen to one that the machine or another step
//! forbids.

mod after;
mod books;
mod held;
mod keep;
mod live;
mod pace;
mod replay;
mod share;
mod standing;
mod step;
mod words;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};

use self::books::{Books, Room};
use self::held::Held;
pub use self::held::Noted;
pub use self::live::Live;
use self::pace::Pace;
use self::standing::Standing;
pub use self::words::{
    AdvanceError, Bounds, CancelError, Change, Keeping, Receipt, RequestError, Submission,
    SubmitError,
};
use super::after::Rules;
use super::id::{Namer, TaskId};
use super::port::{Filter, Found, New, Submitted, TaskStore};
use super::record::{Millis, Record, Requested};
use super::state::State;
use super::tally::Tally;
use crate::config;
use crate::limit::Memory;
use crate::session::{Keys, StoreError};

/// Tells the time of day.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Every task that is not over, and those that were over lately.
pub struct Desk {
    store: Arc<dyn TaskStore>,
    keys: Arc<Keys>,
    clock: Clock,
    namer: Namer,
    bounds: Bounds,
    books: Arc<Books>,
    pace: Pace,
    arrivals: mpsc::UnboundedSender<TaskId>,
    tally: Tally,
    standing: Standing,
    /// Where the links of messages point: the path that tasks are asked for under.
    prefix: Arc<str>,
    put_out: Notify,
    detaches: bool,
    rules: Rules,
    keeping: Keeping,
    /// Tasks that ended, and who is told each time that these are many more.
    ended: AtomicUsize,
    many_ended: Notify,
    held: Held,
    replays: Memory,
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
            namer: Namer::default(),
            bounds,
            books: Arc::default(),
            pace: Pace::default(),
            arrivals,
            tally: Tally::default(),
            standing: Standing::default(),
            prefix: Arc::from("/-/tasks"),
            put_out: Notify::new(),
            detaches: false,
            rules: Rules::default(),
            keeping: Keeping::default(),
            ended: AtomicUsize::new(0),
            many_ended: Notify::new(),
            held: Held::default(),
            replays: Memory::new(replay::ALL),
        };
        (desk, arriving)
    }

    /// The same, with tasks asked for under `prefix`.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.prefix = Arc::from(prefix);
        self
    }

    /// The same, which lets clients go from blocking calls that are at work, or not.
    #[must_use]
    pub const fn detaching(mut self, detaches: bool) -> Self {
        self.detaches = detaches;
        self
    }

    /// The same, with what the routes of these upstreams say of tasks that would end badly.
    #[must_use]
    pub fn minding(mut self, upstreams: &[config::Upstream]) -> Self {
        self.rules = Rules::new(upstreams);
        self
    }

    /// What became of tasks since the start.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Why the store counts as lost; `None` while it takes what it is given.
    #[must_use]
    pub fn store_lost(&self) -> Option<String> {
        self.standing.lost()
    }

    /// Asks the store whether it could be written to, and notes what it says.
    pub async fn check_store(&self) {
        self.standing.heard(&self.store.check().await);
    }

    /// Waits until a message was put into the outbox.
    pub async fn hook_put_out(&self) {
        self.put_out.notified().await;
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
        let id = self.new_id();
        self.submit_as(id, submission, ()).await
    }

    /// A name for a task that is about to be handed in.
    #[must_use]
    pub fn new_id(&self) -> TaskId {
        self.namer.next((self.clock)())
    }

    /// As [`Desk::submit`], for a request that names its task: `id` comes from [`Desk::new_id`]. `meanwhile` is kept until
    /// it is decided, though nobody waits for that any more.
    ///
    /// # Errors
    /// [`SubmitError`]; then nothing is kept.
    pub async fn submit_as(
        self: &Arc<Self>,
        id: TaskId,
        submission: Submission,
        meanwhile: impl Send + 'static,
    ) -> Result<Receipt, SubmitError> {
        let desk = self.clone();
        let taken_in = async move {
            let receipt = desk.take_in(id, submission).await;
            drop(meanwhile);
            receipt
        };
        to_its_end(taken_in).await
    }

    async fn take_in(&self, id: TaskId, submission: Submission) -> Result<Receipt, SubmitError> {
        let Submission {
            requested,
            request,
            key,
        } = submission;
        let room = match (self.room(&requested), &key) {
            (Ok(room), _) => room,
            // What is there already needs no room.
            (Err(full), Some(key)) => match self.store.keyed(key).await? {
                Some(taken) => return self.known(taken).await,
                None => return Err(full),
            },
            (Err(full), None) => return Err(full),
        };
        let sealed = self.keys.seal_request(&id.bytes(), &request)?.into();
        let record = Arc::new(Record::new(id, requested, key.is_some(), self.now()));
        let new = New {
            record: record.clone(),
            sealed,
            key,
        };
        let submitted = self.store.submit(new).await;
        self.standing.heard(&submitted);
        match submitted? {
            Submitted::New => {
                self.take_up(&record, room);
                Ok(Receipt {
                    task: record,
                    replayed: false,
                })
            }
            taken => self.known(taken).await,
        }
    }

    /// The task whose key came again.
    async fn known(&self, taken: Submitted) -> Result<Receipt, SubmitError> {
        let Submitted::Same(id) = taken else {
            return Err(SubmitError::KeyTaken);
        };
        match self.find(id).await? {
            Found::Task(task) => Ok(Receipt {
                task,
                replayed: true,
            }),
            // It was forgotten between the two: the key is free by now, or soon.
            Found::Gone(_) | Found::Nothing => Err(SubmitError::KeyTaken),
        }
    }

    fn room(&self, requested: &Requested) -> Result<Room, SubmitError> {
        // What is taken in now could not be read either.
        self.standing.readable()?;
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
        self.books.open(record, room);
        self.announce(record.id);
    }

    /// Has a task worked on that is on the desk.
    fn announce(&self, id: TaskId) {
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
        let forgotten = self.books.forgotten();
        let found = self.store.task(id).await?;
        if let Found::Task(task) = &found
            && task.status.state().is_done()
        {
            self.books.remember(task.clone(), forgotten);
        }
        Ok(found)
    }

    /// Hears of every change of a task that is not over.
    #[must_use]
    pub fn watch(&self, id: TaskId) -> Option<watch::Receiver<Arc<Record>>> {
        self.books.watch(id)
    }

    /// The request of a task, with its credentials; none where it is not kept any more.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(&self, id: TaskId) -> Result<Option<Bytes>, RequestError> {
        let Some(sealed) = self.store.request(id).await? else {
            return Ok(None);
        };
        let opened = self.keys.unseal_request(&id.bytes(), &sealed)?;
        Ok(Some(opened.into()))
    }

    /// Tasks by `filter`, the newest first, from the store: it never knows less than the desk.
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

    /// How long runs on this route take; none where none ended yet.
    #[must_use]
    pub fn expected_run(&self, upstream: &str, route: &str) -> Option<Duration> {
        self.pace.mean(upstream, route)
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
