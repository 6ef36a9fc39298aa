//! Changes of what may be busy, as their routes say: held until they are made, made tasks of, or refused in Skytap's words.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tidegate::app::Running;
use tokio::task::JoinSet;

use crate::rig::{ADMIN, OTHER, body, call, is_plain, request};
use crate::support::client::{Answer, Client};
use crate::support::{all_given_back, gate, until};
use crate::vendors::skytap::Skytap;
use crate::vendors::{Fault, Kind, Pace, When};

const PUT: &str = "PUT /v2/configurations/1";
const RUN: &str = r#"{"runstate":"running"}"#;
const REFUSES: &str = r#"
[[upstream.route]]
name = "refuses"
match = { method = "PUT", path = "/v2/configurations/*" }
class = "blocking"
busy = "refuse"
"#;

/// Before Skytap, whose dialect looks ten times a second.
fn hurried(upstream: SocketAddr, lines: &str) -> Running {
    let text = include_str!("../../config/dialects/skytap.toml")
        .replacen("name  = \"skytap\"", "name  = \"hurried\"", 1)
        .replace("every = \"10s\"", "every = \"100ms\"")
        .replace("apart = \"2s\"", "apart = \"100ms\"");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("hurried-facade-{}.toml", std::process::id()));
    std::fs::write(&file, text).unwrap();
    let lines = format!("dialect_files = [\"{}\"]\n{lines}", file.display());
    before_skytap(upstream, &lines)
}

fn before_skytap(upstream: SocketAddr, lines: &str) -> Running {
    gate(&crate::rig::text(upstream, "skytap", lines, ""))
}

fn brief() -> Pace {
    Pace::Lasts(Duration::from_millis(20))
}

async fn put(gate: &Running, fields: &str, body: &str) -> Answer {
    let fields = format!("{ADMIN}{fields}");
    call(gate.http()[0], PUT, &fields, body).await
}

/// Refused with this status, in Skytap's words; in how many seconds to come back.
fn refused(answer: &Answer, status: u16) -> u64 {
    assert_eq!(answer.status, status, "{answer:?}");
    assert!(answer.json()["error"].is_string(), "{answer:?}");
    let seconds = answer.header("retry-after").expect("when to come back");
    seconds.parse().unwrap()
}

#[tokio::test]
async fn a_client_that_blocks_gets_its_answer_once_the_change_is_made() {
    let skytap = Skytap::start(Pace::ByHand).await;
    let gate = hurried(skytap.address, "");
    let address = gate.http()[0];
    let taken = tokio::spawn(async move { call(address, PUT, ADMIN, RUN).await });
    until("it is polled", || skytap.books.count(Kind::Poll) >= 6).await;
    assert!(!taken.is_finished());
    skytap.works.finish_all();
    let answer = taken.await.unwrap();
    assert_eq!(
        (answer.status, &answer.json()["runstate"]),
        (200, &"running".into())
    );
    is_plain(&answer);
    assert_eq!(skytap.books.count(Kind::Start), 1);
    all_given_back(&gate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_clients_that_change_one_environment_are_all_served() {
    let skytap = Skytap::start(brief()).await;
    let gate = hurried(skytap.address, "");
    let mut calls = JoinSet::new();
    for number in 0..20 {
        let address = gate.http()[0];
        let name = json!({"name": format!("n-{number}")});
        calls.spawn(async move { (call(address, PUT, ADMIN, &name.to_string()).await, name) });
    }
    while let Some(one) = calls.join_next().await {
        let (answer, wanted) = one.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(
            answer.json()["name"],
            wanted["name"],
            "its own change was made"
        );
        assert_eq!(
            skytap.books.effects(&format!("configurations/1 {wanted}")),
            1
        );
    }
    assert_eq!(skytap.books.count(Kind::Start), 20);
    assert_eq!(skytap.books.effects("sent while busy"), 0);
    all_given_back(&gate).await;
}

#[tokio::test]
async fn who_asks_for_a_task_gets_one_and_so_does_everybody_where_the_route_says_so() {
    for (fields, lines) in [
        ("Prefer: respond-async\r\n", REFUSES.to_owned()),
        (
            "",
            REFUSES.replace("busy = \"refuse\"", "async = \"always\""),
        ),
    ] {
        let skytap = Skytap::start(brief()).await;
        skytap.busy("1", true);
        let gate = hurried(skytap.address, &lines);
        let answer = put(&gate, fields, RUN).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let task = answer.header("location").unwrap().to_owned();
        until("it is looked at", || skytap.books.count(Kind::Poll) >= 3).await;
        let shown = call(gate.http()[0], &format!("GET {task}"), ADMIN, "")
            .await
            .json();
        assert_eq!(shown["state"], "SCHEDULED", "{shown}");
        assert_eq!(
            shown["progress"]["message"],
            "waits its turn: environment 1"
        );
        assert_eq!(skytap.books.count(Kind::Start), 0);
        skytap.busy("1", false);
        let wait = format!("{ADMIN}Prefer: wait=30\r\n");
        let shown = call(gate.http()[0], &format!("GET {task}"), &wait, "")
            .await
            .json();
        assert_eq!(shown["state"], "COMPLETED", "{shown}");
        let result = call(gate.http()[0], &format!("GET {task}/result"), ADMIN, "").await;
        assert_eq!(result.json()["runstate"], "running");
    }
}

#[tokio::test]
async fn a_route_that_refuses_looks_once_for_all_who_ask() {
    let skytap = Skytap::start(brief()).await;
    skytap.busy("1", true);
    let gate = before_skytap(skytap.address, REFUSES);
    let mut whens = Vec::new();
    for _ in 0..12 {
        let answer = put(&gate, "", RUN).await;
        whens.push(refused(&answer, 423));
        assert!(body(&answer).contains("busy"), "{answer:?}");
    }
    assert!(
        whens.iter().all(|seconds| (1..=14).contains(seconds)),
        "{whens:?}"
    );
    assert!(
        whens.iter().any(|seconds| *seconds != whens[0]),
        "{whens:?}"
    );
    assert_eq!(
        (
            skytap.books.count(Kind::Poll),
            skytap.books.count(Kind::Start)
        ),
        (1, 0)
    );
    all_given_back(&gate).await;
}

#[tokio::test]
async fn what_is_not_busy_is_passed_on_as_it_came() {
    let skytap = Skytap::start(Pace::ByHand).await;
    let gate = before_skytap(skytap.address, REFUSES);
    let answer = put(&gate, "", RUN).await;
    // As Skytap itself says it: the change has begun.
    assert_eq!(
        (answer.status, &answer.json()["runstate"]),
        (200, &"busy".into())
    );
    refused(&put(&gate, "", r#"{"name":"x"}"#).await, 423);
    assert_eq!(
        (
            skytap.books.count(Kind::Poll),
            skytap.books.count(Kind::Start)
        ),
        (2, 1)
    );
    // Another route of the same resource is held all the same, and one that may not look is told so by Skytap.
    let stranger = call(gate.http()[0], PUT, "", RUN).await;
    assert_eq!(stranger.status, 401, "{stranger:?}");
    assert_eq!(skytap.books.effects("sent while busy"), 0);
    all_given_back(&gate).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_changes_at_the_same_moment_one_is_passed_on() {
    let skytap = Skytap::start(Pace::ByHand).await;
    let gate = before_skytap(skytap.address, REFUSES);
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        let address = gate.http()[0];
        calls.spawn(async move { call(address, PUT, ADMIN, RUN).await.status });
    }
    let mut passed = 0;
    while let Some(status) = calls.join_next().await {
        let status = status.unwrap();
        assert!([200, 423].contains(&status), "{status}");
        passed += u32::from(status == 200);
    }
    assert_eq!(passed, 1);
    assert_eq!(skytap.books.count(Kind::Start), 1);
    assert_eq!(skytap.books.effects("sent while busy"), 0);
}

/// Too many requests is what Skytap says of a look: it would say the same of the change.
#[tokio::test]
async fn a_look_that_is_refused_for_its_rate_refuses_the_change() {
    let skytap = Skytap::start(brief()).await;
    skytap
        .faults
        .on(Kind::Poll, When::Next(1), Fault::answer_after(429, 7));
    let gate = before_skytap(skytap.address, REFUSES);
    assert!(refused(&put(&gate, "", RUN).await, 429) >= 7);
    assert!(refused(&put(&gate, "", RUN).await, 429) >= 6);
    assert_eq!(
        (
            skytap.books.count(Kind::Poll),
            skytap.books.count(Kind::Start)
        ),
        (1, 0)
    );
}

/// A look that has no answer is in nobody's way.
#[tokio::test]
async fn without_a_look_skytap_says_itself_how_it_is() {
    let skytap = Skytap::start(brief()).await;
    skytap
        .faults
        .on(Kind::Poll, When::Next(1), Fault::answer(503));
    let gate = before_skytap(skytap.address, REFUSES);
    assert_eq!(put(&gate, "", RUN).await.status, 200);
}

/// Who may not look is told so by the upstream, however long its body takes, and whatever the upstream has no word on: neither
/// is in anybody else's way.
#[tokio::test]
async fn a_stranger_holds_nothing_up() {
    for (who, fault) in [
        ("Authorization: Basic YWRtaW46bm8=\r\n", None),
        (OTHER, Some(Fault::answer(503))),
    ] {
        let skytap = Skytap::start(brief()).await;
        if let Some(fault) = fault {
            skytap.faults.on(Kind::Poll, When::Next(1), fault);
        }
        let gate = before_skytap(skytap.address, REFUSES);
        let mut client = Client::connect(gate.http()[0]).await;
        let whole = request(PUT, who, RUN);
        client.send(&whole[..whole.len() - 1]).await;
        until("it has looked", || skytap.books.count(Kind::Poll) >= 1).await;
        let answer = put(&gate, "", RUN).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        client.send(&whole[whole.len() - 1..]).await;
        let stranger = client.answer().await.unwrap();
        assert_eq!(stranger.status == 401, who != OTHER, "{stranger:?}");
    }
}

/// Nor does a stranger hear that others change something: the upstream says that it may not look.
#[tokio::test]
async fn a_stranger_hears_nothing_of_others_changes() {
    let skytap = Skytap::start(brief()).await;
    let gate = before_skytap(skytap.address, REFUSES);
    let mut client = Client::connect(gate.http()[0]).await;
    let whole = request(PUT, ADMIN, RUN);
    client.send(&whole[..whole.len() - 1]).await;
    until("it has looked", || skytap.books.count(Kind::Poll) >= 1).await;
    let stranger = "Authorization: Basic YWRtaW46bm8=\r\n";
    let stranger = call(gate.http()[0], PUT, stranger, RUN).await;
    assert_eq!(stranger.status, 401, "{stranger:?}");
    let other = call(gate.http()[0], PUT, OTHER, RUN).await;
    assert_eq!(other.status, 423, "{other:?}");
    client.send(&whole[whole.len() - 1..]).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
}

/// A client that does not wait any longer is told in Skytap's words, and nothing is sent behind its back.
#[tokio::test]
async fn a_client_without_patience_is_told_that_it_is_busy() {
    let skytap = Skytap::start(brief()).await;
    skytap.busy("1", true);
    let gate = hurried(skytap.address, "");
    refused(&put(&gate, "Prefer: wait=1\r\n", RUN).await, 423);
    skytap.busy("1", false);
    let next = put(&gate, "", r#"{"name":"next"}"#).await;
    assert_eq!(
        (next.status, &next.json()["runstate"]),
        (200, &"stopped".into())
    );
    assert_eq!(skytap.books.count(Kind::Start), 1);
}

/// The task goes on without its client, and its key finds it.
#[tokio::test]
async fn a_client_that_goes_away_finds_its_change_by_its_key() {
    let skytap = Skytap::start(brief()).await;
    skytap.busy("1", true);
    let gate = hurried(skytap.address, "");
    let fields = format!("{ADMIN}Idempotency-Key: \"run-1\"\r\n");
    let mut client = Client::connect(gate.http()[0]).await;
    client.send(request(PUT, &fields, RUN)).await;
    until("it is looked at", || skytap.books.count(Kind::Poll) >= 2).await;
    drop(client);
    skytap.busy("1", false);
    let answer = call(gate.http()[0], PUT, &fields, RUN).await;
    assert_eq!(
        (answer.status, &answer.json()["runstate"]),
        (200, &"running".into())
    );
    assert_eq!(skytap.books.count(Kind::Start), 1);
}

#[tokio::test]
async fn a_route_that_never_becomes_a_task_passes_everything_on() {
    let skytap = Skytap::start(brief()).await;
    skytap.busy("1", true);
    let never = REFUSES.replace("busy = \"refuse\"", "async = \"never\"");
    let gate = before_skytap(skytap.address, &never);
    let answer = put(&gate, "", RUN).await;
    assert_eq!(answer.status, 423, "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("30"), "Skytap's own");
    assert_eq!(
        (
            skytap.books.count(Kind::Poll),
            skytap.books.count(Kind::Start)
        ),
        (0, 1)
    );
}
