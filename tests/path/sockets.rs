//! Sockets to the upstream: exact caps, and idle ones that stand in nobody's way.

use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::{all_given_back, gate, limit, plain, until};

fn caps(total: u64, rest: u64) -> String {
    format!(
        r#"
[upstream.limits.upstream_connections_total]
counts = "upstream_connections"
limit = {total}
[upstream.limits.upstream_connections]
counts = "upstream_connections"
limit = {rest}
match = {{ class = ["rest", "rpc"] }}
"#
    )
}

#[tokio::test]
async fn the_socket_over_the_cap_is_refused_and_the_upstream_never_sees_it() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, &caps(100, 3)));
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(gate.http()[0]).await;
        client
            .send("GET /api/x?hold HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        held.push(client);
    }
    until("three run", || origin.seen.running() == 3).await;
    let mut more = Client::connect(gate.http()[0]).await;
    let refused = more.get("/api/x").await;
    assert_eq!(refused.status, 503);
    assert_eq!(
        refused.header("tidegate-limit"),
        Some("upstream_connections")
    );
    assert_eq!(more.get("/sdk").await.status, 200, "SOAP has its own room");
    origin.release();
    for client in &mut held {
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    assert_eq!(more.get("/api/x").await.status, 200);
    assert_eq!(origin.seen.most_open(), 4);
    all_given_back(&gate).await;
}

#[tokio::test]
async fn a_connection_that_stayed_clean_is_used_again() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, &caps(10, 10)));
    let mut client = Client::connect(gate.http()[0]).await;
    for target in [
        "/api/x",
        "/api/x?bytes=100000",
        "/api/x?chunked=100000",
        "/api/x?bytes=0",
    ] {
        for _ in 0..5 {
            assert_eq!(client.get(target).await.status, 200, "{target}");
        }
    }
    client
        .send("HEAD /api/x?bytes=100 HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(client.answer_to("HEAD").await.unwrap().status, 200);
    assert_eq!(client.get("/api/x?status=204").await.status, 204);
    assert_eq!(client.post("/api/x", &[b'p'; 200_000]).await.status, 200);
    assert_eq!(client.get("/api/x").await.status, 200);
    assert_eq!(origin.seen.sockets(), 1);
    all_given_back(&gate).await;
    let row = &gate.snapshot().upstreams[0];
    assert_eq!((row.open, row.idle), (1, 1));
}

#[tokio::test]
async fn a_connection_that_did_not_stay_clean_is_closed() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, &caps(10, 10)));
    let mut client = Client::connect(gate.http()[0]).await;
    assert_eq!(client.get("/api/x?close").await.status, 502);
    let mut client = Client::connect(gate.http()[0]).await;
    assert!(!client.get("/api/x?cut=5000").await.whole);
    let mut client = Client::connect(gate.http()[0]).await;
    assert_eq!(client.get("/api/x?garbage").await.status, 502);
    let mut client = Client::connect(gate.http()[0]).await;
    assert_eq!(
        client.get("/api/x?header=Connection:close").await.status,
        200
    );
    until("all closed", || origin.seen.open() == 0).await;
    until("none counted", || gate.snapshot().upstreams[0].open == 0).await;
    assert_eq!(limit(&gate.snapshot(), "upstream_connections").in_use, 0);
    all_given_back(&gate).await;
}

#[tokio::test]
async fn idle_sockets_of_one_group_give_way_to_the_other() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, &caps(2, 2)));
    for round in 0..10 {
        let (first, second) = if round % 2 == 0 {
            ("/sdk", "/api/x")
        } else {
            ("/api/x", "/sdk")
        };
        for target in [first, second] {
            let mut clients = Vec::new();
            for _ in 0..2 {
                let mut client = Client::connect(gate.http()[0]).await;
                client
                    .send(format!("GET {target}?hold HTTP/1.1\r\nHost: a\r\n\r\n"))
                    .await;
                clients.push(client);
            }
            until("both run", || origin.seen.running() == 2).await;
            origin.release();
            for client in &mut clients {
                let answer = client.answer().await.unwrap();
                assert_eq!(answer.status, 200, "round {round} {target}: {answer:?}");
            }
        }
    }
    all_given_back(&gate).await;
}

#[tokio::test]
async fn an_idle_socket_of_one_thread_never_keeps_a_caller_of_another_waiting() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, &caps(1, 1)));
    // Connections go to the threads by turns, so these two are on different ones.
    let mut one = Client::connect(gate.http()[0]).await;
    let mut other = Client::connect(gate.http()[0]).await;
    for _ in 0..50 {
        assert_eq!(one.get("/api/x").await.status, 200);
        assert_eq!(other.get("/api/x").await.status, 200);
    }
    assert_eq!(origin.seen.most_open(), 1);
    all_given_back(&gate).await;
}

#[tokio::test]
async fn under_any_mix_of_groups_nearly_all_places_are_usable() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, &caps(60, 55)));
    // Fill the pool with idle sockets of the other group first.
    let mut soap = Vec::new();
    for _ in 0..60 {
        let mut client = Client::connect(gate.http()[0]).await;
        client
            .send("GET /sdk?hold HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        soap.push(client);
    }
    until("60 SOAP calls run", || origin.seen.running() == 60).await;
    origin.release();
    for client in &mut soap {
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    let mut rest = Vec::new();
    for _ in 0..55 {
        let mut client = Client::connect(gate.http()[0]).await;
        client
            .send("GET /api/x?hold HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        rest.push(client);
    }
    until("55 REST calls run", || origin.seen.running() == 55).await;
    origin.release();
    for client in &mut rest {
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    assert_eq!(
        limit(&gate.snapshot(), "upstream_connections").refused,
        [0; 4]
    );
    all_given_back(&gate).await;
}

#[tokio::test]
async fn a_stale_socket_is_replaced_without_the_client_noticing() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, &caps(10, 10)));
    let mut client = Client::connect(gate.http()[0]).await;
    // The upstream closes behind its answer without saying so.
    for _ in 0..20 {
        assert_eq!(client.get("/api/x?header=X-A:b").await.status, 200);
        assert_eq!(client.post("/api/x?status=204", b"").await.status, 204);
    }
    assert_eq!(origin.seen.requests(), 40);
}

#[tokio::test]
async fn a_broken_post_is_never_sent_twice() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, &caps(10, 10)));
    let mut client = Client::connect(gate.http()[0]).await;
    assert_eq!(client.get("/api/x").await.status, 200);
    let broken = client.post("/api/x?close", b"once").await;
    assert_eq!(broken.status, 502);
    assert_eq!(origin.seen.requests(), 2);
    all_given_back(&gate).await;
}

#[tokio::test]
async fn an_upstream_that_is_down_is_503_at_once_where_nobody_waits_and_counted() {
    let origin = Origin::start().await;
    let address = origin.address;
    drop(origin);
    let limits = format!("blackout = \"0s\"\n{}", caps(10, 10));
    let gate = gate(&plain(address, &limits));
    for _ in 0..3 {
        let mut client = Client::connect(gate.http()[0]).await;
        let answer = client.get("/api/x").await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("tidegate-limit"), None);
        assert!(answer.header("retry-after").is_some());
    }
    let snapshot = gate.snapshot();
    let errors = snapshot.upstreams[0].errors.iter();
    let connect = errors.clone().find(|(reason, _)| *reason == "connect");
    assert!(connect.unwrap().1 >= 1, "{errors:?}");
    all_given_back(&gate).await;
}
