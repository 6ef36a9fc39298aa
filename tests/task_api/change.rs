//! Taking a task back, and forgetting it (tasks.md section 6.6).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Method;
use tidegate::session::Keys;
use tidegate::store::Memory;
use tidegate::task::{
    Bounds, CancelError, Change, Desk, Event, Fault, Millis, Outcome, Replay, SeatChange, State,
    Step, Submission, TaskStore,
};

use crate::rig::{Ask, Rig, header, json, problem, requested, viewer};

fn cancel(rig: &Rig, id: tidegate::task::TaskId) -> Ask<'_> {
    rig.ask(Method::POST, format!("/-/tasks/{id}/cancel"))
}

#[tokio::test]
async fn what_waits_is_taken_back_at_once_and_again_is_no_error() {
    let rig = Rig::new();
    let id = rig.submit().await;
    for _ in 0..2 {
        let answer = cancel(&rig, id).answer().await;
        assert_eq!(
            (answer.status, header(&answer, "etag")),
            (200, Some("\"2\""))
        );
        let task = json(&answer);
        assert_eq!(
            (&task["state"], &task["dispatched"]),
            (&"ABORTED".into(), &false.into())
        );
        assert_eq!(task["error"]["type"], "/-/problems/aborted");
    }
}

#[tokio::test]
async fn why_is_kept() {
    let rig = Rig::new();
    for (body, detail) in [
        ("{\"reason\": \"wrong \\\"host\\\"\"}", "wrong \"host\""),
        (
            "{\"reason\": null}",
            "It was taken back before it was sent to the upstream.",
        ),
        (
            " {\"other\": 1}",
            "It was taken back before it was sent to the upstream.",
        ),
        (
            "{\"reason\": \"\"}",
            "It was taken back before it was sent to the upstream.",
        ),
    ] {
        let id = rig.submit().await;
        let answer = cancel(&rig, id).body(body).answer().await;
        assert_eq!(json(&answer)["error"]["detail"], detail);
        let result = rig.get(format!("/-/tasks/{id}/result")).answer().await;
        assert_eq!(
            (result.status, json(&result)["detail"].as_str()),
            (409, Some(detail))
        );
    }
}

/// What may be done twice stands in line again after its answer was lost: then nobody knows whether it was done.
#[tokio::test]
async fn what_went_up_before_is_not_told_as_never_sent() {
    let rig = Rig::new();
    for (end, kind) in [(Event::Abort, "aborted"), (Event::Expire, "expired")] {
        let mut again = requested();
        again.replay = Replay::AtLeastOnce;
        let id = rig.submit_as(again).await;
        rig.run(id).await;
        rig.step(id, Event::Lost).await;
        rig.step(id, Event::Again).await;
        let change = Change {
            error: Some(Fault {
                kind,
                status: 504,
                detail: "Nothing was sent.".to_owned(),
            }),
            outcome: Some(Outcome::NotApplied),
            ..Change::default()
        };
        rig.change(id, end, change).await;
        let task = json(&rig.get(format!("/-/tasks/{id}")).answer().await);
        assert_eq!(
            (&task["outcome"], &task["dispatched"]),
            (&"unknown".into(), &true.into())
        );
        let result = rig.get(format!("/-/tasks/{id}/result")).answer().await;
        for detail in [&task["error"]["detail"], &json(&result)["detail"]] {
            let detail = detail.as_str().unwrap();
            assert!(detail.contains("may have done it"), "{detail}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_none_changes_nothing() {
    let rig = Rig::new();
    let id = rig.submit().await;
    for bad in [
        "{",
        "[\"why\"]",
        "\"why\"",
        "{\"reason\": 1}",
        "null",
        "\u{0}",
    ] {
        let answer = cancel(&rig, id).body(bad).answer().await;
        assert_eq!(
            (answer.status, problem(&answer).as_str()),
            (400, "bad-body"),
            "{bad}"
        );
    }
    let long = format!("{{\"reason\": \"{}\"}}", "x".repeat(1012));
    assert_eq!(long.len(), 1026);
    let answer = cancel(&rig, id).body(long).answer().await;
    assert_eq!(
        (answer.status, problem(&answer).as_str()),
        (413, "body-too-large")
    );
    let task = json(&rig.get(format!("/-/tasks/{id}")).answer().await);
    assert_eq!(
        (&task["state"], &task["version"]),
        (&"SCHEDULED".into(), &1.into())
    );
    let longest = format!("{{\"reason\": \"{}\"}}", "x".repeat(1010));
    assert_eq!(cancel(&rig, id).body(longest).answer().await.status, 200);
}

#[tokio::test]
async fn what_runs_or_is_over_is_not_taken_back() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.run(id).await;
    let answer = cancel(&rig, id).answer().await;
    assert_eq!(
        (answer.status, problem(&answer).as_str()),
        (409, "not-cancelable")
    );
    assert_eq!(header(&answer, "task-state"), Some("RUNNING"));
    rig.step(id, Event::Complete).await;
    let answer = cancel(&rig, id).answer().await;
    assert_eq!(
        (answer.status, problem(&answer).as_str()),
        (409, "already-terminal")
    );
    assert_eq!(header(&answer, "task-state"), Some("COMPLETED"));
}

#[tokio::test]
async fn with_the_store_away_nothing_is_taken_back_or_forgotten() {
    let rig = Rig::new();
    let (waits, over) = (rig.submit().await, rig.submit().await);
    rig.complete(over).await;
    rig.store.go_away();
    let answer = cancel(&rig, waits).answer().await;
    assert_eq!(
        (answer.status, problem(&answer).as_str()),
        (503, "store-unavailable")
    );
    let answer = rig
        .ask(Method::DELETE, format!("/-/tasks/{over}"))
        .answer()
        .await;
    assert_eq!(
        (answer.status, problem(&answer).as_str()),
        (503, "store-unavailable")
    );
    assert!(header(&answer, "retry-after").is_some());
    for (id, state) in [(waits, "SCHEDULED"), (over, "COMPLETED")] {
        assert_eq!(
            json(&rig.get(format!("/-/tasks/{id}")).answer().await)["state"],
            state
        );
    }
}

#[tokio::test]
async fn what_is_over_is_forgotten_and_gone_from_then_on() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.complete(id).await;
    let forget = || rig.ask(Method::DELETE, format!("/-/tasks/{id}"));
    let answer = forget().answer().await;
    assert_eq!((answer.status, answer.body.len()), (204, 0));
    for ask in [
        forget(),
        rig.get(format!("/-/tasks/{id}")),
        cancel(&rig, id),
    ] {
        let answer = ask.answer().await;
        assert_eq!((answer.status, problem(&answer).as_str()), (410, "gone"));
    }
    assert_eq!(forget().by(Some(viewer("ben"))).answer().await.status, 404);
}

#[tokio::test]
async fn what_is_not_over_is_not_forgotten() {
    let rig = Rig::new();
    let id = rig.submit().await;
    for state in ["SCHEDULED", "RUNNING"] {
        let answer = rig
            .ask(Method::DELETE, format!("/-/tasks/{id}"))
            .answer()
            .await;
        assert_eq!(
            (answer.status, problem(&answer).as_str()),
            (409, "not-over")
        );
        assert_eq!(header(&answer, "task-state"), Some(state));
        if state == "SCHEDULED" {
            rig.run(id).await;
        }
    }
    assert_eq!(rig.get(format!("/-/tasks/{id}")).answer().await.status, 200);
}

#[tokio::test]
async fn what_may_still_be_at_work_is_forgotten_and_its_seat_is_not() {
    let rig = Rig::new();
    let id = rig.submit().await;
    let until = Millis(u64::MAX >> 1);
    let taken = Change {
        seat: SeatChange::Take { until },
        ..Change::default()
    };
    rig.change(id, Event::Dispatch, taken).await;
    rig.step(id, Event::Lost).await;
    let fault = Fault {
        kind: "outcome-unknown",
        status: 502,
        detail: String::new(),
    };
    rig.fail(id, fault, Outcome::Unknown).await;
    let forget = || rig.ask(Method::DELETE, format!("/-/tasks/{id}"));
    assert_eq!(forget().answer().await.status, 204);
    for tail in ["", "/result"] {
        let ask = rig.get(format!("/-/tasks/{id}{tail}"));
        assert_eq!(ask.answer().await.status, 410);
    }
    assert_eq!(forget().answer().await.status, 410);
    let listed = json(&rig.get("/-/tasks").answer().await);
    assert_eq!(listed["tasks"], serde_json::json!([]));
    let kept = rig.store.unfinished(None, 9).await.unwrap();
    let kept: Vec<_> = kept.iter().map(|one| (one.record.id, one.seat)).collect();
    assert_eq!(kept, [(id, Some(until))], "whoever starts next knows of it");
}

#[tokio::test]
async fn a_forgotten_task_was_never_on_another_upstream() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.complete(id).await;
    let asked = rig.ask(Method::DELETE, format!("/-/tasks/{id}"));
    assert_eq!(asked.answer().await.status, 204);
    let at_home = rig.get(format!("/-/tasks/{id}")).answer().await;
    assert_eq!(at_home.status, 410);
    let mut elsewhere = viewer("anna");
    elsewhere.upstream = "vc2".into();
    let ask = rig.get(format!("/-/tasks/{id}")).by(Some(elsewhere));
    assert_eq!(ask.answer().await.status, 404);
}

#[tokio::test]
async fn what_the_store_knows_sooner_than_the_desk_decides() {
    let rig = Rig::new();
    let id = rig.submit().await;
    let tidegate::task::Found::Task(task) = rig.desk.find(id).await.unwrap() else {
        panic!("it is there");
    };
    let sent = Step {
        record: Arc::new(task.after(Event::Dispatch, rig.desk.now()).unwrap()),
        fence: task.fence,
        seat: SeatChange::Keep,
        answer: None,
        resealed: None,
        forget_request: false,
        release_key: false,
        hooks: Vec::new(),
        follows: None,
    };
    rig.store.advance(sent).await.unwrap();
    let ask = cancel(&rig, id);
    let answer = tokio::time::timeout(Duration::from_secs(30), ask.answer()).await;
    let answer = answer.expect("it does not go round and round");
    let said = (answer.status, problem(&answer));
    assert_eq!((said.0, said.1.as_str()), (409, "not-cancelable"));
}

#[tokio::test]
async fn of_all_who_take_it_back_while_it_is_sent_all_hear_the_same_truth() {
    let rig = std::sync::Arc::new(Rig::new());
    for _ in 0..20 {
        let id = rig.submit().await;
        let cancels: Vec<_> = (0..4)
            .map(|_| {
                let rig = rig.clone();
                tokio::spawn(async move { cancel(&rig, id).answer().await.status })
            })
            .collect();
        let sent = rig
            .desk
            .advance(id, Event::Dispatch, tidegate::task::Change::default())
            .await;
        let wanted = if sent.is_ok() { 409 } else { 200 };
        for cancel in cancels {
            assert_eq!(cancel.await.unwrap(), wanted);
        }
    }
}

/// Who waits for the answer takes back what has not gone up, and nothing else: not even where clients are let go from calls.
#[tokio::test]
async fn what_is_recalled_is_not_let_go_once_it_is_at_work() {
    let bounds = Bounds {
        of_upstream: 10,
        of_owner: 10,
        retention: Duration::from_secs(60),
    };
    let (store, keys) = (Arc::<Memory>::default(), Arc::new(Keys::random().unwrap()));
    let (desk, _arriving) = Desk::new(store, keys, Arc::new(SystemTime::now), bounds);
    let desk = Arc::new(desk.detaching(true));
    let submit = async || {
        let submission = Submission {
            requested: requested(),
            request: Bytes::from_static(b"x"),
            key: None,
        };
        desk.submit(submission).await.unwrap().task.id
    };
    let waits = submit().await;
    let back = desk.recall(waits, "too late").await.unwrap();
    assert_eq!(back.status.state(), State::Aborted);
    let goes = submit().await;
    desk.advance(goes, Event::Dispatch, Change::default())
        .await
        .unwrap();
    let kept = desk.recall(goes, "too late").await;
    assert!(matches!(kept, Err(CancelError::NotCancelable)), "{kept:?}");
    let let_go = desk.cancel(goes).await.unwrap();
    assert_eq!(let_go.status.state(), State::Failed);
}
