//! What is known of a task that the upstream's own task does, beyond its record: as of the last poll, and in memory alone.

use std::sync::Arc;

use super::Desk;
use crate::task::id::TaskId;
use crate::task::record::{Millis, Mode, Record};
use crate::task::state::{State, Status};

/// How a task does that the upstream's own task does. It comes and goes with polls: nothing of it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Live {
    /// How much of it is done, of 100.
    pub percent: Option<u8>,
    /// What is being done, in the upstream's words.
    pub message: Option<Arc<str>>,
    /// Polls that told nothing of it.
    pub poll_errors: u64,
    /// Since when none told anything; none where the last one did.
    pub unreachable_since: Option<Millis>,
    /// The upstream would take it back.
    pub cancelable: bool,
}

impl Desk {
    /// Notes what a poll told of a task that is not over.
    pub(in crate::task) fn show(&self, id: TaskId, note: impl FnOnce(&mut Live)) {
        self.books.show(id, note);
    }

    /// What polls told of a task that is not over; none where there were none.
    #[must_use]
    pub fn live(&self, id: TaskId) -> Option<Arc<Live>> {
        self.books.live(id)
    }

    /// Whether it can be taken back now.
    #[must_use]
    pub fn is_cancelable(&self, task: &Record) -> bool {
        match task.status {
            Status::Polling | Status::Blocked => {
                self.live(task.id).is_some_and(|live| live.cancelable)
            }
            // Its client can be let go from the call, not the upstream.
            Status::Dispatching | Status::InFlight => self.detaches && task.mode == Mode::Queued,
            status => status.state() == State::Scheduled,
        }
    }
}
