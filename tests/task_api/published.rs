//! What anybody may read, what is not there, and what is not known.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use http::Method;
use tidegate::task::api::{kind, kinds};

use crate::rig::{Rig, header, json, problem};

#[tokio::test]
async fn the_policy_says_what_holds() {
    let rig = Rig::new();
    let answer = rig.get("/-/tasks/policy").by(None).answer().await;
    assert_eq!(answer.status, 200);
    let policy = json(&answer);
    assert_eq!(policy["retention_seconds"], 86400);
    assert_eq!(policy["idempotency_key_retention_seconds"], 86400);
    assert_eq!(policy["wait_max_seconds"], 60);
    assert_eq!(policy["queue"], 5000);
    assert_eq!(policy["queue_per_user"], 1250);
    assert_eq!(policy["max_body_bytes"], 4 << 20);
    assert_eq!(policy["prefix"], "/-/tasks");
}

#[tokio::test]
async fn every_problem_is_explained_to_anybody() {
    let rig = Rig::new();
    assert!(kinds().len() > 20);
    for kind in kinds() {
        let answer = rig
            .get(format!("/-/problems/{}", kind.name))
            .by(None)
            .answer()
            .await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            header(&answer, "content-type"),
            Some("text/plain; charset=utf-8")
        );
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(text.starts_with(kind.title), "{text}");
        assert!(
            text.contains(kind.meaning) && text.contains(kind.advice),
            "{text}"
        );
    }
    let answer = rig
        .get("/-/problems/no-such-problem")
        .by(None)
        .answer()
        .await;
    assert_eq!(
        (answer.status, problem(&answer).as_str()),
        (404, "not-found")
    );
}

#[test]
fn names_of_problems_are_unique_and_fit_into_urls() {
    let names: BTreeSet<&str> = kinds().iter().map(|kind| kind.name).collect();
    assert_eq!(names.len(), kinds().len());
    for name in names {
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
            "{name}"
        );
    }
    assert_eq!(kind("gone").map(|kind| kind.name), Some("gone"));
    assert_eq!(kind("other"), None);
}

/// Every Rust file below `folder`.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(fs::read_to_string(&path).unwrap());
        }
    }
}

/// Words that follow `before` in quotes.
fn quoted<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(|rest| {
        let rest = rest.trim_start().strip_prefix('"')?;
        rest.split('"').next()
    })
}

#[test]
fn every_problem_that_the_source_speaks_of_is_in_the_table() {
    let mut texts = Vec::new();
    for room in ["src/task", "src/proxy"] {
        sources(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join(room),
            &mut texts,
        );
    }
    let mut seen = BTreeSet::new();
    for text in &texts {
        if text.contains("Fault {") {
            seen.extend(quoted(text, "kind:"));
        }
        for before in [".problem(", "problem(stage,"] {
            seen.extend(quoted(text, before));
        }
    }
    assert!(
        seen.contains("aborted") && seen.contains("gone"),
        "{seen:?}"
    );
    for name in &seen {
        assert!(kind(name).is_some(), "problem {name:?} is not explained");
    }
}

#[tokio::test]
async fn the_document_is_served_with_the_paths_that_are_in_force() {
    let answer = Rig::new().get("/-/openapi.json").by(None).answer().await;
    let as_kept: serde_json::Value =
        serde_json::from_str(include_str!("../../config/openapi.json")).unwrap();
    assert_eq!(json(&answer), as_kept);

    let rig = Rig::with(|settings| settings.prefix = "/gate/jobs".to_owned());
    let answer = rig
        .get("/gate/openapi.json")
        .by(None)
        .answer_elsewhere()
        .await;
    let paths = json(&answer)["paths"].as_object().unwrap().clone();
    let paths: Vec<&str> = paths.keys().map(String::as_str).collect();
    for path in [
        "/gate/jobs",
        "/gate/jobs/policy",
        "/gate/jobs/{id}/result",
        "/gate/problems/{name}",
    ] {
        assert!(paths.contains(&path), "{paths:?}");
    }
    assert!(
        paths.iter().all(|path| path.starts_with("/gate/")),
        "{paths:?}"
    );
}

#[tokio::test]
async fn what_is_not_there_is_404_and_what_is_not_known_405() {
    let rig = Rig::new();
    for path in [
        "/-/tasks/",
        "/-/tasks/a/b",
        "/-/tasks/x/result/",
        "/-/tasks/x/y/z",
    ] {
        let answer = rig.get(path).answer().await;
        assert_eq!(
            (answer.status, problem(&answer).as_str()),
            (404, "not-found"),
            "{path}"
        );
    }
    for (method, path, allowed) in [
        (Method::POST, "/-/tasks", "GET, HEAD"),
        (Method::DELETE, "/-/tasks/policy", "GET, HEAD"),
        (Method::PUT, "/-/tasks/x", "GET, HEAD, DELETE"),
        (Method::POST, "/-/tasks/x/result", "GET, HEAD"),
        (Method::OPTIONS, "/-/tasks/x/events", "GET, HEAD"),
        (Method::GET, "/-/tasks/x/cancel", "POST"),
        (Method::PATCH, "/-/openapi.json", "GET, HEAD"),
        (Method::POST, "/-/problems/gone", "GET, HEAD"),
    ] {
        // Whoever asks, and whether or not there is such a task.
        for viewer in [None, Some(crate::rig::viewer("anna"))] {
            let answer = rig.ask(method.clone(), path).by(viewer).answer().await;
            assert_eq!(
                (answer.status, header(&answer, "allow")),
                (405, Some(allowed)),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn who_does_not_say_who_asks_hears_nothing_of_any_task() {
    let rig = Rig::new();
    let id = rig.submit().await;
    let of_a_task = rig.get(format!("/-/tasks/{id}")).by(None).answer().await;
    assert_eq!(
        (of_a_task.status, problem(&of_a_task).as_str()),
        (401, "credentials-needed")
    );
    assert!(header(&of_a_task, "www-authenticate").is_some());
    let of_none = rig
        .get("/-/tasks/01JQ7Z6V3M8Q4T9B2K5N7R1C0D")
        .by(None)
        .answer()
        .await;
    assert_eq!(of_none.body, of_a_task.body);
    assert_eq!(rig.get("/-/tasks").by(None).answer().await.status, 401);
}

#[test]
fn what_is_the_gates_and_what_is_open() {
    let api = Rig::new().api;
    for open in ["/-/openapi.json", "/-/problems/gone", "/-/tasks/policy"] {
        assert!(api.owns(open) && api.is_open(open), "{open}");
    }
    for own in ["/-/tasks", "/-/tasks/x", "/-/tasks/x/cancel"] {
        assert!(api.owns(own) && !api.is_open(own), "{own}");
    }
    for upstreams in ["/", "/api", "/-/tasksx", "/-/", "/-/other"] {
        assert!(
            !api.owns(upstreams) && !api.is_open(upstreams),
            "{upstreams}"
        );
    }
}
