//! A gate before the model of a system, with that system's dialect in a hurry, and what is said to it.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tidegate::app::Running;

use crate::support::client::Answer;
pub use crate::support::client::{call, request};
use crate::support::hurried::hurried;
use crate::support::{gate, plain};

/// A field that asks for a task of the gate's.
pub const ASYNC: &str = "Prefer: respond-async\r\n";
/// Calls that block, at the same time: more than one, and fewer than the clients of any test.
pub const SEATS: u64 = 2;

/// A gate before `upstream`, which speaks `dialect`, with two seats of blocking calls. `routes` are TOML.
pub fn before(upstream: SocketAddr, dialect: &str, routes: &str) -> Running {
    before_with(upstream, &hurried(dialect), "", routes)
}

/// The same with the dialect of this file, and with these keys of the upstream.
pub fn before_with(upstream: SocketAddr, dialect: &Path, keys: &str, routes: &str) -> Running {
    let lines = format!(
        "{keys}dialect_files = [\"{}\"]\n[upstream.limits.blocking]\ncounts = \"requests_in_flight\"\n\
         match = {{ class = [\"blocking\"] }}\nlimit = {SEATS}\nwait = {{ line = 500, per_user = 500, at_most = \"60s\" }}\n{routes}",
        dialect.display()
    );
    gate(&plain(upstream, &lines))
}

/// A route of blocking calls.
pub fn blocking(method: &str, path: &str, convert: &str) -> String {
    let name = method.to_lowercase();
    format!(
        "[[upstream.route]]\nname = \"work-{name}\"\nmatch = {{ method = \"{method}\", path = \"{path}\" }}\n\
         class = \"blocking\"\nasync = \"{convert}\"\n"
    )
}

/// The tasks that whoever shows `fields` sees.
pub async fn tasks(gate: &Running, fields: &str) -> Vec<Value> {
    let answer = call(gate.http()[0], "GET /-/tasks", fields, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["tasks"].as_array().unwrap().clone()
}

/// The task at `location` once it is over.
pub async fn over(gate: &Running, location: &str, fields: &str) -> Value {
    let waits = format!("{fields}Prefer: wait=50\r\n");
    let answer = call(gate.http()[0], &format!("GET {location}"), &waits, "").await;
    let task = answer.json();
    assert_eq!(task["done"], true, "{task}");
    task
}

/// What its call is answered with.
pub async fn result(gate: &Running, location: &str, fields: &str) -> Answer {
    call(
        gate.http()[0],
        &format!("GET {location}/result"),
        fields,
        "",
    )
    .await
}

/// Nothing in an answer tells that it came by a task, but for the name of that.
pub fn is_plain(answer: &Answer) {
    for field in [
        "asyncresult",
        "task-state",
        "preference-applied",
        "link",
        "etag",
    ] {
        assert_eq!(answer.header(field), None, "{field}: {answer:?}");
    }
}
