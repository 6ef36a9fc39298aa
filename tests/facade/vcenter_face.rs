//! vCenter's `vmw-task=true` on operations without a task form: tasks of the gate's own, by vCenter's own paths.

use serde_json::json;
use tidegate::app::Running;

use crate::rig::{OTHER, before_vcenter, begun, call, log_in};
use crate::support::client::Answer;
use crate::support::until;
use crate::vendors::vcenter::VCenter;
use crate::vendors::{Kind, Pace};

const REGISTER: &str = "POST /api/vcenter/vm?action=register&vmw-task=true";

async fn begin(gate: &Running, session: &str, name: &str) -> String {
    let body = json!({"datastore": "datastore-12", "name": name}).to_string();
    let answer = call(gate.http()[0], REGISTER, session, &body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.json().as_str().unwrap().to_owned()
}

async fn task(gate: &Running, id: &str, session: &str) -> Answer {
    let line = format!("GET /api/cis/tasks/{id}");
    call(gate.http()[0], &line, session, "").await
}

async fn cancel(gate: &Running, id: &str, session: &str) -> Answer {
    let line = format!("POST /api/cis/tasks/{id}?action=cancel");
    call(gate.http()[0], &line, session, "").await
}

#[tokio::test]
async fn a_task_is_begun_polled_and_over_in_the_vendor_s_words() {
    let model = VCenter::start(Pace::ByHand).await;
    let gate = before_vcenter(model.address, "");
    let session = log_in(&gate).await;
    let id = begin(&gate, &session, "web").await;
    assert!(id.starts_with("gw-"), "{id}");
    until("it has begun", || begun(&model) == 1).await;
    let mut running = task(&gate, &id, &session).await.json();
    assert!(running["start_time"].take().is_string(), "{running}");
    let golden = json!({
        "description": {"id": "tidegate.task", "default_message": "POST /api/vcenter/vm", "args": []},
        "service": "com.vmware.vcenter.VM", "operation": "register$task",
        "status": "RUNNING", "cancelable": false, "start_time": null,
        "progress": {"total": 100, "completed": 0, "message": {
            "id": "tidegate.progress", "args": [],
            "default_message": "The upstream is at work on it; its answer is awaited."}},
    });
    assert_eq!(running, golden);
    let refused = cancel(&gate, &id, &session).await;
    assert_eq!(refused.status, 400, "{refused:?}");
    assert_eq!(refused.json()["error_type"], "NOT_ALLOWED_IN_CURRENT_STATE");
    model.works.finish_all();
    let waits = format!("{session}Prefer: wait=50\r\n");
    let own = format!("GET /-/tasks/{}", id.strip_prefix("gw-").unwrap());
    assert_eq!(
        call(gate.http()[0], &own, &waits, "").await.json()["state"],
        "COMPLETED"
    );
    let over = task(&gate, &id, &session).await.json();
    assert_eq!(over["status"], "SUCCEEDED");
    assert_eq!(over["progress"]["completed"], 100);
    assert!(
        over["result"].as_str().unwrap().starts_with("vm-"),
        "{over}"
    );
    assert!(over["end_time"].is_string(), "{over}");
    // The upstream heard a call that blocks, and nothing of tasks.
    let heard = ["POST /api/vcenter/vm?action=register"];
    assert_eq!(model.books.targets(Kind::Blocking), heard);
    assert_eq!(
        (
            model.books.count(Kind::Poll),
            model.books.count(Kind::Cancel)
        ),
        (0, 0)
    );
}

#[tokio::test]
async fn one_in_line_is_taken_back_and_nobody_else_sees_it() {
    let model = VCenter::start(Pace::ByHand).await;
    let gate = before_vcenter(model.address, "");
    let session = log_in(&gate).await;
    // As many as the upstream bears, and one more.
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(begin(&gate, &session, &format!("web-{number}")).await);
    }
    until("all seats are taken", || begun(&model) == 10).await;
    let last = begin(&gate, &session, "last").await;
    let waits = task(&gate, &last, &session).await.json();
    assert_eq!(
        (&waits["status"], &waits["cancelable"]),
        (&"PENDING".into(), &true.into())
    );
    let says = &waits["progress"]["message"]["default_message"];
    assert_eq!(says, "Waits for its turn: number 1 in line.");
    let other = call(gate.http()[0], "POST /api/session", OTHER, "")
        .await
        .json();
    let other = format!("vmware-api-session-id: {}\r\n", other.as_str().unwrap());
    for answer in [
        task(&gate, &last, &other).await,
        cancel(&gate, &last, &other).await,
    ] {
        assert_eq!(answer.status, 404, "{answer:?}");
        assert_eq!(answer.json()["error_type"], "NOT_FOUND");
    }
    assert_eq!(cancel(&gate, &last, &session).await.status, 204);
    let over = task(&gate, &last, &session).await.json();
    assert_eq!(
        (&over["status"], &over["error"]["error_type"]),
        (&"FAILED".into(), &"CANCELED".into())
    );
    model.works.finish_all();
    until("all are made", || model.books.all_effects().len() == 10).await;
    assert_eq!(model.books.effects("register last"), 0);
}
