//! What changed in the ledger and is not handed to the store yet: one word for each session.

use std::collections::BTreeMap;

use tokio::sync::Notify;

use crate::call::SessionKey;
use crate::limit::{Moment, Mutex};

/// What the store has to be told of a session. Later changes take the place of earlier ones, and a
/// session that the store never heard of leaves nothing behind, so that there are never more
/// entries than sessions in the ledger and in the store, however long the store is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pending {
    /// It is new or changed: what the ledger says of it when it is handed over.
    Put,
    /// It is over.
    Remove,
}

#[derive(Debug, Default)]
struct Waiting {
    changes: BTreeMap<SessionKey, Pending>,
    since: Option<Moment>,
}

/// The changes that wait. Nobody who adds one waits for the store.
#[derive(Debug, Default)]
pub(super) struct Journal {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

impl Journal {
    /// Notes a session to be kept. True when the store may hold an older one under its key.
    pub(super) fn put(&self, key: SessionKey, now: Moment) -> bool {
        self.note(key, Pending::Put, now) == Some(Pending::Remove)
    }

    /// Notes the end of a session; `stored` when the store may have heard of it.
    pub(super) fn remove(&self, key: SessionKey, stored: bool, now: Moment) {
        if stored {
            self.note(key, Pending::Remove, now);
        } else {
            self.waiting.lock().changes.remove(&key);
        }
    }

    fn note(&self, key: SessionKey, what: Pending, now: Moment) -> Option<Pending> {
        let mut waiting = self.waiting.lock();
        waiting.since.get_or_insert(now);
        let before = waiting.changes.insert(key, what);
        drop(waiting);
        self.wake.notify_one();
        before
    }

    /// Takes everything.
    pub(super) fn take(&self) -> BTreeMap<SessionKey, Pending> {
        std::mem::take(&mut *self.waiting.lock()).changes
    }

    /// Changes that wait, and since when the first of them.
    pub(super) fn backlog(&self) -> (usize, Option<Moment>) {
        let waiting = self.waiting.lock();
        let since = waiting.since.filter(|_| !waiting.changes.is_empty());
        (waiting.changes.len(), since)
    }

    /// Until there may be something to take.
    pub(super) async fn changed(&self) {
        self.wake.notified().await;
    }
}
