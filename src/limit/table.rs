//! The table of one shard of [`Keyed`](super::Keyed): open addressing in cache lines of two entries, so that a key is
//! mostly found in the one line that its hash chooses. Tables with control bytes apart touch two lines, far from each
//! other, and with a million keys each of them is missing from the cache.

use std::hash::Hash;

use super::hash::{Hashed, KeyHasher};
use super::pace::Arrival;

/// Entries of a line.
const WIDTH: usize = 2;

/// A key and what is counted for it, side by side rather than one in the other: an address, which has
/// odd bytes left, then makes 32 bytes.
#[derive(Debug)]
pub(super) struct Entry<K> {
    /// `None`: vacant.
    key: Option<K>,
    /// Seats held.
    pub(super) held: u32,
    /// The bucket.
    pub(super) arrival: Arrival,
}

impl<K> Entry<K> {
    fn vacant() -> Self {
        Self {
            key: None,
            held: 0,
            arrival: Arrival::default(),
        }
    }
}

/// Entries that share a cache line; without the alignment half of them would lie across two.
#[derive(Debug)]
#[repr(align(64))]
struct Line<K>([Entry<K>; WIDTH]);

impl<K> Line<K> {
    fn vacant() -> Self {
        Self(std::array::from_fn(|_| Entry::vacant()))
    }

    fn slot(&self, wanted: impl Fn(Option<&K>) -> bool) -> Option<usize> {
        self.0.iter().position(|entry| wanted(entry.key.as_ref()))
    }

    fn is_full(&self) -> bool {
        self.0.iter().all(|entry| entry.key.is_some())
    }
}

/// Where an entry stands, until the table is next changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    line: usize,
    slot: usize,
}

/// Keys with their counters.
///
/// A key stands in the line that its hash chooses or, when that was full, in the first after it that
/// was not; the first line comes after the last. All lines from the chosen one up to the key's are
/// full at all times: a search ends at a line with a vacancy, and a removal that leaves a line no
/// longer full calls back what had run over it.
#[derive(Debug)]
pub(super) struct Table<K> {
    lines: Vec<Line<K>>,
    len: usize,
}

impl<K: Hash + Eq + Clone> Table<K> {
    /// An empty one, which has allocated nothing.
    pub(super) const fn new() -> Self {
        Self {
            lines: Vec::new(),
            len: 0,
        }
    }

    /// Keys.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Most keys before it grows: three quarters of the entries, so that few lines run over and at
    /// least one is never full.
    pub(super) const fn capacity(&self) -> usize {
        self.lines.len() * WIDTH * 3 / 4
    }

    /// Bytes allocated.
    pub(super) const fn allocated_bytes(&self) -> usize {
        self.lines.capacity() * size_of::<Line<K>>()
    }

    /// Every key with its counters.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &Entry<K>)> {
        let entries = self.lines.iter().flat_map(|line| &line.0);
        entries.filter_map(|entry| Some((entry.key.as_ref()?, entry)))
    }

    /// Where `key` stands.
    #[inline]
    pub(super) fn find(&self, key: &Hashed<K>) -> Option<Spot> {
        let mut at = self.choice(key.hash);
        // No more lines than there are: a vacancy ends it long before.
        for _ in 0..self.lines.len() {
            let line = self.lines.get(at)?;
            if let Some(slot) = line.slot(|other| other == Some(&key.key)) {
                return Some(Spot { line: at, slot });
            }
            if !line.is_full() {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    /// The entry at `spot`.
    #[inline]
    pub(super) fn get(&self, spot: Spot) -> Option<&Entry<K>> {
        self.lines.get(spot.line)?.0.get(spot.slot)
    }

    /// The entry at `spot`, to be changed.
    #[inline]
    pub(super) fn get_mut(&mut self, spot: Spot) -> Option<&mut Entry<K>> {
        self.lines.get_mut(spot.line)?.0.get_mut(spot.slot)
    }

    /// Makes room for half as many keys again.
    pub(super) fn grow(&mut self, hasher: &KeyHasher) {
        self.resize(self.lines.len() + self.lines.len() / 2 + 2, hasher);
    }

    /// The entry of `key`, which has none yet, with nothing counted.
    pub(super) fn insert(&mut self, key: &Hashed<K>, hasher: &KeyHasher) -> Option<&mut Entry<K>> {
        if self.len >= self.capacity() {
            self.grow(hasher);
        }
        let spot = self.vacancy(key.hash)?;
        self.len += 1;
        let entry = self.get_mut(spot)?;
        entry.key = Some(key.key.clone());
        Some(entry)
    }

    /// Removes what stands at `spot`.
    pub(super) fn remove(&mut self, spot: Spot, hasher: &KeyHasher) {
        let Some(line) = self.lines.get_mut(spot.line) else {
            return;
        };
        let was_full = line.is_full();
        let entry = line.0.get_mut(spot.slot);
        let Some(entry) = entry.filter(|entry| entry.key.is_some()) else {
            return;
        };
        *entry = Entry::vacant();
        self.len -= 1;
        if was_full {
            self.call_back(spot, hasher);
        }
    }

    /// Removes every key that `keep` is false for.
    pub(super) fn retain(&mut self, keep: impl Fn(&Entry<K>) -> bool, hasher: &KeyHasher) {
        // Backwards from a line that is not full: what a removal calls back stands behind it, before
        // the next such line, and so has been looked at.
        let Some(end) = self.lines.iter().position(|line| !line.is_full()) else {
            return;
        };
        for line in (0..=end).rev().chain((end + 1..self.lines.len()).rev()) {
            for slot in 0..WIDTH {
                let spot = Spot { line, slot };
                let idle = |entry: &Entry<K>| entry.key.is_some() && !keep(entry);
                while self.get(spot).is_some_and(idle) {
                    self.remove(spot, hasher);
                }
            }
        }
    }

    /// Gives memory back that `keys` keys do not need.
    pub(super) fn shrink_to(&mut self, keys: usize, hasher: &KeyHasher) {
        let lines = (keys.max(self.len) * 4).div_ceil(WIDTH * 3);
        if lines < self.lines.len() {
            self.resize(lines, hasher);
        }
    }

    /// Moves all keys to new lines, which have room for them.
    fn resize(&mut self, lines: usize, hasher: &KeyHasher) {
        let new: Vec<_> = std::iter::repeat_with(Line::vacant).take(lines).collect();
        let old = std::mem::replace(&mut self.lines, new);
        for entry in old.into_iter().flat_map(|line| line.0) {
            let spot = entry.key.as_ref().map(|key| self.vacancy(hasher.of(key)));
            if let Some(place) = spot.flatten().and_then(|spot| self.get_mut(spot)) {
                *place = entry;
            }
        }
    }

    /// Where a key of this hash goes.
    fn vacancy(&self, hash: u64) -> Option<Spot> {
        let mut line = self.choice(hash);
        for _ in 0..self.lines.len() {
            if let Some(slot) = self.lines.get(line)?.slot(|key| key.is_none()) {
                return Some(Spot { line, slot });
            }
            line = self.after(line);
        }
        None
    }

    /// Fills the gap in a line that was full with a key that ran over it, then the gap which that one
    /// leaves, up to the first line that was not full: nothing ran over that.
    fn call_back(&mut self, mut gap: Spot, hasher: &KeyHasher) {
        let mut line = gap.line;
        for _ in 1..self.lines.len() {
            line = self.after(line);
            let Some(here) = self.lines.get(line) else {
                return;
            };
            let was_full = here.is_full();
            let reach = self.ahead(gap.line, line);
            let ran_over = here.slot(|key| {
                key.is_some_and(|key| self.ahead(self.choice(hasher.of(key)), line) >= reach)
            });
            if let Some(slot) = ran_over {
                let spot = Spot { line, slot };
                self.shift(spot, gap);
                gap = spot;
            }
            if !was_full {
                return;
            }
        }
    }

    fn shift(&mut self, from: Spot, to: Spot) {
        let moved = self
            .get_mut(from)
            .map(|entry| std::mem::replace(entry, Entry::vacant()));
        if let (Some(moved), Some(place)) = (moved, self.get_mut(to)) {
            *place = moved;
        }
    }

    /// The line that a hash chooses, by its upper half: shards are chosen by bits of the lower one.
    #[inline]
    fn choice(&self, hash: u64) -> usize {
        let lines = u64::try_from(self.lines.len()).unwrap_or(u64::MAX);
        usize::try_from(((hash >> 32).wrapping_mul(lines)) >> 32).unwrap_or(0)
    }

    #[inline]
    const fn after(&self, line: usize) -> usize {
        let next = line + 1;
        if next < self.lines.len() { next } else { 0 }
    }

    /// Lines to go from `from` to `to`.
    const fn ahead(&self, from: usize, to: usize) -> usize {
        if from <= to {
            to - from
        } else {
            to + self.lines.len() - from
        }
    }
}
