//! vCenter's form before 7.0 Update 2, below `/rest`: everything is wrapped in `{"value": …}`, and tasks are polled one by one.

use std::time::Duration;

use serde_json::json;
use tidegate::app::Running;

use crate::rig::{ASYNC, call, is_plain, over, result, tasks};
use crate::support::client::Answer;
use crate::support::{limit, until, vcenter};
use crate::vendors::vcenter::VCenter;
use crate::vendors::{Kind, Model, Pace};

const CLONE: &str = "/rest/vcenter/vm?action=clone";
const SESSION: &str = "POST /rest/com/vmware/cis/session";
const ADMIN: &str = "Authorization: Basic YWRtaW46cHc=\r\n";

async fn site(pace: Pace, lines: &str) -> (Model<VCenter>, Running, String) {
    let model = VCenter::start(pace).await;
    let gate = vcenter(model.address, lines);
    let opened = call(gate.http()[0], SESSION, ADMIN, "").await.json();
    let token = opened["value"].as_str().unwrap();
    let me = format!("vmware-api-session-id: {token}\r\nContent-Type: application/json\r\n");
    (model, gate, me)
}

async fn clone(gate: &Running, query: &str, fields: &str) -> Answer {
    let body = json!({"spec": {"source": "vm-11", "name": "web"}}).to_string();
    call(
        gate.http()[0],
        &format!("POST {CLONE}{query}"),
        fields,
        &body,
    )
    .await
}

#[tokio::test]
async fn a_rest_clone_that_blocks_is_done_by_vcenter_s_own_task() {
    let (model, gate, me) = site(Pace::Lasts(Duration::from_millis(100)), "").await;
    let answer = clone(&gate, "", &me).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"value": "vm-12"})),
        "{answer:?}"
    );
    is_plain(&answer);
    assert_eq!(
        model.books.targets(Kind::Start),
        [format!("POST {CLONE}&vmw-task=true")]
    );
    assert!(
        model
            .books
            .targets(Kind::Poll)
            .iter()
            .all(|poll| poll.starts_with("GET /rest/cis/tasks/"))
    );
    assert_eq!(limit(&gate.snapshot(), "blocking_tasks").in_use, 0);
    assert_eq!(model.books.effects("clone web"), 1);
}

#[tokio::test]
async fn a_rest_clone_that_is_asked_for_as_a_task_follows_vcenter_s_own() {
    let (model, gate, me) = site(Pace::Lasts(Duration::from_millis(100)), "").await;
    let ticket = clone(&gate, "", &format!("{me}{ASYNC}")).await;
    assert_eq!(ticket.status, 202, "{ticket:?}");
    let task = ticket.header("location").unwrap();
    let shown = over(&gate, task, &me).await;
    assert_eq!(
        (&shown["state"], &shown["mode"]),
        (&"COMPLETED".into(), &"native".into())
    );
    let end = result(&gate, task, &me).await;
    assert_eq!(
        (end.status, end.json()),
        (200, json!({"value": "vm-12"})),
        "{end:?}"
    );
    assert_eq!(model.books.count(Kind::Blocking), 0);
}

#[tokio::test]
async fn a_rest_clone_that_asks_for_a_task_itself_is_vcenter_s_affair() {
    let (model, gate, me) = site(Pace::ByHand, "").await;
    let started = clone(&gate, "&vmw-task=true", &me).await;
    let id = started.json()["value"].as_str().unwrap().to_owned();
    assert_eq!(id, model.works.all()[0]);
    let poll = format!("GET /rest/cis/tasks/{id}");
    let running = call(gate.http()[0], &poll, &me, "").await.json();
    assert_eq!(running["value"]["cancelable"], true, "{running}");
    model.works.finish_all();
    let done = call(gate.http()[0], &poll, &me, "").await.json();
    assert_eq!(done["value"]["result"], "vm-12", "{done}");
    assert!(tasks(&gate, &me).await.is_empty());
}

#[tokio::test]
async fn a_rest_clone_gets_a_task_in_vcenter_s_words_where_vcenter_has_none() {
    let (model, gate, me) = site(Pace::ByHand, "native = false").await;
    let started = clone(&gate, "&vmw-task=true", &me).await;
    assert_eq!(started.status, 200, "{started:?}");
    let id = started.json()["value"].as_str().unwrap().to_owned();
    assert!(id.starts_with("gw-"), "{id}");
    until("it blocks upstream", || {
        model.books.count(Kind::Blocking) == 1
    })
    .await;
    let poll = format!("GET /rest/cis/tasks/{id}");
    let running = call(gate.http()[0], &poll, &me, "").await.json();
    assert_eq!(running["value"]["status"], "RUNNING", "{running}");
    model.works.finish_all();
    over(&gate, &format!("/-/tasks/{}", &id[3..]), &me).await;
    let done = call(gate.http()[0], &poll, &me, "").await.json();
    assert_eq!(done["value"]["status"], "SUCCEEDED", "{done}");
    assert_eq!(
        model.books.targets(Kind::Blocking),
        [format!("POST {CLONE}")]
    );
    assert_eq!(model.books.count(Kind::Poll), 0);
}
