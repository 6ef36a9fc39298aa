//! What comes back after a restart, what goes for being idle, and what the store is told of it.

use std::sync::Arc;
use std::time::Duration;

use super::journal::Pending;
use super::known::{Ended, Upstream};
use super::ledger::Ledger;
use super::life::{Activity, Now, Stamp};
use super::record::{Change, Record};
use super::table::Entry;
use crate::call::{SessionKey, SessionKind};
use crate::limit::Moment;

/// What became of the sessions that the store had kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restored {
    /// Live again.
    pub kept: usize,
    /// Idle for longer than they may be.
    pub idle: usize,
    /// Sealed with another state key: nobody can find or log out such a session.
    pub unreadable: usize,
    /// Of an upstream that is no longer configured.
    pub homeless: usize,
    /// More than the ledger holds, or opened anew in the meantime.
    pub surplus: usize,
}

impl<U> Ledger<U> {
    /// Takes back what the store kept, before the first call. Idle time goes on by the calendar:
    /// sessions idle for `bound` or longer are over. `place` gives the upstream's place in the
    /// configuration and the units of a record, taken whether or not they are free, or `None` when
    /// its upstream is gone; it may correct the record's user. What is not kept is removed from the store.
    pub fn restore(
        &self,
        records: Vec<Record>,
        now: Now,
        mut bound: impl FnMut(&str, SessionKind) -> Option<Duration>,
        mut place: impl FnMut(&mut Record) -> Option<(usize, U)>,
    ) -> Restored {
        let mut restored = Restored::default();
        for mut record in records {
            let key = record.key;
            let idle = now.stamp_of(record.last_used).until(now.moment);
            let over = bound(&record.upstream, record.kind).is_some_and(|most| idle >= most);
            let refused = if over {
                &mut restored.idle
            } else if !self.opens(&record) {
                &mut restored.unreadable
            } else if let Some((index, units)) = place(&mut record) {
                if self.put_back(record, index, units, &now) {
                    restored.kept += 1;
                    continue;
                }
                &mut restored.surplus
            } else {
                &mut restored.homeless
            };
            *refused += 1;
            self.forget(&key, now.moment);
        }
        restored
    }

    /// Whether its token can be read with this state key.
    fn opens(&self, record: &Record) -> bool {
        let sealed = record.sealed.as_ref();
        sealed.is_none_or(|sealed| self.keys.unseal(&record.key, sealed).is_ok())
    }

    /// False when there is no room for it, or its key is taken.
    fn put_back(&self, record: Record, index: usize, units: U, now: &Now) -> bool {
        let upstream = Upstream {
            index,
            name: record.upstream,
        };
        let used = now.stamp_of(record.last_used);
        let mut shard = self.table.of(&record.key);
        if shard.find(&record.key).is_some() || !self.tally.enter(&upstream, record.kind) {
            return false;
        }
        shard.insert(Entry {
            key: record.key,
            id: record.id,
            kind: record.kind,
            upstream,
            user: record.user,
            address: record.address,
            opened: record.opened,
            born: now.stamp_of(record.opened),
            adopted: record.adopted,
            sealed: record.sealed,
            activity: Arc::new(Activity::new(used)),
            stored: true,
            saved: used,
            units,
        });
        true
    }

    /// Has the store forget a record that no live session stands for.
    fn forget(&self, key: &SessionKey, now: Moment) {
        let shard = self.table.of(key);
        if shard.find(key).is_none() {
            self.journal.remove(*key, true, now);
        }
    }

    /// Ends every session that no call is in flight in and that has not been used for as long as
    /// `bound` says of its upstream and kind; `None`: for ever. Their units are given back.
    pub fn expire(
        &self,
        now: Moment,
        mut bound: impl FnMut(&Upstream, SessionKind) -> Option<Duration>,
    ) -> Vec<Ended> {
        let mut all = Vec::new();
        for mut shard in self.table.each() {
            let over = shard.take(|entry| {
                let idle = entry.activity.last_used(now).until(now);
                let most = bound(&entry.upstream, entry.kind);
                entry.activity.in_flight() == 0 && most.is_some_and(|most| idle >= most)
            });
            for entry in &over {
                shard.note_end(entry.key, now);
                self.tally.leave(&entry.upstream, entry.kind, true);
                self.journal.remove(entry.key, entry.stored, now);
            }
            drop(shard);
            all.extend(over.into_iter().map(|entry| entry.part().0));
        }
        all
    }

    /// What the store has to be told: every change since the last time, and with `touches` every
    /// use as well.
    pub(super) fn hand_over(&self, now: &Now, touches: bool) -> Vec<Change> {
        let pending = self.journal.take();
        let mut changes = Vec::with_capacity(pending.len());
        for (key, what) in pending {
            match what {
                Pending::Remove => changes.push(Change::Remove(key)),
                // Whoever closed it in the meantime has noted that, if the store may know of it.
                Pending::Put => {
                    let mut shard = self.table.of(&key);
                    let record = shard.find_mut(&key).map(|entry| entry.record(now));
                    changes.extend(record.map(|record| Change::Put(Box::new(record))));
                }
            }
        }
        if touches {
            self.touched(now, &mut changes);
        }
        changes
    }

    fn touched(&self, now: &Now, changes: &mut Vec<Change>) {
        for mut shard in self.table.each() {
            // What the store has not heard of yet is told whole, with its last use.
            for entry in shard.iter_mut().filter(|entry| entry.stored) {
                let used: Stamp = entry.activity.last_used(now.moment);
                if used > entry.saved {
                    entry.saved = used;
                    changes.push(Change::Touch(entry.key, now.wall_of(used)));
                }
            }
        }
    }
}
