//! What a limit did since the start, and how long its units are usually held.

use std::time::Duration;

use crate::call::Reason;
use crate::limit::{AtomicU64, Moment, Ordering};

/// Shortest and longest estimate of when a unit is free.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(5);
/// What a limit of 0 says: nobody knows when it will be raised.
const BLOCKED: Duration = Duration::from_mins(1);

/// 2^64 over the golden ratio: multiples of it, as fractions of 2^64, spread evenly however many they are.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Counters of one limit.
#[derive(Debug, Default)]
pub(super) struct Tally {
    admitted: AtomicU64,
    refused: [AtomicU64; Reason::ALL.len()],
    shadow_refused: AtomicU64,
    /// Mean time a unit is held, nanoseconds; each call weighs an eighth. 0: none was seen yet.
    held_for: AtomicU64,
    /// When a unit was last taken or given back, nanoseconds since the start.
    moved_at: AtomicU64,
}

impl Tally {
    pub(super) fn admit(&self, now: Moment) {
        self.admitted.fetch_add(1, Ordering::Relaxed);
        self.moved_at.store(now.as_nanos(), Ordering::Relaxed);
    }

    pub(super) fn refuse(&self, reason: Reason) {
        if let Some(count) = self.refused.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn shadow_refuse(&self) {
        self.shadow_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn admitted(&self) -> u64 {
        self.admitted.load(Ordering::Relaxed)
    }

    pub(super) fn refused(&self) -> [u64; Reason::ALL.len()] {
        std::array::from_fn(|reason| {
            self.refused
                .get(reason)
                .map_or(0, |count| count.load(Ordering::Relaxed))
        })
    }

    pub(super) fn shadow_refused(&self) -> u64 {
        self.shadow_refused.load(Ordering::Relaxed)
    }

    /// Learns that a unit, given back at `now`, was held this long. Two that learn at once may lose one: it
    /// is a mean.
    pub(super) fn learn(&self, held: Duration, now: Moment) {
        self.moved_at.store(now.as_nanos(), Ordering::Relaxed);
        let held = u64::try_from(held.as_nanos()).unwrap_or(u64::MAX).max(1);
        let mean = self.held_for.load(Ordering::Relaxed);
        let mean = if mean == 0 {
            held
        } else {
            mean - mean / 8 + held / 8
        };
        self.held_for.store(mean.max(1), Ordering::Relaxed);
    }

    /// As long as this many holders in a row take.
    pub(super) fn rounds(&self, rounds: u64) -> Duration {
        let mean = self.held_for.load(Ordering::Relaxed);
        Duration::from_nanos(mean.saturating_mul(rounds))
    }

    /// When a caller that is refused is to come back: up to twice the estimate, spread by the golden ratio,
    /// so that they do not come back together.
    pub(super) fn come_back(&self, ceiling: u64, waiting: u64, now: Moment) -> Duration {
        let expected = self.expected(ceiling, waiting, now);
        let refused: u64 = self.refused().iter().sum();
        let turn = u32::try_from(refused.wrapping_mul(GOLDEN) >> 32).unwrap_or(0);
        expected + expected.mul_f64(f64::from(turn) / f64::from(u32::MAX))
    }

    /// When one of `ceiling` units, all held, is expected to be free for who has `waiting` others before
    /// it: they end evenly spread over the time that each is held. Where none has ended for longer than
    /// that, the upstream is stuck, and the next will take as long again.
    pub(super) fn expected(&self, ceiling: u64, waiting: u64, now: Moment) -> Duration {
        if ceiling == 0 {
            return BLOCKED;
        }
        let mean = Duration::from_nanos(self.held_for.load(Ordering::Relaxed) / ceiling);
        let still = now.since(Moment::from_nanos(self.moved_at.load(Ordering::Relaxed)));
        let others = u32::try_from(waiting).unwrap_or(u32::MAX);
        mean.max(still)
            .saturating_mul(others.saturating_add(1))
            .clamp(SHORTEST, LONGEST)
    }
}
