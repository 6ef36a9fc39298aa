//! A point in the gate's own time, and the refusal that names one.

use std::time::Duration;

/// Nanoseconds since the gate's start, monotonic. It lasts 584 years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(u64);

impl Moment {
    /// The gate's start.
    pub const START: Self = Self(0);

    /// The moment `nanos` nanoseconds after the start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The moment this long after the start.
    #[must_use]
    pub fn from_start(elapsed: Duration) -> Self {
        Self(nanos(elapsed))
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// How long after `earlier` this is; zero when it is not after.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The moment `by` later.
    #[must_use]
    pub fn after(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanos(by)))
    }
}

/// A duration in whole nanoseconds; what does not fit is as good as for ever.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A rate said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Denied {
    /// The first moment at which one more fits, if nobody else takes it. A limit of 0 never has
    /// room: then it is one window away, so that it can still be said in a header.
    pub retry_at: Moment,
    /// Calls counted in the window that ends now.
    pub in_use: u64,
}
