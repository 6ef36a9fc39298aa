//! The arithmetic of a keyed rate: governor's GCRA, applied to a state that lives elsewhere.

use std::cell::Cell;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::{Quota, RateLimiter};

use super::moment::{Denied, Moment, nanos};

/// The state of one key's rate: governor's theoretical arrival time, nanoseconds since the gate's
/// start. Zero, or any moment that is past, is a full bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Arrival(u64);

impl Arrival {
    /// Whether the bucket is full at `now`: then it is like one never used, and may be forgotten.
    #[must_use]
    pub const fn is_full(self, now: Moment) -> bool {
        self.0 <= now.as_nanos()
    }
}

/// How fast one key may go: `burst` calls at once, refilled by `limit` every window, and so at most
/// limit + burst in any window.
///
/// Governor decides; what it decides about is handed to it. Its limiter owns store and clock, and
/// its store holds nothing but the arrival time, while here the arrival time shares a cell with the
/// key's seats, must be looked at without being changed (a claim takes all its rates or none), and
/// the time is an argument. So its store and its clock are both the [`Desk`]: a slip of paper of the
/// running thread on which [`Pace::check`] writes time and state, and from which it reads the new
/// state. The caller holds the lock of the cell all the while.
#[derive(Debug)]
pub struct Pace {
    /// `None` blocks.
    limiter: Option<RateLimiter<(), Desk, Desk, NoOpMiddleware<Nanos>>>,
    /// Time to refill one token, nanoseconds.
    token: u64,
    burst: u32,
    window: Duration,
}

impl Pace {
    /// `limit` every `window`, `burst` at once. 0 of either blocks.
    #[must_use]
    pub fn new(limit: u64, window: Duration, burst: u64) -> Self {
        // Rounded up: a token early by a fraction of a nanosecond is one too many in the long run.
        let token = nanos(window).div_ceil(limit.max(1)).max(1);
        // Governor multiplies without a check; a bucket that takes 146 years to fill is large enough.
        let burst = u32::try_from(burst.min((u64::MAX >> 2) / token)).unwrap_or(u32::MAX);
        let quota = Quota::with_period(Duration::from_nanos(token));
        let limiter = match (quota, NonZeroU32::new(burst)) {
            (Some(quota), Some(burst)) if limit > 0 => {
                Desk::lay(Slip {
                    now: 0,
                    before: 0,
                    after: 0,
                }); // the limiter's epoch is the gate's start
                Some(RateLimiter::new(quota.allow_burst(burst), Desk, Desk))
            }
            _ => None,
        };
        Self {
            limiter,
            token,
            burst,
            window,
        }
    }

    /// The state after one more call at `now`, where the state is `before`.
    ///
    /// # Errors
    ///
    /// [`Denied`] when it does not fit; the state stays as it is then.
    pub fn check(&self, before: Arrival, now: Moment) -> Result<Arrival, Denied> {
        let in_use = self.in_use(before, now);
        let Some(limiter) = &self.limiter else {
            return Err(Denied {
                retry_at: now.after(self.window),
                in_use,
            });
        };
        Desk::lay(Slip {
            now: now.as_nanos(),
            before: before.0,
            after: before.0,
        });
        match limiter.check_key(&()) {
            Ok(()) => Ok(Arrival(Desk::read().after)),
            Err(until) => Err(Denied {
                retry_at: Moment::from_nanos(until.earliest_possible().as_u64()),
                in_use,
            }),
        }
    }

    /// The state as if the last call had not come.
    pub(super) fn take_back(&self, state: Arrival) -> Arrival {
        Arrival(state.0.saturating_sub(self.token))
    }

    /// The state of a bucket that has its next token at `until`, and was not fuller than this before.
    pub(super) fn shut(&self, state: Arrival, until: Moment) -> Arrival {
        let spare = u64::from(self.burst.saturating_sub(1)).saturating_mul(self.token);
        Arrival(state.0.max(until.as_nanos().saturating_add(spare)))
    }

    /// When a call with `ahead` others before it fits, were nobody else to come; `None` when it never
    /// does.
    #[must_use]
    pub fn turn_of(&self, state: Arrival, ahead: u64, now: Moment) -> Option<Moment> {
        self.limiter.as_ref()?;
        // The bucket holds `burst` tokens when it is full, which it is at `state`, or now.
        let full_at = state.0.max(now.as_nanos());
        let taken = ahead.saturating_mul(self.token);
        let spare = u64::from(self.burst.saturating_sub(1)).saturating_mul(self.token);
        let at = full_at.saturating_add(taken).saturating_sub(spare);
        Some(Moment::from_nanos(at.max(now.as_nanos())))
    }

    /// Tokens missing from the bucket at `now`, a started one counted whole.
    #[must_use]
    pub fn in_use(&self, state: Arrival, now: Moment) -> u64 {
        state.0.saturating_sub(now.as_nanos()).div_ceil(self.token)
    }
}

#[derive(Debug, Clone, Copy)]
struct Slip {
    now: u64,
    before: u64,
    after: u64,
}

/// Governor's store and clock: whatever lies on the running thread's desk. Thread-local rather than
/// a field, because one limiter serves all threads and all keys at once.
#[derive(Debug)]
struct Desk;

thread_local! {
    static ON_DESK: Cell<Slip> = const { Cell::new(Slip { now: 0, before: 0, after: 0 }) };
}

impl Desk {
    fn lay(slip: Slip) {
        ON_DESK.set(slip);
    }

    fn read() -> Slip {
        ON_DESK.get()
    }
}

impl Clock for Desk {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(Self::read().now)
    }
}

impl StateStore for Desk {
    type Key = ();

    fn measure_and_replace<T, F, E>(&self, (): &(), decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let slip = Self::read();
        let before = (slip.before != 0).then(|| Nanos::new(slip.before));
        let (outcome, after) = decide(before)?;
        Self::lay(Slip {
            after: after.as_u64(),
            ..slip
        });
        Ok(outcome)
    }
}
