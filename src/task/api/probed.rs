//! What is said of a task whose answer is lost and which a probe found done (tasks.md sections 4.3 and 6.4): that it was applied,
//! and what the probe saw.

use serde::Serialize;
use serde_json::Value;

use super::json::{Links, Root, links};
use crate::task::port;
use crate::task::record::Record;

/// What there is instead of the upstream's answer.
#[derive(Serialize)]
struct Found<'a> {
    id: String,
    state: &'static str,
    applied: bool,
    outcome: &'static str,
    result_source: &'static str,
    detail: &'static str,
    seen: Seen<'a>,
    links: Links<'a>,
}

/// The answer to the probe.
#[derive(Serialize)]
struct Seen<'a> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    /// Where it is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Value>,
    /// Where it is other text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

/// The body of the answer.
pub(super) fn body(task: &Record, root: Root<'_>, saw: &port::Answer) -> Vec<u8> {
    let json: Option<Value> = serde_json::from_slice(&saw.body).ok();
    let text = std::str::from_utf8(&saw.body).ok();
    let text = text.filter(|text| json.is_none() && !text.is_empty());
    let result = task.result.as_ref();
    let found = Found {
        id: task.id.to_string(),
        state: task.status.state().as_str(),
        applied: true,
        outcome: "known",
        result_source: "probe",
        detail: "The upstream's answer was lost; asked afterwards, it shows that the operation was applied.",
        seen: Seen {
            status: saw.status,
            content_type: result.and_then(|result| result.content_type.as_deref()),
            body: json,
            text,
        },
        links: links(root, task),
    };
    // Strings, numbers and JSON that was read: nothing in it could fail to serialize.
    serde_json::to_vec(&found).unwrap_or_default()
}
