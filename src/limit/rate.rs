//! An exact rate: at most `limit` calls in any window, at most `burst` of them back to back.

use std::collections::VecDeque;
use std::time::Duration;

use super::moment::{Denied, Moment, nanos};
use super::sync::{Mutex, MutexGuard};

/// Stamps kept from the start; a larger limit grows its log when it is first used to that extent.
const PREALLOCATED: u64 = 1 << 16;

/// A rate of the whole gate, exact.
///
/// Two rules hold together. The log: of the last `limit` stamps, the oldest must have left the
/// window (a window is half open, so a stamp has left it one whole window later). The bucket, when
/// `burst` is below `limit`: `burst` tokens at most, refilled by `limit` every window. A plain
/// token bucket alone would admit up to limit + burst in a window.
///
/// Both live under one short lock: kept in two atomics, a token could be spent on one and not on
/// the other. Nothing is refilled by a timer, so nothing can be late under load.
#[derive(Debug)]
pub struct Rate {
    limit: u64,
    window: u64,
    burst: u64,
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Log {
    /// The last stamps, oldest first, never more than `limit`.
    stamps: VecDeque<u64>,
    /// When the bucket will be full again, in units of 1/limit nanosecond: the time one token
    /// takes, window / limit, is a whole number of these for every limit and window.
    full_at: u128,
    /// How many fit into a window just now, never more than `limit`.
    allowed: u64,
    /// Before this moment nothing fits.
    shut_until: u64,
}

impl Rate {
    /// At most `limit` in any `window`, at most `burst` back to back. 0 of either blocks.
    #[must_use]
    pub fn new(limit: u64, window: Duration, burst: u64) -> Self {
        let room = usize::try_from(limit.min(PREALLOCATED)).unwrap_or(0);
        Self {
            limit,
            window: nanos(window),
            burst: burst.min(limit),
            log: Mutex::new(Log {
                stamps: VecDeque::with_capacity(room),
                full_at: 0,
                allowed: limit,
                shut_until: 0,
            }),
        }
    }

    /// Whether one more fits at `now`. The answer holds, and everybody else waits, until the offer
    /// is taken or dropped; dropped, it was as if nobody had asked.
    ///
    /// # Errors
    ///
    /// [`Denied`] when it does not fit.
    pub fn offer(&self, now: Moment) -> Result<Offer<'_>, Denied> {
        let log = self.log.lock();
        let now = log.not_before_last(now);
        let earliest = self.earliest(&log);
        match earliest {
            Some(earliest) if earliest <= now => Ok(Offer {
                rate: self,
                log,
                now,
            }),
            _ => Err(Denied {
                retry_at: self.retry_at(earliest, now),
                in_use: self.in_window(&log, now),
            }),
        }
    }

    /// Counts one call at `now`.
    ///
    /// # Errors
    ///
    /// [`Denied`], and nothing counted, when it does not fit.
    pub fn try_take(&self, now: Moment) -> Result<(), Denied> {
        self.offer(now).map(Offer::take)
    }

    /// Moves the stamp of a call that was counted at `from` to `to`, the moment when it really leaves.
    ///
    /// A call that leaves less than a window after it was counted has its place in every window it
    /// falls in: whoever was admitted in between counted it at its old place. One that leaves later
    /// has lost that place and is counted anew. The bucket of `burst` is charged at the claim, and
    /// again only with the part that has run back into it since.
    ///
    /// # Errors
    ///
    /// [`Denied`], and the call counted nowhere, when it leaves too late and there is no room for it.
    pub fn restamp(&self, from: Moment, to: Moment) -> Result<Moment, Denied> {
        let mut log = self.log.lock();
        let to = log.not_before_last(to);
        // It is among the last ones: those that came while this call found its connection.
        let at = log
            .stamps
            .iter()
            .rposition(|stamp| *stamp == from.as_nanos());
        if let Some(at) = at {
            log.stamps.remove(at);
        }
        let kept = at.is_some() && to < from.as_nanos().saturating_add(self.window);
        let offer = Offer {
            rate: self,
            log,
            now: to,
        };
        if kept {
            offer.move_here();
        } else {
            let earliest = self.earliest(&offer.log);
            if earliest.is_none_or(|earliest| earliest > to) {
                return Err(Denied {
                    retry_at: self.retry_at(earliest, to),
                    in_use: self.in_window(&offer.log, to),
                });
            }
            offer.take();
        }
        Ok(Moment::from_nanos(to))
    }

    /// Takes back the stamp of a call that never left: it is as if it had not been counted.
    pub fn take_back(&self, stamp: Moment) {
        let mut log = self.log.lock();
        let at = log
            .stamps
            .iter()
            .rposition(|other| *other == stamp.as_nanos());
        if let Some(at) = at {
            log.stamps.remove(at);
            if self.burst < self.limit {
                log.full_at = log.full_at.saturating_sub(u128::from(self.window));
            }
        }
    }

    /// When a call with `ahead` others before it fits at the earliest; `None` when it never does.
    #[must_use]
    pub fn turn_of(&self, ahead: u64, now: Moment) -> Option<Moment> {
        if self.burst == 0 {
            return None;
        }
        let log = self.log.lock();
        let now = log.not_before_last(now);
        // Every `limit` calls take a window; of the last ones, each waits for a stamp to leave it.
        let allowed = log.allowed.max(1);
        let (windows, rest) = (ahead / allowed, ahead % allowed);
        let leaving = (log.stamps.len() as u64 + rest).checked_sub(allowed);
        let leaving = leaving.and_then(|at| log.stamps.get(usize::try_from(at).ok()?));
        let by_log = leaving
            .map_or(0, |stamp| stamp.saturating_add(self.window))
            .max(now)
            .max(log.shut_until)
            .saturating_add(windows.saturating_mul(self.window));
        Some(Moment::from_nanos(
            by_log.max(self.bucket_has_at(&log, ahead, now)),
        ))
    }

    /// From now on at most `allowed` in any window that ends later; never more than the limit.
    pub fn narrow(&self, allowed: u64) {
        self.log.lock().allowed = allowed.min(self.limit);
    }

    /// Nothing fits before `until`; what was said before stays said.
    pub fn shut(&self, until: Moment) {
        let mut log = self.log.lock();
        log.shut_until = log.shut_until.max(until.as_nanos());
    }

    /// How many fit into a window at `now`; none while it is shut.
    #[must_use]
    pub fn allowed(&self, now: Moment) -> u64 {
        let log = self.log.lock();
        if now.as_nanos() < log.shut_until {
            0
        } else {
            log.allowed
        }
    }

    /// Calls counted in the window that ends at `now`.
    #[must_use]
    pub fn in_use(&self, now: Moment) -> u64 {
        let log = self.log.lock();
        let now = log.not_before_last(now);
        self.in_window(&log, now)
    }

    /// The first moment at which both rules have room; `None` when they never do.
    fn earliest(&self, log: &Log) -> Option<u64> {
        if self.burst == 0 {
            return None;
        }
        // The last that must have left the window for one more to be allowed; more than `allowed` may
        // be in it, from before it was narrowed.
        let leaving = (log.stamps.len() as u64).checked_sub(log.allowed.max(1));
        let leaving = leaving.and_then(|at| log.stamps.get(usize::try_from(at).ok()?));
        let by_log = leaving.map_or(0, |stamp| stamp.saturating_add(self.window));
        Some(by_log.max(self.bucket_has_one_at(log)).max(log.shut_until))
    }

    fn bucket_has_one_at(&self, log: &Log) -> u64 {
        if self.burst >= self.limit {
            return 0; // the log is the stricter rule
        }
        let tolerance = u128::from(self.burst - 1) * u128::from(self.window);
        let at = log
            .full_at
            .saturating_sub(tolerance)
            .div_ceil(u128::from(self.limit));
        u64::try_from(at).unwrap_or(u64::MAX)
    }

    /// When the bucket has a token more than the `ahead` that are taken before.
    fn bucket_has_at(&self, log: &Log, ahead: u64, now: u64) -> u64 {
        if self.burst >= self.limit {
            return 0;
        }
        let [limit, window, burst] = [self.limit, self.window, self.burst].map(u128::from);
        let full_at = log.full_at.max(u128::from(now) * limit);
        let at = (full_at + u128::from(ahead) * window)
            .saturating_sub((burst - 1) * window)
            .div_ceil(limit);
        u64::try_from(at).unwrap_or(u64::MAX)
    }

    fn retry_at(&self, earliest: Option<u64>, now: u64) -> Moment {
        Moment::from_nanos(earliest.unwrap_or_else(|| now.saturating_add(self.window)))
    }

    fn in_window(&self, log: &Log, now: u64) -> u64 {
        let gone = log
            .stamps
            .partition_point(|stamp| stamp.saturating_add(self.window) <= now);
        (log.stamps.len() - gone) as u64
    }
}

impl Log {
    /// Threads read the clock before they get the lock, so their moments come a little out of
    /// order. A stamp is never put before the last one: the log stays sorted, and the call does
    /// leave after the one that had the lock before it.
    fn not_before_last(&self, now: Moment) -> u64 {
        now.as_nanos().max(self.stamps.back().copied().unwrap_or(0))
    }
}

/// Room for one call, kept for whoever holds this.
///
/// A claim over several rates collects their offers first and takes all or none, so that a refusal
/// by the last leaves no trace in the first.
#[derive(Debug)]
#[must_use = "an offer that is dropped counts nothing"]
pub struct Offer<'a> {
    rate: &'a Rate,
    log: MutexGuard<'a, Log>,
    now: u64,
}

impl Offer<'_> {
    /// The stamp that the call will be counted at: now, or the last one's if that is later.
    #[must_use]
    pub fn stamp(&self) -> Moment {
        Moment::from_nanos(self.now)
    }

    /// Counts the call.
    pub fn take(mut self) {
        let Rate {
            limit,
            window,
            burst,
            ..
        } = *self.rate;
        if self.log.stamps.len() as u64 >= limit {
            self.log.stamps.pop_front();
        }
        self.log.stamps.push_back(self.now);
        if burst < limit {
            let now = u128::from(self.now) * u128::from(limit);
            self.log.full_at = self.log.full_at.max(now).saturating_add(u128::from(window));
        }
    }

    /// Counts here a call whose token was taken from the bucket before, and whose old stamp is gone.
    fn move_here(mut self) {
        let Rate { limit, window, .. } = *self.rate;
        let now = u128::from(self.now) * u128::from(limit);
        self.log.stamps.push_back(self.now);
        self.log.full_at = self.log.full_at.max(now.saturating_add(u128::from(window)));
    }
}
