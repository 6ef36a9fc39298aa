//! The claims that live, one by one: what the counters are audited against.

use slab::Slab;

use crate::limit::{Mutex, own_place};

/// Locks that the claims are spread over, by thread.
const SHARDS: usize = 16;

/// A set of rules, one bit each.
pub(super) type Rules = u64;

/// The live claims, each with the rules it holds units of.
#[derive(Debug)]
pub(super) struct Live([Shard; SHARDS]);

/// Aligned so that threads do not share a cache line.
#[derive(Debug)]
#[repr(align(128))]
struct Shard(Mutex<Slab<Rules>>);

/// Where a claim stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    shard: usize,
    entry: usize,
}

impl Live {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Shard(Mutex::new(Slab::new()))))
    }

    pub(super) fn enter(&self, held: Rules) -> Place {
        let shard = own_place() % SHARDS;
        let entry = self
            .0
            .get(shard)
            .map_or(0, |shard| shard.0.lock().insert(held));
        Place { shard, entry }
    }

    pub(super) fn leave(&self, place: Place) {
        if let Some(shard) = self.0.get(place.shard) {
            shard.0.lock().try_remove(place.entry);
        }
    }

    /// Claims that hold a unit of rule number `rule`.
    pub(super) fn holders(&self, rule: usize) -> u64 {
        let held = |shard: &Shard| {
            shard
                .0
                .lock()
                .iter()
                .filter(|(_, held)| **held >> rule & 1 == 1)
                .count()
        };
        self.0.iter().map(held).sum::<usize>() as u64
    }
}
