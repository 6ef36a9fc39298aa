//! The operator's lever: which calls are lost and hold seats, and the word that one of them is over.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::works::Works;
use crate::call::Caller;
use crate::session::StoreError;
use crate::task::id::TaskId;
use crate::task::port::{Seat, SeatOf};
use crate::task::record::Millis;

/// Whose a lost call is that only a damaged row tells of.
pub(super) const UNREADABLE: &str = "unreadable";

/// A call that may be at work upstream though nobody listens to it: it holds its seats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostCall {
    /// The name of its task; or its own, where it is none's.
    pub id: TaskId,
    /// Whose it is: `task`; `call` where a client held it, or a gate before this one sent its task up
    /// again; `unreadable` where the row of its task is damaged.
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
        self.0.forget_lost(id, &calls).await?;
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
}

impl Works {
    /// Has the store forget the seats of the lost calls of this name, and no other.
    async fn forget_lost(&self, id: TaskId, calls: &[LostCall]) -> Result<(), StoreError> {
        let store = self.desk.store();
        let rows = self.ghosts.rows(id);
        for row in rows.own {
            store.free_seat(row).await?;
        }
        // Of a task that went up once more it is that of the call which is up.
        if !rows.of_task {
            return Ok(());
        }
        match calls.iter().find(|call| call.of == UNREADABLE) {
            Some(call) => store.take_seat(&spent(call)).await,
            None => store.free_seat(id).await,
        }
    }
}

/// A row that cannot be read does not say what became of its task: without a seat whose time is up, the next start would hold one.
fn spent(call: &LostCall) -> Seat {
    Seat {
        id: call.id,
        of: SeatOf::Unreadable,
        upstream: call.upstream.clone(),
        limits: call.limits.clone(),
        caller: Caller::default(),
        address: Ipv4Addr::UNSPECIFIED.into(),
        since: call.since,
        until: Some(Millis::default()),
    }
}
