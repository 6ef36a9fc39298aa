//! The order in a line: rings of users, a queue of calls for each. No lock, no waker, no clock.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::num::NonZeroU32;

use slab::Slab;

use super::ring::Lane;
use super::{Ahead, Bound, Newcomer, Rank, Standing};
use crate::limit::Moment;

/// Queues that may stand empty in a ring before they are swept out.
const FEW: usize = 64;

/// Who waits, and in what order they are called. `S` is what stands at a place.
#[derive(Debug)]
pub(super) struct Order<L, P, W, S> {
    places: Slab<Place<W, S>>,
    queues: Slab<Queue<L, P>>,
    queue_of: HashMap<(L, Rank, P), usize>,
    lanes: HashMap<L, Lane>,
    /// Calls of each user, in all lanes, that the bounds of the line count.
    calls: HashMap<P, usize>,
    /// Of all users.
    counted: usize,
}

/// One call in line, or called and not gone yet.
#[derive(Debug)]
struct Place<W, S> {
    who: W,
    state: S,
    since: Moment,
    bound: Bound,
    queue: usize,
    before: Option<usize>,
    behind: Option<usize>,
}

/// The calls of one user in one lane and rank, who came first before the others.
#[derive(Debug)]
struct Queue<L, P> {
    lane: L,
    rank: Rank,
    user: P,
    weight: NonZeroU32,
    /// Calls that are left of this turn; 0 when it has not begun.
    credit: u32,
    first: Option<usize>,
    last: Option<usize>,
    len: usize,
}

impl<L, P, W, S> Order<L, P, W, S>
where
    L: Copy + Eq + Hash,
    P: Copy + Eq + Hash,
{
    pub(super) fn new() -> Self {
        Self {
            places: Slab::new(),
            queues: Slab::new(),
            queue_of: HashMap::new(),
            lanes: HashMap::new(),
            calls: HashMap::new(),
            counted: 0,
        }
    }

    /// Calls that the bounds of the line count.
    pub(super) fn counted(&self) -> usize {
        self.counted
    }

    pub(super) fn waiting_in(&self, lane: &L) -> usize {
        self.lanes.get(lane).map_or(0, |lane| lane.waiting)
    }

    pub(super) fn calls_of(&self, user: &P) -> usize {
        self.calls.get(user).copied().unwrap_or(0)
    }

    /// Whether calls of `user` wait in `lane` behind `rank`.
    pub(super) fn has_behind(&self, lane: &L, rank: Rank, user: &P) -> bool {
        let behind = Rank::ALL.iter().filter(|other| **other > rank);
        let mut queues = behind.filter_map(|other| self.queue_of.get(&(*lane, *other, *user)));
        queues.any(|queue| self.queues.get(*queue).is_some_and(|queue| queue.len > 0))
    }

    /// Whether somebody waits whom a newcomer of `rank` may not pass.
    pub(super) fn has_before(&self, lane: &L, rank: Rank) -> bool {
        let lane = self.lanes.get(lane);
        lane.is_some_and(|lane| {
            let rings = lane.rings.iter().take(rank.index() + 1);
            rings.map(|ring| ring.waiting).sum::<usize>() > 0
        })
    }

    /// Puts a call in: behind those of its user that came before it.
    pub(super) fn enter(&mut self, newcomer: Newcomer<L, P, W>, bound: Bound, state: S) -> usize {
        let Newcomer {
            lane,
            user,
            rank,
            weight,
            since,
            who,
        } = newcomer;
        let queue = self.queue(lane, rank, user);
        let mut before = self.queues.get(queue).and_then(|queue| queue.last);
        let mut behind = None;
        while let Some(at) = before
            && let Some(place) = self.places.get(at)
            && place.since > since
        {
            (before, behind) = (place.before, Some(at));
        }
        let place = self.places.insert(Place {
            who,
            state,
            since,
            bound,
            queue,
            before,
            behind,
        });
        self.link(queue, (before, place, behind));
        let depth = self.queues.get_mut(queue).map_or(0, |queue| {
            queue.weight = weight;
            queue.len += 1;
            queue.len - 1
        });
        let in_lane = self.lanes.entry(lane).or_default();
        in_lane.waiting += 1;
        in_lane.ring(rank).grew(depth);
        if bound == Bound::Line {
            *self.calls.entry(user).or_default() += 1;
            self.counted += 1;
        }
        place
    }

    /// The queue of `user`, in the ring; a new one stands last.
    fn queue(&mut self, lane: L, rank: Rank, user: P) -> usize {
        let ring = self.lanes.entry(lane).or_default().ring(rank);
        match self.queue_of.entry((lane, rank, user)) {
            Entry::Occupied(entry) => {
                let queue = *entry.get();
                if self.queues.get(queue).is_some_and(|queue| queue.len == 0) {
                    ring.empty -= 1;
                }
                queue
            }
            Entry::Vacant(entry) => {
                let queue = self.queues.insert(Queue {
                    lane,
                    rank,
                    user,
                    weight: NonZeroU32::MIN,
                    credit: 0,
                    first: None,
                    last: None,
                    len: 0,
                });
                ring.turns.push_back(queue);
                *entry.insert(queue)
            }
        }
    }

    fn link(
        &mut self,
        queue: usize,
        (before, place, behind): (Option<usize>, usize, Option<usize>),
    ) {
        let Some(queue) = self.queues.get_mut(queue) else {
            return;
        };
        match before.and_then(|at| self.places.get_mut(at)) {
            Some(before) => before.behind = Some(place),
            None => queue.first = Some(place),
        }
        match behind.and_then(|at| self.places.get_mut(at)) {
            Some(behind) => behind.before = Some(place),
            None => queue.last = Some(place),
        }
    }

    /// Who is next in `lane`.
    pub(super) fn next(&mut self, lane: &L) -> Option<&W> {
        let first = self.first(lane)?;
        self.places.get(first).map(|place| &place.who)
    }

    fn first(&mut self, lane: &L) -> Option<usize> {
        let in_lane = self.lanes.get_mut(lane)?;
        let ring = in_lane.rings.iter_mut().find(|ring| ring.waiting > 0)?;
        loop {
            let queue = *ring.turns.front()?;
            let first = self.queues.get(queue).and_then(|queue| queue.first);
            if first.is_some() {
                return first;
            }
            ring.turns.pop_front();
            ring.empty -= 1;
            forget(&mut self.queues, &mut self.queue_of, queue);
        }
    }

    /// Takes who is next in `lane` out of its queue, and gives the turn on. Its place stays.
    pub(super) fn serve(&mut self, lane: &L) -> Option<&mut S> {
        let first = self.first(lane)?;
        let at = self.unlink(first)?;
        let queue = self.queues.get_mut(at)?;
        if queue.credit == 0 {
            queue.credit = queue.weight.get();
        }
        queue.credit -= 1;
        let (rank, is_empty) = (queue.rank, queue.len == 0);
        if is_empty || queue.credit == 0 {
            queue.credit = 0;
            let ring = self.lanes.get_mut(lane)?.ring(rank);
            ring.turns.pop_front();
            if is_empty {
                ring.empty -= 1;
                forget(&mut self.queues, &mut self.queue_of, at);
            } else {
                ring.turns.push_back(at);
            }
        }
        self.close(lane);
        self.places.get_mut(first).map(|place| &mut place.state)
    }

    /// Takes a call out that does not wait any more; its place goes too.
    pub(super) fn withdraw(&mut self, place: usize) {
        let Some(queue) = self.unlink(place) else {
            return;
        };
        self.places.try_remove(place);
        let Some(queue) = self.queues.get(queue) else {
            return;
        };
        let (lane, rank) = (queue.lane, queue.rank);
        self.sweep(&lane, rank);
        self.close(&lane);
    }

    /// What stands at a place.
    pub(super) fn state(&mut self, place: usize) -> Option<&mut S> {
        self.places.get_mut(place).map(|place| &mut place.state)
    }

    /// Ends the place of a call that was served.
    pub(super) fn remove_called(&mut self, place: usize) -> Option<S> {
        self.places.try_remove(place).map(|place| place.state)
    }

    /// Takes a place out of its queue, which may be left empty in its ring; says which queue.
    fn unlink(&mut self, place: usize) -> Option<usize> {
        let Place {
            queue: at,
            before,
            behind,
            bound,
            ..
        } = *self.places.get(place)?;
        let queue = self.queues.get_mut(at)?;
        match before.and_then(|at| self.places.get_mut(at)) {
            Some(before) => before.behind = behind,
            None => queue.first = behind,
        }
        match behind.and_then(|at| self.places.get_mut(at)) {
            Some(behind) => behind.before = before,
            None => queue.last = before,
        }
        queue.len -= 1;
        let lane = self.lanes.get_mut(&queue.lane)?;
        lane.waiting -= 1;
        let ring = lane.ring(queue.rank);
        ring.shrank(queue.len);
        ring.empty += usize::from(queue.len == 0);
        if bound == Bound::Line {
            self.counted -= 1;
            if let Entry::Occupied(mut calls) = self.calls.entry(queue.user) {
                *calls.get_mut() -= 1;
                if *calls.get() == 0 {
                    calls.remove();
                }
            }
        }
        Some(at)
    }

    /// Empty queues go once they are as many as the others: each is looked at a constant number of
    /// times, however many come and leave.
    fn sweep(&mut self, lane: &L, rank: Rank) {
        let Some(ring) = self.lanes.get_mut(lane).map(|lane| lane.ring(rank)) else {
            return;
        };
        if ring.empty < FEW || ring.empty * 2 < ring.turns.len() {
            return;
        }
        ring.turns.retain(|queue| {
            let is_empty = self.queues.get(*queue).is_none_or(|queue| queue.len == 0);
            if is_empty {
                forget(&mut self.queues, &mut self.queue_of, *queue);
            }
            !is_empty
        });
        ring.empty = 0;
    }

    /// A lane in which nobody waits is forgotten.
    fn close(&mut self, lane: &L) {
        if self.waiting_in(lane) > 0 {
            return;
        }
        let Some(closed) = self.lanes.remove(lane) else {
            return;
        };
        for queue in closed.rings.iter().flat_map(|ring| &ring.turns) {
            forget(&mut self.queues, &mut self.queue_of, *queue);
        }
    }

    /// Calls before one of `user` that would come now. Each of its user's calls before it takes a round
    /// in which every other user has one too; in the last round some have had theirs before it.
    pub(super) fn ahead(&self, lane: &L, rank: Rank, user: &P) -> Ahead {
        let Some(lane_of) = self.lanes.get(lane) else {
            return Ahead { least: 0, most: 0 };
        };
        let better = lane_of.rings.iter().take(rank.index());
        let better: usize = better.map(|ring| ring.waiting).sum();
        let queue = self.queue_of.get(&(*lane, rank, *user));
        let queue = queue.and_then(|queue| self.queues.get(*queue));
        // A heavy user has several in a round.
        let own = queue.map_or(0, |queue| queue.len);
        let rounds = queue.map_or(0, |queue| own / queue.weight.get() as usize);
        let same = lane_of.rings.get(rank.index()).map(|ring| {
            let whole: u64 = (0..rounds).map(|depth| ring.users_deeper_than(depth)).sum();
            let whole = whole + (own - rounds) as u64;
            (whole, whole + ring.users_deeper_than(rounds))
        });
        let (least, most) = same.unwrap_or_default();
        let better = better as u64;
        Ahead {
            least: better + least,
            most: better + most,
        }
    }

    pub(super) fn lanes(&self) -> Vec<L> {
        self.lanes.keys().copied().collect()
    }

    pub(super) fn standing(&self, lane: Option<&L>) -> Vec<Standing<P>> {
        let mut by_user: HashMap<P, Standing<P>> = HashMap::new();
        let queues = self.queues.iter().map(|(_, queue)| queue);
        for queue in queues.filter(|queue| lane.is_none_or(|lane| queue.lane == *lane)) {
            let Some(first) = queue.first.and_then(|first| self.places.get(first)) else {
                continue;
            };
            let of_user = by_user.entry(queue.user).or_insert(Standing {
                user: queue.user,
                calls: 0,
                since: first.since,
            });
            of_user.calls += queue.len as u64;
            of_user.since = of_user.since.min(first.since);
        }
        let mut standing: Vec<Standing<P>> = by_user.into_values().collect();
        standing.sort_by_key(|one| (std::cmp::Reverse(one.calls), one.since));
        standing
    }
}

fn forget<L, P>(
    queues: &mut Slab<Queue<L, P>>,
    queue_of: &mut HashMap<(L, Rank, P), usize>,
    queue: usize,
) where
    L: Copy + Eq + Hash,
    P: Copy + Eq + Hash,
{
    if let Some(queue) = queues.try_remove(queue) {
        queue_of.remove(&(queue.lane, queue.rank, queue.user));
    }
}
