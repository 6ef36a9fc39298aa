//! The operator's lever: which calls are lost and hold seats, and the word that one of them is over.

use std::sync::Arc;

use super::works::Works;
use crate::session::StoreError;
use crate::task::id::TaskId;
use crate::task::record::Millis;
use crate::task::state::Status;

/// A call that may be at work upstream though nobody listens to it: it holds its seats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostCall {
    /// The name of its task; or its own, where it is none's.
    pub id: TaskId,
    /// Whose it is: `task`; `call` where a client held it; `unreadable` where the row of its task is damaged.
    pub of: &'static str,
    /// Name of the upstream.
    pub upstream: Arc<str>,
    /// The limits that it holds a seat of.
    pub limits: Vec<Arc<str>>,
    /// When it went up, where that is known.
    pub since: Option<Millis>,
    /// When its seats are free whatever happens.
    pub until: Millis,
}

/// For the operator, who may know more than the gate does.
#[derive(Clone)]
pub struct Lever(Arc<Works>);

impl std::fmt::Debug for Lever {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lever")
    }
}

impl Lever {
    pub(super) const fn new(works: Arc<Works>) -> Self {
        Self(works)
    }

    /// Every lost call that holds a seat, the oldest first.
    #[must_use]
    pub fn lost(&self) -> Vec<LostCall> {
        self.0.ghosts.all()
    }

    /// The lost calls of this name are over: their seats are free now. Says which there were.
    ///
    /// # Errors
    /// When the store does not take it; then they hold their seats as before.
    pub async fn free(&self, id: TaskId) -> Result<Vec<LostCall>, StoreError> {
        let mut calls = self.lost();
        calls.retain(|call| call.id == id);
        if calls.is_empty() {
            return Ok(calls);
        }
        // What went up once more holds a seat for that.
        if !self.is_up(id) {
            self.0.desk.store().free_seat(id).await?;
        }
        self.0.ghosts.lay(id);
        for call in &calls {
            let LostCall {
                of,
                upstream,
                limits,
                ..
            } = call;
            tracing::warn!(%id, of, %upstream, ?limits, "the operator says that a lost call is over: its seats are free");
        }
        Ok(calls)
    }

    fn is_up(&self, id: TaskId) -> bool {
        let seen = self.0.desk.watch(id);
        let status = seen.map(|seen| seen.borrow().status);
        matches!(status, Some(Status::Dispatching | Status::InFlight))
    }
}
