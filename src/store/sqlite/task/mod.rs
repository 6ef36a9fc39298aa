//! Tasks as rows.

mod answer;
mod clear;
mod read;
mod row;
mod seat;
mod trim;
mod words;
mod write;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use self::clear::{Forget, Purge, Settle};
use self::seat::TakeSeat;
use self::trim::Trim;
use self::write::FreeSeat;
use super::queue::Way;
use super::writer::Check;
use super::{Sqlite, queue};
use crate::session::StoreError;
use crate::task::{
    Advanced, Answer, Filter, Found, Hook, HookId, HookOutcome, Keep, Kept, Key, Millis, New,
    Purged, Record, Seat, Step, Submitted, TaskId, TaskStore,
};

impl Sqlite {
    async fn write<W: queue::Work>(&self, work: W) -> Result<W::Said, StoreError> {
        self.ask(Way::Tasks, work).await
    }
}

#[async_trait]
impl TaskStore for Sqlite {
    async fn submit(&self, new: New) -> Result<Submitted, StoreError> {
        self.sound()?;
        self.write(new).await
    }

    async fn advance(&self, step: Step) -> Result<Advanced, StoreError> {
        self.write(step).await
    }

    async fn keyed(&self, key: &Key) -> Result<Option<Submitted>, StoreError> {
        self.told(read::keyed(&self.readers, key).await)
    }

    async fn task(&self, id: TaskId) -> Result<Found, StoreError> {
        self.told(read::task(&self.readers, id).await)
    }

    async fn task_of(
        &self,
        upstream: &str,
        upstream_task: &str,
    ) -> Result<Option<TaskId>, StoreError> {
        self.told(read::task_of(&self.readers, upstream, upstream_task).await)
    }

    async fn request(&self, id: TaskId) -> Result<Option<Bytes>, StoreError> {
        self.told(read::request(&self.readers, id).await)
    }

    async fn answer(&self, id: TaskId) -> Result<Option<Answer>, StoreError> {
        self.told(read::answer(&self.readers, id).await)
    }

    async fn unfinished(
        &self,
        after: Option<TaskId>,
        most: usize,
    ) -> Result<Vec<Kept>, StoreError> {
        self.told(read::unfinished(&self.readers, after, most).await)
    }

    async fn list(
        &self,
        filter: &Filter,
        before: Option<TaskId>,
        most: usize,
    ) -> Result<Vec<Arc<Record>>, StoreError> {
        self.told(read::list(&self.readers, filter, before, most).await)
    }

    fn remembers(&self) -> bool {
        true
    }

    async fn take_seat(&self, seat: &Seat) -> Result<(), StoreError> {
        self.write(TakeSeat(seat.clone())).await
    }

    async fn seats(&self) -> Result<Vec<Seat>, StoreError> {
        self.told(seat::lone(&self.readers, &self.path).await)
    }

    async fn free_seat(&self, id: TaskId) -> Result<(), StoreError> {
        self.write(FreeSeat(id)).await
    }

    async fn forget(&self, id: TaskId, until: Millis) -> Result<bool, StoreError> {
        self.write(Forget { id, until }).await
    }

    async fn purge(&self, now: Millis, until: Millis, most: usize) -> Result<Purged, StoreError> {
        self.write(Purge { now, until, most }).await
    }

    async fn trim(
        &self,
        keep: &Keep,
        (now, until): (Millis, Millis),
        most: usize,
    ) -> Result<Vec<TaskId>, StoreError> {
        let keep = *keep;
        self.write(Trim {
            keep,
            now,
            until,
            most,
        })
        .await
    }

    async fn due_hooks(&self, now: Millis, most: usize) -> Result<Vec<Hook>, StoreError> {
        self.told(read::due_hooks(&self.readers, now, most).await)
    }

    async fn next_hook(&self) -> Result<Option<Millis>, StoreError> {
        self.told(read::next_hook(&self.readers).await)
    }

    async fn settle_hook(&self, id: HookId, outcome: HookOutcome) -> Result<(), StoreError> {
        self.write(Settle { id, outcome }).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.look_through().await?;
        self.write(Check).await
    }
}

/// A time as it is kept; what is too late for a row is as late as can be.
fn millis(at: Millis) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

fn time(millis: i64) -> Millis {
    Millis(u64::try_from(millis).unwrap_or(0))
}

fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}
