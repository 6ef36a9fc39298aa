//! A fair waiting line before something that is full.
//!
//! ```text
//!   lane: what is full (everybody's units, or those of one key)
//!     rank First      logout, polls, break-glass    ┐
//!     rank Promised   came back when it was told    │ a rank is called when nobody of a rank
//!     rank Usual      interactive                   │ before it waits
//!     rank Batch      what a route says can wait    ┘
//!       users in a ring; each turn calls `weight` of a user's, then it is the next user's turn
//!         of one user: who came first
//! ```
//!
//! A unit that comes free goes to the next in line and to nobody else: whoever frees one calls
//! [`Line::call`], and who comes by while somebody waits joins, whatever is free just then. Room is
//! looked for under the lock of the line, by who joins as by who calls, so that none is missed: who
//! frees a unit and finds the line empty did so before anybody joined, and then who joins finds it.

mod order;
mod ring;

use std::hash::Hash;
use std::num::NonZeroU32;
use std::task::{Context, Poll, Waker};

use super::moment::Moment;
use super::sync::{AtomicUsize, Mutex, Ordering, fence};
use order::Order;

/// Calls that are woken in one go; the lock is free in between.
const AT_ONCE: usize = 32;

/// Who is called before whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// What the system needs to drain, and named administrators.
    First,
    /// Who was told when to come back, and did.
    Promised,
    /// Everybody else.
    Usual,
    /// What can wait for everybody else.
    Batch,
}

impl Rank {
    /// Every rank, the first first.
    pub const ALL: [Self; 4] = [Self::First, Self::Promised, Self::Usual, Self::Batch];

    const COUNT: usize = Self::ALL.len();

    const fn index(self) -> usize {
        self as usize
    }
}

/// How many may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// All together.
    pub line: u64,
    /// Of one user.
    pub per_user: u64,
}

/// By whose bounds somebody was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// Those of the line: it takes one of its places.
    Line,
    /// Somebody else's.
    Elsewhere,
}

/// Somebody who would wait.
#[derive(Debug, Clone, Copy)]
pub struct Newcomer<L, P, W> {
    /// For what.
    pub lane: L,
    /// Whose turns it takes.
    pub user: P,
    /// Before whom it goes.
    pub rank: Rank,
    /// Calls of this user in one turn.
    pub weight: NonZeroU32,
    /// Since when it has waited, here or in another line.
    pub since: Moment,
    /// What is needed to find room for it.
    pub who: W,
}

/// A place in the line. Who has it owes one [`Line::leave`], or a [`Line::poll`] that is ready.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a place that is not given up stays in the line"]
pub struct Spot(usize);

/// What became of a newcomer.
#[derive(Debug)]
pub enum Joined<U, S = Spot> {
    /// Nobody was before it, and there was room.
    Passed(U),
    /// It waits.
    Waits(S),
    /// The line is full, or the user's share of it.
    Crowded,
}

/// Calls that a newcomer would have before it, were nobody else to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ahead {
    /// At least.
    pub least: u64,
    /// At most.
    pub most: u64,
}

/// Calls of one user in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing<P> {
    /// Who.
    pub user: P,
    /// How many.
    pub calls: u64,
    /// Since when the first of them has waited.
    pub since: Moment,
}

/// A line for what is full by lane `L`: users `P` wait in it, each call with a `W` that tells who it
/// is, and are handed a `U` when it is their turn.
#[derive(Debug)]
pub struct Line<L, P, W, U> {
    bounds: Bounds,
    /// How many wait; changed under the lock.
    waiting: AtomicUsize,
    order: Mutex<Order<L, P, W, State<U>>>,
}

/// What stands at a place.
#[derive(Debug)]
enum State<U> {
    /// Whom to wake, once somebody has asked.
    Waits(Option<Waker>),
    /// It was handed this, and has not come for it yet.
    Called(U),
}

impl<L, P, W, U> Line<L, P, W, U>
where
    L: Copy + Eq + Hash,
    P: Copy + Eq + Hash,
{
    /// An empty line.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            waiting: AtomicUsize::new(0),
            order: Mutex::new(Order::new()),
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    /// Whether nobody waits: then who comes by need not join.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether somebody waits, for who has just freed a unit.
    ///
    /// The fence stands between the freeing and the look, as one stands in [`Line::join`] between the
    /// entry and the look for room: one of the two sees the other.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        fence(Ordering::SeqCst);
        !self.is_empty()
    }

    /// How many wait in this lane.
    #[must_use]
    pub fn waiting_in(&self, lane: &L) -> u64 {
        if self.is_empty() {
            return 0;
        }
        self.order.lock().waiting_in(lane) as u64
    }

    /// Puts `newcomer` into the line, unless nobody of its rank or a better one waits in its lane and
    /// `room` finds some for it.
    pub fn join(
        &self,
        newcomer: Newcomer<L, P, W>,
        room: impl FnOnce(&W) -> Option<U>,
    ) -> Joined<U> {
        self.join_as(newcomer, Bound::Line, room)
    }

    /// As [`Line::join`], for who is let in by other bounds than those of this line: its place takes none of the line's.
    pub fn join_beside(
        &self,
        newcomer: Newcomer<L, P, W>,
        room: impl FnOnce(&W) -> Option<U>,
    ) -> Joined<U> {
        self.join_as(newcomer, Bound::Elsewhere, room)
    }

    fn join_as(
        &self,
        newcomer: Newcomer<L, P, W>,
        bound: Bound,
        room: impl FnOnce(&W) -> Option<U>,
    ) -> Joined<U> {
        let mut order = self.order.lock();
        let first = !order.has_before(&newcomer.lane, newcomer.rank);
        // From here on who frees a unit sees somebody, and comes to the lock.
        self.waiting.fetch_add(1, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        let passed = if first { room(&newcomer.who) } else { None };
        let joined = match passed {
            Some(unit) => Joined::Passed(unit),
            // Who was told to come now has its place, however many came meanwhile; no more were told than fit.
            None if bound == Bound::Line
                && newcomer.rank != Rank::Promised
                && !self.has_room_in(&order, &newcomer.user) =>
            {
                Joined::Crowded
            }
            None => return Joined::Waits(Spot(order.enter(newcomer, bound, State::Waits(None)))),
        };
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        joined
    }

    /// Calls who is next in `lane`, as long as `room` finds some for it. How many it called.
    pub fn call(&self, lane: &L, mut room: impl FnMut(&W) -> Option<U>) -> usize {
        let mut called = 0;
        loop {
            let wake = self.call_some(lane, &mut room);
            let some = wake.len();
            called += some;
            wake.into_iter().flatten().for_each(Waker::wake);
            if some < AT_ONCE {
                return called;
            }
        }
    }

    fn call_some(
        &self,
        lane: &L,
        room: &mut impl FnMut(&W) -> Option<U>,
    ) -> arrayvec::ArrayVec<Option<Waker>, AT_ONCE> {
        let mut wake = arrayvec::ArrayVec::new();
        let mut order = self.order.lock();
        while !wake.is_full() {
            let Some(unit) = order.next(lane).and_then(&mut *room) else {
                break;
            };
            let Some(state) = order.serve(lane) else {
                break;
            };
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            match std::mem::replace(state, State::Called(unit)) {
                State::Waits(waker) => wake.push(waker),
                State::Called(_) => {}
            }
        }
        wake
    }

    /// What `spot` was handed, once it was called; the place is gone then.
    pub fn poll(&self, spot: &Spot, context: &Context<'_>) -> Poll<U> {
        let mut order = self.order.lock();
        match order.state(spot.0) {
            Some(State::Waits(waker)) => {
                match waker {
                    Some(waker) => waker.clone_from(context.waker()),
                    None => *waker = Some(context.waker().clone()),
                }
                Poll::Pending
            }
            _ => match order.remove_called(spot.0) {
                Some(State::Called(unit)) => Poll::Ready(unit),
                _ => Poll::Pending,
            },
        }
    }

    /// Gives the place up. What it was handed meanwhile comes back: it is the next one's.
    pub fn leave(&self, Spot(place): Spot) -> Option<U> {
        let mut order = self.order.lock();
        if matches!(order.state(place), Some(State::Waits(_))) {
            order.withdraw(place);
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            return None;
        }
        match order.remove_called(place) {
            Some(State::Called(unit)) => Some(unit),
            _ => None,
        }
    }

    /// Whether calls of `user` wait in `lane` behind those of `rank`.
    #[must_use]
    pub fn has_behind(&self, lane: &L, rank: Rank, user: &P) -> bool {
        !self.is_empty() && self.order.lock().has_behind(lane, rank, user)
    }

    /// Whether there is a place left in the line for a call of `user`.
    #[must_use]
    pub fn has_place(&self, user: &P) -> bool {
        self.has_room_in(&self.order.lock(), user)
    }

    fn has_room_in(&self, order: &Order<L, P, W, State<U>>, user: &P) -> bool {
        (order.counted() as u64) < self.bounds.line
            && (order.calls_of(user) as u64) < self.bounds.per_user
    }

    /// Calls that one of `user` in `lane` would have before it.
    #[must_use]
    pub fn ahead(&self, lane: &L, rank: Rank, user: &P) -> Ahead {
        if self.is_empty() {
            return Ahead { least: 0, most: 0 };
        }
        self.order.lock().ahead(lane, rank, user)
    }

    /// Every lane in which somebody waits.
    #[must_use]
    pub fn lanes(&self) -> Vec<L> {
        if self.is_empty() {
            return Vec::new();
        }
        self.order.lock().lanes()
    }

    /// Who waits, in `lane` or in all; the most calls first.
    #[must_use]
    pub fn standing(&self, lane: Option<&L>) -> Vec<Standing<P>> {
        if self.is_empty() {
            return Vec::new();
        }
        self.order.lock().standing(lane)
    }
}
