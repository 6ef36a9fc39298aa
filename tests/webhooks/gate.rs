//! A whole gate: its tasks end and are told of, and its operator sees them.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate::app::Running;

use crate::receiver::{Receiver, answer, is_signed};
use crate::support::client::{Answer, Client};
use crate::support::origin::Origin;
use crate::support::{PATIENCE, WEBHOOK_KEY, gate, plain, until, webhooks};

const ALICE: &str = "Authorization: Basic YWxpY2U6YQ==\r\n";
const BOB: &str = "Authorization: Basic Ym9iOmI=\r\n";
const CLONE: &str = r#"
[[upstream.route]]
name = "clone"
match = { method = "POST", path = "/clone" }
class = "blocking"
"#;

fn start(upstream: SocketAddr, tasks: &str) -> Running {
    let text = plain(upstream, CLONE);
    gate(&text.replace("[log]", &format!("[tasks]\n{tasks}\n[log]")))
}

async fn submit(gate: &Running, target: &str, fields: &str) -> Answer {
    let mut client = Client::connect(gate.http()[0]).await;
    let text = format!(
        "POST {target} HTTP/1.1\r\nHost: gate.example\r\n{fields}Prefer: respond-async\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    client.send(text).await;
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    answer
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn ask(gate: &Running, path: &str) -> Answer {
    Client::connect(gate.admin()).await.get(path).await
}

async fn metric(gate: &Running, line: &str) -> bool {
    let page = ask(gate, "/metrics").await.body;
    String::from_utf8(page)
        .unwrap()
        .lines()
        .any(|one| one == line)
}

#[tokio::test]
async fn who_asked_to_be_told_is_told_when_the_upstream_has_answered() {
    let (origin, receiver) = (
        Origin::start().await,
        Receiver::start(vec![answer("200 OK")]).await,
    );
    let gate = start(origin.address, &webhooks(&receiver.prefix()));
    let fields = format!("{ALICE}Prefer: callback; url=\"{}\"\r\n", receiver.url());
    let submitted = submit(&gate, "/clone", &fields).await;
    assert_eq!(
        submitted.header("preference-applied"),
        Some("respond-async, callback")
    );
    until("it is told", || !receiver.seen().is_empty()).await;
    let seen = receiver.seen();
    assert!(is_signed(&seen[0], WEBHOOK_KEY.as_bytes()), "{:?}", seen[0]);
    let said: Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!(said["type"], "task.completed");
    assert_eq!(said["data"]["id"], id(&submitted));
    assert_eq!(
        said["data"]["links"]["self"],
        format!("/-/tasks/{}", id(&submitted))
    );
    let text = String::from_utf8(seen[0].body.clone()).unwrap();
    assert!(
        !text.contains("alice") && !text.contains("YWxpY2U6YQ"),
        "{text}"
    );
    for line in [
        "tidegate_webhook_deliveries_total{outcome=\"delivered\"} 1",
        "tidegate_tasks_finished_total{state=\"COMPLETED\",upstream=\"up\"} 1",
        "tidegate_task_dispatches_total{outcome=\"known\",upstream=\"up\"} 1",
        "tidegate_task_run_seconds_count{upstream=\"up\"} 1",
        "tidegate_tasks_in_state{state=\"RUNNING\",upstream=\"up\"} 0",
        "tidegate_store_up 1",
    ] {
        // The receiver has heard it before the gate knows that it did.
        let deadline = Instant::now() + PATIENCE;
        while !metric(&gate, line).await {
            assert!(Instant::now() < deadline, "{line}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

#[tokio::test]
async fn the_operator_sees_everybodys_tasks_by_upstream_state_owner_and_page() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let mut ids = Vec::new();
    for (target, fields) in [
        ("/clone?hold", ALICE),
        ("/clone?hold", BOB),
        ("/clone", BOB),
    ] {
        ids.push(id(&submit(&gate, target, fields).await));
        // Names are in order of time: each has a millisecond of its own.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let listed = async |query: &str| -> Vec<Value> {
        let answer = ask(&gate, &format!("/tasks{query}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["tasks"].as_array().unwrap().clone()
    };
    let deadline = Instant::now() + PATIENCE;
    while listed("?state=COMPLETED").await.is_empty() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let all = listed("").await;
    let of = |tasks: &[Value]| -> Vec<String> {
        tasks
            .iter()
            .map(|task| task["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(of(&all), [&*ids[2], &ids[1], &ids[0]]);
    assert_eq!(of(&listed("?state=COMPLETED").await), [&*ids[2]]);
    assert_eq!(listed("?upstream=other").await, [] as [Value; 0]);
    let owner = all[2]["owner"].as_str().unwrap();
    assert_ne!(all[1]["owner"], owner);
    assert_eq!(of(&listed(&format!("?owner={owner}")).await), [&*ids[0]]);
    let page = ask(&gate, "/tasks?page_size=2").await.json();
    let next = page["next_page_token"].as_str().unwrap();
    let rest = listed(&format!("?page_size=2&page_token={next}")).await;
    assert_eq!(of(&rest), [&*ids[0]]);
    let one = ask(&gate, &format!("/tasks/{}", ids[0])).await;
    assert_eq!(one.json()["id"], *ids[0]);
    assert_eq!(one.json()["client"], "127.0.0.1");
    for member in ["state", "version", "request", "created_at", "links"] {
        assert!(!one.json()[member].is_null(), "{member}");
    }
    assert_eq!(ask(&gate, "/tasks/nonsense").await.status, 404);
    assert_eq!(ask(&gate, "/tasks?state=what").await.status, 400);
    let text = format!("{all:?}");
    assert!(
        !text.contains("YWxpY2U6YQ") && !text.contains("Basic"),
        "{text}"
    );
    origin.release();
}
