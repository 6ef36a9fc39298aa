//! Forgetting what there is too much of.

use std::collections::BTreeMap;

use super::task::Tasks;
use crate::task::{Keep, Millis, Most, Owner, TaskId};

/// Most bytes of what is over, whatever may be kept on a disk.
const MOST_BYTES: u64 = 256 << 20;

impl Tasks {
    /// As [`crate::task::TaskStore::trim`].
    pub(super) fn trim(
        &mut self,
        keep: &Keep,
        (now, until): (Millis, Millis),
        most: usize,
    ) -> Vec<TaskId> {
        let mut all = Sum::default();
        self.over().for_each(|row| all.add(row.weight()));
        let of_all = Most {
            bytes: keep.of_all.bytes.min(MOST_BYTES),
            ..keep.of_all
        };
        let mut gone = Vec::new();
        // No share is larger than all of them.
        if all.exceeds(&keep.of_one) || all.exceeds(&of_all) {
            let surplus = self.surplus(all, &of_all, &keep.of_one, now);
            gone.extend(surplus.into_iter().take(most));
        }
        for id in &gone {
            self.bury_whole(*id, until);
        }
        self.trim_tombstones(keep.tombstones);
        gone
    }

    /// What is too much: of each share, then of all.
    fn surplus(&self, mut all: Sum, of_all: &Most, of_one: &Most, now: Millis) -> Vec<TaskId> {
        let mut over: Vec<_> = self
            .over()
            .map(|row| {
                let record = &row.record;
                (
                    record.expires,
                    record.id,
                    record.requested.share(),
                    row.weight(),
                )
            })
            .collect();
        over.sort();
        let mut shares: BTreeMap<Owner, Sum> = BTreeMap::new();
        for (.., share, weight) in &over {
            shares.entry(share.clone()).or_default().add(*weight);
        }
        over.retain(|(_, id, ..)| !self.is_seated(*id, now));
        let mut surplus = Vec::new();
        over.retain(|(_, id, share, weight)| {
            let own = shares.get_mut(share).filter(|own| own.exceeds(of_one));
            let is_too_much = own.is_some();
            if let Some(own) = own {
                own.take(*weight);
                all.take(*weight);
                surplus.push(*id);
            }
            !is_too_much
        });
        for (_, id, _, weight) in over {
            if !all.exceeds(of_all) {
                break;
            }
            all.take(weight);
            surplus.push(id);
        }
        surplus
    }

    fn trim_tombstones(&mut self, most: usize) {
        let Some(surplus) = self
            .gone
            .len()
            .checked_sub(most)
            .filter(|surplus| *surplus > 0)
        else {
            return;
        };
        let mut oldest: Vec<(Millis, TaskId)> = self
            .gone
            .iter()
            .map(|(id, (_, until))| (*until, *id))
            .collect();
        oldest.sort();
        for (_, id) in oldest.into_iter().take(surplus) {
            self.gone.remove(&id);
        }
    }
}

/// So many tasks, and their bytes.
#[derive(Debug, Default)]
struct Sum {
    tasks: usize,
    bytes: u64,
}

impl Sum {
    fn add(&mut self, weight: u64) {
        self.tasks += 1;
        self.bytes = self.bytes.saturating_add(weight);
    }

    fn take(&mut self, weight: u64) {
        self.tasks = self.tasks.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(weight);
    }

    fn exceeds(&self, most: &Most) -> bool {
        self.tasks > most.tasks || self.bytes > most.bytes
    }
}
