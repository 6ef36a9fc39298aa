//! Answers read from the store, to be said once more: so many bytes at the same time, however many ask.

use std::time::Duration;

use tokio::time::timeout;

use super::Desk;
use crate::session::StoreError;
use crate::task::id::TaskId;
use crate::task::port::{Answer, Found};
use crate::task::raw::{Ending, parted};

/// Bytes of all answers that are being said once more: four of the largest.
pub(super) const ALL: usize = 256 * 1024 * 1024;
/// An answer to this size takes no part of it.
const SMALL: usize = 64 * 1024;
/// How long one waits for its part.
const PATIENCE: Duration = Duration::from_secs(10);

impl Desk {
    /// The upstream's answer to a task. A long one waits until there is memory for it, and has that for as long as any of its
    /// body is kept.
    ///
    /// # Errors
    /// When the store does not say, or there is no memory for it for a while.
    pub async fn answer(&self, id: TaskId) -> Result<Option<Answer>, StoreError> {
        let kept = self.ending(id).await?;
        Ok(kept.and_then(|kept| kept.answer))
    }

    /// As [`Desk::answer`], with what the upstream itself said of its task.
    ///
    /// # Errors
    /// As [`Desk::answer`].
    pub(in crate::task) async fn ending(&self, id: TaskId) -> Result<Option<Ending>, StoreError> {
        let kept = self.kept(id).await?;
        Ok(kept.map(parted))
    }

    /// Both as the store has them. What the upstream itself said is short, and takes no part.
    async fn kept(&self, id: TaskId) -> Result<Option<Answer>, StoreError> {
        let Found::Task(task) = self.find(id).await? else {
            return Ok(None);
        };
        let bytes = task.result.as_ref().map_or(0, |result| result.bytes);
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        if bytes <= SMALL {
            return self.store.answer(id).await;
        }
        let Ok(part) = timeout(PATIENCE, self.replays.wait(bytes)).await else {
            return Err(StoreError {
                lasting: false,
                what: "as many long answers as may be are being read by their clients".to_owned(),
            });
        };
        let answer = self.store.answer(id).await?;
        Ok(answer.map(|answer| Answer {
            body: part.with(answer.body),
            ..answer
        }))
    }
}
