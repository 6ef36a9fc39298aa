//! An API with the whole machine of states, SCHEDULED, RUNNING and the five ends, and the three ways in which asynchronous calls
//! go wrong: as its user's checklist has them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tidegate::app::Running;

use crate::rig::{ASYNC, call, over, result, tasks};
use crate::support::script::scripted;
use crate::support::{gate, plain};

const ME: &str = "Authorization: Bearer me\r\nContent-Type: application/json\r\n";

/// How often each request came.
type Heard = Arc<Mutex<BTreeMap<String, usize>>>;

/// What polls of a job say, one after the other; the last of them from then on.
fn readings(job: &str) -> &'static [&'static str] {
    match job {
        "completed" => &[
            r#"{"state":"SCHEDULED"}"#,
            r#"{"state":"RUNNING"}"#,
            r#"{"state":"COMPLETED","result":{"id":1}}"#,
        ],
        "failed" => &[
            r#"{"state":"RUNNING"}"#,
            r#"{"state":"FAILED","why":"no room"}"#,
        ],
        "aborted" => &[
            r#"{"state":"RUNNING"}"#,
            r#"{"state":"ABORTED","why":"by hand"}"#,
        ],
        "partial" => &[
            r#"{"state":"RUNNING"}"#,
            r#"{"state":"PARTIAL_SUCCESS","why":"2 of 3","result":{"id":1}}"#,
        ],
        "expired" => &[r#"{"state":"SCHEDULED"}"#, r#"{"state":"EXPIRED"}"#],
        // The store of states is behind: what is told once is not true everywhere yet.
        "lags" => &[
            r#"{"state":"COMPLETED","result":{"id":1}}"#,
            r#"{"state":"RUNNING"}"#,
            r#"{"state":"COMPLETED","result":{"id":1}}"#,
            r#"{"state":"COMPLETED","result":{"id":1}}"#,
            r#"{"state":"RUNNING"}"#,
            r#"{"state":"COMPLETED","result":{"id":2}}"#,
        ],
        _ => &[r#"{"state":"RUNNING"}"#],
    }
}

/// An API whose jobs end as their names say.
async fn api() -> (SocketAddr, Heard) {
    let heard = Heard::default();
    let counts = heard.clone();
    let address = scripted(move |request| {
        let line = request.lines().next().unwrap();
        let mut heard = counts.lock().unwrap();
        let Some(job) = line.strip_prefix("GET /jobs/") else {
            let (_, body) = request.split_once("\r\n\r\n").unwrap();
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let job = body["job"].as_str().unwrap().to_owned();
            *heard.entry(format!("start {job}")).or_default() += 1;
            // It is named by what it is to come to.
            return accepted(&job);
        };
        let job = job.split(' ').next().unwrap();
        let times = heard.entry(job.to_owned()).or_default();
        *times += 1;
        let all = readings(job);
        all[(*times - 1).min(all.len() - 1)]
    })
    .await;
    (address, heard)
}

/// 202 and the task's id.
fn accepted(job: &str) -> &'static str {
    let body = format!("{{\"task_id\":\"{job}\"}}");
    let length = body.len();
    format!("HTTP/1.1 202 Accepted\r\nContent-Length: {length}\r\n\r\n{body}").leak()
}

/// A gate before it, with the dialect of these states in a hurry.
async fn site(convert: &str) -> (Running, Heard) {
    let (address, heard) = api().await;
    let text = include_str!("../dialect/adapters/states.toml");
    let slow = "poll    = { get = \"/jobs/{id}\" }";
    assert!(text.contains(slow));
    let hurried = "poll = { get = \"/jobs/{id}\", every = \"100ms..200ms\" }\nconfirm = { apart = \"100ms\" }";
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!(
        "states-{}-{}.toml",
        std::process::id(),
        address.port()
    ));
    std::fs::write(&file, text.replace(slow, hurried)).unwrap();
    let route = crate::rig::blocking("POST", "/jobs", convert);
    let lines = format!("dialect_files = [\"{}\"]\n{route}", file.display());
    (gate(&plain(address, &lines)), heard)
}

async fn begin(gate: &Running, job: &str, fields: &str) -> String {
    let fields = format!("{ME}{ASYNC}{fields}");
    let body = format!("{{\"job\":\"{job}\"}}");
    let ticket = call(gate.http()[0], "POST /jobs", &fields, &body).await;
    assert_eq!(ticket.status, 202, "{ticket:?}");
    assert_eq!(ticket.json()["done"], false, "{ticket:?}");
    ticket.header("location").unwrap().to_owned()
}

fn times(heard: &Heard, what: &str) -> usize {
    heard.lock().unwrap().get(what).copied().unwrap_or_default()
}

#[tokio::test]
async fn each_terminal_state_is_told_as_itself_with_its_result() {
    let (gate, heard) = site("prefer").await;
    for (job, state, status, said) in [
        ("completed", "COMPLETED", 200, r#"{"id":1}"#),
        (
            "failed",
            "FAILED",
            500,
            r#"{"state":"FAILED","why":"no room"}"#,
        ),
        ("aborted", "ABORTED", 409, ""),
        ("partial", "PARTIAL_SUCCESS", 200, r#"{"id":1}"#),
        ("expired", "EXPIRED", 504, ""),
    ] {
        let task = begin(&gate, job, "").await;
        let shown = over(&gate, &task, ME).await;
        assert_eq!(shown["state"], state, "{shown}");
        assert_eq!(shown["dispatched"], true, "{shown}");
        let end = result(&gate, &task, ME).await;
        assert_eq!(
            (end.status, end.header("task-state")),
            (status, Some(state)),
            "{end:?}"
        );
        let is_upstream_s = !said.is_empty();
        assert_eq!(
            end.header("asyncresult").is_some(),
            is_upstream_s,
            "{end:?}"
        );
        if is_upstream_s {
            assert_eq!(std::str::from_utf8(&end.body), Ok(said));
        }
        assert_eq!(times(&heard, &format!("start {job}")), 1);
    }
}

#[tokio::test]
async fn each_terminal_state_is_told_to_who_just_waits() {
    let (gate, _) = site("wait").await;
    for (job, status) in [
        ("completed", 200),
        ("failed", 500),
        ("aborted", 409),
        ("partial", 200),
        ("expired", 504),
    ] {
        let body = format!("{{\"job\":\"{job}\"}}");
        let answer = call(gate.http()[0], "POST /jobs", ME, &body).await;
        assert_eq!(answer.status, status, "{job}: {answer:?}");
    }
}

#[tokio::test]
async fn who_knows_the_api_follows_its_tasks_itself() {
    let (gate, heard) = site("prefer").await;
    let started = call(gate.http()[0], "POST /jobs", ME, r#"{"job":"partial"}"#).await;
    assert_eq!(
        (started.status, started.json()["task_id"].clone()),
        (202, "partial".into())
    );
    for state in ["RUNNING", "PARTIAL_SUCCESS"] {
        let told = call(gate.http()[0], "GET /jobs/partial", ME, "").await;
        assert_eq!(told.json()["state"], state);
    }
    assert!(tasks(&gate, ME).await.is_empty());
    assert_eq!(times(&heard, "partial"), 2);
}

/// Two generals: the client does not know whether it was heard, and asks again with its key.
#[tokio::test]
async fn a_client_that_was_not_answered_asks_again_with_its_key_and_nothing_is_begun_twice() {
    let (gate, heard) = site("wait").await;
    let fields = format!("{ME}Idempotency-Key: deploy-7\r\n");
    let body = r#"{"job":"partial"}"#;
    let mut client = crate::support::client::Client::connect(gate.http()[0]).await;
    client
        .send(crate::rig::request("POST /jobs", &fields, body))
        .await;
    crate::support::until("it was heard", || times(&heard, "start partial") == 1).await;
    drop(client);
    for _ in 0..3 {
        let again = call(gate.http()[0], "POST /jobs", &fields, body).await;
        assert_eq!(
            (again.status, again.json()["id"].clone()),
            (200, 1.into()),
            "{again:?}"
        );
    }
    assert_eq!(times(&heard, "start partial"), 1);
    assert_eq!(tasks(&gate, ME).await.len(), 1);
}

/// A herd: a hundred clients wait for one end, and all hear of it.
#[tokio::test]
async fn a_hundred_clients_that_poll_at_once_are_one_poll_upstream() {
    let (gate, heard) = site("prefer").await;
    let task = begin(&gate, "completed", "").await;
    let polls = (0..100).map(|_| over(&gate, &task, ME));
    for shown in futures_all(polls).await {
        assert_eq!(shown["state"], "COMPLETED");
    }
    // SCHEDULED, RUNNING, and COMPLETED three times in a row.
    assert_eq!(times(&heard, "completed"), 5);
}

/// Eventual consistency: an end is believed once it was read three times in a row, and then the last word counts.
#[tokio::test]
async fn an_end_that_is_not_everybody_s_yet_is_read_three_times_in_a_row() {
    let (gate, heard) = site("prefer").await;
    let task = begin(&gate, "lags", "").await;
    let shown = over(&gate, &task, ME).await;
    assert_eq!(shown["state"], "COMPLETED");
    assert_eq!(result(&gate, &task, ME).await.json()["id"], 2);
    assert_eq!(times(&heard, "lags"), 8);
}

/// All of them at the same time, in one thread.
async fn futures_all<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        all.retain_mut(|one| match one.as_mut().poll(context) {
            std::task::Poll::Ready(output) => {
                done.push(output);
                false
            }
            std::task::Poll::Pending => true,
        });
        if all.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done
}
