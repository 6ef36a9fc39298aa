//! When a session was last used, and whether it is in use now.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime};

use super::known::Known;
use crate::limit::{AtomicU64, Moment, Ordering};

/// The gate's own time and the calendar's, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// On the gate's clock: what idle times are measured by.
    pub moment: Moment,
    /// On the calendar: what outlives the process.
    pub wall: SystemTime,
}

impl Now {
    /// The calendar's time of `stamp`.
    pub(super) fn wall_of(&self, stamp: Stamp) -> SystemTime {
        let ago = stamp.until(self.moment);
        self.wall.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// The stamp of a time on the calendar; one yet to come is as good as now.
    pub(super) fn stamp_of(&self, wall: SystemTime) -> Stamp {
        let ago = self.wall.duration_since(wall).unwrap_or_default();
        Stamp::before(self.moment, ago)
    }
}

/// Where the gate's start stands on the scale of stamps: 146 years in.
const START: u64 = 1 << 62;

/// A moment that may lie before the gate's start, as those of sessions that outlived a gate do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp(u64);

impl Stamp {
    pub(super) const fn of(moment: Moment) -> Self {
        Self(START.saturating_add(moment.as_nanos()))
    }

    /// `ago` before `moment`.
    pub(super) fn before(moment: Moment, ago: Duration) -> Self {
        let ago = u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX);
        Self(Self::of(moment).0.saturating_sub(ago))
    }

    /// How long before `moment` this is; zero when it is not before.
    pub(super) const fn until(self, moment: Moment) -> Duration {
        Duration::from_nanos(Self::of(moment).0.saturating_sub(self.0))
    }
}

/// The use of one session, shared by the ledger and the calls in flight.
#[derive(Debug)]
pub(super) struct Activity {
    last_used: AtomicU64,
    in_flight: AtomicU64,
    /// A call went away without saying when.
    left: AtomicBool,
}

impl Activity {
    pub(super) const fn new(last_used: Stamp) -> Self {
        Self {
            last_used: AtomicU64::new(last_used.0),
            in_flight: AtomicU64::new(0),
            left: AtomicBool::new(false),
        }
    }

    pub(super) fn touch(&self, now: Moment) {
        self.last_used.fetch_max(Stamp::of(now).0, Ordering::AcqRel);
    }

    /// When it was last used: now, for as long as a call is in flight.
    pub(super) fn last_used(&self, now: Moment) -> Stamp {
        // First the calls: a call that ends stamps its time before it is no longer counted.
        let busy = self.in_flight() > 0;
        if self.left.swap(false, Ordering::AcqRel) || busy {
            self.touch(now);
        }
        Stamp(self.last_used.load(Ordering::Acquire))
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Acquire)
    }
}

/// A call in flight in a session: until it ends, the session is not idle.
#[derive(Debug)]
#[must_use = "a session is in use for as long as this is kept"]
pub struct InUse {
    activity: Arc<Activity>,
    known: Known,
    ended: bool,
}

impl InUse {
    pub(super) fn begin(activity: &Arc<Activity>, known: Known, now: Moment) -> Self {
        activity.touch(now);
        activity.in_flight.fetch_add(1, Ordering::AcqRel);
        Self {
            activity: Arc::clone(activity),
            known,
            ended: false,
        }
    }

    /// Which session, as it was when the call began.
    #[must_use]
    pub const fn known(&self) -> &Known {
        &self.known
    }

    /// The call ended at `now`: idle time counts from here. One that is dropped instead counts
    /// from the next time that anybody looks.
    pub fn end(mut self, now: Moment) {
        self.activity.touch(now);
        self.ended = true;
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if !self.ended {
            self.activity.left.store(true, Ordering::Release);
        }
        self.activity.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}
