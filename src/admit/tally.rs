//! What a limit did since the start, and how long its units are usually held.

use std::time::Duration;

use crate::call::Reason;
use crate::limit::{AtomicU64, Ordering};

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
}

impl Tally {
    pub(super) fn admit(&self) {
        self.admitted.fetch_add(1, Ordering::Relaxed);
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

    /// Learns that a unit was held this long. Two that learn at once may lose one: it is a mean.
    pub(super) fn learn(&self, held: Duration) {
        let held = u64::try_from(held.as_nanos()).unwrap_or(u64::MAX).max(1);
        let mean = self.held_for.load(Ordering::Relaxed);
        let mean = if mean == 0 {
            held
        } else {
            mean - mean / 8 + held / 8
        };
        self.held_for.store(mean.max(1), Ordering::Relaxed);
    }

    /// When one of `ceiling` units, all held, is expected to be free, for one caller of those that are
    /// refused: up to twice the estimate, spread by the golden ratio, so that they do not come back
    /// together.
    pub(super) fn come_back(&self, ceiling: u64) -> Duration {
        let expected = self.expected(ceiling);
        let [full, ..] = self.refused();
        let turn = u32::try_from(full.wrapping_mul(GOLDEN) >> 32).unwrap_or(0);
        expected + expected.mul_f64(f64::from(turn) / f64::from(u32::MAX))
    }

    /// When one of `ceiling` units, all held, is expected to be free: they end evenly spread over the
    /// time that each is held.
    pub(super) fn expected(&self, ceiling: u64) -> Duration {
        if ceiling == 0 {
            return BLOCKED;
        }
        let mean = self.held_for.load(Ordering::Relaxed);
        Duration::from_nanos(mean / ceiling).clamp(SHORTEST, LONGEST)
    }
}
