//! How a task does, in each of its states, to those who may know.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tidegate::task::{Bond, Change, Event, Fault, Millis, Mode, New, Outcome, Record, TaskStore};

use crate::rig::{NEVER_WAS, Rig, answered, header, json, problem, requested};

#[tokio::test]
async fn a_task_in_line_is_told_in_full() {
    let rig = Rig::new();
    rig.submit().await;
    let deadline = Millis(1_772_360_700_120);
    let mut asked = requested();
    asked.start_deadline = Some(deadline);
    let id = rig.submit_as(asked).await;
    let answer = rig.get(format!("/-/tasks/{id}")).answer().await;
    assert_eq!(answer.status, 200);
    assert_eq!(header(&answer, "etag"), Some("\"1\""));
    assert_eq!(header(&answer, "cache-control"), Some("no-store"));
    assert_eq!(header(&answer, "retry-after"), Some("5"));
    let wanted = serde_json::json!({
        "id": id.to_string(),
        "state": "SCHEDULED",
        "done": false,
        "cancelable": true,
        "version": 1,
        "mode": "queued",
        "substate": "QUEUED",
        "attempts": 0,
        "dispatched": false,
        "upstream": "vc1",
        "route": "vcenter-vm-clone",
        "request": {
            "method": "POST",
            "target": "/api/vcenter/vm?action=clone&token=***",
            "body_sha256": "9f".repeat(32),
        },
        "queue": {"pool": "blocking_tasks", "position": 2, "limit": 10},
        "created_at": "2026-03-01T10:15:00.122Z",
        "updated_at": "2026-03-01T10:15:00.122Z",
        "start_deadline": "2026-03-01T10:25:00.120Z",
        "links": {
            "self": format!("/-/tasks/{id}"),
            "result": format!("/-/tasks/{id}/result"),
            "cancel": format!("/-/tasks/{id}/cancel"),
            "events": format!("/-/tasks/{id}/events"),
        },
    });
    assert_eq!(json(&answer), wanted);
}

#[tokio::test]
async fn a_task_that_is_tried_again_says_how_often_and_until_when_it_rests() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.run(id).await;
    let rest = Change {
        not_before: Some(Millis(1_772_360_700_120)),
        ..Change::default()
    };
    rig.change(id, Event::Retry, rest).await;
    let task = json(&rig.get(format!("/-/tasks/{id}")).answer().await);
    assert_eq!(
        (&task["state"], &task["substate"]),
        (&"SCHEDULED".into(), &"WAITING_RETRY".into())
    );
    assert_eq!(
        (&task["retries"], &task["attempts"]),
        (&1.into(), &1.into())
    );
    assert_eq!(task["not_before"], "2026-03-01T10:25:00.120Z");
}

#[tokio::test]
async fn tasks_that_belong_together_lead_to_each_other() {
    let rig = Rig::new();
    let (first, second) = (rig.desk.new_id(), rig.desk.new_id());
    for (id, bond, link, other) in [
        (first, Bond::CompensatedBy(second), "compensated_by", second),
        (second, Bond::Compensates(first), "compensates", first),
    ] {
        let mut record = Record::new(id, requested(), false, rig.desk.now());
        record.bond = Some(bond);
        let new = New {
            record: record.into(),
            sealed: Bytes::new(),
            key: None,
        };
        rig.store.submit(new).await.unwrap();
        let task = json(&rig.get(format!("/-/tasks/{id}")).answer().await);
        assert_eq!(task["links"][link], format!("/-/tasks/{other}"));
        assert_eq!(task["links"].as_object().unwrap().len(), 5);
    }
    let listed = json(&rig.get("/-/tasks").answer().await);
    let links = listed["tasks"][0]["links"].as_object().unwrap();
    assert!(links.contains_key("compensates") || links.contains_key("compensated_by"));
}

#[tokio::test]
async fn each_status_shows_its_state_and_substate() {
    use Event::{Complete, Dispatch, HeldUp, Lost, Refused, Sent, Started};
    let paths: [(&[Event], &str, &str); 7] = [
        (&[Dispatch, Refused], "SCHEDULED", "WAITING_RETRY"),
        (&[Dispatch], "RUNNING", "DISPATCHING"),
        (&[Dispatch, Sent], "RUNNING", "IN_FLIGHT"),
        (&[Dispatch, Started], "RUNNING", "POLLING"),
        (&[Dispatch, Started, HeldUp], "RUNNING", "BLOCKED"),
        (&[Dispatch, Sent, Lost], "RUNNING", "RECONCILING"),
        (&[Dispatch, Sent, Complete], "COMPLETED", ""),
    ];
    for (events, state, substate) in paths {
        let rig = Rig::new();
        let id = rig.submit().await;
        for event in events {
            rig.step(id, *event).await;
        }
        let answer = rig.get(format!("/-/tasks/{id}")).answer().await;
        assert_eq!(answer.status, 200);
        let shown = json(&answer);
        assert_eq!(
            (&shown["state"], &shown["version"]),
            (&state.into(), &(events.len() + 1).into())
        );
        assert_eq!(shown["substate"].as_str().unwrap_or(""), substate);
        assert_eq!(shown["cancelable"], state == "SCHEDULED");
        let is_over = state == "COMPLETED";
        assert_eq!(shown["done"], is_over);
        assert_eq!(header(&answer, "retry-after").is_none(), is_over, "{state}");
    }
}

#[tokio::test]
async fn a_task_that_runs_shows_when_it_began_and_when_it_is_cut_short() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.pass(Duration::from_secs(2));
    rig.run(id).await;
    let shown = json(&rig.get(format!("/-/tasks/{id}")).answer().await);
    assert_eq!(shown["started_at"], "2026-03-01T10:15:02.121Z");
    assert_eq!(shown["deadline"], "2026-03-01T11:15:02.121Z");
    assert_eq!(
        (&shown["attempts"], &shown["dispatched"]),
        (&1.into(), &true.into())
    );
    assert!(shown.get("queue").is_none());
}

#[tokio::test]
async fn a_task_that_is_over_shows_what_came_of_it() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.complete(id).await;
    let shown = json(&rig.get(format!("/-/tasks/{id}")).answer().await);
    assert_eq!(
        (&shown["outcome"], &shown["result_source"]),
        (&"known".into(), &"answer".into())
    );
    assert_eq!(shown["ended_at"], "2026-03-01T10:15:00.121Z");
    assert_eq!(shown["expires_at"], "2026-03-02T10:15:00.121Z");
    let result = serde_json::json!({
        "status": 200,
        "content_type": "application/json",
        "bytes": 9,
        "available_until": "2026-03-02T10:15:00.121Z",
    });
    assert_eq!(shown["result"], result);
    assert!(shown.get("error").is_none() && shown.get("deadline").is_none());
}

#[tokio::test]
async fn a_failure_says_why() {
    let rig = Rig::new();
    let refused = rig.submit().await;
    rig.run(refused).await;
    rig.end(refused, Event::Fail, answered(400, b"{}")).await;
    let shown = json(&rig.get(format!("/-/tasks/{refused}")).answer().await);
    assert_eq!(shown["error"]["type"], "/-/problems/upstream-error");
    assert_eq!(shown["error"]["title"], "Upstream answered 400");
    assert_eq!(shown["error"]["status"], 400);

    assert!(shown["error"].get("upstream_error_type").is_none());

    let named = rig.submit().await;
    rig.run(named).await;
    let change = Change {
        error: Some(Fault {
            kind: "upstream-error",
            status: 400,
            detail: "com.vmware.vapi.std.errors.already_exists".to_owned(),
        }),
        error_type: Some("ALREADY_EXISTS".into()),
        ..Change::default()
    };
    rig.change(named, Event::Fail, change).await;
    let shown = json(&rig.get(format!("/-/tasks/{named}")).answer().await);
    assert_eq!(shown["error"]["upstream_error_type"], "ALREADY_EXISTS");
    assert_eq!(
        shown["error"]["detail"],
        "com.vmware.vapi.std.errors.already_exists"
    );

    let lost = rig.submit().await;
    rig.run(lost).await;
    let fault = Fault {
        kind: "outcome-unknown",
        status: 502,
        detail: "Check the target before submitting again.".to_owned(),
    };
    rig.fail(lost, fault, Outcome::Unknown).await;
    let shown = json(&rig.get(format!("/-/tasks/{lost}")).answer().await);
    assert_eq!(shown["outcome"], "unknown");
    assert_eq!(shown["dispatched"], true);
    let error = serde_json::json!({
        "type": "/-/problems/outcome-unknown",
        "title": "The gateway lost the answer; the operation may have been applied",
        "detail": "Check the target before submitting again.",
    });
    assert_eq!(shown["error"], error);

    let undone = rig.submit().await;
    rig.run(undone).await;
    let fault = Fault {
        kind: "not-applied",
        status: 502,
        detail: String::new(),
    };
    rig.fail(undone, fault, Outcome::NotApplied).await;
    let shown = json(&rig.get(format!("/-/tasks/{undone}")).answer().await);
    assert_eq!(
        (&shown["outcome"], &shown["not_applied"]),
        (&"known".into(), &true.into())
    );
    assert!(shown["error"]["detail"].as_str().unwrap().contains("safe"));

    let unsaid = rig.submit().await;
    rig.run(unsaid).await;
    rig.step(unsaid, Event::Fail).await;
    let shown = json(&rig.get(format!("/-/tasks/{unsaid}")).answer().await);
    assert_eq!(shown["error"]["type"], "/-/problems/outcome-unknown");
}

#[tokio::test]
async fn every_state_is_told_as_the_document_has_it() {
    let rig = Rig::new();
    for (event, state) in [
        (Event::PartlyDone, "PARTIAL_SUCCESS"),
        (Event::Expire, "EXPIRED"),
        (Event::Complete, "COMPLETED"),
        (Event::Fail, "FAILED"),
    ] {
        let id = rig.submit().await;
        rig.run(id).await;
        rig.step(id, event).await;
        let answer = rig.get(format!("/-/tasks/{id}")).answer().await;
        assert_eq!(json(&answer)["state"], state);
    }
    let id = rig.submit().await;
    rig.step(id, Event::Abort).await;
    assert_eq!(
        json(&rig.get(format!("/-/tasks/{id}")).answer().await)["state"],
        "ABORTED"
    );
    let id = rig.submit().await;
    rig.step(id, Event::Expire).await;
    let shown = json(&rig.get(format!("/-/tasks/{id}")).answer().await);
    assert_eq!(
        (&shown["state"], &shown["dispatched"]),
        (&"EXPIRED".into(), &false.into())
    );
}

#[tokio::test]
async fn who_has_the_version_is_not_told_again() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.run(id).await;
    for known in ["\"3\"", "W/\"3\"", "*", "\"1\", \"3\""] {
        let answer = rig
            .get(format!("/-/tasks/{id}"))
            .with("if-none-match", known)
            .answer()
            .await;
        assert_eq!((answer.status, answer.body.len()), (304, 0), "{known}");
        assert_eq!(header(&answer, "etag"), Some("\"3\""));
        assert!(header(&answer, "retry-after").is_some());
        assert!(header(&answer, "content-type").is_none());
    }
    for other in ["\"2\"", "3", "\"\""] {
        let answer = rig
            .get(format!("/-/tasks/{id}"))
            .with("if-none-match", other)
            .answer()
            .await;
        assert_eq!(answer.status, 200, "{other}");
    }
}

#[tokio::test]
async fn head_tells_what_get_does() {
    let rig = Rig::new();
    let id = rig.submit().await;
    let target = format!("/-/tasks/{id}");
    let (get, head) = (
        rig.get(&target).answer().await,
        rig.ask(Method::HEAD, &target).answer().await,
    );
    assert_eq!(
        (get.status, get.headers, get.body),
        (head.status, head.headers, head.body)
    );
}

#[tokio::test]
async fn polls_are_answered_from_memory_and_the_store_may_be_away() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.run(id).await;
    for _ in 0..50 {
        assert_eq!(rig.get(format!("/-/tasks/{id}")).answer().await.status, 200);
    }
    assert_eq!(rig.store.reads(), 0);
    rig.store.go_away();
    assert_eq!(rig.get(format!("/-/tasks/{id}")).answer().await.status, 200);
    let unknown = rig.get(format!("/-/tasks/{NEVER_WAS}")).answer().await;
    assert_eq!(
        (unknown.status, problem(&unknown).as_str()),
        (503, "store-unavailable")
    );
    assert_eq!(header(&unknown, "retry-after"), Some("5"));
    let text = String::from_utf8(unknown.body.to_vec()).unwrap();
    assert!(!text.contains("tidegate.db"), "{text}");
}

#[tokio::test]
async fn who_is_to_come_back_is_told_by_the_place_in_line_and_by_what_runs_took() {
    let rig = Rig::new();
    let first = rig.submit().await;
    rig.run(first).await;
    rig.pass(Duration::from_secs(40));
    rig.end(first, Event::Complete, answered(200, b"{}")).await;
    let mut last = first;
    for _ in 0..10 {
        last = rig.submit().await;
    }
    let answer = rig.get(format!("/-/tasks/{last}")).answer().await;
    assert_eq!(
        header(&answer, "retry-after"),
        Some("20"),
        "10 × 40 s / 10 seats, and half of it"
    );
    *rig.pool.lock().unwrap() = None;
    let answer = rig.get(format!("/-/tasks/{last}")).answer().await;
    assert_eq!(header(&answer, "retry-after"), Some("60"));
    assert!(json(&answer)["queue"].get("limit").is_none());
    rig.run(last).await;
    rig.pass(Duration::from_secs(30));
    let answer = rig.get(format!("/-/tasks/{last}")).answer().await;
    assert_eq!(header(&answer, "retry-after"), Some("5"), "10 s are left");
}

#[tokio::test]
async fn a_native_task_shows_what_the_upstream_calls_it() {
    let rig = Rig::new();
    let id = rig.submit().await;
    let mut record = (*rig.run(id).await).clone();
    record.mode = Mode::Native;
    record.upstream_task = Some("52f9f1b0".into());
    record.version += 1;
    rig.desk.restore(&record.into());
    let shown = json(&rig.get(format!("/-/tasks/{id}")).answer().await);
    assert_eq!(
        (&shown["mode"], &shown["upstream_task"]),
        (&"native".into(), &"52f9f1b0".into())
    );
}

#[tokio::test]
async fn a_time_before_which_it_is_not_sent_again_is_shown_while_it_waits() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.step(id, Event::Dispatch).await;
    let change = Change {
        not_before: Some(rig.desk.now().after(Duration::from_secs(30))),
        ..Change::default()
    };
    rig.change(id, Event::Refused, change).await;
    let answer = rig.get(format!("/-/tasks/{id}")).answer().await;
    assert_eq!(json(&answer)["not_before"], "2026-03-01T10:15:30.121Z");
    assert_eq!(header(&answer, "retry-after"), Some("15"));
}
