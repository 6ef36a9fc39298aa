//! Whether an upstream can be reached, who waits for it, and in which order they go when it is back.
//!
//! ```text
//!           a connection is not had                a connection is had
//!   Up ──────────────────────────────▶ Down ──────────────────────────────▶ Back ── ramp over ──▶ Up
//!                                       ▲     who waits gets a moment to go   │
//!                                       └────── a connection is not had ──────┘
//! ```

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep_until, timeout_at};

use crate::admit::SocketGroup;
use crate::limit::Ramp;

/// Most calls that wait for one upstream.
const MOST_WAITING: usize = 10_000;
/// Shortest and longest time after which a refused call is told to come back; an outage is expected to
/// last as long again as it did, within these.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_mins(1);

/// Whether one upstream can be reached.
#[derive(Debug)]
pub struct Health {
    /// Neither down nor just back. It is all that a usual call looks at.
    steady: AtomicBool,
    book: Mutex<Book>,
    fell: Notify,
    most_waiting: usize,
}

#[derive(Debug)]
struct Book {
    phase: Phase,
    /// Number of the last return; a call that was let go knows which it was let go after.
    round: u64,
    arrivals: u64,
    /// Who waits while it is down, in the order in which they came.
    waiting: BTreeMap<u64, oneshot::Sender<Instant>>,
    refused: u32,
    /// The limits of sockets that the call which found it down stands for.
    group: SocketGroup,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Up,
    Down {
        since: Instant,
    },
    Back {
        down_since: Instant,
        at: Instant,
        ramp: Ramp,
        /// Calls that were given their moment.
        called: u64,
    },
}

/// A call's number in the order of arrival, and the return that it was let go after. It keeps both over
/// several attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pass {
    number: Option<u64>,
    round: u64,
}

/// What becomes of a call at the door.
#[derive(Debug)]
pub enum Door<'a> {
    /// It may go.
    Open,
    /// It waits.
    Waits(Place<'a>),
    /// Too many wait.
    Full,
}

/// How an outage began or ended, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outage {
    pub(super) lasted: Duration,
    pub(super) waiting: usize,
}

impl Default for Health {
    fn default() -> Self {
        Self::with_room(MOST_WAITING)
    }
}

impl Health {
    fn with_room(most_waiting: usize) -> Self {
        Self {
            steady: AtomicBool::new(true),
            book: Mutex::new(Book {
                phase: Phase::Up,
                round: 0,
                arrivals: 0,
                waiting: BTreeMap::new(),
                refused: 0,
                group: SocketGroup::default(),
            }),
            fell: Notify::new(),
            most_waiting,
        }
    }

    /// Whether nothing is the matter: neither is it down, nor did it come back just now.
    #[must_use]
    pub fn is_steady(&self) -> bool {
        self.steady.load(Ordering::Acquire)
    }

    /// Whether a call with this pass may go on at `now`.
    #[must_use]
    pub fn is_open_to(&self, pass: Pass, now: Instant) -> bool {
        if self.is_steady() {
            return true;
        }
        let mut book = self.book.lock();
        match self.settled(&mut book, now) {
            Phase::Up => true,
            Phase::Down { .. } => false,
            Phase::Back { .. } => pass.round == book.round,
        }
    }

    /// A call comes at `now`, perhaps once more.
    pub fn enter(&self, pass: &mut Pass, now: Instant) -> Door<'_> {
        let mut book = self.book.lock();
        let phase = self.settled(&mut book, now);
        if matches!(phase, Phase::Up) {
            return Door::Open;
        }
        let (call, called) = oneshot::channel();
        let number = *pass.number.get_or_insert(book.arrivals);
        book.arrivals = book.arrivals.max(number + 1);
        if let Some(at) = book.next_turn() {
            pass.round = book.round;
            if at <= now {
                return Door::Open;
            }
            if book.called() > as_u64(self.most_waiting) {
                return Door::Full;
            }
            let _ = call.send(at);
        } else if book.waiting.len() < self.most_waiting {
            book.waiting.insert(number, call);
        } else {
            return Door::Full;
        }
        drop(book);
        Door::Waits(Place {
            health: self,
            number,
            called,
        })
    }

    /// How long it has been down at `now`; `None` while it is not.
    #[must_use]
    pub fn down_for(&self, now: Instant) -> Option<Duration> {
        match self.book.lock().phase {
            Phase::Down { since } => Some(now.saturating_duration_since(since)),
            Phase::Up | Phase::Back { .. } => None,
        }
    }

    /// Calls that wait for it.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.book.lock().waiting.len()
    }

    /// When a call that is refused at `now` should come back: the later, the longer it has been down, and
    /// not all at the same time.
    #[must_use]
    pub fn come_back_in(&self, now: Instant) -> Duration {
        let down_for = self.down_for(now).unwrap_or_default();
        let mut book = self.book.lock();
        book.refused = book.refused.wrapping_add(1);
        come_back_in(down_for, book.refused)
    }

    /// A connection for a call of `group` was not had at `now`. True when it was not down before.
    pub(super) fn lost(&self, group: SocketGroup, now: Instant) -> bool {
        let mut book = self.book.lock();
        let since = match self.settled(&mut book, now) {
            Phase::Down { .. } => return false,
            Phase::Up => now,
            // It never was back.
            Phase::Back { down_since, .. } => down_since,
        };
        (book.phase, book.group) = (Phase::Down { since }, group);
        self.steady.store(false, Ordering::Release);
        drop(book);
        self.fell.notify_one();
        true
    }

    /// A connection was had at `now`: who waits is told when to go. The outage that ends by it, if one does.
    pub(super) fn found(&self, now: Instant) -> Option<Outage> {
        if self.is_steady() {
            return None;
        }
        let mut book = self.book.lock();
        let Phase::Down { since } = book.phase else {
            return None;
        };
        let lasted = now.saturating_duration_since(since);
        book.phase = Phase::Back {
            down_since: since,
            at: now,
            ramp: Ramp::after(lasted),
            called: 0,
        };
        book.round += 1;
        let waiting = std::mem::take(&mut book.waiting);
        let outage = Outage {
            lasted,
            waiting: waiting.len(),
        };
        for call in waiting.into_values() {
            // Who is about to leave leaves a gap, which costs the others a moment at most.
            if let Some(at) = book.next_turn() {
                let _ = call.send(at);
            }
        }
        Some(outage)
    }

    /// Waits until it is down; the limits of sockets that its sockets are charged to.
    pub(super) async fn fallen(&self) -> SocketGroup {
        loop {
            if let Some(group) = self.group_of_fall() {
                return group;
            }
            self.fell.notified().await;
        }
    }

    fn group_of_fall(&self) -> Option<SocketGroup> {
        let book = self.book.lock();
        matches!(book.phase, Phase::Down { .. }).then_some(book.group)
    }

    /// The phase, with the end of a ramp noticed.
    fn settled(&self, book: &mut Book, now: Instant) -> Phase {
        if let Phase::Back { at, ramp, .. } = book.phase
            && now >= at + ramp.length()
        {
            book.phase = Phase::Up;
            self.steady.store(true, Ordering::Release);
        }
        book.phase
    }
}

impl Book {
    /// The moment at which the next call may go; `None` where that is not known.
    fn next_turn(&mut self) -> Option<Instant> {
        let Phase::Back {
            at, ramp, called, ..
        } = &mut self.phase
        else {
            return None;
        };
        let turn = *at + ramp.turn(*called);
        *called += 1;
        Some(turn)
    }

    fn called(&self) -> u64 {
        match self.phase {
            Phase::Back { called, .. } => called,
            Phase::Up | Phase::Down { .. } => 0,
        }
    }
}

/// A call that waits. Dropping it leaves.
#[derive(Debug)]
pub struct Place<'a> {
    health: &'a Health,
    number: u64,
    called: oneshot::Receiver<Instant>,
}

impl Place<'_> {
    /// Waits for its turn: the pass to go with; `None` where the upstream was still down at `until`.
    pub async fn turn(mut self, until: Instant) -> Option<Pass> {
        loop {
            let called = timeout_at(until.into(), &mut self.called).await;
            let at = called.ok()?.ok()?;
            sleep_until(at.into()).await;
            let mut pass = Pass {
                number: Some(self.number),
                round: 0,
            };
            // It may be down again: then everybody waits on, in the old order.
            match self.health.go_on(&mut pass) {
                None => return Some(pass),
                Some(called) => self.called = called,
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.health.book.lock().waiting.remove(&self.number);
    }
}

impl Health {
    /// Lets a call go whose moment has come, or has it wait once more.
    fn go_on(&self, pass: &mut Pass) -> Option<oneshot::Receiver<Instant>> {
        let mut book = self.book.lock();
        pass.round = book.round;
        let Phase::Down { .. } = book.phase else {
            return None;
        };
        let (call, called) = oneshot::channel();
        book.waiting.insert(pass.number?, call);
        Some(called)
    }
}

/// See [`Health::come_back_in`]; `nth` counts refusals.
fn come_back_in(down_for: Duration, nth: u32) -> Duration {
    // Multiples of the golden ratio, whole parts cut off: however many, they lie evenly between 0 and 1.
    const GOLDEN: u32 = 2_654_435_769;
    let spread = f64::from(nth.wrapping_mul(GOLDEN)) / f64::from(u32::MAX);
    let about = down_for.clamp(2 * SOONEST, LATEST * 2 / 3);
    about.mul_f64(0.5 + spread).clamp(SOONEST, LATEST)
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "health_tests.rs"]
mod tests;
