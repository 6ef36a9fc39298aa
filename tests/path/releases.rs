//! Every unit of every limit comes back, on every path.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::{Rng, RngExt};
use proptest::test_runner::{RngAlgorithm, TestRng};
use tidegate::app::Options;
use tidegate::proxy::Hook;

use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::{all_given_back, gate, gate_with, limit, until, with_listen};

const STACK: &str = r#"
[upstream.limits.upstream_connections_total]
counts = "upstream_connections"
limit = 40
[upstream.limits.upstream_connections]
counts = "upstream_connections"
limit = 30
match = { class = ["rest", "rpc"] }
[upstream.limits.calls]
counts = "requests_in_flight"
limit = 35
[upstream.limits.each]
counts = "requests_in_flight"
key = "address"
limit = 35
[upstream.limits.request_rate]
counts = "requests"
limit = 100000
window = "1s"
[upstream.limits.response_bytes]
counts = "response_bytes"
limit = "256KiB"
match = { class = ["rest", "rpc"] }
"#;

const QUICK: &str = "header_timeout = \"2s\"\nbody_timeout = \"400ms\"\nbody_deadline = \"5s\"";

#[tokio::test]
async fn a_panic_in_any_hook_gives_everything_back() {
    for hook in Hook::ALL {
        let origin = Origin::start().await;
        let armed = Arc::new(AtomicU64::new(1));
        let trap = armed.clone();
        let probe = move |at: Hook, _: Instant| {
            if at == hook && trap.load(Ordering::SeqCst) > 0 {
                panic!("on purpose, at {hook:?}");
            }
        };
        let options = Options {
            probe: Some(Arc::new(probe)),
            ..Options::default()
        };
        let gate = gate_with(&with_listen(origin.address, QUICK, STACK), options);
        for _ in 0..5 {
            let mut client = Client::connect(gate.http()[0]).await;
            client
                .send("POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
                .await;
            _ = client.answer().await;
            assert!(client.closed().await, "{hook:?}");
        }
        armed.store(0, Ordering::SeqCst);
        all_given_back(&gate).await;
        until("its sockets are gone", || {
            limit(&gate.snapshot(), "connections_http").in_use == 0
        })
        .await;
        let mut client = Client::connect(gate.http()[0]).await;
        assert_eq!(
            client.get("/api/x").await.status,
            200,
            "after {hook:?} the gate serves on"
        );
    }
}

#[tokio::test]
async fn a_client_gone_at_each_phase_gives_everything_back() {
    let origin = Origin::start().await;
    let gate = gate(&with_listen(origin.address, QUICK, STACK));
    for bytes in [
        "",
        "GET /api/x HTTP/1.1\r\nHo",
        "POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n",
        "POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
        "POST /api/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        "GET /api/x?hold HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /api/x?sleep=60000 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /api/x?bytes=250000 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /folder/x?chunked=100000000 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /ui/x?upgrade HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    ] {
        let sockets = origin.seen.requests();
        let mut client = Client::connect(gate.http()[0]).await;
        client.send(bytes).await;
        if bytes.starts_with("GET") && bytes.ends_with("\r\n\r\n") {
            until("it reached the upstream", || {
                origin.seen.requests() > sockets
            })
            .await;
        }
        drop(client);
        all_given_back(&gate).await;
        until("its socket is gone", || {
            limit(&gate.snapshot(), "connections_http").in_use == 0
        })
        .await;
    }
    until("the upstream runs nothing", || origin.seen.running() == 0).await;
}

#[tokio::test]
async fn upstream_faults_and_time_outs_give_everything_back() {
    let origin = Origin::start().await;
    let stack = format!("response_timeout = \"300ms\"\nconnect_timeout = \"1s\"\n{STACK}");
    let gate = gate(&with_listen(origin.address, QUICK, &stack));
    for (target, status) in [
        ("/api/x?close", Some(502)),
        ("/api/x?garbage", Some(502)),
        ("/api/x?hold", Some(504)),
        ("/api/x?bytes=1000000", Some(502)),
        ("/api/x?status=500", Some(500)),
        ("/api/x?cut=100", None),
        ("/api/x?chunked=1000000", None),
    ] {
        let mut client = Client::connect(gate.http()[0]).await;
        let answer = client.get(target).await;
        if let Some(status) = status {
            assert_eq!(answer.status, status, "{target}");
        } else {
            assert!(!answer.whole, "{target}");
        }
        all_given_back(&gate).await;
    }
}

#[tokio::test]
async fn shutdown_in_the_middle_ends_every_call_and_leaves_nothing() {
    let origin = Origin::start().await;
    let text =
        with_listen(origin.address, QUICK, STACK).replace("drain = \"20s\"", "drain = \"300ms\"");
    let gate = gate(&text);
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = Client::connect(gate.http()[0]).await;
        client
            .send("GET /api/x?hold HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        clients.push(client);
    }
    until("ten run", || origin.seen.running() == 10).await;
    let left = tokio::task::spawn_blocking(move || gate.drain())
        .await
        .unwrap();
    assert_eq!(left.cut, 10);
    assert!(
        left.snapshot
            .limits
            .iter()
            .all(|row| row.audit_mismatch == 0),
        "{left:?}"
    );
    assert!(
        left.snapshot
            .limits
            .iter()
            .all(|row| row.counts == "requests" || row.in_use == 0),
        "{left:?}"
    );
    until("the upstream has lost them all", || origin.seen.open() == 0).await;
}

#[tokio::test]
async fn a_drain_lets_calls_finish_and_leaves_as_soon_as_none_is_left() {
    let origin = Origin::start().await;
    let gate = gate(&with_listen(origin.address, QUICK, STACK));
    let address = gate.http()[0];
    let mut idle = Client::connect(address).await;
    assert_eq!(idle.get("/api/x").await.status, 200);
    let mut busy = Client::connect(address).await;
    busy.send("GET /api/x?hold HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    until("it runs", || origin.seen.running() == 1).await;
    let drained = tokio::task::spawn_blocking(move || gate.drain());
    assert!(idle.closed().await, "idle connections close at once");
    until("no new connection", || {
        std::net::TcpStream::connect(address).is_err()
    })
    .await;
    origin.release();
    assert_eq!(busy.answer().await.unwrap().status, 200);
    assert_eq!(drained.await.unwrap().cut, 0);
}

/// One request of a random kind, given up at a random moment.
async fn random_request(gate: std::net::SocketAddr, mut dice: impl Rng) {
    let target = [
        "/api/x",
        "/api/x?bytes=100000",
        "/api/x?chunked=300000",
        "/api/x?sleep=5",
        "/api/x?close",
        "/api/x?cut=1000",
        "/sdk?bytes=70000",
        "/folder/x?chunked=200000",
        "/api/x?garbage",
        "/api/%zz",
    ][dice.random_range(0..10)];
    let body = [0, 10, 70_000][dice.random_range(0..3)];
    let bytes = if body == 0 {
        format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
    } else {
        let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {body}\r\n\r\n");
        [head.into_bytes(), vec![b'b'; body]].concat()
    };
    let mut client = Client::connect(gate).await;
    let sent = dice.random_range(0..=bytes.len());
    _ = client.try_send(&bytes[..sent]).await;
    if dice.random_bool(0.5) {
        _ = client.try_send(&bytes[sent..]).await;
        let patience = Duration::from_micros(dice.random_range(0..20_000));
        _ = tokio::time::timeout(patience, client.answer()).await;
    }
}

#[tokio::test]
async fn ten_thousand_randomly_aborted_requests_leave_every_gauge_at_zero() {
    let origin = Origin::start().await;
    let gate = gate(&with_listen(origin.address, QUICK, STACK));
    let address = gate.http()[0];
    let mut dice = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..10_000 {
        let seed: [u8; 32] = dice.random();
        let own = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        running.spawn(random_request(address, own));
        if running.len() >= 64 {
            running.join_next().await.unwrap().unwrap();
        }
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    all_given_back(&gate).await;
    until("no client is left", || {
        limit(&gate.snapshot(), "connections_http").in_use == 0
    })
    .await;
    let admitted = limit(&gate.snapshot(), "calls").admitted;
    assert!(
        admitted > 100,
        "only {admitted} came so far as to hold units"
    );
    let mut client = Client::connect(address).await;
    assert_eq!(client.get("/api/x").await.status, 200);
}
