//! What may come between the truth about a task and what is read of it.

use serde_json::{Value, json};

use super::vendors::vcenter::VCenter;
use super::vendors::{Model, Pace, Twist, When};
use super::{basic, call};

/// A vCenter whose next task is seen through `twist`, and that task, which runs.
async fn through(twist: Twist) -> (Model<VCenter>, String) {
    let vc = VCenter::start(Pace::ByHand).await;
    vc.works.twist(When::Next(1), twist);
    let line = "POST /api/vcenter/vm?action=clone&vmw-task=true";
    let body = r#"{"source":"vm-11","name":"web-02"}"#;
    let started = call(vc.address, line, &basic("a"), body).await;
    vc.works.step();
    let id = started.json().as_str().unwrap().to_owned();
    (vc, id)
}

/// What the next readings say: a status, or the number 404.
async fn readings(vc: &Model<VCenter>, id: &str, count: usize) -> Vec<Value> {
    let mut seen = Vec::new();
    for _ in 0..count {
        let line = format!("GET /api/cis/tasks/{id}");
        let answer = call(vc.address, &line, &basic("a"), "").await;
        seen.push(match answer.status {
            200 => answer.json()["status"].clone(),
            other => json!(other),
        });
    }
    seen
}

#[tokio::test]
async fn states_flap() {
    let (vc, id) = through(Twist::Flaps { back: 2 }).await;
    assert_eq!(readings(&vc, &id, 1).await, ["RUNNING"]);
    vc.works.step();
    let seen = readings(&vc, &id, 5).await;
    assert_eq!(
        seen,
        ["SUCCEEDED", "RUNNING", "RUNNING", "SUCCEEDED", "SUCCEEDED"]
    );
}

#[tokio::test]
async fn the_end_is_told_late() {
    let (vc, id) = through(Twist::Lags { readings: 2 }).await;
    vc.works.step();
    assert_eq!(
        readings(&vc, &id, 4).await,
        ["RUNNING", "RUNNING", "SUCCEEDED", "SUCCEEDED"]
    );
}

#[tokio::test]
async fn tasks_vanish_once() {
    let (vc, id) = through(Twist::vanishes_once(2)).await;
    let seen = readings(&vc, &id, 4).await;
    assert_eq!(
        seen,
        [
            json!("RUNNING"),
            json!(404),
            json!("RUNNING"),
            json!("RUNNING")
        ]
    );
}

#[tokio::test]
async fn tasks_vanish_for_good() {
    let (vc, id) = through(Twist::vanishes_for_good(2)).await;
    let seen = readings(&vc, &id, 4).await;
    assert_eq!(seen, [json!("RUNNING"), json!(404), json!(404), json!(404)]);
    vc.works.finish_all();
    assert_eq!(
        vc.books.effects("clone web-02"),
        1,
        "and do their work for all that"
    );
}

#[tokio::test]
async fn tasks_are_to_be_seen_only_after_a_while() {
    let (vc, id) = through(Twist::slow_commit(2)).await;
    let line = "POST /api/cis/tasks?action=list";
    let spec = json!({"filter_spec": {"tasks": [id]}}).to_string();
    let listed = call(vc.address, line, &basic("a"), &spec).await;
    assert_eq!(listed.json(), json!({}), "a list is a reading");
    assert_eq!(readings(&vc, &id, 2).await, [json!(404), json!("RUNNING")]);
}

#[tokio::test]
async fn the_end_is_told_before_its_result() {
    let (vc, id) = through(Twist::Bare { readings: 1 }).await;
    vc.works.step();
    let line = format!("GET /api/cis/tasks/{id}");
    let first = call(vc.address, &line, &basic("a"), "").await.json();
    assert_eq!(first["status"], "SUCCEEDED");
    assert!(first.get("result").is_none() && first.get("end_time").is_none());
    let second = call(vc.address, &line, &basic("a"), "").await.json();
    assert_eq!(second["result"], "vm-12");
    assert!(second["end_time"].is_string());
}

#[tokio::test]
async fn tasks_wait_for_resources() {
    let (vc, id) = through(Twist::Blocked { readings: 2 }).await;
    assert_eq!(
        readings(&vc, &id, 3).await,
        ["BLOCKED", "BLOCKED", "RUNNING"]
    );
}

#[tokio::test]
async fn what_is_forgotten_is_not_found() {
    let (vc, id) = through(Twist::Blocked { readings: 0 }).await;
    vc.works.step();
    assert_eq!(readings(&vc, &id, 1).await, ["SUCCEEDED"]);
    vc.works.cleanup();
    assert_eq!(readings(&vc, &id, 1).await, [json!(404)]);
}

#[tokio::test]
async fn work_of_a_length_ends_by_itself() {
    let pace = Pace::Lasts(std::time::Duration::from_millis(20));
    let vc = VCenter::start(pace).await;
    let body = r#"{"source":"vm-11","name":"web-02"}"#;
    let line = "POST /api/vcenter/vm?action=clone";
    let made = call(vc.address, line, &basic("a"), body).await;
    assert_eq!(made.json(), "vm-12");
    let line = "POST /api/vcenter/vm/vm-12?action=relocate&vmw-task=true";
    let started = call(vc.address, line, &basic("a"), "{}").await;
    assert_eq!(started.status, 202);
    super::until("it has ended", || vc.works.ended() == 2).await;
    assert_eq!(vc.books.effects("relocate vm-12"), 1);
}
