//! On what terms a call waits: before whom, how many at a time, and how long.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::call::{Call, Class};
use crate::config::{Priority, Route};
use crate::limit::Rank;

/// On what terms a call waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Before whom it goes.
    pub rank: Rank,
    /// Calls of its user in one turn of a line.
    pub weight: NonZeroU32,
    /// Longest wait in all lines together: as long as its client waits, and hears the answer. [`Terms::ENDLESS`] is a
    /// task's.
    pub patience: Duration,
}

impl Terms {
    /// Nobody waits.
    pub const NONE: Self = Self {
        rank: Rank::Usual,
        weight: NonZeroU32::MIN,
        patience: Duration::ZERO,
    };

    /// The patience of a task: nobody holds a connection for it. It waits in the same order as all others, but whoever
    /// took it in bounds how many there are: it takes no place of a line's, and no longest wait of a limit ends it.
    pub const ENDLESS: Duration = Duration::MAX;

    /// Whether they are a task's.
    #[must_use]
    pub fn are_endless(&self) -> bool {
        self.patience == Self::ENDLESS
    }
}

/// Before whom `call` goes. The system cannot drain without logouts and polls; administrators get in when nobody else
/// does.
#[must_use]
pub fn rank(call: &Call<'_>, routes: &[Route]) -> Rank {
    let is_batch = |route: u16| {
        let route = routes.get(usize::from(route));
        route.is_some_and(|route| route.priority == Priority::Batch)
    };
    if matches!(call.class, Class::Logout | Class::Task) || call.caller.privileged {
        Rank::First
    } else if call.routes.iter().any(is_batch) {
        Rank::Batch
    } else {
        Rank::Usual
    }
}
