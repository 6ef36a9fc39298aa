//! How many calls at a time an upstream takes without getting slower, found out by watching.
//!
//! After Netflix's `concurrency-limits` (its "Gradient2" limit): the time that calls take now, beside the
//! time that they took in the long run, says whether calls queue up inside the upstream. While they do
//! not, the limit creeps up; when they do, it comes down by as much.

use std::time::Duration;

use super::moment::{Moment, nanos};
use super::sync::{AtomicU64, Mutex, Ordering};

/// One verdict for as many calls as end in this time, and at least [`FEW`] of them.
const WINDOW: u64 = 100_000_000;
const FEW: u32 = 10;
/// A window weighs this much in the long run: its memory is of a minute or more.
const LONG: f64 = 1.0 / 600.0;
/// And this much when calls queue: else a queue that lasts would become the usual thing.
const QUEUED: f64 = LONG / 20.0;
/// Calls may take this much longer than in the long run before it counts as a queue.
const TOLERANCE: f64 = 1.5;
/// A verdict moves the limit by this share of the way.
const SMOOTHING: f64 = 0.2;
/// The most that one verdict takes away.
const STEEPEST: f64 = 0.5;
/// What is left after a window in which the upstream failed under its load.
const BACKED_OFF: f64 = 0.9;
/// Fewest calls at a time.
const LEAST: u64 = 4;

/// A ceiling on calls in flight that follows the upstream.
#[derive(Debug)]
pub struct Gradient {
    most: u64,
    limit: AtomicU64,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    limit: f64,
    /// Time of a call in the long run, nanoseconds; 0 before the first window.
    long: f64,
    window_ends: u64,
    sum: f64,
    calls: u32,
    busiest: u64,
    failed: bool,
}

impl Gradient {
    /// Never above `most`. It starts a tenth of the way up: a limit too low for a second is felt less
    /// than an upstream that is overrun at once.
    #[must_use]
    pub fn new(most: u64) -> Self {
        let start = (most / 10).max(LEAST).min(most);
        Self {
            most,
            limit: AtomicU64::new(start),
            seen: Mutex::new(Seen {
                limit: whole(start),
                long: 0.0,
                window_ends: 0,
                sum: 0.0,
                calls: 0,
                busiest: 0,
                failed: false,
            }),
        }
    }

    /// Calls at a time, now.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// A call ended at `now` that took this long, with `in_flight` at a time, itself among them. True
    /// when the limit rose: somebody who waits may go.
    pub fn learn(&self, took: Duration, in_flight: u64, now: Moment) -> bool {
        let mut seen = self.seen.lock();
        seen.sum += whole(nanos(took).max(1));
        seen.calls += 1;
        seen.busiest = seen.busiest.max(in_flight);
        if now.as_nanos() < seen.window_ends || seen.calls < FEW {
            return false;
        }
        seen.window_ends = now.as_nanos().saturating_add(WINDOW);
        seen.judge(whole(self.most));
        self.publish(&seen)
    }

    /// The upstream failed a call under its load (a time-out, a 503 or 504 of its own).
    pub fn note_failure(&self) {
        self.seen.lock().failed = true;
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it lies between one and the most, which is whole"
    )]
    fn publish(&self, seen: &Seen) -> bool {
        let limit = (seen.limit as u64).clamp(LEAST.min(self.most), self.most);
        self.limit.swap(limit, Ordering::Relaxed) < limit
    }
}

impl Seen {
    fn judge(&mut self, most: f64) {
        let short = self.sum / f64::from(self.calls);
        let busiest = whole(self.busiest);
        let failed = self.failed;
        (self.sum, self.calls, self.busiest, self.failed) = (0.0, 0, 0, false);
        if self.long == 0.0 {
            self.long = short;
        } else {
            let queued = short > self.long * TOLERANCE;
            self.long += (short - self.long) * if queued { QUEUED } else { LONG };
        }
        // After a long overload the long run is too slow: it comes down faster than it went up.
        if self.long / short > 2.0 {
            self.long *= 0.95;
        }
        if failed {
            self.limit *= BACKED_OFF;
        } else if busiest * 2.0 >= self.limit {
            // Where few calls come, their time says nothing about many.
            let gradient = (TOLERANCE * self.long / short).clamp(STEEPEST, 1.0);
            let room = self.limit.sqrt();
            let next = self.limit * gradient + room;
            self.limit += (next - self.limit) * SMOOTHING;
        }
        self.limit = self.limit.clamp(whole(LEAST).min(most), most);
    }
}

/// As a float: counts and nanoseconds stay far below the whole numbers that it can tell apart.
#[expect(
    clippy::cast_precision_loss,
    reason = "below 2^53 for 104 days, and a ratio beyond"
)]
const fn whole(count: u64) -> f64 {
    count as f64
}
