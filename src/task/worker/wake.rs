//! Whoever sends a call up may break: then the call is at work all the same, and its seats have an heir before they are given
//! back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::asking::Asking;
use super::ghosts::Lost;
use super::works::Works;
use crate::admit::LeftBehind;

/// Dropped as its job breaks, it holds the seats of the job's call; kept before the claim in whatever has both, it does so
/// before that gives them back.
pub(super) struct Wake {
    works: Arc<Works>,
    asking: Arc<Asking>,
    lost: Lost,
    hard: Instant,
}

impl Wake {
    /// Of a call that goes up now, and can be at work no more after `hard`.
    pub(super) const fn new(
        works: Arc<Works>,
        asking: Arc<Asking>,
        lost: Lost,
        hard: Instant,
    ) -> Self {
        Self {
            works,
            asking,
            lost,
            hard,
        }
    }

    fn seats(&self) -> Option<LeftBehind> {
        let now = (self.works.clock)();
        let stack = self.asking.upstream.stack();
        let held = self.asking.with(|call, _| stack.hold_left(call, now));
        held.ok()
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let left: Duration = self.hard.saturating_duration_since(Instant::now());
        if let Some(seats) = self.seats() {
            self.works.haunt(self.lost.clone(), seats, left);
        }
    }
}
