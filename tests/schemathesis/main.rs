//! The task API of a whole gate against its own OpenAPI document, by somebody who does not know it: schemathesis makes
//! requests up from the document, right ones and wrong ones, and holds each answer to it.
//!
//! `tests/run` installs it beside the Python of TIDEGATE_PYTHON. Without that the test fails: a check that is skipped
//! shows nothing.

#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::client::Client;
use support::origin::Origin;
use support::{PATIENCE, gate, plain};
use tidegate::app::Running;

/// Whoever makes the requests.
const WHO: &str = "Authorization: Basic YWxpY2U6YQ==";

/// Seconds after which no more requests are made up.
const LONGEST: &str = "60";

/// What is wrong by the letter and right here: valid requests for tasks that are not there, or not in the right state,
/// are refused; parameters that the document does not know are ignored; and on an upstream that knows no logins, whoever
/// shows no credentials is known by an address.
const NOT_HELD: &str = "positive_data_acceptance,negative_data_rejection,ignored_auth";

const ROUTES: &str = r#"
[[upstream.route]]
name = "clone"
match = { method = "POST", path = "/clone" }
class = "blocking"
[upstream.limits.blocking_tasks]
counts = "requests_in_flight"
match = { class = ["blocking"] }
limit = 2
wait = { line = 1000 }
"#;

/// Tasks in every state that a client can meet at once.
struct Tasks {
    over: Vec<String>,
    open: Vec<String>,
}

async fn submit(gate: &Running, query: &str) -> String {
    let mut client = Client::connect(gate.http()[0]).await;
    let body = "{\"name\":\"web\"}";
    let length = body.len();
    let fields =
        format!("Host: gate.example\r\n{WHO}\r\nPrefer: respond-async\r\nContent-Length: {length}");
    client
        .send(format!(
            "POST /clone?{query} HTTP/1.1\r\n{fields}\r\n\r\n{body}"
        ))
        .await;
    let answer = client.answer().await.expect("an answer");
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn get(gate: &Running, target: &str) -> Value {
    let mut client = Client::connect(gate.http()[0]).await;
    let head = format!("GET {target} HTTP/1.1\r\nHost: gate.example\r\n{WHO}\r\n\r\n");
    client.send(head).await;
    let answer = client.answer().await.expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn tasks(gate: &Running) -> Tasks {
    let mut over = Vec::new();
    for query in [
        "",
        "status=201",
        "status=404",
        "status=400",
        "bytes=100000&header=Content-Type:text/plain",
    ]
    .repeat(2)
    {
        over.push(submit(gate, query).await);
    }
    let deadline = std::time::Instant::now() + PATIENCE;
    for id in &over {
        while get(gate, &format!("/-/tasks/{id}")).await["done"] != true {
            assert!(
                std::time::Instant::now() < deadline,
                "task {id} does not end"
            );
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    let mut open = Vec::new();
    for _ in 0..12 {
        open.push(submit(gate, "hold").await);
    }
    Tasks { over, open }
}

/// The document as the gate serves it, with the names of real tasks among those that may be made up. A stream of events
/// ends only for what is over, so of the others none is asked for.
async fn document(gate: &Running, tasks: &Tasks) -> PathBuf {
    let mut document = get(gate, "/-/openapi.json").await;
    let one_of =
        |ids: &[String]| json!({"anyOf": [{"enum": ids}, {"$ref": "#/components/schemas/Id"}]});
    let all = [&*tasks.over, &*tasks.open].concat();
    document["components"]["parameters"]["TaskId"]["schema"] = one_of(&all);
    let events = &mut document["paths"]["/-/tasks/{id}/events"];
    for method in ["get", "head"] {
        events[method]["parameters"][0] =
            json!({"name": "id", "in": "path", "required": true, "schema": one_of(&tasks.over)});
    }
    let path = std::env::temp_dir().join(format!("tidegate-openapi-{}.json", std::process::id()));
    std::fs::write(&path, document.to_string()).unwrap();
    path
}

fn schemathesis(document: &Path, gate: SocketAddr) -> Output {
    let python = std::env::var_os("TIDEGATE_PYTHON");
    let python =
        PathBuf::from(python.expect("TIDEGATE_PYTHON is not set: run the tests by tests/run"));
    Command::new(python.with_file_name("schemathesis"))
        .arg("run")
        .arg(document)
        .args(["--url", &format!("http://{gate}")])
        .args(["--header", WHO])
        .args(["--exclude-checks", NOT_HELD])
        .args(["--max-time", LONGEST, "--max-examples", "40", "--seed", "5"])
        .args([
            "--request-timeout",
            "10",
            "--workers",
            "1",
            "--no-color",
            "--warnings",
            "off",
        ])
        .env(
            "SCHEMATHESIS_HOOKS",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemathesis/plain.py"),
        )
        .current_dir(std::env::temp_dir())
        .output()
        .expect("schemathesis is installed beside TIDEGATE_PYTHON")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_as_the_document_has_it() {
    let origin = Origin::start().await;
    let text = plain(origin.address, ROUTES);
    let gate = gate(&text.replace("[log]", "[tasks]\nwait_max = \"1s\"\n[log]"));
    let tasks = tasks(&gate).await;
    let document = document(&gate, &tasks).await;
    let address = gate.http()[0];
    let made = document.clone();
    let output = tokio::task::spawn_blocking(move || schemathesis(&made, address));
    let output = output.await.unwrap();
    std::fs::remove_file(&document).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    // It did ask: with nothing selected it would be content, too.
    assert!(said.contains("16 selected / 16 total"), "{said}");
    println!("{said}");
}
