//! Telling somebody of the end of a task: messages by the Standard Webhooks specification
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use bytes::Bytes;
use serde::Serialize;

use super::api::{Links, Root, Stamp, links};
use super::record::{Outcome, Record};

#[derive(Serialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: String,
    timestamp: Stamp,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    id: String,
    state: &'a str,
    version: u64,
    links: Links<'a>,
}

#[derive(Serialize)]
struct Alert<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: Stamp,
    data: Ended<'a>,
}

#[derive(Serialize)]
struct Ended<'a> {
    id: String,
    state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a str>,
    dispatched: bool,
    upstream: &'a str,
    route: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    attempts: u32,
    retries: u32,
    links: Links<'a>,
}

/// What the operator is told of a task that ended badly: nothing of whose it is, of its request or its answer.
#[must_use]
pub(super) fn alert(task: &Record, prefix: &str) -> Bytes {
    let message = Alert {
        kind: "task.alert",
        timestamp: Stamp(task.ended.unwrap_or(task.updated)),
        data: Ended {
            id: task.id.to_string(),
            state: task.status.state().as_str(),
            outcome: task.outcome.map(|outcome| match outcome {
                Outcome::Known => "known",
                Outcome::Unknown => "unknown",
                Outcome::NotApplied => "not-applied",
            }),
            dispatched: task.dispatched,
            upstream: &task.requested.upstream,
            route: &task.requested.route,
            error: task.error.as_ref().map(|fault| fault.kind),
            attempts: task.attempts,
            retries: task.retries(),
            links: links(Root { base: "", prefix }, task),
        },
    };
    serde_json::to_vec(&message).unwrap_or_default().into()
}

/// What is said of a task that is over, and where it is asked for, below `prefix`: nothing of its request or its
/// answer.
#[must_use]
pub fn body(task: &Record, prefix: &str) -> Bytes {
    let state = task.status.state().as_str();
    let message = Message {
        kind: format!("task.{}", state.to_ascii_lowercase()),
        timestamp: Stamp(task.ended.unwrap_or(task.updated)),
        data: Data {
            id: task.id.to_string(),
            state,
            version: task.version,
            links: links(Root { base: "", prefix }, task),
        },
    };
    // Plain strings and a number: nothing in it could fail to serialize.
    serde_json::to_vec(&message).unwrap_or_default().into()
}
