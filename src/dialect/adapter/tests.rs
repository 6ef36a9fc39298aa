//! Whatever a server sends, it is read or it is not: nothing stops, nothing grows, and what is made of it is well formed.

use std::path::Path;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::config::{Adapter, Became, parse};

fn all() -> Vec<Adapter> {
    let text = "[[upstream]]\naddress = \"https://a.example\"\nadapters = [\"vcenter\", \"nsx-v\", \"avi\", \"skytap\", \"redfish\", \"azure\", \"openstack\"]";
    parse(text, Path::new("."))
        .unwrap()
        .upstreams
        .remove(0)
        .adapters
}

fn one(name: &str) -> Adapter {
    let mut all = all();
    let at = all.iter().position(|one| one.name == name).unwrap();
    all.swap_remove(at)
}

/// JSON with the words of the dialects in it.
fn json() -> impl Strategy<Value = Value> {
    let words = prop::sample::select(vec![
        "status",
        "SUCCEEDED",
        "FAILED",
        "RUNNING",
        "error",
        "error_type",
        "CANCELED",
        "result",
        "value",
        "messages",
        "id",
        "progress",
        "completed",
        "total",
        "runstate",
        "busy",
        "server",
        "TaskState",
        "patch_id",
        "end_time",
        "",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words.clone().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((words.clone(), inner), 0..6).prop_map(|pairs| Value::Object(
                pairs
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()
            )),
        ]
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        json().prop_map(|value| value.to_string().into_bytes()),
        "(<(edgeJob|edgeJobs|jobId|status|result|key)>|</(edgeJob|edgeJobs|jobId|status|result|key)>|RUNNING|&amp;|&x;|<!DOCTYPE a>|<!\\[CDATA\\[|x){0,20}"
            .prop_map(String::into_bytes),
    ]
}

/// Reads an answer in every way that there is.
fn holds(
    adapter: &Adapter,
    status: u16,
    location: &[u8],
    body: &[u8],
    target: &str,
) -> Result<(), TestCaseError> {
    let Some(native) = &adapter.native else {
        return Ok(());
    };
    let mut headers = HeaderMap::new();
    for name in ["location", "jobid", "azure-asyncoperation"] {
        if let Ok(value) = HeaderValue::from_bytes(location) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let answered = Answered {
        status,
        headers: &headers,
        body,
    };
    let origin = Origin::new(adapter, target, body);
    let _: bool = fits_body(adapter, &origin);
    let _: Option<bool> = is_busy(native, &origin, &answered);
    let handle = match started(native, &origin, &answered, Duration::ZERO, &["a.example"]) {
        Started::Handle(handle) => handle,
        _ => "h".to_owned(),
    };
    prop_assert!(!handle.is_empty() && handle.len() <= 8 * 1024);
    let requests = [
        poll_request(native, &origin, &handle),
        cancel_request(native, &origin, &handle),
        before_request(native, &origin),
        native
            .poll
            .batch
            .as_ref()
            .map(|batch| batch_request(batch, &[&handle])),
    ];
    for request in requests.into_iter().flatten() {
        prop_assert!(
            request.target.starts_with('/') && !request.target.starts_with("//"),
            "{request:?}"
        );
        prop_assert!(
            request.target.bytes().all(|byte| byte.is_ascii_graphic()),
            "{request:?}"
        );
        prop_assert!(request.target.parse::<http::Uri>().is_ok(), "{request:?}");
        if let Some(body) = &request.body {
            prop_assert!(serde_json::from_slice::<Value>(body).is_ok());
        }
    }
    let seen = Seen::new(&answered);
    let earlier = Earlier::of(native, &origin, &seen);
    prop_assert_eq!(
        Earlier::from_text(&earlier.to_text()),
        Some(earlier.clone())
    );
    let reading = read(native, &origin, &seen, Some(&earlier));
    prop_assert!(reading.percent.is_none_or(|percent| percent <= 100));
    prop_assert!((1..=20).contains(&reading.confirm));
    prop_assert!(reading.message.is_none_or(
        |message| !message.chars().any(char::is_control) && message.chars().count() <= 512
    ));
    let reading = read(native, &origin, &seen, None);
    if let Told::Made(made) = told(native, &origin, &seen, &reading, &handle) {
        prop_assert!(http::StatusCode::from_u16(made.status).is_ok());
        for (name, value) in &made.headers {
            prop_assert!(
                HeaderName::from_bytes(name.as_bytes()).is_ok()
                    && HeaderValue::from_str(value).is_ok()
            );
        }
        let is_json = made
            .headers
            .iter()
            .any(|(_, value)| value == "application/json");
        if is_json {
            prop_assert!(
                serde_json::from_slice::<Value>(&made.body).is_ok(),
                "{:?}",
                String::from_utf8(made.body)
            );
        }
    }
    if let Some(entries) = native
        .poll
        .batch
        .as_ref()
        .and_then(|batch| batch_read(batch, &answered))
    {
        prop_assert_eq!(entries.get("no such name").is_some(), false);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_that_a_server_sends_hurts(
        status in 100_u16..600,
        location in prop_oneof![prop::collection::vec(any::<u8>(), 0..60), "(https?://)?(a\\.example|b)?(:[0-9]*)?/?[a-z/.%#? ]{0,30}".prop_map(String::into_bytes)],
        body in body(),
        target in "/[a-z0-9./%?&=]{0,40}",
    ) {
        for adapter in all() {
            holds(&adapter, status, &location, &body, &target)?;
        }
    }

    #[test]
    fn what_others_call_themselves_stays_inside_of_its_element(text in ".{0,60}") {
        let adapter = one("nsx-v/edge-post");
        let face = adapter.face.as_ref().unwrap();
        let task = Shown { id: "gw-1", state: "FAILED", error_message: Some(&text), ..Shown::default() };
        let made = shown(face, &adapter, &task);
        prop_assert!(tree::Tree::read(&made.body).is_some(), "{:?}", String::from_utf8(made.body));
        let avi = one("avi/pool-patch");
        let made = shown(avi.face.as_ref().unwrap(), &avi, &task);
        let read: Value = serde_json::from_slice(&made.body).unwrap();
        prop_assert_eq!(read["error_message"].as_str(), Some(text.as_str()));
    }

    #[test]
    fn a_parameter_is_added_once(target in "/[a-z]{1,5}(\\?[a-z=&]{0,12})?") {
        let adapter = one("nsx-v/edge-post");
        let native = adapter.native.unwrap();
        let once = rewritten(&native, &target);
        prop_assert!(once.starts_with(target.trim_end_matches('?')) && once.ends_with("async=true"));
        prop_assert_eq!(rewritten(&native, &once), once);
    }
}

#[test]
fn deep_and_large_answers_are_not_read() {
    let deep = "[".repeat(200_000);
    let wide = format!("<a>{}</a>", "<b/>".repeat(100_001));
    let nested = "<a>".repeat(100);
    let adapter = one("vcenter/vm-clone");
    for body in [
        deep.as_bytes(),
        wide.as_bytes(),
        nested.as_bytes(),
        &vec![b' '; LARGEST + 1],
    ] {
        holds(&adapter, 200, b"/x", body, "/api/vcenter/vm").unwrap();
    }
}

#[test]
fn readings_count_in_a_row_and_what_is_unclear_does_not() {
    let reading = |verdict, confirm| Reading {
        verdict,
        confirm,
        percent: None,
        message: None,
        error: None,
        cancelable: None,
        unmade: false,
        proves: false,
        saw: 0,
    };
    let done = Verdict::State(Became::Completed, None);
    let running = Verdict::State(Became::Running, None);
    let mut streak = Streak::default();
    assert_eq!(streak.note(&reading(done, 3)), None);
    assert_eq!(streak.note(&reading(done, 3)), None);
    assert_eq!(streak.note(&reading(running, 1)), Some(running));
    assert_eq!(streak.note(&reading(done, 3)), None);
    assert_eq!(streak.note(&reading(Verdict::Unclear, 1)), None);
    assert_eq!(streak.note(&reading(done, 3)), None);
    assert_eq!(streak.note(&reading(Verdict::Gone, 3)), None);
    for want in [None, None, Some(done)] {
        assert_eq!(streak.note(&reading(done, 3)), want);
    }
    assert_eq!(streak.note(&reading(Verdict::Gone, 1)), Some(Verdict::Gone));
}

#[test]
fn clients_reach_the_gates_own_tasks_by_the_vendors_paths_and_no_others() {
    let adapter = one("vcenter/vm-clone");
    let face = adapter.face.as_ref().unwrap();
    assert_eq!(name_of(face, "01J"), "gw-01J");
    for (method, target, want) in [
        (
            "GET",
            "/api/cis/tasks/gw-1",
            Some(Asks::Status("gw-1".into())),
        ),
        (
            "GET",
            "/api/cis/tasks/gw-1?exclude_result=true",
            Some(Asks::Status("gw-1".into())),
        ),
        ("GET", "/api/cis/tasks/52f9", None),
        ("GET", "/api/cis/tasks/gw-1/x", None),
        ("DELETE", "/api/cis/tasks/gw-1", None),
        (
            "POST",
            "/api/cis/tasks/gw-1?action=cancel",
            Some(Asks::Cancel("gw-1".into())),
        ),
        ("POST", "/api/cis/tasks/gw-1", None),
        (
            "POST",
            "/api/cis/tasks?action=list",
            Some(Asks::List { active: false }),
        ),
    ] {
        assert_eq!(asked(face, method, target), want, "{method} {target}");
    }
    let jobs = one("nsx-v/edge-put");
    let face = jobs.face.as_ref().unwrap();
    let active = |query: &str| asked(face, "GET", &format!("/api/4.0/edges/jobs?status={query}"));
    assert_eq!(active("active"), Some(Asks::List { active: true }));
    assert_eq!(active("all"), Some(Asks::List { active: false }));
    assert_eq!(unknown(face, "gw-<1>").status, 404);
    assert!(
        String::from_utf8(unknown(face, "gw-<1>").body)
            .unwrap()
            .contains("gw-&lt;1&gt;")
    );
}

#[test]
fn taking_back_is_answered_in_the_vendors_words() {
    let adapter = one("vcenter/vm-clone");
    let face = adapter.face.as_ref().unwrap();
    let task = Shown {
        id: "gw-1",
        state: "RUNNING",
        ..Shown::default()
    };
    assert_eq!(canceled(face, &adapter, &task, true).unwrap().status, 204);
    let refused = canceled(face, &adapter, &task, false).unwrap();
    assert_eq!(refused.status, 400);
    assert!(
        String::from_utf8(refused.body)
            .unwrap()
            .contains("NOT_ALLOWED_IN_CURRENT_STATE")
    );
    let native = adapter.native.unwrap();
    assert!(is_canceled(&native, 204) && !is_canceled(&native, 400));
    assert_eq!(
        face_started(face, &one("vcenter/vm-register"), &task).status,
        202
    );
}
