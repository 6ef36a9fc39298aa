//! Every problem that the gate itself has with a task, in one place: what it is called, what it means, what to do. Their
//! types are URLs that the gate answers with that.

use std::borrow::Cow;

use serde::Serialize;

use super::headers::{PROBLEM, of};
use super::json::Root;
use super::path::parent;
use crate::answer::Answer;
use crate::task::record::Record;
use crate::task::state::State;

/// A kind of problem.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// The last part of its type.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What a client does about it.
    pub advice: &'static str,
}

const fn says(
    name: &'static str,
    title: &'static str,
    meaning: &'static str,
    advice: &'static str,
) -> Kind {
    Kind {
        name,
        title,
        meaning,
        advice,
    }
}

const KINDS: &[Kind] = &[
    // What became of a task.
    says(
        "upstream-error",
        "Upstream answered with an error",
        "The upstream was asked once and refused. Its own answer, word for word, is the result of the task.",
        "Read the result; the status in AsyncResult is the upstream's. To try again, submit again, with a new Idempotency-Key.",
    ),
    says(
        "outcome-unknown",
        "The gateway lost the answer; the operation may have been applied",
        "The request went up, and its answer never came back: the connection broke, or the gateway was restarted meanwhile.",
        "Look at the target before you submit again: the operation may have been done.",
    ),
    says(
        "not-applied",
        "The operation was not applied",
        "The answer was lost, and the gateway has found out that the operation was not done.",
        "Submitting again is safe; use a new Idempotency-Key.",
    ),
    says(
        "upstream-gone",
        "The upstream is not there any more",
        "The configuration of the gateway has no upstream of this name any more: the task was not sent.",
        "Ask the operator of the gateway where the upstream is now, and submit again there.",
    ),
    says(
        "request-refused",
        "The request cannot be sent any more",
        "The gateway reads requests otherwise than when it took this one, and would refuse it now: the task was not sent.",
        "Submit again, as the gateway takes it now.",
    ),
    says(
        "credentials-expired",
        "The credentials expired before the task was sent",
        "The session or token that came with the request was no longer accepted when it was the task's turn.",
        "Log in again and submit again. The Idempotency-Key is free, as nothing was executed.",
    ),
    says(
        "request-lost",
        "The request can no longer be read",
        "The stored request does not open with the gateway's key, or is damaged. Nothing of it was sent.",
        "Submit again, and tell the operator of the gateway.",
    ),
    says(
        "answer-too-large",
        "The answer was too large to keep",
        "The upstream did the work and answered with more than the gateway keeps. The answer was not stored.",
        "Look at the target: the operation was executed.",
    ),
    says(
        "internal",
        "The gateway failed at this task",
        "The gateway itself broke down while it worked on the task. The member dispatched tells whether anything of the \
         request may have gone up.",
        "Tell the operator of the gateway, whose log says why. If dispatched is true, look at the target before you submit again.",
    ),
    says(
        "aborted",
        "The task was taken back",
        "Somebody who owns the task cancelled it before it was done.",
        "Nothing; submit again if it is wanted after all.",
    ),
    says(
        "detached",
        "Its client let the task go",
        "Somebody who owns the task cancelled it while the upstream was at work on it, in a call that cannot be stopped. The call went \
         on, and its answer is lost.",
        "Look at the target before you submit again: the operation may have been done.",
    ),
    says(
        "expired",
        "The time of the task was up",
        "It did not begin before its start deadline, or did not end before its deadline. The member dispatched tells which: \
         if it is true, the operation may still be going on at the upstream.",
        "If dispatched is false, submit again with more time. If it is true, look at the target first.",
    ),
    says(
        "nothing-to-undo",
        "There was nothing to undo",
        "The task was to make up for another one that ended badly. The upstream was asked, and nothing of that one is there.",
        "Nothing.",
    ),
    says(
        "compensation-unclear",
        "It could not be found out what is to be undone",
        "The task was to make up for another one that ended badly, and the upstream did not say what of that one is there.",
        "Look at the target of the other task, and undo by hand what is left of it.",
    ),
    // What a client hears of the records.
    says(
        "gone",
        "The task was forgotten",
        "The task is over, and its record was removed: its time was up, or its owner deleted it.",
        "Nothing: its result cannot be had any more. How long results are kept stands in the policy.",
    ),
    says(
        "raw-not-kept",
        "The upstream's own words are not kept",
        "The upstream did this as a task of its own, and what it said of that at its end was too long to be kept beside the result, or no JSON \
         of a list; or the task ended under an older version of the gateway.",
        "Read the result without raw=true.",
    ),
    says(
        "not-found",
        "There is no such task",
        "No task of yours has this name, or there is nothing at this path.",
        "Check the URL, and that you ask as the user who submitted the task, on the same upstream.",
    ),
    says(
        "credentials-needed",
        "Say who asks",
        "Tasks are shown to their owners only, and the request does not show who asks, or the upstream does not accept it.",
        "Send the session or the credentials that you use with the upstream.",
    ),
    says(
        "method-not-allowed",
        "The method is not known here",
        "The path exists, but not with this method.",
        "Use one of the methods in the field Allow.",
    ),
    says(
        "bad-parameter",
        "A parameter is not valid",
        "A parameter of the query has a value that it cannot have.",
        "Correct it; the detail says what is wanted.",
    ),
    says(
        "bad-body",
        "The body is not valid",
        "The body is not what is wanted here.",
        "Correct it; the detail says what is wanted.",
    ),
    says(
        "body-too-large",
        "The body is too large",
        "The body is larger than the gateway keeps.",
        "Send less. The policy tells how much a task may have.",
    ),
    says(
        "not-cancelable",
        "The task cannot be taken back any more",
        "The upstream is at work on it, in a call that cannot be stopped: breaking it off would only lose the answer.",
        "Wait for its end.",
    ),
    says(
        "already-terminal",
        "The task is over",
        "What is over does not change any more.",
        "Read its result.",
    ),
    says(
        "not-over",
        "The task is not over",
        "Only a task that is over can be forgotten; to forget is not to cancel.",
        "Cancel it, or wait for its end.",
    ),
    says(
        "too-many-polls",
        "One task is asked for too often",
        "The same task was asked for by the same user many times a second.",
        "Heed Retry-After. Better: wait with Prefer: wait=30, or follow its events.",
    ),
    says(
        "store-unavailable",
        "The store of tasks does not answer",
        "The gateway cannot reach the place where tasks are kept. No task is lost by that.",
        "Ask again after the time in Retry-After.",
    ),
    // Why a request does not become a task.
    says(
        "idempotency-key-missing",
        "Idempotency-Key is missing",
        "This operation is not taken without an Idempotency-Key.",
        "Send one: a UUID of your own, a new one for each operation.",
    ),
    says(
        "idempotency-key-invalid",
        "Idempotency-Key is not valid",
        "A key is a string of 1 to 255 visible ASCII characters, in quotes or without, in one field.",
        "Send such a key.",
    ),
    says(
        "idempotency-key-used",
        "Idempotency-Key is already used",
        "The same key came before with another request.",
        "Use a new key for each operation.",
    ),
    says(
        "idempotency-key-outstanding",
        "A request is outstanding for this Idempotency-Key",
        "The first request with this key is being taken in at this moment.",
        "Send the same again after the time in Retry-After.",
    ),
    says(
        "body-not-json",
        "The body is not JSON",
        "This operation takes JSON, and the body is none.",
        "Correct the body.",
    ),
    says(
        "bad-deadline",
        "Task-Start-Deadline is not valid",
        "Task-Start-Deadline is a whole number of seconds.",
        "Correct it, or leave it out.",
    ),
];

/// Every kind of problem.
#[must_use]
pub const fn kinds() -> &'static [Kind] {
    KINDS
}

/// The kind of this name.
#[must_use]
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// A problem as it is said (RFC 9457).
#[derive(Debug, Serialize)]
pub(super) struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    detail: Cow<'a, str>,
    /// The upstream's own type of the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_error_type: Option<&'a str>,
}

fn url(root: Root<'_>, name: &str) -> String {
    format!("{}{}/problems/{name}", root.base, parent(root.prefix))
}

fn title(name: &str) -> &'static str {
    kind(name).map_or("Error", |kind| kind.title)
}

/// An answer that says what is wrong.
pub(super) fn answer(root: Root<'_>, name: &'static str, status: u16, detail: &str) -> Answer {
    let problem = Problem {
        kind: url(root, name),
        title: Cow::Borrowed(title(name)),
        status: Some(status),
        detail: Cow::Borrowed(detail),
        upstream_error_type: None,
    };
    // Strings and a number: nothing in it could fail to serialize.
    of(
        status,
        PROBLEM,
        serde_json::to_vec(&problem).unwrap_or_default(),
    )
}

/// What is wrong with a task that is over and was not done.
pub(super) fn of_task<'a>(task: &'a Record, root: Root<'_>) -> Option<Problem<'a>> {
    let result = task.result.as_ref();
    let fault = task.error.as_ref();
    if fault.is_none() && task.status.state() != State::Failed {
        return None;
    }
    let name = fault.map_or(fallback(task), |fault| fault.kind);
    let detail = fault.map_or("", |fault| &fault.detail);
    let detail = if detail.is_empty() {
        kind(name).map_or("", |kind| kind.advice)
    } else {
        detail
    };
    let answered = result.filter(|_| name == "upstream-error");
    Some(Problem {
        kind: url(root, name),
        title: answered.map_or(Cow::Borrowed(title(name)), |result| {
            format!("Upstream answered {}", result.status).into()
        }),
        status: answered.map(|result| result.status),
        detail: Cow::Borrowed(detail),
        upstream_error_type: task.error_type.as_deref(),
    })
}

/// The kind of a failure of which nothing else is said.
pub(super) const fn fallback(task: &Record) -> &'static str {
    match task.status.state() {
        State::Aborted => "aborted",
        State::Expired => "expired",
        _ if task.result.is_some() => "upstream-error",
        _ => "outcome-unknown",
    }
}
