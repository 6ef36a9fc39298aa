//! The end of a task as a client hears it that knows of no task: what the upstream said, or that there is nothing to be said.

use std::sync::Arc;
use std::time::Duration;

use super::headers::{IDEMPOTENT_REPLAYED, TASK_ID, put, put_static};
use super::{Api, problems, result};
use crate::answer::Answer;
use crate::task::port::Found;
use crate::task::record::{Record, Source};
use crate::task::state::State;

/// As good as for ever: tasks have deadlines of their own.
const FAR: Duration = Duration::from_hours(24 * 365);

/// Why there is no answer of the upstream's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The status that says so.
    pub status: u16,
    /// What happened, and what the client does about it.
    pub detail: String,
}

impl Api {
    /// Waits until a task is over, or stands in line again: how it is then.
    pub async fn until_back(&self, task: Arc<Record>) -> Arc<Record> {
        let now = match self.teller.desk.find(task.id).await {
            Ok(Found::Task(now)) => now,
            _ => task,
        };
        let stands = |task: &Record| task.status.state() == State::Scheduled;
        self.teller.until(now, FAR, stands).await
    }

    /// What the upstream answered to a task that is over, as it did.
    ///
    /// # Errors
    /// [`Lost`] where it answered nothing that its client could be told.
    pub async fn as_if_called(&self, task: &Record) -> Result<Answer, Lost> {
        let of_upstream = task.result.as_ref();
        if of_upstream.is_none_or(|result| result.source == Source::Probe) {
            return Err(lost(task));
        }
        match self.teller.desk.answer(task.id).await {
            Ok(Some(kept)) => Ok(Answer {
                status: kept.status,
                headers: result::fields(&kept),
                body: kept.body,
            }),
            Ok(None) => Err(Lost {
                status: 502,
                detail: "The upstream answered, and the answer is not kept any more.".to_owned(),
            }),
            Err(error) => {
                tracing::error!(%error, "the answer to a call cannot be read");
                Err(Lost {
                    status: 502,
                    detail: "The upstream answered, and the answer cannot be read at this moment."
                        .to_owned(),
                })
            }
        }
    }

    /// Names the task in an answer that its client waited for; `replayed` where its key was seen before.
    pub fn name(&self, answer: &mut Answer, task: &Record, replayed: bool) {
        put(answer, TASK_ID, &task.id.to_string());
        if replayed {
            put_static(answer, IDEMPOTENT_REPLAYED, "true");
        }
    }
}

fn lost(task: &Record) -> Lost {
    let fault = task.error.as_ref();
    let said = fault.map_or("", |fault| fault.detail.as_str());
    let (status, detail) = match task.status.state() {
        State::Completed | State::PartialSuccess => (
            502,
            or(
                said,
                "The answer of the upstream was lost; it has done what was asked for.",
            ),
        ),
        State::Aborted => (409, or(said, "It was taken back.")),
        State::Expired if task.dispatched => (
            504,
            "It did not end in time; it may still be going on at the upstream.",
        ),
        State::Expired => (
            504,
            "It did not begin in time; nothing of it went to the upstream.",
        ),
        _ => {
            let name = fault.map_or(problems::fallback(task), |fault| fault.kind);
            let meaning = problems::kind(name).map_or("", |kind| kind.meaning);
            (fault.map_or(502, |fault| fault.status), or(said, meaning))
        }
    };
    Lost {
        status,
        detail: detail.to_owned(),
    }
}

fn or<'a>(text: &'a str, instead: &'a str) -> &'a str {
    if text.is_empty() { instead } else { text }
}
