//! Keys with their hashes: hashed once for every map of a family.

use std::hash::{BuildHasher, Hash};

use foldhash::quality::RandomState;

/// The hash of one family of maps, seeded anew in every process, so that nobody outside can choose
/// keys that fall together. Maps that share it hash a key once for all of them.
#[derive(Debug, Clone, Default)]
pub struct KeyHasher(RandomState);

impl KeyHasher {
    /// The key with its hash.
    pub fn hash<K: Hash>(&self, key: K) -> Hashed<K> {
        let hash = self.of(&key);
        Hashed { key, hash }
    }

    pub(super) fn of<K: Hash>(&self, key: &K) -> u64 {
        self.0.hash_one(key)
    }
}

/// A key with its hash. Good for every map that was built with the same [`KeyHasher`].
#[derive(Debug, Clone, Copy)]
pub struct Hashed<K> {
    pub(super) key: K,
    pub(super) hash: u64,
}

impl<K> Hashed<K> {
    /// The key.
    pub const fn key(&self) -> &K {
        &self.key
    }
}
