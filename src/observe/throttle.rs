//! A brake on warnings that a client can provoke: an attack must not fill the log.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// Lets a few messages a second through and counts the rest, so that the next one can tell.
///
/// ```
/// use std::num::NonZeroU32;
/// use tidegate::observe::Throttle;
///
/// let slow_heads = Throttle::new(NonZeroU32::MIN);
/// if let Some(suppressed) = slow_heads.pass() {
///     tracing::warn!(suppressed, "a client was too slow to send its request head");
/// }
/// ```
#[derive(Debug)]
pub struct Throttle<C: Clock = DefaultClock> {
    gate: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    suppressed: AtomicU64,
}

impl Throttle {
    /// At most `per_second` messages back to back, and so many each second.
    #[must_use]
    pub fn new(per_second: NonZeroU32) -> Self {
        Self::with_clock(per_second, DefaultClock::default())
    }
}

impl<C: Clock> Throttle<C> {
    fn with_clock(per_second: NonZeroU32, clock: C) -> Self {
        Self {
            gate: RateLimiter::direct_with_clock(Quota::per_second(per_second), clock),
            suppressed: AtomicU64::new(0),
        }
    }

    /// `Some` with the number of messages kept back since the last one that passed; `None`: keep this one back, too.
    pub fn pass(&self) -> Option<u64> {
        if self.gate.check().is_ok() {
            Some(self.suppressed.swap(0, Ordering::Relaxed))
        } else {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use std::time::Duration;

    #[test]
    fn a_flood_is_kept_back_and_counted() {
        let clock = FakeRelativeClock::default();
        let throttle = Throttle::with_clock(NonZeroU32::new(2).unwrap(), clock.clone());
        let passed: Vec<u64> = (0..1000).filter_map(|_| throttle.pass()).collect();
        assert_eq!(passed, [0, 0]);
        clock.advance(Duration::from_secs(1));
        assert_eq!(
            throttle.pass(),
            Some(998),
            "the next message tells of the others"
        );
        assert_eq!(throttle.pass(), Some(0));
        assert_eq!(throttle.pass(), None);
    }
}
