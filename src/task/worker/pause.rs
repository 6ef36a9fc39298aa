//! How long to wait before another attempt.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The first pause; each later one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// Longest pause.
const LONGEST: Duration = Duration::from_mins(1);

/// The pause after attempt number `nth` (the first is 1) failed: between four fifths and six fifths of 1, 2, 4, … 60 s, by
/// `spread`, which lies between 0 and 1.
pub(super) fn back_off(nth: u32, spread: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << nth.saturating_sub(1).min(6));
    doubled.min(LONGEST).mul_f64(0.8 + 0.4 * spread)
}

/// Numbers between 0 and 1 that lie evenly, however many are taken: multiples of the golden ratio, whole parts cut off.
#[derive(Debug, Default)]
pub(super) struct Spread(AtomicU32);

impl Spread {
    pub(super) fn next(&self) -> f64 {
        const GOLDEN: u32 = 2_654_435_769;
        let at = self.0.fetch_add(GOLDEN, Ordering::Relaxed);
        f64::from(at) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute_and_differ() {
        let middle: Vec<u64> = (1..=9).map(|nth| back_off(nth, 0.5).as_secs()).collect();
        assert_eq!(middle, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(back_off(1, 0.0), Duration::from_millis(800));
        assert_eq!(back_off(u32::MAX, 1.0), Duration::from_secs(72));
        let spread = Spread::default();
        let all: Vec<f64> = (0..100).map(|_| spread.next()).collect();
        for tenth in 0..10 {
            let from = f64::from(tenth) / 10.0;
            let inside = all.iter().filter(|one| (from..from + 0.1).contains(*one));
            assert!((8..=12).contains(&inside.count()), "{all:?}");
        }
    }
}
