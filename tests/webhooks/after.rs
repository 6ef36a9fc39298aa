//! A whole gate: a task ends badly, its operator is told, and another task makes up for it.

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;
use tidegate::app::Running;

use crate::receiver::{Receiver, answer, is_signed};
use crate::support::client::{Answer, Client};
use crate::support::origin::Origin;
use crate::support::{PATIENCE, WEBHOOK_KEY, gate, plain, until, webhooks};

const ALICE: &str = "Authorization: Basic YWxpY2U6YQ==\r\n";
const BOB: &str = "Authorization: Basic Ym9iOmI=\r\n";
/// The origin answers with 500 and says where what it left lies.
const HALF_MADE: &str = "/clone?status=500&header=location:/machines/vm-7";

fn start(upstream: SocketAddr, receiver: &Receiver) -> Running {
    let url = receiver.url();
    let route = format!(
        r#"
[[upstream.route]]
name = "clone"
match = {{ method = "POST", path = "/clone" }}
class = "blocking"
[[upstream.route.after]]
state = ["FAILED"]
outcome = "known"
status = [500]
webhook = "{url}"
compensate = {{ method = "DELETE", target = "/machines/{{answer:location:last-segment}}?why={{/why}}" }}
"#
    );
    let text = plain(upstream, &route);
    let tasks = webhooks(&receiver.prefix());
    gate(&text.replace("[log]", &format!("[tasks]\n{tasks}\n[log]")))
}

async fn ask(gate: &Running, path: &str, fields: &str) -> Answer {
    let mut client = Client::connect(gate.http()[0]).await;
    let text = format!("GET {path} HTTP/1.1\r\nHost: gate.example\r\n{fields}\r\n");
    client.send(text).await;
    client.answer().await.unwrap()
}

/// Asks until the task at `path` is over.
async fn over(gate: &Running, path: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let task = ask(gate, path, ALICE).await.json();
        if task["done"] == true {
            return task;
        }
        assert!(Instant::now() < deadline, "not over: {task}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn submit(gate: &Running) -> String {
    let mut client = Client::connect(gate.http()[0]).await;
    let body = "{\"why\":\"a b\"}";
    let text = format!(
        "POST {HALF_MADE} HTTP/1.1\r\nHost: gate.example\r\n{ALICE}Prefer: respond-async\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(text).await;
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.header("location").unwrap().to_owned()
}

#[tokio::test]
async fn its_operator_is_told_and_what_it_left_is_deleted() {
    let origin = Origin::start().await;
    let receiver = Receiver::start(vec![answer("200 OK")]).await;
    let gate = start(origin.address, &receiver);
    let first = submit(&gate).await;
    let failed = over(&gate, &first).await;
    assert_eq!(failed["state"], "FAILED", "{failed}");
    let by = failed["links"]["compensated_by"]
        .as_str()
        .unwrap()
        .to_owned();
    let undo = over(&gate, &by).await;
    assert_eq!(undo["state"], "COMPLETED", "{undo}");
    assert_eq!(undo["links"]["compensates"], *first);
    let request = &undo["request"];
    assert_eq!(request["method"], "DELETE");
    assert_eq!(request["target"], "/machines/vm-7?why=a%20b");
    assert_eq!(ask(&gate, &by, BOB).await.status, 404, "it is its owner's");
    let listed = ask(&gate, "/-/tasks", ALICE).await.json();
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 2);
    // What the origin answers says what it was asked with.
    let result = ask(&gate, &format!("{by}/result"), ALICE).await;
    let said = result.json();
    assert_eq!(
        (said["method"].as_str(), said["target"].as_str()),
        (Some("DELETE"), Some("/machines/vm-7?why=a%20b"))
    );
    assert!(said["headers"].to_string().contains("YWxpY2U6YQ"), "{said}");
    assert_eq!(
        origin.seen.targets(),
        [HALF_MADE, "/machines/vm-7?why=a%20b"]
    );

    until("the operator is told", || !receiver.seen().is_empty()).await;
    let seen = receiver.seen();
    assert!(is_signed(&seen[0], WEBHOOK_KEY.as_bytes()), "{:?}", seen[0]);
    let told: Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!(told["type"], "task.alert");
    let data = &told["data"];
    assert_eq!(format!("/-/tasks/{}", data["id"].as_str().unwrap()), first);
    for (member, value) in [
        ("state", "FAILED"),
        ("outcome", "known"),
        ("upstream", "up"),
        ("route", "clone"),
        ("error", "upstream-error"),
    ] {
        assert_eq!(data[member], value, "{member}");
    }
    assert_eq!(data["links"]["compensated_by"], *by);
    let text = String::from_utf8(seen[0].body.clone()).unwrap();
    assert!(
        !text.contains("alice") && !text.contains("YWxpY2U6YQ") && !text.contains("a b"),
        "{text}"
    );
    let page = Client::connect(gate.admin())
        .await
        .get("/metrics")
        .await
        .body;
    let page = String::from_utf8(page).unwrap();
    for line in [
        "tidegate_task_alerts_total{state=\"FAILED\",upstream=\"up\"} 1",
        "tidegate_task_compensations_total{upstream=\"up\"} 1",
        "tidegate_task_retries_total{upstream=\"up\"} 0",
    ] {
        assert!(page.lines().any(|one| one == line), "{line}\n{page}");
    }
}
