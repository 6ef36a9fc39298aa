//! What is said at the desk: what is handed in, what comes back, and why not.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::session::{SealError, StoreError};
use crate::task::port::{Answer, Key, SeatChange};
use crate::task::record::{Fault, Millis, Mode, Outcome, Record, Requested, ResultHead};
use crate::task::state::Illegal;

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
#[derive(Debug, Clone, Default)]
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
    /// It went up, and was provably not executed: as if it had never left.
    pub not_executed: bool,
    /// Who does the work from now on.
    pub mode: Option<Mode>,
    /// The upstream's own name for it.
    pub upstream_task: Option<Arc<str>>,
}
