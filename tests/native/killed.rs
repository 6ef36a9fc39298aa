//! Gates as processes that are killed while the upstream's own tasks run: the next one follows them from its database.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::client::{Answer, Client};
use crate::support::hurried;
use crate::support::process::Process;
use crate::vendors::vcenter::VCenter;
use crate::vendors::{Kind, Pace};

const TASKS: usize = 12;

pub fn text(folder: &Path, upstream: SocketAddr) -> String {
    format!(
        r#"
[listen]
http = ["127.0.0.1:0"]
admin = "127.0.0.1:0"
[runtime]
threads = 2
drain = "5s"
[state]
url = "sqlite://{folder}/tidegate.db"
key_file = "{folder}/state.key"
[tasks]
max_blocking = "2s"
reconcile = "6s"
[log]
access = "off"
[[upstream]]
name = "vc"
address = "http://{vc}"
profile = "vcenter-8.0"
dialect_files = ["./hurried.toml"]
"#,
        folder = folder.display(),
        vc = upstream,
    )
}

pub async fn ask(gate: &Process, line: &str, head: &str, body: &str) -> Answer {
    let length = body.len();
    let pair = base64::engine::general_purpose::STANDARD.encode("a:pw");
    let mut client = Client::connect(gate.http).await;
    client
        .send(format!(
            "{line} HTTP/1.1\r\nHost: vc1.example\r\nAuthorization: Basic {pair}\r\n{head}Content-Length: {length}\r\n\r\n{body}"
        ))
        .await;
    client.answer().await.unwrap()
}

async fn submit(gate: &Process, number: usize) -> String {
    let body = format!("{{\"source\":\"vm-11\",\"name\":\"web-{number}\"}}");
    let head = "Content-Type: application/json\r\nPrefer: respond-async\r\n";
    let line = "POST /api/vcenter/vm?action=clone";
    let answer = ask(gate, line, head, &body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.header("location").unwrap().to_owned()
}

/// The task, once `enough` holds of it.
pub async fn until(gate: &Process, task: &str, enough: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask(gate, &format!("GET {task}"), "", "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let shown = answer.json();
        if enough(&shown) {
            return shown;
        }
        assert!(Instant::now() < deadline, "waited in vain: {shown}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_is_killed_begins_nothing_twice_and_loses_no_end() {
    let vc = VCenter::start(Pace::Lasts(Duration::from_millis(700))).await;
    // What were begun twice would be there twice.
    vc.unique_names(false);
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("killed-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).unwrap();
    let folder = folder.canonicalize().unwrap();
    std::fs::write(folder.join("hurried.toml"), hurried::text("vcenter")).unwrap();
    let text = text(&folder, vc.address);
    let mut gate = Process::start(&text, &folder, &[]).await;
    let mut tasks = Vec::new();
    for number in 0..TASKS {
        tasks.push(submit(&gate, number).await);
        let last = tasks.last().unwrap();
        if number % 4 == 3 {
            until(&gate, last, |task| {
                task["substate"] == "POLLING" || task["done"] == true
            })
            .await;
            // Some are at work, some are over, and the others end while nobody is there.
            gate.kill();
            gate = Process::start(&text, &folder, &[]).await;
        }
    }
    for (number, task) in tasks.iter().enumerate() {
        let shown = until(&gate, task, |task| task["done"] == true).await;
        let made = vc.books.effects(&format!("clone web-{number}"));
        assert!(made <= 1, "{made} times: {shown}");
        if shown["state"] == "COMPLETED" {
            assert_eq!((made, &shown["mode"]), (1, &"native".into()), "{shown}");
            let result = ask(&gate, &format!("GET {task}/result"), "", "").await;
            assert_eq!(result.status, 200, "{result:?}");
            assert_eq!(result.header("asyncresult"), Some("200"));
            assert!(result.body.starts_with(b"\"vm-"), "{result:?}");
        } else {
            // It was going up as the gate was killed: nobody can know.
            assert_eq!(shown["outcome"], "unknown", "{shown}");
        }
        if number % 4 == 3 {
            assert_eq!(shown["state"], "COMPLETED", "it was followed: {shown}");
        }
    }
    assert!(vc.books.count(Kind::Start) <= TASKS as u64);
    assert_eq!(vc.books.count(Kind::Blocking), 0);
    gate.stop();
    drop(std::fs::remove_dir_all(&folder));
}
