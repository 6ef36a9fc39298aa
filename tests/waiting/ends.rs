//! How a wait ends without a turn: time is up, the line is full, there is no hope.

use std::time::{Duration, Instant};

use crate::rig::{LONG, Rig, get, get_with, seats};
use crate::support::client::{Answer, Client};
use crate::support::origin::Origin;
use crate::support::{gate, limit, until, with_listen};

/// A refusal by the limit `calls`, said as it should be.
#[track_caller]
fn is_refused(answer: &Answer) {
    let said = (answer.status, answer.header("tidegate-limit"));
    assert_eq!(said, (503, Some("calls")), "{answer:?}");
    let back: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(back >= 1, "{answer:?}");
}

async fn metrics(rig: &Rig) -> String {
    let mut admin = Client::connect(rig.gate.admin()).await;
    String::from_utf8(admin.get("/metrics").await.body).unwrap()
}

fn refused_total(reason: &str) -> String {
    format!(r#"tidegate_limit_refused_total{{limit="calls",reason="{reason}",upstream="up"}} 1"#)
}

#[tokio::test]
async fn who_has_waited_as_long_as_the_limit_allows_is_refused() {
    let mut rig = Rig::start(&seats(1, "line = 10, at_most = \"300ms\"")).await;
    rig.fill().await;
    let mut client = rig.client().await;
    let began = Instant::now();
    client.send(get("/api/x", "10.0.0.1")).await;
    is_refused(&client.answer().await.unwrap());
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(rig.row("calls").refused, [0, 0, 1, 0]);
    let said = metrics(&rig).await;
    for line in [
        refused_total("timeout"),
        r#"tidegate_limit_wait_seconds_count{limit="calls",upstream="up"} 1"#.to_owned(),
        r#"tidegate_limit_wait_seconds_bucket{limit="calls",upstream="up",le="0.1"} 0"#.to_owned(),
    ] {
        assert!(said.contains(&line), "{line}\n{said}");
    }
    assert_eq!((rig.asked().len(), rig.waiting()), (0, 0));
    rig.let_go().await;
    client.send(get("/api/x", "10.0.0.1")).await;
    let again = client.answer().await.unwrap();
    assert_eq!(again.status, 200, "the same connection serves on");
    rig.all_back().await;
}

#[tokio::test]
async fn a_full_line_and_a_full_share_refuse_at_once() {
    let wait = "line = 3, per_user = 2, at_most = \"300s\"";
    let mut rig = Rig::start(&seats(1, wait)).await;
    rig.fill().await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        waiting.push(rig.stand(get("/api/x", "10.0.0.1")).await);
    }
    let mut client = rig.client().await;
    client.send(get("/api/x", "10.0.0.1")).await;
    is_refused(&client.answer().await.unwrap());
    waiting.push(rig.stand(get("/api/x", "10.0.0.2")).await);
    client.send(get("/api/x", "10.0.0.3")).await;
    is_refused(&client.answer().await.unwrap());
    assert_eq!(rig.row("calls").refused, [0, 2, 0, 0], "line_full, twice");
    assert_eq!(rig.waiting(), 3);
    rig.let_go().await;
    for client in &mut waiting {
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    rig.all_back().await;
}

#[tokio::test]
async fn the_request_itself_says_how_long_it_waits() {
    let mut rig = Rig::start(&seats(1, LONG)).await;
    rig.fill().await;
    for field in ["Prefer: wait=1\r\n", "Request-Timeout: 4\r\n"] {
        let mut client = rig.client().await;
        let began = Instant::now();
        client.send(get_with("/api/x", field)).await;
        is_refused(&client.answer().await.unwrap());
        assert!(began.elapsed() >= Duration::from_secs(1), "{field}");
    }
    let mut client = rig.client().await;
    client.send(get_with("/api/x", "Prefer: wait=0\r\n")).await;
    is_refused(&client.answer().await.unwrap());
    assert_eq!(rig.row("calls").refused, [1, 0, 2, 0], "full, and timeout");
    rig.let_go().await;
    rig.all_back().await;
}

#[tokio::test]
async fn who_cannot_be_served_in_its_time_is_refused_at_once() {
    let mut rig = Rig::start(&seats(1, LONG)).await;
    let mut client = rig.client().await;
    // Now it is known that a seat is held for more than a second.
    client.send(get("/api/x?sleep=1300", "10.0.0.1")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    rig.fill().await;
    let mut first = rig.stand(get("/api/x", "10.0.0.1")).await;
    let fields = "X-Forwarded-For: 10.0.0.1\r\nPrefer: wait=1\r\n";
    client.send(get_with("/api/x", fields)).await;
    is_refused(&client.answer().await.unwrap());
    assert_eq!(rig.row("calls").refused, [0, 0, 0, 1], "hopeless");
    let said = metrics(&rig).await;
    assert!(said.contains(&refused_total("hopeless")), "{said}");
    rig.let_go().await;
    assert_eq!(first.answer().await.unwrap().status, 200);
    rig.all_back().await;
}

#[tokio::test]
async fn the_access_log_says_how_each_wait_ended_and_how_long_it_was() {
    let origin = Origin::start().await;
    let lines = std::env::temp_dir().join(format!("tidegate-waits-{}.log", std::process::id()));
    drop(std::fs::remove_file(&lines));
    let text = with_listen(
        origin.address,
        "",
        &seats(1, "line = 10, at_most = \"400ms\""),
    )
    .replace(
        "access = \"off\"",
        &format!("access = \"{}\"", lines.display()),
    );
    let gate = gate(&text);
    let calls = || limit(&gate.snapshot(), "calls");
    let mut held = Client::connect(gate.http()[0]).await;
    held.send(get("/api/held?hold", "10.0.0.1")).await;
    until("it runs", || origin.seen.running() == 1).await;
    let mut gone = Client::connect(gate.http()[0]).await;
    gone.send(get("/api/gone", "10.0.0.1")).await;
    until("it waits", || calls().waiting == 1).await;
    drop(gone);
    until("it has left", || calls().waiting == 0).await;
    let mut late = Client::connect(gate.http()[0]).await;
    assert_eq!(late.get("/api/late").await.status, 503);
    let mut served = Client::connect(gate.http()[0]).await;
    served.send(get("/api/served", "10.0.0.1")).await;
    until("it waits", || calls().waiting == 1).await;
    origin.release();
    assert_eq!(served.answer().await.unwrap().status, 200);
    let read = || std::fs::read_to_string(&lines).unwrap_or_default();
    until("all is written", || read().lines().count() == 4).await;
    for (target, letters, limit) in [
        ("/api/gone", "CA", None),
        ("/api/late", "LA", Some("calls")),
        ("/api/served", "--", None),
    ] {
        let text = read();
        let line = text.lines().find(|line| line.contains(target)).unwrap();
        let said: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line.contains(&format!("\"{letters}\"")), "{line}");
        assert_eq!(said["limit"].as_str(), limit, "{line}");
        assert!(said["wait_seconds"].as_f64().unwrap() > 0.0, "{line}");
    }
}
