//! The ledger's sessions in shards, each behind its own lock, and what has lately ended.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use hashbrown::HashTable;

use super::id::SessionId;
use super::known::{Ended, Known, Row, Upstream, User};
use super::life::{Activity, Now, Stamp};
use super::record::Record;
use super::token::Sealed;
use crate::call::{SessionKey, SessionKind};
use crate::limit::{Moment, Mutex, MutexGuard};

/// Locks that the sessions are spread over; a power of two.
const SHARDS: usize = 64;
/// Ended sessions that a shard remembers.
const ENDINGS: usize = 128;
/// Shards smaller than this are not worth shrinking.
const SMALL: usize = 64;

/// A live session and the units it holds.
#[derive(Debug)]
pub(super) struct Entry<U> {
    pub(super) key: SessionKey,
    pub(super) id: SessionId,
    pub(super) kind: SessionKind,
    pub(super) upstream: Upstream,
    pub(super) user: Option<User>,
    pub(super) address: IpAddr,
    pub(super) opened: SystemTime,
    /// The same, on the gate's clock.
    pub(super) born: Stamp,
    pub(super) adopted: bool,
    pub(super) sealed: Option<Sealed>,
    pub(super) activity: Arc<Activity>,
    /// Whether the store may have heard of it.
    pub(super) stored: bool,
    /// The last use that the store was told of.
    pub(super) saved: Stamp,
    pub(super) units: U,
}

impl<U> Entry<U> {
    pub(super) fn known(&self) -> Known {
        Known {
            id: self.id,
            kind: self.kind,
            upstream: self.upstream.index,
            user: self.user.clone(),
            adopted: self.adopted,
        }
    }

    pub(super) fn row(&self, now: Moment) -> Row {
        Row {
            id: self.id,
            kind: self.kind,
            user: self.user.as_ref().map(|user| Arc::clone(&user.name)),
            upstream: Arc::clone(&self.upstream.name),
            address: self.address,
            opened: self.opened,
            age: self.born.until(now),
            idle: self.activity.last_used(now).until(now),
            in_flight: self.activity.in_flight(),
            adopted: self.adopted,
        }
    }

    /// What is kept of it, which counts as told to the store from here on.
    pub(super) fn record(&mut self, now: &Now) -> Record {
        self.stored = true;
        self.saved = self.activity.last_used(now.moment);
        Record {
            key: self.key,
            id: self.id,
            kind: self.kind,
            upstream: Arc::clone(&self.upstream.name),
            user: self.user.clone(),
            address: self.address,
            opened: self.opened,
            last_used: now.wall_of(self.saved),
            adopted: self.adopted,
            sealed: self.sealed.clone(),
        }
    }

    /// The facts, and the units, to be dropped where no lock is held.
    pub(super) fn part(self) -> (Ended, U) {
        let ended = Ended {
            id: self.id,
            key: self.key,
            kind: self.kind,
            upstream: self.upstream,
            user: self.user,
            sealed: self.sealed,
        };
        (ended, self.units)
    }
}

/// One lock's worth of sessions.
#[derive(Debug)]
pub(super) struct Shard<U> {
    live: HashTable<Entry<U>>,
    /// What ended last, and when: a call that went up before that cannot bring it back.
    endings: VecDeque<(SessionKey, Moment)>,
}

impl<U> Shard<U> {
    pub(super) fn find(&self, key: &SessionKey) -> Option<&Entry<U>> {
        self.live.find(hash(key), |entry| entry.key == *key)
    }

    pub(super) fn find_mut(&mut self, key: &SessionKey) -> Option<&mut Entry<U>> {
        self.live.find_mut(hash(key), |entry| entry.key == *key)
    }

    /// `entry` is not there yet.
    pub(super) fn insert(&mut self, entry: Entry<U>) {
        let place = hash(&entry.key);
        self.live
            .insert_unique(place, entry, |entry| hash(&entry.key));
    }

    pub(super) fn remove(&mut self, key: &SessionKey) -> Option<Entry<U>> {
        let found = self.live.find_entry(hash(key), |entry| entry.key == *key);
        found.ok().map(|entry| entry.remove().0)
    }

    /// Takes out every session that `over` says is over.
    pub(super) fn take(&mut self, over: impl FnMut(&mut Entry<U>) -> bool) -> Vec<Entry<U>> {
        let taken = self.live.extract_if(over).collect();
        let (len, capacity) = (self.live.len(), self.live.capacity());
        if capacity > SMALL && len < capacity / 4 {
            self.live.shrink_to(len * 2, |entry| hash(&entry.key));
        }
        taken
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry<U>> {
        self.live.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry<U>> {
        self.live.iter_mut()
    }

    pub(super) fn note_end(&mut self, key: SessionKey, now: Moment) {
        // A client that goes on with a dead token must not crowd out what others ended.
        self.endings.retain(|(ended, _)| *ended != key);
        if self.endings.len() >= ENDINGS {
            self.endings.pop_front();
        }
        self.endings.push_back((key, now));
    }

    /// Whether the session ended at `began` or later.
    pub(super) fn ended_since(&self, key: &SessionKey, began: Moment) -> bool {
        let mut latest = self.endings.iter().rev();
        latest.any(|(ended, at)| ended == key && *at >= began)
    }
}

/// Aligned so that neighbours' locks do not share a cache line (nor the pair that is prefetched).
#[derive(Debug)]
#[repr(align(128))]
struct Place<U>(Mutex<Shard<U>>);

/// All shards.
#[derive(Debug)]
pub(super) struct Table<U>(Box<[Place<U>; SHARDS]>);

impl<U> Table<U> {
    pub(super) fn new() -> Self {
        let place = |_| {
            Place(Mutex::new(Shard {
                live: HashTable::new(),
                endings: VecDeque::new(),
            }))
        };
        Self(Box::new(std::array::from_fn(place)))
    }

    /// The shard of `key`.
    #[expect(clippy::indexing_slicing, reason = "a remainder by their number")]
    pub(super) fn of(&self, key: &SessionKey) -> MutexGuard<'_, Shard<U>> {
        let [.., last] = *key.bytes();
        self.0[usize::from(last) % SHARDS].0.lock()
    }

    /// Every shard, one lock at a time.
    pub(super) fn each(&self) -> impl Iterator<Item = MutexGuard<'_, Shard<U>>> {
        self.0.iter().map(|place| place.0.lock())
    }
}

/// A key is a keyed hash already: nobody outside can choose keys that fall together.
fn hash(key: &SessionKey) -> u64 {
    let first = key.bytes().first_chunk();
    first.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
