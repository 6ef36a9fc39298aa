//! What is said at the desk: what is handed in, what comes back, and why not.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::session::{SealError, StoreError};
use crate::task::parcel::Parcel;
use crate::task::port::{Answer, Keep, Key, Most, SeatChange};
use crate::task::raw::Raw;
use crate::task::record::{Fault, Millis, Mode, Outcome, Record, Requested, ResultHead};
use crate::task::state::Illegal;

/// How much the desk takes in, and how long it keeps what is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most tasks of an upstream that are not over.
    pub of_upstream: usize,
    /// Most of these that are one owner's, or, where no user is proven, of all who come from one place.
    pub of_owner: usize,
    /// How long a result is kept.
    pub retention: Duration,
}

impl Bounds {
    /// How long an idempotency key is kept, with its task, and what is left of one that was forgotten: a day at least.
    #[must_use]
    pub fn keys_for(&self) -> Duration {
        self.retention.max(Duration::from_hours(24))
    }

    /// How long a task is kept that is over, with its key where it has one.
    #[must_use]
    pub fn kept_for(&self, is_keyed: bool) -> Duration {
        if is_keyed {
            self.keys_for()
        } else {
            self.retention
        }
    }
}

/// How much is kept of what is over, beside the time that [`Bounds`] say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeping {
    /// Tasks and their tombstones.
    pub keep: Keep,
    /// How long a task without a key is kept that the upstream never executed, or that it refused to somebody whom it has
    /// never accepted; no longer than [`Bounds::retention`].
    pub slight: Duration,
}

impl Default for Keeping {
    /// Nothing but time bounds them.
    fn default() -> Self {
        let most = Most {
            tasks: usize::MAX,
            bytes: u64::MAX,
        };
        Self {
            keep: Keep {
                of_all: most,
                of_one: most,
                tombstones: usize::MAX,
            },
            slight: Duration::MAX,
        }
    }
}

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
    /// The owner, or all from its place who are not proven, have as many tasks that are not over as may be.
    #[error("{0} tasks of this user, or from its place, are not over yet, as many as may be")]
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

/// Why the request of a task is not at hand.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// It cannot be opened: it is damaged, or was sealed with another key.
    #[error("it cannot be opened: {0}; was state.key_file replaced?")]
    Closed(#[from] SealError),
    /// The store does not say.
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
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Its seat.
    pub seat: SeatChange,
    /// What goes up from now on, in the place of what is kept.
    pub request: Option<Box<Parcel>>,
    /// What the upstream answered.
    pub answer: Option<Answer>,
    /// What it said of its own task, of which the answer was made.
    pub raw: Option<Box<Raw>>,
    /// What is known of the answer.
    pub result: Option<ResultHead>,
    /// What is known of what became of it.
    pub outcome: Option<Outcome>,
    /// Why it failed.
    pub error: Option<Fault>,
    /// The upstream's own type of the error.
    pub error_type: Option<Arc<str>>,
    /// When it may be sent again.
    pub not_before: Option<Millis>,
    /// It went up, and was provably not executed: as if it had never left.
    pub not_executed: bool,
    /// Who does the work from now on.
    pub mode: Option<Mode>,
    /// The upstream's own name for it.
    pub upstream_task: Option<Arc<str>>,
    /// What it changes, as that is before it goes up.
    pub earlier: Option<Arc<str>>,
    /// Whether what a compensation would look for is there before it goes up.
    pub stood: Option<bool>,
}
