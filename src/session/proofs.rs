//! Credentials that the upstream has accepted lately: they tell a proven caller from one who only says so.

use std::time::Duration;

use hashbrown::HashTable;

use super::keys::ProofKey;
use super::known::User;
use crate::limit::{Moment, Mutex, MutexGuard};

/// Most credentials that proofs are meant for.
pub const MOST_PROOFS: usize = 65_536;
/// How long a proof lasts after its last use.
pub const IDLE: Duration = Duration::from_mins(10);
/// How long it lasts at most after the upstream last accepted the credentials.
pub const AGE: Duration = Duration::from_hours(1);
/// A proof this old is renewed when the upstream accepts the credentials again: well below [`VERIFIED`], so that who goes on
/// calling stays verified.
pub const RENEW: Duration = Duration::from_mins(1);
/// How long credentials count as accepted without the upstream being asked.
pub const VERIFIED: Duration = Duration::from_mins(5);
/// Locks that the proofs are spread over.
const SHARDS: usize = 16;

#[derive(Debug)]
struct Proof {
    key: ProofKey,
    user: User,
    proven: Moment,
    used: Moment,
    /// An answer since has put them in doubt.
    is_doubted: bool,
}

impl Proof {
    fn holds(&self, now: Moment) -> bool {
        now.since(self.used) < IDLE && now.since(self.proven) < AGE
    }
}

/// Who the credentials of a call were proven to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// The user.
    pub user: User,
    /// It was long ago, or is in doubt: worth learning anew.
    pub is_old: bool,
    /// The upstream has accepted the credentials lately, and put them in doubt by no answer since.
    pub is_verified: bool,
    /// An answer since has put them in doubt.
    pub is_doubted: bool,
}

/// Aligned so that neighbours' locks do not share a cache line (nor the pair that is prefetched).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard(Mutex<HashTable<Proof>>);

/// Whose credentials the upstream accepted, by their keyed hash.
///
/// Only what an upstream accepted is learned, so a forged name is in nobody's way; what it no
/// longer accepts is forgotten at once. Beyond the bound the proof that is oldest in its shard goes.
#[derive(Debug)]
pub struct Proofs {
    shards: [Shard; SHARDS],
    most: usize,
}

impl Proofs {
    /// No proofs; never more than about `most` (each of 16 shards holds its share).
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Shard::default()),
            most: most.div_ceil(SHARDS).max(1),
        }
    }

    /// The user that the credentials under `key` were proven to be.
    #[must_use]
    pub fn find(&self, key: &ProofKey, now: Moment) -> Option<Proven> {
        let mut shard = self.of(key);
        let proof = shard.find_mut(hash(key), |proof| proof.key == *key)?;
        if !proof.holds(now) {
            return None;
        }
        proof.used = proof.used.max(now);
        let (age, is_doubted) = (now.since(proof.proven), proof.is_doubted);
        Some(Proven {
            user: proof.user.clone(),
            is_old: is_doubted || age >= RENEW,
            is_verified: !is_doubted && age < VERIFIED,
            is_doubted,
        })
    }

    /// The upstream accepted the credentials under `key` as those of `user`.
    pub fn learn(&self, key: ProofKey, user: User, now: Moment) {
        let mut shard = self.of(&key);
        let proof = Proof {
            key,
            user,
            proven: now,
            used: now,
            is_doubted: false,
        };
        if let Some(known) = shard.find_mut(hash(&key), |proof| proof.key == key) {
            *known = proof;
            return;
        }
        if shard.len() >= self.most {
            make_room(&mut shard, now);
        }
        shard.insert_unique(hash(&key), proof, |proof| hash(&proof.key));
    }

    /// The upstream's answer puts the credentials under `key` in doubt (403): who they are stays known, but whoever has to be
    /// sure asks.
    pub fn doubt(&self, key: &ProofKey) {
        if let Some(proof) = self.of(key).find_mut(hash(key), |proof| proof.key == *key) {
            proof.is_doubted = true;
        }
    }

    /// The upstream refused the credentials under `key` (401).
    pub fn forget(&self, key: &ProofKey) {
        let mut shard = self.of(key);
        if let Ok(found) = shard.find_entry(hash(key), |proof| proof.key == *key) {
            found.remove();
        }
    }

    /// Forgets every proof that no longer holds; how many.
    pub fn tidy(&self, now: Moment) -> usize {
        let mut gone = 0;
        for shard in &self.shards {
            let mut proofs = shard.0.lock();
            let before = proofs.len();
            proofs.retain(|proof| proof.holds(now));
            gone += before - proofs.len();
        }
        gone
    }

    /// Proofs remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.0.lock().len()).sum()
    }

    /// Whether none is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder by their number")]
    fn of(&self, key: &ProofKey) -> MutexGuard<'_, HashTable<Proof>> {
        let [.., last] = key.0;
        self.shards[usize::from(last) % SHARDS].0.lock()
    }
}

/// The ones that no longer hold go, or if all do, the oldest.
fn make_room(proofs: &mut HashTable<Proof>, now: Moment) {
    let before = proofs.len();
    proofs.retain(|proof| proof.holds(now));
    if proofs.len() < before {
        return;
    }
    let oldest = proofs.iter().min_by_key(|proof| proof.proven);
    let Some(key) = oldest.map(|proof| proof.key) else {
        return;
    };
    if let Ok(found) = proofs.find_entry(hash(&key), |proof| proof.key == key) {
        found.remove();
    }
}

/// A key is a keyed hash already.
fn hash(key: &ProofKey) -> u64 {
    let first = key.0.first_chunk();
    first.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
