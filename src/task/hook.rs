//! Telling somebody of the end of a task: messages by the Standard Webhooks specification
//! (<https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>).

use bytes::Bytes;
use serde::Serialize;

use super::api::{Links, Root, Stamp, links};
use super::record::Record;

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
            links: links(Root { base: "", prefix }, task.id),
        },
    };
    // Plain strings and a number: nothing in it could fail to serialize.
    serde_json::to_vec(&message).unwrap_or_default().into()
}
