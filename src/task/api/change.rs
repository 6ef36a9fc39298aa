//! Taking a task back, and forgetting one that is over (tasks.md section 6.6).

use std::sync::Arc;

use serde::Deserialize;

use super::headers::{JSON, TASK_STATE, bare, of, put_etag, put_static};
use super::teller::Teller;
use super::words::Asked;
use crate::answer::Answer;
use crate::task::desk::{AdvanceError, CancelError};
use crate::task::record::{Record, Viewer};

/// Longest body that says why, bytes.
const LONGEST: usize = 1024;

/// What the body of a cancel may say.
#[derive(Default, Deserialize)]
struct Why {
    reason: Option<String>,
}

impl Teller {
    /// Takes a task back.
    pub(super) async fn cancel(
        &self,
        task: &Arc<Record>,
        asked: &Asked<'_>,
        viewer: &Viewer,
    ) -> Answer {
        let why = match self.why(asked) {
            Ok(why) => why,
            Err(answer) => return answer,
        };
        let reason = why.reason.as_deref().filter(|reason| !reason.is_empty());
        match self.desk.cancel_because(task.id, reason).await {
            Ok(task) => {
                // Until the upstream says that it took the task back, that is but accepted.
                let status = if task.status.state().is_done() {
                    200
                } else {
                    202
                };
                let mut answer = of(status, JSON, self.json(&task, asked.base));
                put_etag(&mut answer, task.version);
                answer
            }
            Err(error) => self.not_cancelled(task, &error, viewer).await,
        }
    }

    fn why(&self, asked: &Asked<'_>) -> Result<Why, Answer> {
        if asked.body.len() > LONGEST {
            let detail = format!("At most {LONGEST} bytes say why.");
            return Err(self.problem("body-too-large", 413, &detail));
        }
        if asked.body.is_empty() {
            return Ok(Why::default());
        }
        // An object: serde would take a list for its members, too.
        let is_object = asked.body.trim_ascii_start().first() == Some(&b'{');
        let why = serde_json::from_slice(&asked.body).ok();
        why.filter(|_| is_object).ok_or_else(|| {
            let detail = "Wanted is no body, or {\"reason\": \"…\"}.";
            self.problem("bad-body", 400, detail)
        })
    }

    async fn not_cancelled(&self, task: &Record, error: &CancelError, viewer: &Viewer) -> Answer {
        let (name, detail) = match error {
            CancelError::NotCancelable => (
                "not-cancelable",
                "The upstream is at work on it, and cannot be asked to stop.",
            ),
            CancelError::Over => ("already-terminal", "The task is over."),
            CancelError::Advance(AdvanceError::Store(error)) => return self.store_away(error),
            CancelError::Advance(_) => return self.lost(task, viewer).await,
        };
        // How it is by now: it may have changed since it was found.
        let found = self.find(task.id, viewer).await;
        let now = found.as_deref().unwrap_or(task);
        with_state(self.problem(name, 409, detail), now)
    }

    /// Forgets a task that is over.
    pub(super) async fn forget(&self, task: &Arc<Record>, viewer: &Viewer) -> Answer {
        if !task.status.state().is_done() {
            let detail = "Only a task that is over can be forgotten.";
            return with_state(self.problem("not-over", 409, detail), task);
        }
        match self.desk.forget(task.id).await {
            Ok(true) => bare(204),
            // Somebody else was faster.
            Ok(false) => self.lost(task, viewer).await,
            Err(error) => self.store_away(&error),
        }
    }

    /// It was there a moment ago.
    async fn lost(&self, task: &Record, viewer: &Viewer) -> Answer {
        match self.find(task.id, viewer).await {
            Ok(_) => self.gone(),
            Err(answer) => answer,
        }
    }
}

fn with_state(mut answer: Answer, task: &Record) -> Answer {
    put_static(&mut answer, TASK_STATE, task.status.state().as_str());
    answer
}
