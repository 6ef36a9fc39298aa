//! Counters for each key apart: seats and paces in one sharded map, where idle keys cost nothing.

use std::hash::{BuildHasher, Hash};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::moment::{Denied, Moment};
use super::pace::{Arrival, Pace};
use super::sync::{AtomicUsize, Mutex, MutexGuard, Ordering};

/// Locks that the keys are spread over; a power of two.
const SHARDS: usize = 128;
/// Shards smaller than this are not worth shrinking.
const SMALL: usize = 64;

/// The hash of one family of maps, seeded anew in every process, so that nobody outside can choose
/// keys that fall together. Maps that share it hash a key once for all of them.
#[derive(Debug, Clone, Default)]
pub struct KeyHasher(RandomState);

impl KeyHasher {
    /// The key with its hash.
    pub fn hash<K: Hash>(&self, key: K) -> Hashed<K> {
        let hash = self.0.hash_one(&key);
        Hashed { key, hash }
    }
}

/// A key with its hash. Good for every map that was built with the same [`KeyHasher`].
#[derive(Debug, Clone, Copy)]
pub struct Hashed<K> {
    key: K,
    hash: u64,
}

impl<K> Hashed<K> {
    /// The key.
    pub const fn key(&self) -> &K {
        &self.key
    }
}

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

/// A key and its [`Cell`], side by side rather than one in the other: an address, which has odd
/// bytes left, then makes 32 bytes, and two entries a cache line.
#[derive(Debug)]
struct Entry<K> {
    key: K,
    held: u32,
    arrival: Arrival,
}

impl<K> Entry<K> {
    const fn cell(&self) -> Cell {
        Cell {
            held: self.held,
            arrival: self.arrival,
        }
    }

    /// Whether it is like one that was never used: only then may it be forgotten, since forgetting a
    /// bucket that is not full would refill it.
    const fn is_idle(&self, now: Moment) -> bool {
        self.held == 0 && self.arrival.is_full(now)
    }
}

type Table<K> = HashTable<Entry<K>>;

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
        let held = table
            .find(key.hash, |entry| entry.key == key.key)
            .map_or(0, |entry| u64::from(entry.held));
        if held >= ceiling || held >= u64::from(u32::MAX) {
            return Err(held);
        }
        self.entry(&mut table, key).held += 1;
        Ok(())
    }

    /// Takes a seat of `key` in any case, for limits that only count; true when it was within
    /// `ceiling`. Owes one [`Keyed::give_back`].
    pub fn seat_unchecked(&self, key: &Hashed<K>, ceiling: u64) -> bool {
        let mut table = self.table(key.hash);
        let entry = self.entry(&mut table, key);
        let within = u64::from(entry.held) < ceiling;
        entry.held = entry.held.saturating_add(1);
        within
    }

    /// Gives a seat of `key` back. False, and nothing changed, when none was held.
    pub fn give_back(&self, key: &Hashed<K>) -> bool {
        let mut table = self.table(key.hash);
        let Ok(mut found) = table.find_entry(key.hash, |entry| entry.key == key.key) else {
            return false;
        };
        let entry = found.get_mut();
        let Some(left) = entry.held.checked_sub(1) else {
            return false;
        };
        entry.held = left;
        if entry.is_idle(Moment::START) {
            found.remove();
        }
        true
    }

    /// Seats that `key` holds.
    #[must_use]
    pub fn held(&self, key: &Hashed<K>) -> u64 {
        let table = self.table(key.hash);
        table
            .find(key.hash, |entry| entry.key == key.key)
            .map_or(0, |entry| u64::from(entry.held))
    }

    /// Tokens missing from the bucket of `key` at `now`.
    #[must_use]
    pub fn tokens(&self, key: &Hashed<K>, pace: &Pace, now: Moment) -> u64 {
        let table = self.table(key.hash);
        table
            .find(key.hash, |entry| entry.key == key.key)
            .map_or(0, |entry| entry.cell().tokens(pace, now))
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
        let bucket = table.find_bucket_index(key.hash, |entry| entry.key == key.key);
        let before = bucket
            .and_then(|bucket| table.get_bucket(bucket))
            .map(|entry| entry.arrival);
        let after = pace.check(before.unwrap_or_default(), now)?;
        Ok(KeyedOffer {
            of: self,
            table,
            key: key.clone(),
            bucket,
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
            table.retain(|entry| !entry.is_idle(now));
            let len = table.len();
            if table.capacity() > SMALL && len < table.capacity() / 4 {
                table.shrink_to(len * 2, |entry| self.hasher.0.hash_one(&entry.key));
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
            for entry in shard.0.lock().iter() {
                let weight = weigh(&entry.cell());
                total = total.saturating_add(weight);
                let place = top.partition_point(|(_, other)| *other >= weight);
                if weight > 0 && place < n {
                    top.insert(place, (entry.key.clone(), weight));
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
            .map(|shard| shard.0.lock().allocation_size())
            .sum();
        tables + size_of_val(&*self.shards)
    }

    fn table(&self, hash: u64) -> MutexGuard<'_, Table<K>> {
        // Bits of the middle: the table itself uses the lowest ones and the highest seven.
        let [.., middle, _, _, _, _, _] = hash.to_le_bytes();
        self.shard(usize::from(middle))
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder by their number")]
    fn shard(&self, turn: usize) -> MutexGuard<'_, Table<K>> {
        self.shards[turn % SHARDS].0.lock()
    }

    fn entry<'t>(&self, table: &'t mut Table<K>, key: &Hashed<K>) -> &'t mut Entry<K> {
        let hash_of = |entry: &Entry<K>| self.hasher.0.hash_one(&entry.key);
        let found = table.entry(key.hash, |entry| entry.key == key.key, hash_of);
        let new = || Entry {
            key: key.key.clone(),
            held: 0,
            arrival: Arrival::default(),
        };
        found.or_insert_with(new).into_mut()
    }
}

/// Room for one call of a key, kept for whoever holds this.
#[derive(Debug)]
#[must_use = "an offer that is dropped counts nothing"]
pub struct KeyedOffer<'a, K> {
    of: &'a Keyed<K>,
    table: MutexGuard<'a, Table<K>>,
    key: Hashed<K>,
    /// Where the key stands, when it is known already.
    bucket: Option<usize>,
    after: Arrival,
    now: Moment,
}

impl<K: Hash + Eq + Clone> KeyedOffer<'_, K> {
    /// Counts the call.
    pub fn take(mut self) {
        if let Some(entry) = self
            .bucket
            .and_then(|bucket| self.table.get_bucket_mut(bucket))
        {
            entry.arrival = self.after;
            return;
        }
        self.make_room();
        self.of.entry(&mut self.table, &self.key).arrival = self.after;
    }

    /// Before a full table grows, its idle keys go: a flood of new keys then costs no more memory
    /// than the keys that count. Growing is left to the table where that frees too little, or a
    /// sweep would come with every key.
    fn make_room(&mut self) {
        let capacity = self.table.capacity();
        if capacity < SMALL || self.table.len() < capacity {
            return;
        }
        let now = self.now;
        self.table.retain(|entry| !entry.is_idle(now));
        if self.table.len() > capacity / 2 {
            let more = capacity + 1 - self.table.len();
            let hasher = &self.of.hasher.0;
            self.table
                .reserve(more, |entry| hasher.hash_one(&entry.key));
        }
    }
}
