//! The result of a task: every row of the table of tasks.md section 6.4.

use bytes::Bytes;
use http::Method;
use tidegate::answer::Answer;
use tidegate::task::api::Applied;
use tidegate::task::{Change, Event, Fault, Outcome, TaskId, TaskStore};

use crate::document;
use crate::rig::{RETENTION, Rig, answered, header, json, problem};

async fn result(rig: &Rig, id: TaskId) -> Answer {
    rig.get(format!("/-/tasks/{id}/result")).answer().await
}

/// Status, problem, `Task-State`, `AsyncResult`.
fn told(answer: &Answer) -> (u16, String, Option<&str>, Option<&str>) {
    let (state, result) = (header(answer, "task-state"), header(answer, "asyncresult"));
    (answer.status, problem(answer), state, result)
}

#[tokio::test]
async fn what_is_not_over_is_202_with_where_to_ask() {
    let rig = Rig::new();
    let id = rig.submit().await;
    for state in ["SCHEDULED", "RUNNING"] {
        let answer = result(&rig, id).await;
        assert_eq!(answer.status, 202);
        assert_eq!(
            header(&answer, "location"),
            Some(&*format!("/-/tasks/{id}"))
        );
        assert_eq!(header(&answer, "retry-after"), Some("5"));
        assert_eq!(header(&answer, "task-state"), Some(state));
        assert_eq!(header(&answer, "asyncresult"), None);
        assert_eq!(json(&answer)["state"], state);
        if state == "SCHEDULED" {
            rig.run(id).await;
        }
    }
}

#[tokio::test]
async fn what_the_upstream_answered_is_repeated_word_for_word() {
    let rig = Rig::new();
    for (event, status, state) in [
        (Event::Complete, 200, "COMPLETED"),
        (Event::Complete, 201, "COMPLETED"),
        (Event::PartlyDone, 207, "PARTIAL_SUCCESS"),
        (Event::Fail, 400, "FAILED"),
        (Event::Fail, 404, "FAILED"),
        (Event::Fail, 410, "FAILED"),
        (Event::Fail, 503, "FAILED"),
    ] {
        let id = rig.submit().await;
        rig.run(id).await;
        rig.end(id, event, answered(status, b"\"vm-1042\"")).await;
        let answer = result(&rig, id).await;
        assert_eq!(
            (answer.status, &*answer.body),
            (status, &b"\"vm-1042\""[..])
        );
        assert_eq!(header(&answer, "asyncresult"), Some(&*status.to_string()));
        assert_eq!(header(&answer, "task-state"), Some(state));
        assert_eq!(header(&answer, "content-type"), Some("application/json"));
        assert_eq!(header(&answer, "cache-control"), Some("no-store"));
        let twice: Vec<_> = answer
            .headers
            .iter()
            .filter(|(name, _)| name == "x-vendor")
            .collect();
        assert_eq!(
            (twice[0].1.as_bytes(), twice[1].1.as_bytes()),
            (&b"one"[..], &b"two"[..])
        );
    }
}

#[tokio::test]
async fn fields_of_one_connection_and_the_gates_own_are_not_repeated() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.run(id).await;
    let mut kept = answered(200, b"{}");
    for (name, value) in [
        ("transfer-encoding", "chunked"),
        ("Connection", "close"),
        ("content-length", "999"),
        ("AsyncResult", "500"),
        ("task-state", "FAILED"),
        ("cache-control", "private"),
        ("etag", "\"upstream\""),
        ("x-split", "a\r\nb: c"),
    ] {
        kept.headers
            .push((name.to_owned(), Bytes::from_static(value.as_bytes())));
    }
    rig.end(id, Event::Complete, kept).await;
    let answer = result(&rig, id).await;
    let names: Vec<&str> = answer
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let wanted = [
        "content-type",
        "x-vendor",
        "x-vendor",
        "cache-control",
        "etag",
        "asyncresult",
        "task-state",
    ];
    assert_eq!(names, wanted);
    assert_eq!(header(&answer, "asyncresult"), Some("200"));
    assert_eq!(header(&answer, "cache-control"), Some("private"));
}

#[tokio::test]
async fn a_whole_message_is_enclosed_for_who_takes_it() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.run(id).await;
    rig.end(id, Event::Fail, answered(404, b"{\"no\":1}")).await;
    let ask = rig
        .get(format!("/-/tasks/{id}/result"))
        .with("accept", "application/http");
    let answer = ask.answer().await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        header(&answer, "content-type"),
        Some("application/http; msgtype=response")
    );
    assert_eq!(
        header(&answer, "asyncresult"),
        None,
        "the status line is the gate's"
    );
    assert_eq!(header(&answer, "task-state"), Some("FAILED"));
    let wanted = "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\nx-vendor: one\r\nx-vendor: two\r\n\
                  content-length: 8\r\n\r\n{\"no\":1}";
    assert_eq!(answer.body, wanted);

    let empty = rig.submit().await;
    rig.run(empty).await;
    rig.end(empty, Event::Complete, answered(204, b"")).await;
    let ask = rig
        .get(format!("/-/tasks/{empty}/result"))
        .with("accept", "application/http");
    let message = ask.answer().await.body;
    assert!(message.starts_with(b"HTTP/1.1 204 No Content\r\n"));
    assert!(!message.windows(14).any(|part| part == b"content-length"));
}

#[tokio::test]
async fn a_failure_without_an_answer_is_the_gates_own() {
    let rig = Rig::new();
    for (kind, status, outcome) in [
        ("outcome-unknown", 502, Outcome::Unknown),
        ("outcome-unknown", 504, Outcome::Unknown),
        ("not-applied", 502, Outcome::NotApplied),
    ] {
        let id = rig.submit().await;
        rig.run(id).await;
        let detail = "Check the target.".to_owned();
        rig.fail(
            id,
            Fault {
                kind,
                status,
                detail,
            },
            outcome,
        )
        .await;
        let answer = result(&rig, id).await;
        assert_eq!(
            told(&answer),
            (status, kind.to_owned(), Some("FAILED"), None)
        );
        assert_eq!(json(&answer)["detail"], "Check the target.");
    }
    let unsaid = rig.submit().await;
    rig.step(unsaid, Event::Fail).await;
    let answer = result(&rig, unsaid).await;
    assert_eq!(
        told(&answer),
        (502, "outcome-unknown".to_owned(), Some("FAILED"), None)
    );
}

#[tokio::test]
async fn what_was_taken_back_is_409_and_what_was_late_504() {
    let rig = Rig::new();
    let aborted = rig.submit().await;
    rig.desk.cancel(aborted).await.unwrap();
    let answer = result(&rig, aborted).await;
    assert_eq!(
        told(&answer),
        (409, "aborted".to_owned(), Some("ABORTED"), None)
    );

    let never_began = rig.submit().await;
    rig.step(never_began, Event::Expire).await;
    let answer = result(&rig, never_began).await;
    assert_eq!(
        told(&answer),
        (504, "expired".to_owned(), Some("EXPIRED"), None)
    );
    assert!(
        json(&answer)["detail"]
            .as_str()
            .unwrap()
            .contains("nothing of it went")
    );

    let never_ended = rig.submit().await;
    rig.run(never_ended).await;
    rig.step(never_ended, Event::Expire).await;
    let answer = result(&rig, never_ended).await;
    assert_eq!(
        told(&answer),
        (504, "expired".to_owned(), Some("EXPIRED"), None)
    );
    assert!(
        json(&answer)["detail"]
            .as_str()
            .unwrap()
            .contains("may still be going on")
    );
}

#[tokio::test]
async fn what_a_probe_found_done_without_an_answer_is_told_as_a_task() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.run(id).await;
    rig.step(id, Event::Complete).await;
    let answer = result(&rig, id).await;
    assert_eq!((answer.status, header(&answer, "asyncresult")), (200, None));
    assert_eq!(header(&answer, "task-state"), Some("COMPLETED"));
    assert_eq!(json(&answer)["id"], id.to_string());
}

#[tokio::test]
async fn past_retention_it_is_410_without_a_state() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.complete(id).await;
    rig.pass(RETENTION);
    let now = rig.desk.now();
    rig.store
        .purge(now, now.after(RETENTION), 10)
        .await
        .unwrap();
    let answer = result(&rig, id).await;
    assert_eq!(told(&answer), (410, "gone".to_owned(), None, None));
}

#[tokio::test]
async fn with_the_store_away_the_state_is_told_but_not_the_answer() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.complete(id).await;
    rig.store.go_away();
    let answer = result(&rig, id).await;
    assert_eq!(
        told(&answer),
        (503, "store-unavailable".to_owned(), Some("COMPLETED"), None)
    );
    assert_eq!(header(&answer, "retry-after"), Some("5"));
}

#[tokio::test]
async fn head_tells_what_get_does() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.complete(id).await;
    let head = rig
        .ask(Method::HEAD, format!("/-/tasks/{id}/result"))
        .answer()
        .await;
    let get = result(&rig, id).await;
    assert_eq!(
        (head.status, head.headers, head.body),
        (get.status, get.headers, get.body)
    );
}

#[tokio::test]
async fn a_wait_that_was_met_is_the_plain_answer_with_the_name_of_its_task() {
    let rig = Rig::new();
    let id = rig.submit().await;
    let task = rig.complete(id).await;
    let applied = Applied {
        wait: Some(5),
        ..Applied::default()
    };
    let answer = rig.api.replay(&task, &applied, false).await;
    assert_eq!((answer.status, &*answer.body), (200, &b"\"vm-1042\""[..]));
    assert_eq!(header(&answer, "preference-applied"), Some("wait=5"));
    assert_eq!(header(&answer, "task-id"), Some(&*id.to_string()));
    assert_eq!(header(&answer, "vary"), Some("Prefer"));
    assert_eq!(header(&answer, "idempotent-replayed"), None);
    let again = rig.api.replay(&task, &applied, true).await;
    assert_eq!(header(&again, "idempotent-replayed"), Some("true"));
}

#[tokio::test]
async fn a_result_whose_answer_is_lost_is_gone() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.run(id).await;
    let change = Change {
        result: Some(tidegate::task::ResultHead {
            status: 200,
            content_type: None,
            bytes: 1,
            source: tidegate::task::Source::Answer,
        }),
        ..Change::default()
    };
    rig.change(id, Event::Complete, change).await;
    assert_eq!(told(&result(&rig, id).await).0, 410);
}

#[tokio::test]
async fn what_a_probe_found_is_told_and_not_taken_for_the_upstreams_answer() {
    let rig = Rig::new();
    for (saw, body, seen) in [
        (200, "[{\"vm\":\"vm-7\"}]", "body"),
        (404, "gone", "text"),
        (404, "", ""),
    ] {
        let id = rig.submit().await;
        rig.run(id).await;
        rig.step(id, Event::Lost).await;
        let mut answer = answered(saw, b"");
        answer.body = body.into();
        let change = Change {
            outcome: Some(Outcome::Known),
            result: Some(tidegate::task::ResultHead {
                status: saw,
                content_type: Some("application/json".to_owned()),
                bytes: 1,
                source: tidegate::task::Source::Probe,
            }),
            answer: Some(answer),
            ..Change::default()
        };
        let task = rig.change(id, Event::Complete, change).await;
        let status = json(&rig.get(format!("/-/tasks/{id}")).answer().await);
        assert_eq!(status["result_source"], "probe");
        assert!(status.get("result").is_none(), "{status}");
        let ask = rig.get(format!("/-/tasks/{id}/result"));
        let enclosed = rig
            .get(format!("/-/tasks/{id}/result"))
            .with("accept", "application/http");
        let applied = Applied::default();
        for answer in [
            ask.answer().await,
            enclosed.answer().await,
            rig.api.replay(&task, &applied, false).await,
        ] {
            assert_eq!(answer.status, 200);
            assert_eq!(header(&answer, "asyncresult"), None);
            assert_eq!(header(&answer, "x-vendor"), None);
            assert_eq!(header(&answer, "task-state"), Some("COMPLETED"));
            assert_eq!(header(&answer, "content-type"), Some("application/json"));
            let told = json(&answer);
            document::check_schema("Probed", &told);
            assert_eq!(
                (&told["applied"], &told["result_source"]),
                (&true.into(), &"probe".into())
            );
            assert_eq!(told["seen"]["status"], saw);
            match seen {
                "body" => assert_eq!(told["seen"]["body"][0]["vm"], "vm-7"),
                "text" => assert_eq!(told["seen"]["text"], body),
                _ => assert!(told["seen"].get("text").is_none()),
            }
        }
    }
}
