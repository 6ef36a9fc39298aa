//! NSX-T: no asynchronous form. What its operator declares as blocking may be a task; a 429 of its own is no failure of one.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::rig::{ASYNC, blocking, call, over, result, tasks};
use crate::support::script::scripted;
use crate::support::{gate, plain};

const ME: &str = "Authorization: Basic YWRtaW46cHc=\r\nContent-Type: application/json\r\n";
const BUNDLES: &str = "/api/v1/administration/support-bundles?action=collect";
const OVER: &str = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nContent-Length: 125\r\n\r\n\
    {\"module_name\":\"common-services\",\"error_message\":\"Client 'admin' exceeded request rate of 100 per second\",\"error_code\":\"102\"}";

fn text(address: std::net::SocketAddr, lines: &str) -> String {
    plain(address, lines).replace("profile = \"generic\"", "profile = \"nsx-4\"")
}

#[tokio::test]
async fn nsx_t_work_that_blocks_is_done_as_a_task_and_its_429_only_delays() {
    let calls = AtomicUsize::new(0);
    let nsx = scripted(move |request| {
        assert!(
            request.starts_with(&format!("POST {BUNDLES} ")),
            "{request}"
        );
        match calls.fetch_add(1, Ordering::SeqCst) {
            0 => OVER,
            _ => r#"{"remaining_nodes":[]}"#,
        }
    })
    .await;
    let route = blocking("POST", "/api/v1/administration/support-bundles", "prefer");
    let gate = gate(&text(nsx, &route));
    let line = format!("POST {BUNDLES}");
    let ticket = call(gate.http()[0], &line, &format!("{ME}{ASYNC}"), "{}").await;
    assert_eq!(ticket.status, 202, "{ticket:?}");
    let task = ticket.header("location").unwrap();
    let shown = over(&gate, task, ME).await;
    assert_eq!(
        (&shown["state"], &shown["mode"]),
        (&"COMPLETED".into(), &"queued".into()),
        "{shown}"
    );
    let end = result(&gate, task, ME).await;
    assert_eq!(
        (end.status, end.json()["remaining_nodes"].clone()),
        (200, serde_json::json!([]))
    );
}

#[tokio::test]
async fn nsx_t_passes_as_it_is() {
    let nsx = scripted(|request| {
        let is_patch = request.starts_with("PATCH /policy/api/v1/infra/segments/web HTTP/1.1");
        if is_patch { "{\"_revision\":1}" } else { OVER }
    })
    .await;
    let gate = gate(&text(nsx, ""));
    let fields = format!("{ME}{ASYNC}");
    let line = "PATCH /policy/api/v1/infra/segments/web";
    let answer = call(gate.http()[0], line, &fields, "{}").await;
    assert_eq!(
        (answer.status, answer.json()["_revision"].clone()),
        (200, 1.into()),
        "{answer:?}"
    );
    assert!(tasks(&gate, ME).await.is_empty());
}
