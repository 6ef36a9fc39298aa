//! Counters for each key apart: seats and paces in one sharded map, where idle keys cost nothing.

use std::hash::Hash;

use super::hash::{Hashed, KeyHasher};
use super::moment::{Denied, Moment};
use super::pace::{Arrival, Pace};
use super::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};
use super::table::{Entry, Spot, Table};

/// Locks that the keys are spread over; a power of two.
const SHARDS: usize = 128;
/// Shards smaller than this are not worth shrinking.
const SMALL: usize = 64;

/// What is counted for one key.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    held: u32,
    arrival: Arrival,
}

impl Cell {
    /// Seats held.
    #[must_use]
    pub fn held(&self) -> u64 {
        u64::from(self.held)
    }

    /// Tokens missing from the key's bucket at `now`.
    #[must_use]
    pub fn tokens(&self, pace: &Pace, now: Moment) -> u64 {
        pace.in_use(self.arrival, now)
    }
}

impl Cell {
    fn of<K>(entry: &Entry<K>) -> Self {
        Self {
            held: entry.held,
            arrival: entry.arrival,
        }
    }
}

/// Whether a key is like one that was never used: only then may it be forgotten, since forgetting a
/// bucket that is not full would refill it.
const fn is_idle<K>(entry: &Entry<K>, now: Moment) -> bool {
    entry.held == 0 && entry.arrival.is_full(now)
}

/// Aligned so that neighbours' locks do not share a cache line (nor the pair that is prefetched).
#[derive(Debug)]
#[repr(align(128))]
struct Shard<K>(Mutex<Table<K>>);

/// A map from keys to small cells.
///
/// A key is remembered while it holds a seat or its bucket is not full. Seats forget a key as its
/// last one is given back; buckets fill by themselves, and [`Keyed::tidy`] sweeps the full ones away.
#[derive(Debug)]
pub struct Keyed<K> {
    hasher: KeyHasher,
    shards: Box<[Shard<K>; SHARDS]>,
    /// The shard that `tidy` comes to next.
    next: AtomicUsize,
}

impl<K: Hash + Eq + Clone> Keyed<K> {
    /// An empty map whose keys are hashed by `hasher`.
    #[must_use]
    pub fn new(hasher: KeyHasher) -> Self {
        let shards = std::array::from_fn(|_| Shard(Mutex::new(Table::new())));
        Self {
            hasher,
            shards: Box::new(shards),
            next: AtomicUsize::new(0),
        }
    }

    /// Takes a seat of `key` if fewer than `ceiling` are held. Owes one [`Keyed::give_back`].
    ///
    /// # Errors
    ///
    /// The seats held, when they are as many as the ceiling.
    pub fn try_seat(&self, key: &Hashed<K>, ceiling: u64) -> Result<(), u64> {
        let mut table = self.table(key.hash);
        let spot = table.find(key);
        let held = spot.map_or(0, |spot| held(&table, spot));
        if held >= ceiling || held >= u64::from(u32::MAX) {
            return Err(held);
        }
        if let Some(entry) = self.entry(&mut table, key, spot) {
            entry.held += 1;
        }
        Ok(())
    }

    /// Takes a seat of `key` in any case, for limits that only count; true when it was within
    /// `ceiling`. Owes one [`Keyed::give_back`].
    pub fn seat_unchecked(&self, key: &Hashed<K>, ceiling: u64) -> bool {
        let mut table = self.table(key.hash);
        let spot = table.find(key);
        let within = spot.map_or(0, |spot| held(&table, spot)) < ceiling;
        if let Some(entry) = self.entry(&mut table, key, spot) {
            entry.held = entry.held.saturating_add(1);
        }
        within
    }

    /// Gives a seat of `key` back. False, and nothing changed, when none was held.
    pub fn give_back(&self, key: &Hashed<K>) -> bool {
        let mut table = self.table(key.hash);
        let Some(spot) = table.find(key) else {
            return false;
        };
        let Some(entry) = table.get_mut(spot) else {
            return false;
        };
        let Some(left) = entry.held.checked_sub(1) else {
            return false;
        };
        entry.held = left;
        if is_idle(entry, Moment::START) {
            table.remove(spot, &self.hasher);
        }
        true
    }

    /// Seats that `key` holds.
    #[must_use]
    pub fn held(&self, key: &Hashed<K>) -> u64 {
        let table = self.table(key.hash);
        table.find(key).map_or(0, |spot| held(&table, spot))
    }

    /// Tokens missing from the bucket of `key` at `now`.
    #[must_use]
    pub fn tokens(&self, key: &Hashed<K>, pace: &Pace, now: Moment) -> u64 {
        let table = self.table(key.hash);
        let cell = table.find(key).and_then(|spot| table.get(spot));
        cell.map_or(0, |entry| Cell::of(entry).tokens(pace, now))
    }

    /// Whether one more call of `key` fits at `now`. The answer holds, and the other keys of its
    /// shard wait, until the offer is taken or dropped; dropped, it was as if nobody had asked.
    ///
    /// # Errors
    ///
    /// [`Denied`] when it does not fit.
    pub fn offer(
        &self,
        key: &Hashed<K>,
        pace: &Pace,
        now: Moment,
    ) -> Result<KeyedOffer<'_, K>, Denied> {
        let table = self.table(key.hash);
        let spot = table.find(key);
        let before = spot
            .and_then(|spot| table.get(spot))
            .map(|entry| entry.arrival);
        let after = pace.check(before.unwrap_or_default(), now)?;
        Ok(KeyedOffer {
            of: self,
            table,
            key: key.clone(),
            spot,
            after,
            now,
        })
    }

    /// Counts one call of `key` at `now`.
    ///
    /// # Errors
    ///
    /// [`Denied`], and nothing counted, when it does not fit.
    pub fn try_take(&self, key: &Hashed<K>, pace: &Pace, now: Moment) -> Result<(), Denied> {
        self.offer(key, pace, now).map(KeyedOffer::take)
    }

    /// Nothing of `key` fits before `until`, and then one.
    pub fn shut(&self, key: &Hashed<K>, pace: &Pace, until: Moment) {
        let mut table = self.table(key.hash);
        let spot = table.find(key);
        if let Some(entry) = self.entry(&mut table, key, spot) {
            entry.arrival = pace.shut(entry.arrival, until);
        }
    }

    /// Takes back a call of `key` that never left: its token is in the bucket again.
    pub fn take_back(&self, key: &Hashed<K>, pace: &Pace) {
        let mut table = self.table(key.hash);
        let spot = table.find(key);
        if let Some(entry) = spot.and_then(|spot| table.get_mut(spot)) {
            entry.arrival = pace.take_back(entry.arrival);
        }
    }

    /// When a call of `key` with `ahead` others of it before it fits, were nobody else to come; `None`
    /// when it never does.
    #[must_use]
    pub fn turn_of(&self, key: &Hashed<K>, pace: &Pace, ahead: u64, now: Moment) -> Option<Moment> {
        let table = self.table(key.hash);
        let cell = table.find(key).and_then(|spot| table.get(spot));
        let arrival = cell.map(|entry| entry.arrival).unwrap_or_default();
        pace.turn_of(arrival, ahead, now)
    }

    /// Forgets idle keys, shard by shard, until `budget` keys have been looked at or every shard
    /// has been. Each call goes on where the last one stopped. How many keys it forgot.
    pub fn tidy(&self, now: Moment, budget: usize) -> usize {
        let (mut seen, mut forgotten) = (0, 0);
        for _ in 0..SHARDS {
            if seen >= budget {
                break;
            }
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            let mut table = self.shard(turn);
            let before = table.len();
            table.retain(|entry| !is_idle(entry, now), &self.hasher);
            let len = table.len();
            if table.capacity() > SMALL && len < table.capacity() / 4 {
                table.shrink_to(len * 2, &self.hasher);
            }
            seen += before.max(1);
            forgotten += before - len;
        }
        forgotten
    }

    /// The weight of all keys together, and the `n` heaviest, heaviest first. Walks every key, one
    /// shard's lock at a time.
    pub fn heaviest(&self, n: usize, weigh: impl Fn(&Cell) -> u64) -> (u64, Vec<(K, u64)>) {
        let mut total = 0_u64;
        let mut top: Vec<(K, u64)> = Vec::with_capacity(n.min(SMALL) + 1);
        for shard in self.shards.iter() {
            for (key, entry) in shard.0.lock().iter() {
                let weight = weigh(&Cell::of(entry));
                total = total.saturating_add(weight);
                let place = top.partition_point(|(_, other)| *other >= weight);
                if weight > 0 && place < n {
                    top.insert(place, (key.clone(), weight));
                    top.truncate(n);
                }
            }
        }
        (total, top)
    }

    /// Keys remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().len()).sum()
    }

    /// Whether no key is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the map has allocated, keys on the heap not counted.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        let tables: usize = self
            .shards
            .iter()
            .map(|shard| shard.0.lock().allocated_bytes())
            .sum();
        tables + size_of_val(&*self.shards)
    }

    fn table(&self, hash: u64) -> MutexGuard<'_, Table<K>> {
        // Bits of the middle: the table itself uses the upper half.
        let [.., middle, _, _, _, _, _] = hash.to_le_bytes();
        self.shard(usize::from(middle))
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder by their number")]
    fn shard(&self, turn: usize) -> MutexGuard<'_, Table<K>> {
        self.shards[turn % SHARDS].0.lock()
    }

    /// The entry at `spot`, or a new one for `key` where there is none.
    fn entry<'t>(
        &self,
        table: &'t mut Table<K>,
        key: &Hashed<K>,
        spot: Option<Spot>,
    ) -> Option<&'t mut Entry<K>> {
        match spot {
            Some(spot) => table.get_mut(spot),
            None => table.insert(key, &self.hasher),
        }
    }
}

fn held<K: Hash + Eq + Clone>(table: &Table<K>, spot: Spot) -> u64 {
    table.get(spot).map_or(0, |entry| u64::from(entry.held))
}

/// Room for one call of a key, kept for whoever holds this.
#[derive(Debug)]
#[must_use = "an offer that is dropped counts nothing"]
pub struct KeyedOffer<'a, K> {
    of: &'a Keyed<K>,
    table: MutexGuard<'a, Table<K>>,
    key: Hashed<K>,
    /// Where the key stands, when it is known already.
    spot: Option<Spot>,
    after: Arrival,
    now: Moment,
}

impl<K: Hash + Eq + Clone> KeyedOffer<'_, K> {
    /// Counts the call.
    pub fn take(mut self) {
        if self.spot.is_none() {
            self.make_room();
        }
        if let Some(entry) = self.of.entry(&mut self.table, &self.key, self.spot) {
            entry.arrival = self.after;
        }
    }

    /// Before a full table grows, its idle keys go: a flood of new keys then costs no more memory
    /// than the keys that count. Growing it stays where that frees too little, or a sweep would come
    /// with every key.
    fn make_room(&mut self) {
        let (capacity, hasher) = (self.table.capacity(), &self.of.hasher);
        if capacity < SMALL || self.table.len() < capacity {
            return;
        }
        let now = self.now;
        self.table.retain(|entry| !is_idle(entry, now), hasher);
        if self.table.len() > capacity / 2 {
            self.table.grow(hasher);
        }
    }
}
