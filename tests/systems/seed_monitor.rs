//! A service monitor for the load balancer of an edge, as NSX-V's users make it: 201 once it is made, or 202 and a `jobId` at once.

use std::time::Duration;

use tidegate::app::Running;

use crate::rig::{call, is_plain, tasks};
use crate::support::client::Answer;
use crate::support::{gate, plain, until};
use crate::vendors::nsx_v::NsxV;
use crate::vendors::{Kind, Model, Pace};

const ADMIN: &str = "Authorization: Basic YWRtaW46cHc=\r\nContent-Type: application/xml\r\n";
const MONITORS: &str = "/api/4.0/edges/edge-4/loadbalancer/config/monitors";
const MONITOR: &str = "<monitor><type>tcp</type><interval>10</interval><timeout>15</timeout><maxRetries>3</maxRetries>\
    <name>TCP-Monitor-1</name></monitor>";
/// The same "with some values changed".
const OTHER: &str = "<monitor><type>tcp</type><interval>5</interval><timeout>10</timeout><maxRetries>3</maxRetries>\
    <name>TCP-Monitor-2</name></monitor>";
const JOBS: &str = "/api/4.0/edges/jobs";

fn before(model: &Model<NsxV>, lines: &str) -> Running {
    let text = plain(model.address, lines);
    gate(&text.replace("profile = \"generic\"", "profile = \"nsx-v\""))
}

async fn ask(gate: &Running, line: &str, body: &str) -> Answer {
    call(gate.http()[0], line, ADMIN, body).await
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

/// "HTTP response status code: 201 Created": by a job behind the client's back, and by the manager's own blocking call.
#[tokio::test]
async fn a_service_monitor_in_sync_mode_is_answered_201_created() {
    for (lines, kind) in [("", Kind::Start), ("native = false", Kind::Blocking)] {
        let model = NsxV::start(Pace::Lasts(Duration::from_millis(80))).await;
        let gate = before(&model, lines);
        let answer = ask(&gate, &format!("POST {MONITORS}"), MONITOR).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let made = format!("{MONITORS}/monitor-4");
        assert_eq!(answer.header("location"), Some(&*made));
        assert_eq!((answer.header("jobid"), answer.body.len()), (None, 0));
        is_plain(&answer);
        assert!(model.is_there(&made));
        assert_eq!(model.books.count(kind), 1, "{lines}");
        let heard = model.books.heard();
        let sent = heard.iter().find(|heard| heard.kind == kind).unwrap();
        assert_eq!(sent.request.body, MONITOR.as_bytes());
    }
}

/// "HTTP response status code: 202 Accepted … the response headers contain the jobId".
#[tokio::test]
async fn a_service_monitor_in_async_mode_is_answered_202_with_a_job_id() {
    let model = NsxV::start(Pace::ByHand).await;
    let gate = before(&model, "");
    let line = format!("POST {MONITORS}?async=true");
    let accepted = ask(&gate, &line, OTHER).await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let job = accepted.header("jobid").unwrap().to_owned();
    assert_eq!(job, "jobdata-2128");
    assert_eq!(accepted.header("location"), Some(&*format!("{JOBS}/{job}")));
    assert_eq!(model.books.targets(Kind::Start), [line]);
    assert!(
        tasks(&gate, ADMIN).await.is_empty(),
        "it is the manager's own"
    );
}

/// "Query the async job status": one job, all jobs, the active ones; the end names the URI of the resource.
#[tokio::test]
async fn the_async_job_s_status_is_queried_by_its_id_and_in_lists() {
    let model = NsxV::start(Pace::ByHand).await;
    let gate = before(&model, "");
    let job = ask(&gate, &format!("POST {MONITORS}?async=true"), OTHER).await;
    let job = job.header("jobid").unwrap().to_owned();
    model.works.step();
    let running = ask(&gate, &format!("GET {JOBS}/{job}"), "").await;
    assert_eq!(running.header("content-type"), Some("application/xml"));
    assert!(
        text(&running).contains("<status>RUNNING</status>"),
        "{}",
        text(&running)
    );
    for status in ["all", "active"] {
        let list = ask(&gate, &format!("GET {JOBS}?status={status}"), "").await;
        assert!(
            text(&list).contains(&format!("<jobId>{job}</jobId>")),
            "{status}: {}",
            text(&list)
        );
    }
    model.works.finish_all();
    let done = ask(&gate, &format!("GET {JOBS}/{job}"), "").await;
    let uri = format!("<key>ResultURI</key><value>{MONITORS}/monitor-4</value>");
    assert!(
        text(&done).contains("<status>COMPLETED</status>"),
        "{}",
        text(&done)
    );
    assert!(text(&done).contains(&uri), "{}", text(&done));
    assert!(
        text(&done).contains("<key>edgeId</key><value>edge-4</value>"),
        "{}",
        text(&done)
    );
    let active = ask(&gate, &format!("GET {JOBS}?status=active"), "").await;
    assert!(!text(&active).contains(&job), "{}", text(&active));
}

/// "Any 4.0 service configuration URL for POST, PUT, and DELETE calls", in both modes; PUT and DELETE answer 204.
#[tokio::test]
async fn post_put_and_delete_of_any_4_0_url_take_both_modes() {
    let model = NsxV::start(Pace::Lasts(Duration::from_millis(30))).await;
    let gate = before(&model, "");
    for (method, path, sync) in [
        ("POST", "/api/4.0/edges", 201),
        ("POST", "/api/4.0/edges/edge-4/nat/config/rules", 201),
        ("PUT", "/api/4.0/edges/edge-4/loadbalancer/config", 204),
        ("DELETE", "/api/4.0/edges/edge-4/firewall/config", 204),
    ] {
        model.add(path);
        let blocking = ask(&gate, &format!("{method} {path}"), "<x/>").await;
        assert_eq!(blocking.status, sync, "{method} {path}: {blocking:?}");
        model.add(path);
        let before = model.works.all().len();
        let accepted = ask(&gate, &format!("{method} {path}?async=true"), "<x/>").await;
        assert_eq!(accepted.status, 202, "{method} {path}: {accepted:?}");
        assert!(accepted.header("jobid").is_some(), "{accepted:?}");
        assert_eq!(model.works.all().len(), before + 1);
        until("both are made", || {
            model.books.effects(&format!("{method} {path}")) == 2
        })
        .await;
    }
}
