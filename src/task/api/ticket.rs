//! What a request that became a task is answered with: 202 (tasks.md section 6.2), or the result where it waited for that.

use std::fmt::Write;

use http::header::{LINK, VARY};

use super::Api;
use super::headers::{
    IDEMPOTENT_REPLAYED, JSON, PREFERENCE_APPLIED, RATELIMIT, RATELIMIT_POLICY, TASK_ID, of, put,
    put_etag, put_retry_after, put_static,
};
use super::json::Link;
use super::words::{Applied, Pool};
use crate::answer::Answer;
use crate::task::desk::Receipt;
use crate::task::record::Record;

impl Api {
    /// The answer to a request that became a task, or had become one before: 202.
    #[must_use]
    pub fn ticket(&self, receipt: &Receipt, applied: &Applied, base: Option<&str>) -> Answer {
        let task = &*receipt.task;
        let mut answer = of(202, JSON, self.teller.json(task, base));
        let mut own = Link {
            root: self.teller.root(base),
            id: task.id,
            tail: "",
        };
        self.teller.put_location(&mut answer, &own);
        own.tail = "/result";
        put(&mut answer, LINK, &format!("<{own}>; rel=\"result\""));
        put_etag(&mut answer, task.version);
        if !task.status.state().is_done() {
            put_retry_after(&mut answer, self.teller.retry_after(task));
        }
        put_preferences(&mut answer, applied, receipt.replayed);
        self.put_pool(&mut answer, task);
        answer
    }

    /// The answer to a request whose task was over before its `wait` was: what the upstream answered, with
    /// `Preference-Applied` and `Task-Id`; `replayed` where its key was seen before.
    pub async fn replay(&self, task: &Record, applied: &Applied, replayed: bool) -> Answer {
        let mut answer = self.teller.outcome(task, None, false).await;
        put(&mut answer, TASK_ID, &task.id.to_string());
        put_preferences(&mut answer, applied, replayed);
        answer
    }

    /// A problem of the gate's own, by its kind: `/-/problems/KIND`. For refusals of requests that do not become tasks.
    #[must_use]
    pub fn problem(&self, kind: &'static str, status: u16, detail: &str) -> Answer {
        self.teller.problem(kind, status, detail)
    }

    /// The seats for which it waits (draft-ietf-httpapi-ratelimit-headers-11 sections 3 and 4).
    fn put_pool(&self, answer: &mut Answer, task: &Record) {
        let settings = &self.teller.settings;
        let (upstream, name) = (&task.requested.upstream, &task.requested.pool);
        let pool = settings.ratelimit.then(|| (settings.pools)(upstream, name));
        let Some(Pool { seats, free }) = pool.flatten() else {
            return;
        };
        let mut text = String::with_capacity(64);
        // Writing to a String does not fail.
        write!(text, "\"{name}\";q={seats};qu=\"concurrent-requests\"").unwrap_or_default();
        put(answer, RATELIMIT_POLICY, &text);
        text.clear();
        write!(text, "\"{name}\";r={free}").unwrap_or_default();
        put(answer, RATELIMIT, &text);
    }
}

fn put_preferences(answer: &mut Answer, applied: &Applied, replayed: bool) {
    put_static(answer, VARY, "Prefer");
    if let Some(said) = applied.field() {
        put(answer, PREFERENCE_APPLIED, &said);
    }
    if replayed {
        put_static(answer, IDEMPOTENT_REPLAYED, "true");
    }
}
