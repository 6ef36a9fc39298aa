//! A gate before a model server, and what is said to it.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tidegate::app::Running;

use crate::support::client::Answer;
pub use crate::support::client::{call, request};
use crate::support::{all_given_back, gate, plain};
use crate::vendors::{Kind, Model, Vendor};

/// A user whom every model knows.
pub const ADMIN: &str = "Authorization: Basic YWRtaW46cHc=\r\n";
/// Another.
pub const OTHER: &str = "Authorization: Basic b3RoZXI6cHc=\r\n";
/// A clone of the VM that is there.
pub const CLONE: &str = "/api/vcenter/vm?action=clone";

/// The text of a configuration: this profile, `lines` of the upstream, and `tasks` below `[tasks]`.
pub fn text(upstream: SocketAddr, profile: &str, lines: &str, tasks: &str) -> String {
    let text = plain(upstream, lines)
        .replace("profile = \"generic\"", &format!("profile = \"{profile}\""))
        .replace("[log]", &format!("[tasks]\n{tasks}\n[log]"));
    assert!(text.contains(profile));
    text
}

pub fn before_vcenter(upstream: SocketAddr, lines: &str) -> Running {
    gate(&text(upstream, "vcenter-8.0", lines, ""))
}

pub fn before_nsx_v(upstream: SocketAddr, lines: &str) -> Running {
    gate(&text(upstream, "nsx-v", lines, ""))
}

/// Logs in through the gate; the line that shows the session.
pub async fn log_in(gate: &Running) -> String {
    let answer = call(gate.http()[0], "POST /api/session", ADMIN, "").await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let token = answer.json();
    format!("vmware-api-session-id: {}\r\n", token.as_str().unwrap())
}

/// Logs out; then nothing is held any more.
pub async fn all_back(gate: &Running, session: &str) {
    let answer = call(gate.http()[0], "DELETE /api/session", session, "").await;
    assert_eq!(answer.status, 204, "{answer:?}");
    all_given_back(gate).await;
}

/// The body of a clone by this name.
pub fn clone_of(name: &str) -> String {
    json!({"source": "vm-11", "name": name}).to_string()
}

/// The tasks that whoever shows `fields` sees.
pub async fn tasks(gate: &Running, fields: &str) -> Vec<Value> {
    let answer = call(gate.http()[0], "GET /-/tasks", fields, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["tasks"].as_array().unwrap().clone()
}

/// Nothing in an answer tells that it came by a task, but for the name of that.
pub fn is_plain(answer: &Answer) {
    for field in [
        "asyncresult",
        "task-state",
        "preference-applied",
        "retry-after",
        "link",
        "etag",
    ] {
        assert_eq!(answer.header(field), None, "{field}: {answer:?}");
    }
}

/// Calls for work that reached the model, in whatever form.
pub fn begun<V: Vendor>(model: &Model<V>) -> u64 {
    model.books.count(Kind::Start) + model.books.count(Kind::Blocking)
}

pub fn body(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}
