//! A store that is away when the test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use tidegate::session::StoreError;
use tidegate::store::Memory;
use tidegate::task::{
    Advanced, Answer, Filter, Found, Hook, HookId, HookOutcome, Kept, Key, Millis, New, Purged,
    Record, Step, Submitted, TaskId, TaskStore,
};

#[derive(Debug, Default)]
pub struct Shaky {
    inner: Memory,
    away: AtomicBool,
    reads: AtomicUsize,
}

impl Shaky {
    pub fn go_away(&self) {
        self.away.store(true, Ordering::SeqCst);
    }

    /// How often a task was read.
    pub fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    fn here(&self) -> Result<&Memory, StoreError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError {
                lasting: false,
                what: "/var/lib/tidegate.db: disk I/O error".to_owned(),
            });
        }
        Ok(&self.inner)
    }
}

#[async_trait]
impl TaskStore for Shaky {
    async fn submit(&self, new: New) -> Result<Submitted, StoreError> {
        self.here()?.submit(new).await
    }

    async fn keyed(&self, key: &Key) -> Result<Option<Submitted>, StoreError> {
        self.here()?.keyed(key).await
    }

    async fn advance(&self, step: Step) -> Result<Advanced, StoreError> {
        self.here()?.advance(step).await
    }

    async fn task(&self, id: TaskId) -> Result<Found, StoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.here()?.task(id).await
    }

    async fn task_of(&self, upstream: &str, name: &str) -> Result<Option<TaskId>, StoreError> {
        self.here()?.task_of(upstream, name).await
    }

    async fn request(&self, id: TaskId) -> Result<Option<Bytes>, StoreError> {
        self.here()?.request(id).await
    }

    async fn answer(&self, id: TaskId) -> Result<Option<Answer>, StoreError> {
        self.here()?.answer(id).await
    }

    async fn unfinished(
        &self,
        after: Option<TaskId>,
        most: usize,
    ) -> Result<Vec<Kept>, StoreError> {
        self.here()?.unfinished(after, most).await
    }

    async fn list(
        &self,
        filter: &Filter,
        before: Option<TaskId>,
        most: usize,
    ) -> Result<Vec<Arc<Record>>, StoreError> {
        self.here()?.list(filter, before, most).await
    }

    async fn free_seat(&self, id: TaskId) -> Result<(), StoreError> {
        self.here()?.free_seat(id).await
    }

    async fn forget(&self, id: TaskId, until: Millis) -> Result<bool, StoreError> {
        self.here()?.forget(id, until).await
    }

    async fn purge(&self, now: Millis, until: Millis, most: usize) -> Result<Purged, StoreError> {
        self.here()?.purge(now, until, most).await
    }

    async fn due_hooks(&self, now: Millis, most: usize) -> Result<Vec<Hook>, StoreError> {
        self.here()?.due_hooks(now, most).await
    }

    async fn next_hook(&self) -> Result<Option<Millis>, StoreError> {
        self.here()?.next_hook().await
    }

    async fn settle_hook(&self, id: HookId, outcome: HookOutcome) -> Result<(), StoreError> {
        self.here()?.settle_hook(id, outcome).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.here().map(|_| ())
    }
}
