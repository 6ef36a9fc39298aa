//! The port through which tasks are kept: what every store does, and what each promises.

use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::id::TaskId;
use super::record::{Millis, Owner, Record};
use super::state::State;
use crate::call::Caller;
use crate::session::StoreError;

/// An idempotency key, in its scope (draft-ietf-httpapi-idempotency-key-header-07).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose key it is.
    pub owner: Owner,
    /// Method, authority and target that it is for.
    pub scope: Arc<str>,
    /// The key.
    pub key: Arc<str>,
    /// SHA-256 of everything that makes the request what it is.
    pub fingerprint: [u8; 32],
}

/// A task to be kept, with its request.
#[derive(Debug, Clone)]
pub struct New {
    /// The task.
    pub record: Arc<Record>,
    /// Head and body, encrypted.
    pub sealed: Bytes,
    /// Its idempotency key.
    pub key: Option<Key>,
}

/// What became of a task that was handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submitted {
    /// It is kept.
    New,
    /// The key is that of another task, for the same request.
    Same(TaskId),
    /// The key is that of another task, for another request.
    Other,
}

/// What is done about the seat that a task holds at the upstream. Seats are kept apart from states: a call that a
/// dead process left behind holds its seat though its task is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SeatChange {
    /// Nothing.
    #[default]
    Keep,
    /// It takes one, for this long at most.
    Take {
        /// When it is free whatever happens.
        until: Millis,
    },
    /// It gives it back.
    Free,
}

/// An answer of the upstream, as it is replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// End-to-end fields, in their order.
    pub headers: Vec<(String, Bytes)>,
    /// The body.
    pub body: Bytes,
}

/// One change of a task. All of it is committed, or nothing.
#[derive(Debug, Clone)]
pub struct Step {
    /// The task as it is from now on. Its version is one above that of the task it takes the place of.
    pub record: Arc<Record>,
    /// The fence of the task it takes the place of: whoever has an older one is too late.
    pub fence: u64,
    /// Its seat.
    pub seat: SeatChange,
    /// The upstream's answer.
    pub answer: Option<Answer>,
    /// Head and body, encrypted, in the place of those that are kept: from now on this is what goes up. None where they stay.
    pub resealed: Option<Bytes>,
    /// The request, with the credentials in it, is not needed any more.
    pub forget_request: bool,
    /// Its idempotency key may be used for another task.
    pub release_key: bool,
    /// Somebody is to be told: the task's own receiver, and those of alerts.
    pub hooks: Vec<Hook>,
    /// The task that makes up for this one, which ends badly here. It is kept with the step, or neither is; under its key there
    /// is never a second one.
    pub follows: Option<New>,
}

/// What became of a [`Step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advanced {
    /// It is committed.
    Done,
    /// The task is not what the step thought it was: nothing was changed.
    Stale,
}

/// A task that is not over, or whose seat is not free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The task.
    pub record: Arc<Record>,
    /// Until when it holds a seat.
    pub seat: Option<Millis>,
}

/// Whose a [`Seat`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatOf {
    /// A call that a client held, or one that was lost and whose task went up again.
    Call,
    /// A task whose row cannot be read.
    Unreadable,
}

/// A seat at an upstream that no task which can be read stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// Its name: that of the task, where it is one's.
    pub id: TaskId,
    /// Whose it is.
    pub of: SeatOf,
    /// Name of the upstream.
    pub upstream: Arc<str>,
    /// The limits of which it is a unit, by their names; empty where that is not known.
    pub limits: Vec<Arc<str>>,
    /// The user for whom it counts, and the login session, where there are any.
    pub caller: Caller,
    /// Where it came from; nowhere that is known, where it cannot be read.
    pub address: IpAddr,
    /// When it was taken; nothing where that cannot be read.
    pub since: Option<Millis>,
    /// When it is free whatever happens; nothing where that cannot be read.
    pub until: Option<Millis>,
}

/// Which tasks are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// Of this owner alone; none: of all.
    pub owner: Option<Owner>,
    /// Of this upstream alone.
    pub upstream: Option<Arc<str>>,
    /// In this state alone.
    pub state: Option<State>,
    /// With this `X-Request-ID` alone.
    pub request_id: Option<Arc<str>>,
}

/// The name of an entry of the outbox.
pub type HookId = TaskId;

/// Somebody is to be told of the end of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Name of the message: the same in every attempt.
    pub id: HookId,
    /// The task.
    pub task: TaskId,
    /// Whom.
    pub url: Arc<str>,
    /// What.
    pub body: Bytes,
    /// When it is to be tried next.
    pub next: Millis,
    /// How often it was tried.
    pub tries: u32,
}

/// How long a receiver that is gone (410) is told nothing: then it is tried once more, and may say so again.
pub const GONE_FOR: Duration = Duration::from_hours(90 * 24);
/// Most receivers that are known to be gone; those that were first are forgotten for those that come.
pub const MOST_GONE: usize = 10_000;

/// What became of an attempt to tell somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookOutcome {
    /// It was heard, or is given up: the entry goes.
    Settled,
    /// It was tried, and is to be tried again then.
    Again(Millis),
    /// It was not tried: its turn comes then.
    Later(Millis),
    /// The receiver said then that it is gone (410): every entry for its URL goes, and none is made for it for [`GONE_FOR`].
    Disabled(Millis),
}

/// How much was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    /// Tasks of which a tombstone is left.
    pub tasks: usize,
    /// Tombstones and keys that are gone.
    pub tombstones: usize,
}

/// What is left of a task that was forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// Whose it was.
    pub owner: Owner,
    /// The upstream it was for; none where an older version of the gate did not write it down.
    pub upstream: Option<Arc<str>>,
}

/// So many tasks, with so many bytes: records, requests and answers together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// Tasks.
    pub tasks: usize,
    /// Bytes, about.
    pub bytes: u64,
}

/// How much is kept of what is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Of all tasks.
    pub of_all: Most,
    /// Of those in one share: an owner's, or, where no user is proven, those from one place.
    pub of_one: Most,
    /// Tombstones.
    pub tombstones: usize,
}

/// What is kept of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The task.
    Task(Arc<Record>),
    /// It was forgotten.
    Gone(Tombstone),
    /// Nothing.
    Nothing,
}

/// Where tasks are kept. Several calls run at a time; each is all or nothing. What was acknowledged survives a crash,
/// where anything does.
///
/// Every change compares version and fence with what is kept, so that several gates may share one store; a seat is a
/// row of its own.
#[async_trait]
pub trait TaskStore: Debug + Send + Sync {
    /// Keeps a new task and its key, unless the key is taken.
    async fn submit(&self, new: New) -> Result<Submitted, StoreError>;

    /// What [`TaskStore::submit`] would say to a task with this key; none where it would keep it. A store that does not
    /// say has its desk refuse a key that it knows while there is no room.
    async fn keyed(&self, _: &Key) -> Result<Option<Submitted>, StoreError> {
        Ok(None)
    }

    /// Makes a step, if the task still is what the step takes it for: one version before, with that fence.
    async fn advance(&self, step: Step) -> Result<Advanced, StoreError>;

    /// What is kept of a task.
    async fn task(&self, id: TaskId) -> Result<Found, StoreError>;

    /// The task that the upstream of this name does by its own of that name; none where no task is kept that was.
    async fn task_of(
        &self,
        upstream: &str,
        upstream_task: &str,
    ) -> Result<Option<TaskId>, StoreError>;

    /// The request, encrypted; none once it was forgotten.
    async fn request(&self, id: TaskId) -> Result<Option<Bytes>, StoreError>;

    /// The upstream's answer.
    async fn answer(&self, id: TaskId) -> Result<Option<Answer>, StoreError>;

    /// Tasks that are not over or hold a seat, the oldest first, at most `most`, behind `after`.
    async fn unfinished(&self, after: Option<TaskId>, most: usize)
    -> Result<Vec<Kept>, StoreError>;

    /// Tasks by `filter`, the newest first, at most `most`, before `before`.
    async fn list(
        &self,
        filter: &Filter,
        before: Option<TaskId>,
        most: usize,
    ) -> Result<Vec<Arc<Record>>, StoreError>;

    /// Whether seats outlive the process here.
    fn remembers(&self) -> bool {
        false
    }

    /// Notes a seat that no task which can be read stands for: of a call that a client holds, of one that was lost before its task
    /// went up again, of a task whose row is damaged. One of this name that is there gives place to it. A store that remembers
    /// nothing takes none.
    async fn take_seat(&self, _: &Seat) -> Result<(), StoreError> {
        Ok(())
    }

    /// Every seat that no task which can be read stands for.
    async fn seats(&self) -> Result<Vec<Seat>, StoreError> {
        Ok(Vec::new())
    }

    /// Gives the seat of a task, or of a call that a client held, back, whatever its state. Again is no fault.
    async fn free_seat(&self, id: TaskId) -> Result<(), StoreError>;

    /// Forgets a task that is over, on its owner's word: a tombstone is left until `until`. False where it is not over, or not
    /// there. One that holds a seat is gone for everybody all the same, with its answer and its key; but [`TaskStore::unfinished`]
    /// tells of it until the seat is free, and [`TaskStore::purge`] takes it then.
    async fn forget(&self, id: TaskId, until: Millis) -> Result<bool, StoreError>;

    /// Forgets tasks that expired before `now`, at most `most` at a time, but for those that hold a seat until later;
    /// their tombstones are left until `until`.
    /// Tombstones and keys whose time is up go.
    async fn purge(&self, now: Millis, until: Millis, most: usize) -> Result<Purged, StoreError>;

    /// Forgets tasks that are over until no more are left than `keep` says, at most `most` at a time: those of a share that has
    /// too many first, and those first that expire first, but for those that hold a seat until later than `now`. Their
    /// tombstones are left until `until`; the oldest of all go where there are too many. Says which tasks it forgot. A store
    /// that bounds nothing forgets none.
    async fn trim(
        &self,
        _keep: &Keep,
        (_now, _until): (Millis, Millis),
        _most: usize,
    ) -> Result<Vec<TaskId>, StoreError> {
        Ok(Vec::new())
    }

    /// Entries of the outbox that are due, the oldest first.
    async fn due_hooks(&self, now: Millis, most: usize) -> Result<Vec<Hook>, StoreError>;

    /// When the next entry of the outbox is due; none where it is empty.
    async fn next_hook(&self) -> Result<Option<Millis>, StoreError>;

    /// Notes what became of an entry.
    async fn settle_hook(&self, id: HookId, outcome: HookOutcome) -> Result<(), StoreError>;

    /// Whether it could be written to now.
    async fn check(&self) -> Result<(), StoreError>;
}
