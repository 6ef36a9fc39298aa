//! The ledger as the operator sees it.

use std::time::Duration;

use super::id::SessionId;
use super::known::{Count, Logout, Row, User};
use super::ledger::Ledger;
use crate::call::SessionKey;
use crate::limit::Moment;

impl<U> Ledger<U> {
    /// Every live session, the oldest first. Never a token.
    #[must_use]
    pub fn rows(&self, now: Moment) -> Vec<Row> {
        let mut rows = Vec::with_capacity(self.len());
        for shard in self.table.each() {
            rows.extend(shard.iter().map(|entry| entry.row(now)));
        }
        rows.sort_by(|a, b| b.age.cmp(&a.age).then(a.id.cmp(&b.id)));
        rows
    }

    /// What logs the session with this number out. Looks at every session: for the operator.
    #[must_use]
    pub fn logout(&self, id: SessionId) -> Option<Logout> {
        let (key, kind, upstream, sealed) = self.table.each().find_map(|shard| {
            let entry = shard.iter().find(|entry| entry.id == id)?;
            let upstream = entry.upstream.clone();
            Some((entry.key, entry.kind, upstream, entry.sealed.clone()))
        })?;
        let credential = sealed.and_then(|sealed| self.keys.unseal(&key, &sealed).ok());
        Some(Logout {
            key,
            kind,
            upstream,
            credential,
        })
    }

    /// The session under `key`, with what it takes to use it, and for how long it has not been used. Asking is no use.
    #[must_use]
    pub fn idle(&self, key: &SessionKey, now: Moment) -> Option<(Logout, Duration)> {
        let shard = self.table.of(key);
        let entry = shard.find(key)?;
        let idle = entry.activity.last_used(now).until(now);
        let (kind, upstream, sealed) = (entry.kind, entry.upstream.clone(), entry.sealed.clone());
        drop(shard);
        let credential = sealed.and_then(|sealed| self.keys.unseal(key, &sealed).ok());
        let session = Logout {
            key: *key,
            kind,
            upstream,
            credential,
        };
        Some((session, idle))
    }

    /// The users of live sessions, each once.
    pub fn users(&self) -> Vec<User> {
        let mut users = Vec::new();
        for shard in self.table.each() {
            users.extend(shard.iter().filter_map(|entry| entry.user.clone()));
        }
        users.sort_by_key(|user| user.id);
        users.dedup_by_key(|user| user.id);
        users
    }

    /// Sessions by upstream and kind, of every pair that ever had one.
    #[must_use]
    pub fn counts(&self) -> Vec<Count> {
        self.tally.counts()
    }

    /// Sessions that were not remembered since the ledger was full.
    #[must_use]
    pub fn overflows(&self) -> u64 {
        self.tally.overflows()
    }

    /// Live sessions.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.tally.live()).unwrap_or(usize::MAX)
    }

    /// Whether nobody is logged in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
