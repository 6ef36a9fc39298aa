//! When the refused of a rate are to come back: a moment for each, so that they do not come together.
//!
//! Nothing is kept free for them. Who comes back when it was told stands before newcomers
//! ([`Rank::Promised`](super::Rank::Promised)), which makes the promise true without leaving the rate
//! idle for those who never come back.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::ops::Range;
use std::time::Duration;

use super::moment::{Moment, nanos};
use super::sync::Mutex;

/// `Retry-After` counts in these.
const SECOND: u64 = 1_000_000_000;
/// Who comes back this long after its moment is still on time: "within a second", and the way here.
const GRACE: u64 = 2 * SECOND;
/// Promises that are remembered; further ones are told a moment as well, and then stand with newcomers.
const MOST: usize = 100_000;
/// Promises of one user; further calls of it are told to come with the last of these.
const MOST_OF_A_USER: usize = 1000;
/// Most of a slot that one user may be promised: who asks without end leaves the rest to others.
const SHARE: u32 = 4;
/// Slots that are looked at for one with room: half an hour of them. Behind, they are not counted any more.
const FAR: u64 = 1800;

/// Promises of one rate: to users `P`, of lanes `L` (one for everybody, or one for each key).
#[derive(Debug)]
pub struct Promises<L, P> {
    /// Length of a slot, nanoseconds: a second, or as long as one call takes.
    slot: u64,
    /// Most that are told to come back in one slot: half of what fits, so that who waits in line is not
    /// starved by those who come back.
    per_slot: u32,
    book: Mutex<Book<L, P>>,
}

#[derive(Debug)]
struct Book<L, P> {
    /// How many were told to come when.
    told: HashMap<L, Told>,
    /// The moments told to each user, the first first.
    due: HashMap<(L, P), VecDeque<u64>>,
    held: usize,
}

#[derive(Debug, Default)]
struct Told {
    slots: BTreeMap<u64, u32>,
    /// A run of slots that are known to be full: no need to look at each again.
    full: Range<u64>,
}

impl<L, P> Promises<L, P>
where
    L: Copy + Eq + Hash,
    P: Copy + Eq + Hash,
{
    /// For a rate of `limit` every `window`.
    #[must_use]
    pub fn new(limit: u64, window: Duration) -> Self {
        let window = nanos(window);
        let slot = window.div_ceil(limit.max(1)).max(SECOND);
        let fits = u128::from(limit) * u128::from(slot) / u128::from(window.max(1));
        Self {
            slot,
            per_slot: u32::try_from(fits.div_ceil(2)).unwrap_or(u32::MAX).max(1),
            book: Mutex::new(Book {
                told: HashMap::new(),
                due: HashMap::new(),
                held: 0,
            }),
        }
    }

    /// In how long `user`, refused at `now`, is to come back: whole seconds, at least one, not before
    /// `earliest`, and at a time when not too many others were told to.
    #[must_use]
    pub fn make(&self, lane: L, user: P, earliest: Moment, now: Moment) -> Duration {
        let wait = earliest.since(now).as_nanos().div_ceil(u128::from(SECOND));
        let wait = u64::try_from(wait)
            .unwrap_or(u64::MAX)
            .clamp(1, u64::MAX / SECOND / 4);
        let now = now.as_nanos();
        let first = now.saturating_add(wait * SECOND);
        let mut book = self.book.lock();
        let Book { told, due, held } = &mut *book;
        let told = told.entry(lane).or_default();
        told.forget(now / self.slot);
        let due = due.entry((lane, user)).or_default();
        if let Some(last) = due.back().filter(|_| due.len() >= MOST_OF_A_USER) {
            return Duration::from_nanos(last.saturating_sub(now).max(SECOND));
        }
        let slot_of = |moment: u64| moment / self.slot;
        // A user's moments follow each other, so there is no need to look before its last one.
        let from = slot_of(first).max(due.back().copied().map_or(0, slot_of));
        let share = self.per_slot.div_ceil(SHARE);
        let last_slot = due.iter().rev().take_while(|told| slot_of(**told) >= from);
        let from = from + u64::from(last_slot.count() as u64 >= u64::from(share));
        let Some(slot) = told.slot_from(from, self.per_slot) else {
            return Duration::from_nanos(first - now + FAR * self.slot);
        };
        // The first moment in that slot that is whole seconds from now.
        let later = (slot * self.slot).saturating_sub(first).div_ceil(SECOND);
        let moment = first + later * SECOND;
        if *held < MOST {
            // Within a slot, moments do not follow each other as refusals did.
            let at = due.partition_point(|other| *other <= moment);
            due.insert(at, moment);
            *held += 1;
        }
        Duration::from_nanos(moment - now)
    }

    /// Whether `user` was told to come now; each promise is kept once.
    #[must_use]
    pub fn keep(&self, lane: L, user: P, now: Moment) -> bool {
        let now = now.as_nanos();
        let mut book = self.book.lock();
        let Some(due) = book.due.get_mut(&(lane, user)) else {
            return false;
        };
        let mut gone = 0;
        while due
            .front()
            .is_some_and(|moment| moment.saturating_add(GRACE) < now)
        {
            due.pop_front();
            gone += 1;
        }
        let kept = due.front().is_some_and(|moment| *moment <= now);
        if kept {
            due.pop_front();
            gone += 1;
        }
        if due.is_empty() {
            book.due.remove(&(lane, user));
        }
        book.held -= gone;
        kept
    }

    /// Forgets who did not come.
    pub fn tidy(&self, now: Moment) {
        let now = now.as_nanos();
        let mut book = self.book.lock();
        let mut held = 0;
        book.due.retain(|_, due| {
            due.retain(|moment| moment.saturating_add(GRACE) >= now);
            held += due.len();
            !due.is_empty()
        });
        book.held = held;
        let slot = now / self.slot;
        book.told.retain(|_, told| {
            told.slots = told.slots.split_off(&slot);
            !told.slots.is_empty()
        });
    }

    /// Promises that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.book.lock().held
    }

    /// Whether no slot is counted any more.
    #[cfg(test)]
    pub(super) fn remembers_no_slot(&self) -> bool {
        self.book.lock().told.is_empty()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Told {
    fn forget(&mut self, before: u64) {
        if let Some((slot, _)) = self.slots.first_key_value()
            && *slot < before
        {
            self.slots = self.slots.split_off(&before);
        }
    }

    /// The first slot, not before `from`, with room for one more, which is taken.
    fn slot_from(&mut self, from: u64, most: u32) -> Option<u64> {
        let start = if self.full.contains(&from) {
            self.full.end
        } else {
            self.full = from..from;
            from
        };
        let slot = (start..from.saturating_add(FAR))
            .find(|slot| self.slots.get(slot).copied().unwrap_or(0) < most)?;
        self.full.end = slot;
        *self.slots.entry(slot).or_default() += 1;
        Some(slot)
    }
}
