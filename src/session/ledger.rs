//! The ledger: who is logged in, and the units of limits that each login holds.

use std::sync::Arc;

use super::journal::Journal;
use super::keys::Keys;
use super::known::{Ended, Known, New, Opened, User};
use super::life::{Activity, InUse, Now, Stamp};
use super::table::{Entry, Table};
use super::tally::Tally;
use super::token::Sealed;
use crate::call::SessionKey;
use crate::limit::Moment;

/// Most sessions that a ledger is meant for: some tens of megabytes.
pub const MOST_SESSIONS: usize = 100_000;

/// The live login sessions of the whole gate, each with the units `U` of limits that it holds.
///
/// The units go where the session goes: dropped when it ends, exactly once, and never while a lock
/// of the ledger is held. A call looks its session up in one of many shards and allocates nothing.
#[derive(Debug)]
pub struct Ledger<U> {
    pub(super) keys: Arc<Keys>,
    pub(super) table: Table<U>,
    pub(super) tally: Tally,
    pub(super) journal: Journal,
}

impl<U> Ledger<U> {
    /// An empty ledger for at most `most` sessions.
    #[must_use]
    pub fn new(keys: Arc<Keys>, most: usize) -> Self {
        Self {
            keys,
            table: Table::new(),
            tally: Tally::new(most),
            journal: Journal::default(),
        }
    }

    /// The keys that its sessions are found and sealed by.
    #[must_use]
    pub const fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// The session under `key`, which counts as used at `now`.
    #[must_use]
    pub fn find(&self, key: &SessionKey, now: Moment) -> Option<Known> {
        let shard = self.table.of(key);
        let entry = shard.find(key)?;
        entry.activity.touch(now);
        Some(entry.known())
    }

    /// The session under `key`, which does not count as used by that.
    #[must_use]
    pub fn peek(&self, key: &SessionKey) -> Option<Known> {
        self.table.of(key).find(key).map(Entry::known)
    }

    /// A call in the session under `key` begins at `now`.
    #[must_use]
    pub fn begin(&self, key: &SessionKey, now: Moment) -> Option<InUse> {
        let shard = self.table.of(key);
        let entry = shard.find(key)?;
        Some(InUse::begin(&entry.activity, entry.known(), now))
    }

    /// A login that the upstream accepted. Of a session that is known already (its token was used
    /// before the login's answer was read to its end, or the same token was handed out again) the
    /// number stays; the user and the units become those of this login. Where it names nobody and the
    /// session has a user, both stay as they are: units are always held for the user that is named.
    pub fn open(&self, new: New<'_>, units: U, now: Now) -> Opened {
        // Units that are not kept are dropped after the lock: arguments outlive what is bound here.
        let sealed = self.seal(&new);
        let mut shard = self.table.of(&new.key);
        if let Some(entry) = shard.find_mut(&new.key) {
            let id = entry.id;
            let old = if new.user.is_none() && entry.user.is_some() {
                units
            } else {
                entry.user = new.user;
                std::mem::replace(&mut entry.units, units)
            };
            entry.address = new.address.to_canonical();
            entry.adopted = false;
            entry.sealed = sealed.or_else(|| entry.sealed.take());
            entry.activity.touch(now.moment);
            self.journal.put(new.key, now.moment);
            drop(shard);
            drop(old);
            return Opened::Known(id);
        }
        if shard.ended_since(&new.key, new.began) {
            return Opened::Ended;
        }
        if !self.tally.enter(new.upstream, new.kind) {
            return Opened::Full;
        }
        let entry = self.entry(new, sealed, units, now, false);
        let id = entry.id;
        shard.insert(entry);
        Opened::New(id)
    }

    /// A session that was first seen in use and that the upstream answered as a live one. Nothing
    /// changes if it is known already, so that whoever is told [`Opened::New`] asks for its user
    /// and nobody else does.
    pub fn adopt(&self, new: New<'_>, units: U, now: Now) -> Opened {
        let sealed = self.seal(&new);
        let mut shard = self.table.of(&new.key);
        if let Some(entry) = shard.find(&new.key) {
            entry.activity.touch(now.moment);
            return Opened::Known(entry.id);
        }
        if shard.ended_since(&new.key, new.began) {
            return Opened::Ended;
        }
        if !self.tally.enter(new.upstream, new.kind) {
            return Opened::Full;
        }
        let entry = self.entry(new, sealed, units, now, true);
        let id = entry.id;
        shard.insert(entry);
        Opened::New(id)
    }

    /// The user of a session that had none, with the units that only a user's session holds taken
    /// by `take`, which must not call the ledger. False, and nothing taken, when the session is
    /// over or has a user.
    pub fn name(
        &self,
        key: &SessionKey,
        user: User,
        take: impl FnOnce(&mut U),
        now: Moment,
    ) -> bool {
        let mut shard = self.table.of(key);
        let Some(entry) = shard.find_mut(key).filter(|entry| entry.user.is_none()) else {
            return false;
        };
        entry.user = Some(user);
        take(&mut entry.units);
        self.journal.put(*key, now);
        true
    }

    /// The session under `key` is over: it was logged out, or the upstream answered its token with
    /// 401. Its units are given back, and no call that went up before `now` brings it back. `None`
    /// when it was not known.
    pub fn close(&self, key: &SessionKey, now: Moment) -> Option<Ended> {
        let mut shard = self.table.of(key);
        shard.note_end(*key, now);
        let entry = shard.remove(key)?;
        self.tally.leave(&entry.upstream, entry.kind, false);
        self.journal.remove(*key, entry.stored, now);
        drop(shard);
        let (ended, units) = entry.part();
        drop(units);
        Some(ended)
    }

    /// A session whose token could not be sealed is counted all the same.
    fn seal(&self, new: &New<'_>) -> Option<Sealed> {
        self.keys.seal(&new.key, new.credential?).ok()
    }

    /// A session that begins now, noted in the journal.
    fn entry(
        &self,
        new: New<'_>,
        sealed: Option<Sealed>,
        units: U,
        now: Now,
        adopted: bool,
    ) -> Entry<U> {
        let born = Stamp::of(now.moment);
        Entry {
            key: new.key,
            id: self.keys.new_id(),
            kind: new.kind,
            upstream: new.upstream.clone(),
            user: new.user,
            address: new.address.to_canonical(),
            opened: now.wall,
            born,
            adopted,
            sealed,
            activity: Arc::new(Activity::new(born)),
            stored: self.journal.put(new.key, now.moment),
            saved: born,
            units,
        }
    }
}
