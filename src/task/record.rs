//! What is known of a task, but for its request and its answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::id::TaskId;
use super::port::Tombstone;
use super::state::{Event, Illegal, Moved, State, Status};
use crate::call::{SessionKey, place};

/// A time of day: milliseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// This long after.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(by))
    }

    /// From then to here; zero if that is yet to come.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<SystemTime> for Millis {
    fn from(at: SystemTime) -> Self {
        let since = at.duration_since(SystemTime::UNIX_EPOCH);
        Self::default().after(since.unwrap_or_default())
    }
}

impl From<Millis> for SystemTime {
    fn from(at: Millis) -> Self {
        Self::UNIX_EPOCH + Duration::from_millis(at.0)
    }
}

/// Whose a task is: only the same may see it. A user where one is proven, else credentials by their hash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub Arc<str>);

/// Who asks for a task: everything that it has shown to be, and on which upstream it asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer {
    /// The upstream whose listener, by its host, was asked.
    pub upstream: Arc<str>,
    /// The user it is proven to be, and the hash of the credentials it showed: either may own a task.
    pub owners: Vec<Owner>,
}

impl Viewer {
    /// Whether it may hear that there was a task of which this is left.
    #[must_use]
    pub fn may_mourn(&self, left: &Tombstone) -> bool {
        let upstream = left.upstream.as_ref();
        self.owners.contains(&left.owner)
            && upstream.is_none_or(|upstream| *upstream == self.upstream)
    }

    /// Whether it may see this task, or hear that it exists.
    #[must_use]
    pub fn may_see(&self, task: &Record) -> bool {
        task.requested.upstream == self.upstream && self.owners.contains(&task.requested.owner)
    }
}

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The gate holds the blocking call itself.
    Queued,
    /// The upstream's own task does it.
    Native,
    /// The gate made it one call with others, and holds that.
    Merged,
}

/// How often a request may be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// Once at most: it is never sent again unless it provably did nothing (RFC 9110 section 9.2.2).
    AtMostOnce,
    /// Again does no harm: what is in doubt is sent once more.
    AtLeastOnce,
}

/// What a JSON-RPC or SOAP body asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The service of a JSON-RPC call.
    pub service: Option<String>,
    /// The operation.
    pub name: String,
}

/// What was asked for, and by whom. Nothing of it is secret: the head and the body are kept apart, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    /// Name of the upstream.
    pub upstream: Arc<str>,
    /// Name of the route that made it a task.
    pub route: Arc<str>,
    /// The limit whose seat it takes, by its name.
    pub pool: Arc<str>,
    /// Method.
    pub method: String,
    /// Path and query as they may be shown: values of secret parameters, and what is longer than a log takes, stand in the
    /// sealed request alone.
    pub target: String,
    /// What the body asks for, where the head does not say.
    pub operation: Option<Operation>,
    /// SHA-256 of the body.
    pub body_sha256: [u8; 32],
    /// Whose it is.
    pub owner: Owner,
    /// The user, where one is proven: for whom it is counted.
    pub user: Option<Arc<str>>,
    /// The login session it was made in.
    pub session: Option<SessionKey>,
    /// Where it came from.
    pub address: IpAddr,
    /// How often it may be executed.
    pub replay: Replay,
    /// When it is too late to begin.
    pub start_deadline: Option<Millis>,
    /// Longest run.
    pub run_for: Duration,
    /// Who is told of its end.
    pub callback: Option<Arc<str>>,
    /// The `X-Request-ID` that its client sent.
    pub request_id: Option<Arc<str>>,
}

impl Requested {
    /// The share of the place it comes from, where no user is proven: it is that of all who come from there together, for
    /// anybody can make credentials up, and new ones for each task.
    #[must_use]
    pub fn of_place(&self) -> Option<Owner> {
        let place = || Owner(format!("from:{}", place(self.address)).into());
        self.user.is_none().then(place)
    }

    /// In whose share of what is kept it counts once it is over.
    #[must_use]
    pub fn share(&self) -> Owner {
        self.of_place().unwrap_or_else(|| self.owner.clone())
    }
}

/// What the gate knows of what became of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream said.
    Known,
    /// The answer was lost: it may have been done.
    Unknown,
    /// It was provably not done.
    NotApplied,
}

/// Why a task failed, as a problem of RFC 9457.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The last part of its type, below `/-/problems/`.
    pub kind: &'static str,
    /// Status that `/result` answers with, where the upstream said none.
    pub status: u16,
    /// What happened, for the client.
    pub detail: String,
}

/// Where a result comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The upstream's answer to the call itself.
    Answer,
    /// What a probe found.
    Probe,
}

/// What is known of an answer without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultHead {
    /// Its status.
    pub status: u16,
    /// Its media type.
    pub content_type: Option<String>,
    /// Bytes of its body.
    pub bytes: u64,
    /// Where it comes from.
    pub source: Source,
}

/// How a task belongs to another: what is done because one ended badly is a task of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bond {
    /// It ended badly; that one makes up for it.
    CompensatedBy(TaskId),
    /// It makes up for that one.
    Compensates(TaskId),
}

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub id: TaskId,
    /// What was asked for, and by whom.
    pub requested: Requested,
    /// Where it stands.
    pub status: Status,
    /// Grows by one with each change: its `ETag`.
    pub version: u64,
    /// Grows by one each time it goes up: who holds an older one is too late to say anything.
    pub fence: u64,
    /// Who does the work.
    pub mode: Mode,
    /// Everything that happened to it.
    pub history: Vec<Moved>,
    /// A byte of it may have reached the upstream.
    pub dispatched: bool,
    /// How often it went up.
    pub attempts: u32,
    /// Not to be sent up before.
    pub not_before: Option<Millis>,
    /// When its run is cut short.
    pub deadline: Option<Millis>,
    /// The upstream's own name for it.
    pub upstream_task: Option<Arc<str>>,
    /// What it changes, as that was before it went up: marks to compare with (`dialect::adapter::Earlier`).
    pub earlier: Option<Arc<str>>,
    /// What is known of what became of it; none while it is not over.
    pub outcome: Option<Outcome>,
    /// Why it failed.
    pub error: Option<Fault>,
    /// The upstream's own type of the error that it answered with.
    pub error_type: Option<Arc<str>>,
    /// What the upstream answered.
    pub result: Option<ResultHead>,
    /// It has an idempotency key, which other calls may meet.
    pub keyed: bool,
    /// The task it belongs to, or that belongs to it.
    pub bond: Option<Bond>,
    /// Whether what a compensation would look for was there before it first went up; none where nobody looked, or the upstream
    /// did not say.
    pub stood: Option<bool>,
    /// It is tried again though an attempt before may have done it.
    pub unproven: bool,
    /// When it was accepted.
    pub created: Millis,
    /// When it first went up.
    pub started: Option<Millis>,
    /// When it last changed.
    pub updated: Millis,
    /// When it was over.
    pub ended: Option<Millis>,
    /// When it is forgotten.
    pub expires: Option<Millis>,
}

impl Record {
    /// A task that was just accepted.
    #[must_use]
    pub fn new(id: TaskId, requested: Requested, keyed: bool, now: Millis) -> Self {
        Self {
            id,
            requested,
            status: Status::Queued,
            version: 1,
            fence: 0,
            mode: Mode::Queued,
            history: Vec::new(),
            dispatched: false,
            attempts: 0,
            not_before: None,
            deadline: None,
            upstream_task: None,
            earlier: None,
            outcome: None,
            error: None,
            error_type: None,
            result: None,
            keyed,
            bond: None,
            stood: None,
            unproven: false,
            created: now,
            started: None,
            updated: now,
            ended: None,
            expires: None,
        }
    }

    /// The task after `event`, as far as the event itself says.
    ///
    /// # Errors
    /// [`Illegal`] when the machine does not know the step.
    pub fn after(&self, event: Event, now: Millis) -> Result<Self, Illegal> {
        let status = self.status.after(event)?;
        let mut next = self.clone();
        next.status = status;
        next.version += 1;
        next.updated = now.max(self.updated);
        next.history.push(Moved {
            event,
            at: next.updated,
        });
        match event {
            Event::Dispatch => {
                next.fence += 1;
                next.attempts += 1;
                next.dispatched = true;
                next.not_before = None;
                next.started.get_or_insert(now);
                next.deadline = Some(now.after(next.requested.run_for));
            }
            // Nothing of it was executed: as if it had never left. But for what may be done twice.
            Event::Refused | Event::Again => {
                next.dispatched = next.may_be_done();
                next.deadline = None;
                // The next time the upstream has another name for it.
                next.upstream_task = None;
            }
            Event::Retry => {
                next.deadline = None;
                next.upstream_task = None;
            }
            _ => {}
        }
        if status.state().is_done() {
            next.ended = Some(next.updated);
        }
        Ok(next)
    }

    /// Whether it is kept for a short time only: the upstream never executed it, or has never accepted who asked for it.
    #[must_use]
    pub fn is_slight(&self) -> bool {
        let state = self.status.state();
        let is_done_well = matches!(state, State::Completed | State::PartialSuccess);
        let is_answered = self.outcome == Some(Outcome::Known);
        !self.dispatched || (self.requested.user.is_none() && is_answered && !is_done_well)
    }

    /// Whether an attempt before may have done it, as nothing proves that it was not executed: what may be done twice is sent
    /// again without a proof.
    #[must_use]
    pub fn may_be_done(&self) -> bool {
        let mut moves = self.history.iter();
        self.requested.replay == Replay::AtLeastOnce
            && (self.unproven || moves.any(|moved| moved.event == Event::Lost))
    }

    /// Whether what became of it was read from the upstream's own task, and not from an answer to its call.
    #[must_use]
    pub fn was_followed(&self) -> bool {
        let mut moves = self.history.iter().rev().map(|moved| moved.event);
        let last =
            moves.find(|event| matches!(event, Event::Dispatch | Event::Started | Event::Found));
        matches!(last, Some(Event::Started | Event::Found))
    }

    /// How often the policy of its route has had it tried once more.
    #[must_use]
    pub fn retries(&self) -> u32 {
        let moves = self.history.iter();
        let retries = moves.filter(|moved| moved.event == Event::Retry).count();
        u32::try_from(retries).unwrap_or(u32::MAX)
    }

    /// Whether it makes up for another.
    #[must_use]
    pub const fn is_compensation(&self) -> bool {
        matches!(self.bond, Some(Bond::Compensates(_)))
    }

    /// Where its history ends, told from the machine alone: where it stands, if nothing is wrong.
    ///
    /// # Errors
    /// [`Illegal`] at the first step that the machine does not know.
    pub fn replayed(&self) -> Result<Status, Illegal> {
        let mut moves = self.history.iter();
        moves.try_fold(Status::Queued, |status, moved| status.after(moved.event))
    }
}
