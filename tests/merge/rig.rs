//! A gate before a model of Avi, which merges nothing itself, and what clients say to it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate::app::Running;

use crate::support::client::{Answer, Client};
use crate::support::{PATIENCE, gate, plain};
use crate::vendors::avi::Avi;
use crate::vendors::avi_patch::apply;
use crate::vendors::{Kind, Model};

/// A user whom every model knows.
pub const ADMIN: &str = "Authorization: Basic YWRtaW46cHc=\r\n";
/// Another.
pub const OTHER: &str = "Authorization: Basic b3RoZXI6cHc=\r\n";
pub const POOL: &str = "pool-1";
pub const PATCH: &str = "PATCH /api/pool/pool-1?async_mode=true";
pub const VERSION: &str = "X-Avi-Version: 22.1.3\r\n";

/// A controller that makes every patch at once, and has an empty pool.
pub async fn avi() -> Model<Avi> {
    let avi = Avi::start().await;
    avi.add_pool(POOL, pool());
    avi
}

pub fn pool() -> Value {
    json!({"uuid": POOL, "name": "web", "servers": []})
}

/// A gate that gathers for this long, with `lines` of the upstream.
pub fn before(avi: &Model<Avi>, period: &str, lines: &str) -> Running {
    gate(&text(avi.address, period, lines))
}

pub fn text(avi: SocketAddr, period: &str, lines: &str) -> String {
    let lines = format!("async_patch_merge_period = \"{period}\"\n{lines}");
    let text = plain(avi, &lines).replace("profile = \"generic\"", "profile = \"avi\"");
    text.replace(
        "[log]",
        "[tasks]\nqueue = 20000\nqueue_per_user = 20000\n[log]",
    )
}

pub fn server(address: &str) -> Value {
    json!({"ip": {"addr": address, "type": "V4"}})
}

/// A patch by which these are there.
pub fn add(addresses: &[&str]) -> Value {
    let servers: Vec<Value> = addresses.iter().map(|one| server(one)).collect();
    json!({"add": {"servers": servers}})
}

/// A patch by which these are gone.
pub fn delete(addresses: &[&str]) -> Value {
    let servers: Vec<Value> = addresses.iter().map(|one| server(one)).collect();
    json!({"delete": {"servers": servers}})
}

/// A patch by which one is there with this ratio.
pub fn ratio(address: &str, ratio: u32) -> Value {
    json!({"add": {"servers": [{"ip": {"addr": address, "type": "V4"}, "ratio": ratio}]}})
}

/// A request with these field lines, each with its end.
pub fn request(line: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{line} HTTP/1.1\r\nHost: gate.example\r\n{fields}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// One exchange over a connection of its own.
pub async fn call(address: SocketAddr, line: &str, fields: &str, body: &str) -> Answer {
    let mut client = Client::connect(address).await;
    client.send(request(line, fields, body)).await;
    client.answer().await.expect("an answer")
}

/// Hands in a patch; its name.
pub async fn patch(gate: &Running, fields: &str, body: &Value) -> String {
    let answer = call(gate.http()[0], PATCH, fields, &body.to_string()).await;
    patch_id(&answer)
}

pub fn patch_id(answer: &Answer) -> String {
    assert_eq!(answer.status, 202, "{answer:?}");
    let id = answer.json()["patch_id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("gw-"), "{id}");
    id
}

/// As [`patch`], by the admin.
pub async fn admins(gate: &Running, body: &Value) -> String {
    patch(gate, &format!("{ADMIN}{VERSION}"), body).await
}

/// What is told of a patch.
pub async fn status(address: SocketAddr, fields: &str, id: &str) -> Value {
    let line = format!("GET /api/pool-async/status/{id}");
    let answer = call(address, &line, fields, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// What is told of a patch of whoever shows `fields`, once it is over.
pub async fn over_of(address: SocketAddr, fields: &str, id: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = status(address, fields, id).await;
        if told["status"] == "SUCCESS" || told["status"] == "FAIL" {
            return told;
        }
        assert!(Instant::now() < deadline, "waited in vain: {told}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn over(gate: &Running, id: &str) -> Value {
    over_of(gate.http()[0], ADMIN, id).await
}

/// All of these are done.
pub async fn all_done(gate: &Running, ids: &[String]) {
    for id in ids {
        let told = over(gate, id).await;
        assert_eq!(
            (&told["status"], &told["status_code"]),
            (&json!("SUCCESS"), &json!(200)),
            "{told}"
        );
    }
}

/// The gate's own task.
pub async fn task(gate: &Running, fields: &str, id: &str) -> Value {
    let id = id.strip_prefix("gw-").unwrap();
    let answer = call(gate.http()[0], &format!("GET /-/tasks/{id}"), fields, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// The patches that reached the controller, in order: bodies.
pub fn sent(avi: &Model<Avi>) -> Vec<Value> {
    let heard = avi.books.heard().into_iter();
    let edits = heard.filter(|one| one.kind == Kind::Edit);
    edits.map(|one| one.request.json()).collect()
}

/// What these say in this field, of the patches that reached the controller.
pub fn fields(avi: &Model<Avi>, name: &str) -> Vec<Option<String>> {
    let heard = avi.books.heard().into_iter();
    let edits = heard.filter(|one| one.kind == Kind::Edit);
    edits
        .map(|one| one.request.header(name).map(str::to_owned))
        .collect()
}

/// The pool after these, one by one.
pub fn one_by_one<'p>(pool: &Value, patches: impl IntoIterator<Item = &'p Value>) -> Value {
    let mut patches = patches.into_iter();
    patches
        .try_fold(pool.clone(), |pool, patch| apply(&pool, patch))
        .unwrap()
}
