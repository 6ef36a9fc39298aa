//! A gate before a model upstream, with routes of every policy; and what is said to it.

use std::net::SocketAddr;

use tidegate::app::Running;

use crate::support::client::{Answer, Client};
use crate::support::{gate, plain};

/// Credentials of two people.
pub const ALICE: &str = "Authorization: Basic YWxpY2U6YQ==\r\n";
pub const BOB: &str = "Authorization: Basic Ym9iOmI=\r\n";
/// What asks for a task.
pub const ASYNC: &str = "Prefer: respond-async\r\n";

/// Routes of every policy. `hold` in the query of a call lets the model upstream never answer.
const ROUTES: &str = r#"
[[upstream.route]]
name = "clone"
match = { method = "POST", path = "/clone" }
class = "blocking"
fingerprint = ["x-tenant"]
[[upstream.route]]
name = "always"
match = { path = "/always" }
class = "blocking"
async = "always"
[[upstream.route]]
name = "never"
match = { path = "/never" }
class = "blocking"
async = "never"
[[upstream.route]]
name = "json"
match = { path = "/json" }
class = "blocking"
json = true
[[upstream.route]]
name = "keyed"
match = { path = "/keyed" }
class = "blocking"
needs_key = true
"#;

/// The text of a configuration with `tasks` below `[tasks]`.
pub fn text(upstream: SocketAddr, tasks: &str) -> String {
    let text = plain(upstream, ROUTES);
    text.replace("[log]", &format!("[tasks]\n{tasks}\n[log]"))
}

pub fn start(upstream: SocketAddr, tasks: &str) -> Running {
    gate(&text(upstream, tasks))
}

/// A request with these field lines, each with its end.
pub fn request(method: &str, target: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {target} HTTP/1.1\r\nHost: gate.example\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    )
}

pub fn post(target: &str, fields: &str) -> String {
    request("POST", target, fields, "{\"name\":\"web\"}")
}

/// One exchange over a connection of its own.
pub async fn say(gate: &Running, request: impl AsRef<[u8]>) -> Answer {
    let mut client = Client::connect(gate.http()[0]).await;
    client.send(request).await;
    client.answer().await.expect("an answer")
}

pub async fn get(gate: &Running, target: &str, fields: &str) -> Answer {
    let text = format!("GET {target} HTTP/1.1\r\nHost: gate.example\r\n{fields}\r\n");
    say(gate, text).await
}

/// The name of the task that this answer speaks of.
pub fn id(answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let location = format!("/-/tasks/{id}");
    assert_eq!(answer.header("location"), Some(location.as_str()));
    id
}

/// The tasks that whoever shows `fields` sees.
pub async fn list(gate: &Running, fields: &str) -> Vec<serde_json::Value> {
    let answer = get(gate, "/-/tasks", fields).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["tasks"].as_array().unwrap().clone()
}
