//! What is over: how long and how much of it is kept.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Desk, Keeping};
use crate::session::StoreError;
use crate::task::id::TaskId;
use crate::task::port::Purged;
use crate::task::record::{Millis, Record};

/// How many tasks end before it is looked whether too many are kept.
const MANY: usize = 256;

impl Desk {
    /// The same, keeping no more of what is over than this.
    #[must_use]
    pub fn keeping(mut self, keeping: Keeping) -> Self {
        self.keeping = keeping;
        self
    }

    /// Forgets a task that is over. False where it is not.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn forget(&self, id: TaskId) -> Result<bool, StoreError> {
        let until = self.now().after(self.bounds.keys_for());
        let gone = self.store.forget(id, until).await?;
        if gone {
            self.books.forget(&[id]);
        }
        Ok(gone)
    }

    /// Forgets tasks that expired before `now`, at most `most` at a time; their tombstones are left until `until`.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn purge(
        &self,
        now: Millis,
        until: Millis,
        most: usize,
    ) -> Result<Purged, StoreError> {
        let purged = self.store.purge(now, until, most).await?;
        if purged.tasks > 0 {
            self.books.expire(now);
        }
        Ok(purged)
    }

    /// Forgets what is over beyond what is to be kept, at most `most` tasks at a time; how many there were.
    ///
    /// # Errors
    /// When the store does not take it.
    pub async fn trim(&self, most: usize) -> Result<usize, StoreError> {
        let now = self.now();
        let times = (now, now.after(self.bounds.keys_for()));
        let gone = self.store.trim(&self.keeping.keep, times, most).await?;
        self.books.forget(&gone);
        Ok(gone.len())
    }

    /// Waits until so many tasks have ended that it is to be looked whether there are too many of them.
    pub async fn many_ended(&self) {
        self.many_ended.notified().await;
    }

    /// How long a task is kept that is over.
    #[must_use]
    pub fn kept_for(&self, task: &Record) -> Duration {
        let time = self.bounds.kept_for(task.keyed);
        if task.keyed || !task.is_slight() {
            time
        } else {
            time.min(self.keeping.slight)
        }
    }

    /// One more has ended.
    pub(super) fn note_end(&self, task: &Record) {
        if !task.is_compensation() {
            self.pace.note(task);
        }
        let before = self.ended.fetch_add(1, Ordering::Relaxed);
        if before % MANY == MANY - 1 {
            self.many_ended.notify_one();
        }
    }
}
