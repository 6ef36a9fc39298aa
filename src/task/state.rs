//! The states of a task: one machine, one table.

/// What the world is told: seven states (the four that end it without saying more, and three others).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Accepted; it has not reached the upstream.
    Scheduled,
    /// It is, or may be, at work upstream.
    Running,
    /// The upstream did it.
    Completed,
    /// The upstream refused it, or nobody knows what became of it: `outcome` says which.
    Failed,
    /// Taken back before it was done.
    Aborted,
    /// The upstream did some of it.
    PartialSuccess,
    /// Its time was up.
    Expired,
}

impl State {
    /// Every state, in the order in which a task may meet them.
    pub const ALL: [Self; 7] = [
        Self::Scheduled,
        Self::Running,
        Self::Completed,
        Self::Failed,
        Self::Aborted,
        Self::PartialSuccess,
        Self::Expired,
    ];

    /// As it stands in answers and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Running => "RUNNING",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Aborted => "ABORTED",
            Self::PartialSuccess => "PARTIAL_SUCCESS",
            Self::Expired => "EXPIRED",
        }
    }

    /// Whether it is over. What is over never changes again.
    #[must_use]
    pub const fn is_done(self) -> bool {
        !matches!(self, Self::Scheduled | Self::Running)
    }
}

/// Where exactly a task stands that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    missing_docs,
    reason = "each is explained at the status of the same name"
)]
pub enum Substate {
    Queued,
    WaitingRetry,
    Dispatching,
    InFlight,
    Polling,
    Blocked,
    Canceling,
    Reconciling,
}

impl Substate {
    /// As it stands in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::WaitingRetry => "WAITING_RETRY",
            Self::Dispatching => "DISPATCHING",
            Self::InFlight => "IN_FLIGHT",
            Self::Polling => "POLLING",
            Self::Blocked => "BLOCKED",
            Self::Canceling => "CANCELING",
            Self::Reconciling => "RECONCILING",
        }
    }
}

/// State and substate in one, so that none goes with the wrong other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// SCHEDULED: it waits for its turn.
    Queued,
    /// SCHEDULED: it was sent and is to be sent again, as the upstream refused it without executing it, or as the policy of its
    /// route has it tried once more.
    WaitingRetry,
    /// RUNNING: it is about to go up. Committed before its first byte does.
    Dispatching,
    /// RUNNING: it went up; its answer is awaited.
    InFlight,
    /// RUNNING: the upstream's own task does it, which is polled.
    Polling,
    /// RUNNING: the upstream's own task is held up there.
    Blocked,
    /// RUNNING: the upstream was asked to take it back.
    Canceling,
    /// RUNNING: its answer is lost; the gate is finding out what became of it.
    Reconciling,
    /// Over.
    Completed,
    /// Over.
    Failed,
    /// Over.
    Aborted,
    /// Over.
    PartialSuccess,
    /// Over.
    Expired,
}

/// What happens to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// It is about to be sent up: it has every unit that it needs.
    Dispatch,
    /// Its request went up.
    Sent,
    /// The upstream answered with a task of its own.
    Started,
    /// That one is held up.
    HeldUp,
    /// That one goes on.
    WentOn,
    /// The upstream was asked to take it back.
    CancelSent,
    /// It was refused, and provably not executed.
    Refused,
    /// Its answer is lost.
    Lost,
    /// It provably did nothing, or may be done twice: it is to be sent again.
    Again,
    /// The upstream's own task was found that does it.
    Found,
    /// It was done.
    Complete,
    /// It was not done, or nobody knows.
    Fail,
    /// Some of it was done.
    PartlyDone,
    /// It was taken back.
    Abort,
    /// Its time is up.
    Expire,
    /// The upstream would not take it back.
    CancelRefused,
    /// It would have ended badly, and the policy of its route has it tried once more, after a pause.
    Retry,
}

/// What a task did, and when (milliseconds since the epoch): its history is a list of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// What happened.
    pub event: Event,
    /// When.
    pub at: super::Millis,
}

/// A step that the machine does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a task that is {from:?} cannot {event:?}")]
pub struct Illegal {
    /// Where it stood.
    pub from: Status,
    /// What was to happen.
    pub event: Event,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 13] = [
        Self::Queued,
        Self::WaitingRetry,
        Self::Dispatching,
        Self::InFlight,
        Self::Polling,
        Self::Blocked,
        Self::Canceling,
        Self::Reconciling,
        Self::Completed,
        Self::Failed,
        Self::Aborted,
        Self::PartialSuccess,
        Self::Expired,
    ];

    /// What comes of `event`: the whole machine.
    ///
    /// ```text
    ///   QUEUED, WAITING_RETRY ──dispatch──▶ DISPATCHING ──sent──▶ IN_FLIGHT
    ///   DISPATCHING, IN_FLIGHT ──refused──▶ WAITING_RETRY ◀──refused── POLLING, BLOCKED (taken, and not made)
    ///   DISPATCHING, IN_FLIGHT ──started──▶ POLLING ──held up──▶ BLOCKED ──went on──▶ POLLING
    ///                                       POLLING, BLOCKED ──cancel sent──▶ CANCELING ──refused──▶ POLLING
    ///   all of these that run ──lost──▶ RECONCILING ──again──▶ QUEUED
    ///                                   RECONCILING ──found──▶ POLLING
    ///   all that run, RECONCILING too ──retry──▶ WAITING_RETRY: in the place of an end, never after one
    ///
    ///   all that run, RECONCILING too ──complete──▶ COMPLETED, ──partly done──▶ PARTIAL_SUCCESS
    ///   QUEUED, WAITING_RETRY, POLLING, BLOCKED, CANCELING ──abort──▶ ABORTED
    ///   all that are not over ──fail──▶ FAILED, ──expire──▶ EXPIRED
    /// ```
    ///
    /// # Errors
    /// [`Illegal`] for everything that is not in the drawing; whatever is over stays as it is.
    pub const fn after(self, event: Event) -> Result<Self, Illegal> {
        use Event as E;
        Ok(match (self, event) {
            (Self::Queued | Self::WaitingRetry, E::Dispatch) => Self::Dispatching,
            (Self::Dispatching, E::Sent) => Self::InFlight,
            (Self::Dispatching | Self::InFlight, E::Started) | (Self::Reconciling, E::Found) => {
                Self::Polling
            }
            (Self::Polling, E::HeldUp) => Self::Blocked,
            (Self::Blocked, E::WentOn) | (Self::Canceling, E::CancelRefused) => Self::Polling,
            (Self::Polling | Self::Blocked, E::CancelSent) => Self::Canceling,
            (Self::Dispatching | Self::InFlight | Self::Polling | Self::Blocked, E::Refused) => {
                Self::WaitingRetry
            }
            (
                Self::Dispatching
                | Self::InFlight
                | Self::Polling
                | Self::Blocked
                | Self::Canceling,
                E::Lost,
            ) => Self::Reconciling,
            (Self::Reconciling, E::Again) => Self::Queued,
            (from, E::Retry) if from.is_running() => Self::WaitingRetry,
            (from, E::Complete) if from.is_running() => Self::Completed,
            (from, E::PartlyDone) if from.is_running() => Self::PartialSuccess,
            // What is at work is taken back by the upstream alone, whoever asked for that.
            (
                Self::Queued | Self::WaitingRetry | Self::Polling | Self::Blocked | Self::Canceling,
                E::Abort,
            ) => Self::Aborted,
            (from, E::Fail) if !from.state().is_done() => Self::Failed,
            (from, E::Expire) if !from.state().is_done() => Self::Expired,
            (from, event) => return Err(Illegal { from, event }),
        })
    }

    /// What the world is told of it.
    #[must_use]
    pub const fn state(self) -> State {
        match self {
            Self::Queued | Self::WaitingRetry => State::Scheduled,
            Self::Dispatching
            | Self::InFlight
            | Self::Polling
            | Self::Blocked
            | Self::Canceling
            | Self::Reconciling => State::Running,
            Self::Completed => State::Completed,
            Self::Failed => State::Failed,
            Self::Aborted => State::Aborted,
            Self::PartialSuccess => State::PartialSuccess,
            Self::Expired => State::Expired,
        }
    }

    /// Where exactly it stands; none once it is over.
    #[must_use]
    pub const fn substate(self) -> Option<Substate> {
        Some(match self {
            Self::Queued => Substate::Queued,
            Self::WaitingRetry => Substate::WaitingRetry,
            Self::Dispatching => Substate::Dispatching,
            Self::InFlight => Substate::InFlight,
            Self::Polling => Substate::Polling,
            Self::Blocked => Substate::Blocked,
            Self::Canceling => Substate::Canceling,
            Self::Reconciling => Substate::Reconciling,
            Self::Completed
            | Self::Failed
            | Self::Aborted
            | Self::PartialSuccess
            | Self::Expired => {
                return None;
            }
        })
    }

    const fn is_running(self) -> bool {
        matches!(self.state(), State::Running)
    }
}

impl Event {
    /// Every event. A history is kept as places in this list: it only ever grows at its end.
    pub const ALL: [Self; 17] = [
        Self::Dispatch,
        Self::Sent,
        Self::Started,
        Self::HeldUp,
        Self::WentOn,
        Self::CancelSent,
        Self::Refused,
        Self::Lost,
        Self::Again,
        Self::Found,
        Self::Complete,
        Self::Fail,
        Self::PartlyDone,
        Self::Abort,
        Self::Expire,
        Self::CancelRefused,
        Self::Retry,
    ];

    /// Its place in [`Event::ALL`].
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The event with this code.
    #[must_use]
    pub fn of(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

#[cfg(test)]
mod tests;
