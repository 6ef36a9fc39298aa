//! What the upstream itself said of a task that it did as one of its own: `?raw=true` (tasks.md section 6.4).

use http::Method;
use tidegate::answer::Answer;
use tidegate::task::{
    self, Change, Event, Outcome, Owner, Raw, ResultHead, Source, TaskId, TaskStore, Viewer,
};

use crate::rig::{RETENTION, Rig, answered, header, problem};

/// A task that the upstream did as one of its own, and what it said of that.
async fn followed(
    rig: &Rig,
    event: Event,
    answer: Option<task::Answer>,
    raw: Option<Raw>,
) -> TaskId {
    let id = rig.submit().await;
    rig.step(id, Event::Dispatch).await;
    rig.step(id, Event::Started).await;
    let result = answer.as_ref().map(|answer| ResultHead {
        status: answer.status,
        content_type: Some("application/json".to_owned()),
        bytes: answer.body.len() as u64,
        source: Source::Answer,
    });
    let change = Change {
        answer,
        result,
        raw: raw.map(Box::new),
        outcome: Some(Outcome::Known),
        ..Change::default()
    };
    rig.change(id, event, change).await;
    id
}

async fn asked(rig: &Rig, id: TaskId, query: &str) -> Answer {
    rig.get(format!("/-/tasks/{id}/result{query}"))
        .answer()
        .await
}

#[tokio::test]
async fn what_the_upstream_said_of_its_own_task_is_told_to_who_asks_for_that() {
    let rig = Rig::new();
    let info = b"{\"status\":\"SUCCEEDED\",\"result\":\"vm-1042\"}";
    let apart = || Some(Raw::Apart(answered(203, info)));
    for (event, answer, usual, state) in [
        (
            Event::Complete,
            Some(answered(200, b"\"vm-1042\"")),
            200,
            "COMPLETED",
        ),
        (Event::Complete, Some(answered(204, b"")), 204, "COMPLETED"),
        (Event::Fail, Some(answered(400, b"{}")), 400, "FAILED"),
        (Event::Fail, None, 502, "FAILED"),
        (Event::Abort, None, 409, "ABORTED"),
        (Event::Expire, None, 504, "EXPIRED"),
    ] {
        let body = answer.as_ref().map(|answer| answer.body.clone());
        let id = followed(&rig, event, answer, apart()).await;
        for query in ["", "?raw=false", "?rawer=true"] {
            let plain = asked(&rig, id, query).await;
            assert_eq!(
                (plain.status, header(&plain, "task-state")),
                (usual, Some(state))
            );
            if let Some(body) = &body {
                assert_eq!(&plain.body, body, "{query}");
            }
        }
        let raw = asked(&rig, id, "?x=y&raw=true").await;
        assert_eq!((raw.status, &*raw.body), (203, &info[..]));
        assert_eq!(header(&raw, "asyncresult"), Some("203"));
        assert_eq!(header(&raw, "task-state"), Some(state));
        assert_eq!(header(&raw, "content-type"), Some("application/json"));
        let vendor = raw.headers.iter().filter(|(name, _)| name == "x-vendor");
        assert_eq!(vendor.count(), 2);
        let head = rig.ask(Method::HEAD, format!("/-/tasks/{id}/result?raw=true"));
        assert_eq!(head.answer().await.status, 203);
    }
}

#[tokio::test]
async fn where_the_upstream_answered_the_call_itself_that_is_its_word() {
    let rig = Rig::new();
    let blocked = rig.submit().await;
    rig.complete(blocked).await;
    let read = Some(answered(201, b"\"vm-1042\""));
    let as_read = followed(&rig, Event::Complete, read, Some(Raw::Same)).await;
    for (id, status) in [(blocked, 200), (as_read, 201)] {
        let raw = asked(&rig, id, "?raw=true").await;
        assert_eq!((raw.status, &*raw.body), (status, &b"\"vm-1042\""[..]));
        assert_eq!(header(&raw, "asyncresult"), Some(&*status.to_string()));
    }
    let open = rig.submit().await;
    assert_eq!(asked(&rig, open, "?raw=true").await.status, 202);
    let silent = followed(&rig, Event::Expire, None, None).await;
    assert_eq!(problem(&asked(&rig, silent, "?raw=true").await), "expired");
}

#[tokio::test]
async fn a_word_that_is_not_kept_is_not_made_up() {
    let rig = Rig::new();
    let id = followed(&rig, Event::Complete, Some(answered(200, b"1")), None).await;
    let raw = asked(&rig, id, "?raw=true").await;
    assert_eq!(
        (raw.status, problem(&raw)),
        (404, "raw-not-kept".to_owned())
    );
    assert_eq!(header(&raw, "task-state"), Some("COMPLETED"));
    assert_eq!(header(&raw, "asyncresult"), None);
    for wrong in ["?raw", "?raw=", "?raw=1", "?raw=true&raw=TRUE"] {
        let refused = asked(&rig, id, wrong).await;
        assert_eq!(
            (refused.status, problem(&refused)),
            (400, "bad-parameter".to_owned()),
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn the_word_of_the_upstream_is_enclosed_as_its_answer_is_and_told_to_nobody_else() {
    let rig = Rig::new();
    let raw = Raw::Apart(answered(200, b"{\"status\":\"FAILED\"}"));
    let id = followed(&rig, Event::Fail, Some(answered(500, b"{}")), Some(raw)).await;
    let target = format!("/-/tasks/{id}/result?raw=true");
    let enclosed = rig.get(target.as_str()).with("accept", "application/http");
    let enclosed = enclosed.answer().await;
    assert_eq!(header(&enclosed, "asyncresult"), None);
    let text = String::from_utf8(enclosed.body.to_vec()).unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n{\"status\":\"FAILED\"}"), "{text}");
    let bob = Viewer {
        upstream: "vc1".into(),
        owners: vec![Owner("user:bob".into())],
    };
    let foreign = rig.get(target.as_str()).by(Some(bob)).answer().await;
    assert_eq!(
        (foreign.status, header(&foreign, "task-state")),
        (404, None)
    );
    rig.pass(RETENTION);
    let now = rig.desk.now();
    rig.store
        .purge(now, now.after(RETENTION), 10)
        .await
        .unwrap();
    assert_eq!(rig.get(target.as_str()).answer().await.status, 410);
}
