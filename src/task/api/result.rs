//! The result of a task: the upstream's answer as it was, or why there is none (tasks.md section 6.4).

use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};

use super::headers::{
    ASYNC_RESULT, JSON, TASK_STATE, bare, of, put, put_retry_after, put_static, takes_messages,
};
use super::json::Link;
use super::status::put_applied;
use super::teller::Teller;
use super::words::Asked;
use super::{message, probed, problems};
use crate::answer::Answer;
use crate::call::field;
use crate::task::port;
use crate::task::raw::Raw;
use crate::task::record::{Record, Source};
use crate::task::state::State;

/// Fields of a kept answer that are not said again: the gate itself says these.
const THE_GATES_OWN: [&str; 5] = [
    "asyncresult",
    "task-state",
    "task-id",
    "preference-applied",
    "idempotent-replayed",
];

const RAW_NOT_KEPT: &str =
    "What the upstream said of its own task is not kept; the result without raw=true is.";

impl Teller {
    /// The result of a task, with `Prefer: wait` once it is over.
    pub(super) async fn result(&self, task: Arc<Record>, asked: &Asked<'_>) -> Answer {
        let wants_raw = match wants_raw(asked.query.unwrap_or_default()) {
            Ok(wants_raw) => wants_raw,
            Err(what) => return self.problem("bad-parameter", 400, what),
        };
        let wait = self.wait(asked);
        let task = match wait {
            Some(seconds) => self.until_done(task, Duration::from_secs(seconds)).await,
            None => task,
        };
        let enclosed = takes_messages(asked.headers);
        let raw = if wants_raw {
            self.raw(&task, enclosed).await
        } else {
            None
        };
        let mut answer = match raw {
            Some(raw) => raw,
            None => self.outcome(&task, asked.base, enclosed).await,
        };
        put_applied(&mut answer, wait);
        answer
    }

    /// What came of a task.
    pub(super) async fn outcome(
        &self,
        task: &Record,
        base: Option<&str>,
        enclosed: bool,
    ) -> Answer {
        if !task.status.state().is_done() {
            return self.not_yet(task, base);
        }
        if task.result.is_none() {
            return self.unanswered(task, base);
        }
        let is_probed = by_probe(task);
        match self.desk.answer(task.id).await {
            Ok(Some(kept)) if is_probed => with_state(self.probed(task, base, &kept), task),
            Ok(Some(kept)) => with_state(told(kept, enclosed), task),
            // Its time was up a moment ago.
            Ok(None) => self.gone(),
            Err(error) => with_state(self.store_away(&error), task),
        }
    }

    /// What the upstream said of its own task; none where there is no more to tell than the result: it is not over, the upstream
    /// answered the call itself, or it said nothing of the end.
    async fn raw(&self, task: &Record, enclosed: bool) -> Option<Answer> {
        if !task.status.state().is_done() || !task.was_followed() || by_probe(task) {
            return None;
        }
        let kept = match self.desk.ending(task.id).await {
            Ok(kept) => kept?,
            Err(error) => return Some(with_state(self.store_away(&error), task)),
        };
        let answer = match (kept.raw, kept.answer) {
            (Some(Raw::Apart(raw)), _) => told(raw, enclosed),
            (None, Some(_)) => self.problem("raw-not-kept", 404, RAW_NOT_KEPT),
            (Some(Raw::Same) | None, _) => return None,
        };
        Some(with_state(answer, task))
    }

    /// 202: it is not over.
    pub(super) fn not_yet(&self, task: &Record, base: Option<&str>) -> Answer {
        let mut answer = of(202, JSON, self.json(task, base));
        let own = Link {
            root: self.root(base),
            id: task.id,
            tail: "",
        };
        self.put_location(&mut answer, &own);
        put_retry_after(&mut answer, self.retry_after(task));
        with_state(answer, task)
    }

    /// Its answer is lost, and a probe found it done: what the probe saw is no answer to the call, and its status none of it.
    fn probed(&self, task: &Record, base: Option<&str>, saw: &port::Answer) -> Answer {
        of(200, JSON, probed::body(task, self.root(base), saw))
    }

    /// It is over, and the upstream answered nothing.
    fn unanswered(&self, task: &Record, base: Option<&str>) -> Answer {
        let fault = task.error.as_ref();
        let (detail, status) =
            fault.map_or(("", 502), |fault| (fault.detail.as_str(), fault.status));
        let name = fault.map_or(problems::fallback(task), |fault| fault.kind);
        let answer = match task.status.state() {
            State::Aborted => self.problem("aborted", 409, or(detail, "The task was taken back.")),
            State::Expired => self.problem("expired", 504, or(detail, late(task))),
            State::Failed => {
                let advice = problems::kind(name).map_or("", |kind| kind.advice);
                self.problem(name, status, or(detail, advice))
            }
            // A probe found it done: there is nothing to repeat, and the record says all.
            _ => of(200, JSON, self.json(task, base)),
        };
        with_state(answer, task)
    }
}

/// Whether a probe says what became of it, and no answer does.
pub(super) fn by_probe(task: &Record) -> bool {
    let result = task.result.as_ref();
    result.is_some_and(|result| result.source == Source::Probe)
}

fn or<'a>(text: &'a str, instead: &'a str) -> &'a str {
    if text.is_empty() { instead } else { text }
}

const fn late(task: &Record) -> &'static str {
    if task.dispatched {
        "It did not end in time; it may still be going on at the upstream."
    } else {
        "It did not begin in time; nothing of it went to the upstream."
    }
}

fn with_state(mut answer: Answer, task: &Record) -> Answer {
    put_static(&mut answer, TASK_STATE, task.status.state().as_str());
    answer
}

/// Whether `raw=true` is said: what the upstream said of its own task.
fn wants_raw(query: &str) -> Result<bool, &'static str> {
    let mut said = query.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name == "raw").then_some(value)
    });
    said.try_fold(false, |_, value| match value {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("raw is neither true nor false."),
    })
}

/// An answer of the upstream's, as it came or as one message.
fn told(kept: port::Answer, enclosed: bool) -> Answer {
    if enclosed {
        message::enclosed(&kept, fields(&kept))
    } else {
        replayed(kept)
    }
}

/// The answer as the upstream gave it.
fn replayed(kept: port::Answer) -> Answer {
    let fields = fields(&kept);
    let says_caching = fields.iter().any(|(name, _)| name == CACHE_CONTROL);
    let mut answer = bare(kept.status);
    if says_caching {
        answer.headers.clear();
    }
    answer.headers.extend(fields);
    put(&mut answer, ASYNC_RESULT, &kept.status.to_string());
    answer.body = kept.body;
    answer
}

/// Its end-to-end fields, in their order.
pub(super) fn fields(kept: &port::Answer) -> Vec<(HeaderName, HeaderValue)> {
    let kept = kept.headers.iter();
    let fields = kept.filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(value.clone()).ok()?;
        Some((name, value))
    });
    let fields = fields
        .filter(|(name, _)| !field::is_made_anew(name) && !THE_GATES_OWN.contains(&name.as_str()));
    fields.collect()
}
