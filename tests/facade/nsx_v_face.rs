//! NSX-V's `async=true` where the manager has none: jobs of the gate's own, in NSX-V's words, letter for letter.

use tidegate::app::Running;

use crate::rig::{ADMIN, OTHER, before_nsx_v, begun, body, call, tasks};
use crate::support::client::Answer;
use crate::support::until;
use crate::vendors::nsx_v::NsxV;
use crate::vendors::{Kind, Model, Pace};

const MONITORS: &str = "/api/4.0/edges/edge-4/loadbalancer/config/monitors";
const MONITOR: &str = "<monitor><type>http</type><interval>5</interval></monitor>";
const JOBS: &str = "/api/4.0/edges/jobs";

async fn start() -> (Model<NsxV>, Running) {
    let model = NsxV::start(Pace::ByHand).await;
    model.native(false);
    let gate = before_nsx_v(model.address, "native = false");
    (model, gate)
}

async fn job(gate: &Running, id: &str, fields: &str) -> Answer {
    call(gate.http()[0], &format!("GET {JOBS}/{id}"), fields, "").await
}

/// Asks for a monitor; the name of its job.
async fn begin(gate: &Running) -> String {
    let line = format!("POST {MONITORS}?async=true");
    let answer = call(gate.http()[0], &line, ADMIN, MONITOR).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.header("jobid").unwrap().to_owned()
}

#[tokio::test]
async fn a_job_is_begun_polled_and_over_in_the_vendor_s_words() {
    let (model, gate) = start().await;
    let line = format!("POST {MONITORS}?async=true");
    let started = call(gate.http()[0], &line, ADMIN, MONITOR).await;
    let id = started.header("jobid").unwrap().to_owned();
    assert_eq!(id.len(), 29, "gw- and a ULID: {id}");
    assert!(id.starts_with("gw-"), "{id}");
    let golden = format!(
        "HTTP/1.1 202 Accepted\r\nlocation: {JOBS}/{id}\r\njobid: {id}\r\nContent-Length: 0\r\n"
    );
    assert!(
        started
            .head
            .to_lowercase()
            .starts_with(&golden.to_lowercase()),
        "{}",
        started.head
    );
    until("it has begun", || begun(&model) == 1).await;
    let running = job(&gate, &id, ADMIN).await;
    assert_eq!(running.header("content-type"), Some("application/xml"));
    let message = "<message>The upstream is at work on it; its answer is awaited.</message>";
    let golden = format!("<edgeJob><jobId>{id}</jobId>{message}<status>RUNNING</status></edgeJob>");
    assert_eq!((running.status, body(&running)), (200, &*golden));
    model.works.finish_all();
    let over = until_over(&gate, &id).await;
    let result =
        format!("<result><key>ResultURI</key><value>{MONITORS}/monitor-4</value></result>");
    let golden =
        format!("<edgeJob><jobId>{id}</jobId><status>COMPLETED</status>{result}</edgeJob>");
    assert_eq!((over.status, body(&over)), (200, &*golden));
    // The manager heard the call as one that blocks, once, and nothing of jobs.
    assert_eq!(
        model.books.targets(Kind::Blocking),
        [format!("POST {MONITORS}")]
    );
    assert_eq!((begun(&model), model.books.count(Kind::Poll)), (1, 0));
    assert!(model.is_there(&format!("{MONITORS}/monitor-4")));
}

async fn until_over(gate: &Running, id: &str) -> Answer {
    let task = id.strip_prefix("gw-").unwrap();
    let waits = format!("{ADMIN}Prefer: wait=50\r\n");
    let own = call(gate.http()[0], &format!("GET /-/tasks/{task}"), &waits, "").await;
    assert_eq!(own.json()["done"], true, "{own:?}");
    job(gate, id, ADMIN).await
}

#[tokio::test]
async fn a_job_that_fails_says_why() {
    let (model, gate) = start().await;
    let line = "DELETE /api/4.0/edges/edge-9?async=true";
    let started = call(gate.http()[0], line, ADMIN, "").await;
    let id = started.header("jobid").unwrap().to_owned();
    until("it has begun", || begun(&model) == 1).await;
    model.works.finish_all();
    let over = until_over(&gate, &id).await;
    assert!(
        body(&over).contains("<status>FAILED</status>"),
        "{}",
        body(&over)
    );
    assert!(body(&over).contains("<message>"), "{}", body(&over));
}

#[tokio::test]
async fn only_its_owner_sees_a_job_and_the_manager_s_own_are_its_affair() {
    let (model, gate) = start().await;
    let id = begin(&gate).await;
    until("it has begun", || begun(&model) == 1).await;
    model.works.finish_all();
    until_over(&gate, &id).await;
    let unknown = format!("gw-{}", "0".repeat(26));
    for (id, fields) in [(&id, OTHER), (&unknown, ADMIN), (&"gw-x".to_owned(), ADMIN)] {
        let answer = job(&gate, id, fields).await;
        let golden = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><error><details>There is no job {id}.</details>\
             <errorCode>404</errorCode></error>"
        );
        assert_eq!((answer.status, body(&answer)), (404, &*golden), "{id}");
    }
    assert_eq!(model.books.count(Kind::Poll), 0);
    let theirs = job(&gate, "jobdata-7", ADMIN).await;
    assert!(
        body(&theirs).contains("Job jobdata-7 was not found."),
        "{}",
        body(&theirs)
    );
    // By now both have been asked about, which reads a list too.
    let before = model.books.count(Kind::BatchPoll);
    let all = call(gate.http()[0], &format!("GET {JOBS}?status=all"), ADMIN, "").await;
    assert!(body(&all).contains(&id), "{}", body(&all));
    let others = call(gate.http()[0], &format!("GET {JOBS}?status=all"), OTHER, "").await;
    assert_eq!(body(&others), "<edgeJobs></edgeJobs>");
    assert_eq!(model.books.count(Kind::Poll), 1);
    assert_eq!(model.books.count(Kind::BatchPoll), before + 2);
    // Nobody at all: the manager says so.
    assert_eq!(job(&gate, &unknown, "").await.status, 401);
}

#[tokio::test]
async fn a_manager_that_has_jobs_is_asked_for_its_own() {
    let model = NsxV::start(Pace::ByHand).await;
    let gate = before_nsx_v(model.address, "");
    let id = begin(&gate).await;
    assert_eq!(id, "jobdata-2128");
    assert_eq!(model.books.count(Kind::Start), 1);
    assert!(tasks(&gate, ADMIN).await.is_empty());
}
