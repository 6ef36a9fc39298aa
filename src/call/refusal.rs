//! A refusal: the one thing that crosses rooms when a call may not pass.

use std::sync::Arc;
use std::time::Duration;

/// Why a limit refused (label `reason` of `tidegate_limit_refused_total`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The limit was full and nobody may wait for it.
    Full,
    /// The limit was full, and so was its line.
    LineFull,
    /// The call waited as long as it may.
    Timeout,
    /// Waiting could not have helped in time.
    Hopeless,
}

impl Reason {
    /// Every reason, in the order of its index.
    pub const ALL: [Self; 4] = [Self::Full, Self::LineFull, Self::Timeout, Self::Hopeless];

    /// The word used in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::LineFull => "line_full",
            Self::Timeout => "timeout",
            Self::Hopeless => "hopeless",
        }
    }
}

/// A limit said no. Names the limit, how full it was and when to come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The limit that refused, by its name in the configuration.
    pub limit: Arc<str>,
    /// 429 or 503, as the limit's `full.status` says.
    pub status: u16,
    /// Why.
    pub reason: Reason,
    /// Units held when it refused.
    pub in_use: u64,
    /// The ceiling.
    pub ceiling: u64,
    /// The window of a rate; zero for everything that is held.
    pub window: Duration,
    /// When a unit is expected to be free. For a rate the exact moment; else an estimate.
    pub retry_after: Duration,
}

impl Refusal {
    /// `Retry-After` in whole seconds, rounded up, never below one (RFC 9110 section 10.2.3).
    #[must_use]
    pub fn retry_after_seconds(&self) -> u64 {
        let up = u64::from(self.retry_after.subsec_nanos() > 0);
        self.retry_after.as_secs().saturating_add(up).max(1)
    }
}
