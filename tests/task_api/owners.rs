//! Tasks are there for their owners alone, and gone when their time is up.

use std::time::Duration;

use http::Method;
use tidegate::task::{Owner, TaskStore, Viewer};

use crate::rig::{NEVER_WAS, RETENTION, Rig, header, problem, requested, viewer};

#[tokio::test]
async fn what_is_anothers_is_not_there_byte_by_byte() {
    let rig = Rig::new();
    let id = rig.submit().await;
    let elsewhere = Viewer {
        upstream: "vc2".into(),
        ..viewer("anna")
    };
    for part in ["", "/result", "/events", "/cancel"] {
        let method = if part == "/cancel" {
            Method::POST
        } else {
            Method::GET
        };
        let of_none = rig
            .ask(method.clone(), format!("/-/tasks/{NEVER_WAS}{part}"))
            .answer()
            .await;
        assert_eq!(
            (of_none.status, problem(&of_none).as_str()),
            (404, "not-found")
        );
        assert!(header(&of_none, "task-state").is_none());
        let malformed = rig
            .ask(method.clone(), format!("/-/tasks/x{part}"))
            .answer()
            .await;
        assert_eq!(
            (&malformed.headers, &malformed.body),
            (&of_none.headers, &of_none.body)
        );
        for stranger in [viewer("ben"), elsewhere.clone()] {
            let ask = rig.ask(method.clone(), format!("/-/tasks/{id}{part}"));
            let foreign = ask.by(Some(stranger)).answer().await;
            assert_eq!(foreign.status, 404);
            assert_eq!(
                (&foreign.headers, &foreign.body),
                (&of_none.headers, &of_none.body)
            );
        }
    }
    let deleted = rig.ask(Method::DELETE, format!("/-/tasks/{id}"));
    assert_eq!(deleted.by(Some(viewer("ben"))).answer().await.status, 404);
    assert_eq!(rig.get(format!("/-/tasks/{id}")).answer().await.status, 200);
}

#[tokio::test]
async fn any_of_its_owners_names_will_do() {
    let rig = Rig::new();
    let mut asked = requested();
    asked.owner = Owner("session:0a".into());
    let id = rig.submit_as(asked).await;
    assert_eq!(rig.get(format!("/-/tasks/{id}")).answer().await.status, 200);
}

#[tokio::test]
async fn what_was_purged_is_gone_to_its_owner_alone() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.complete(id).await;
    rig.pass(RETENTION + Duration::from_secs(1));
    let still = rig.get(format!("/-/tasks/{id}")).answer().await;
    assert_eq!(
        still.status, 200,
        "its time is up, but nobody has purged it"
    );
    let now = rig.desk.now();
    let purged = rig
        .store
        .purge(now, now.after(RETENTION), 10)
        .await
        .unwrap();
    assert_eq!(purged.tasks, 1);
    for part in ["", "/result", "/events"] {
        let answer = rig.get(format!("/-/tasks/{id}{part}")).answer().await;
        assert_eq!(
            (answer.status, problem(&answer).as_str()),
            (410, "gone"),
            "{part}"
        );
        assert!(header(&answer, "task-state").is_none());
        let foreign = rig
            .get(format!("/-/tasks/{id}{part}"))
            .by(Some(viewer("ben")))
            .answer()
            .await;
        assert_eq!(foreign.status, 404);
    }
}
