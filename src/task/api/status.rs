//! How a task does: always 200 while its record exists, or 304 to who has it; at once, or after a wait.

use std::sync::Arc;
use std::time::Duration;

use super::headers::{self, JSON, PREFERENCE_APPLIED, bare, of, put, put_etag, put_retry_after};
use super::teller::Teller;
use super::words::{Applied, Asked};
use crate::answer::Answer;
use crate::task::record::Record;

impl Teller {
    /// The status of a task. With `Prefer: wait` it is said once the client does not have it yet, or else once the
    /// task is over, or once the time is up.
    pub(super) async fn status(&self, task: Arc<Record>, asked: &Asked<'_>) -> Answer {
        let wait = self.wait(asked);
        let task = match wait {
            Some(seconds) => self.news(task, asked, Duration::from_secs(seconds)).await,
            None => task,
        };
        let mut answer = if headers::has(asked.headers, task.version) {
            bare(304)
        } else {
            of(200, JSON, self.json(&task, asked.base))
        };
        put_etag(&mut answer, task.version);
        if !task.status.state().is_done() {
            put_retry_after(&mut answer, self.retry_after(&task));
        }
        put_applied(&mut answer, wait);
        answer
    }

    async fn news(&self, task: Arc<Record>, asked: &Asked<'_>, wait: Duration) -> Arc<Record> {
        if !headers::has_some(asked.headers) {
            return self.until_done(task, wait).await;
        }
        if !headers::has(asked.headers, task.version) {
            return task;
        }
        let version = task.version;
        self.until(task, wait, |now| now.version != version).await
    }
}

/// Says that the client's wait was honoured, and how long it could have been.
pub(super) fn put_applied(answer: &mut Answer, wait: Option<u64>) {
    let applied = Applied {
        wait,
        ..Applied::default()
    };
    if let Some(said) = applied.field() {
        put(answer, PREFERENCE_APPLIED, &said);
    }
}
