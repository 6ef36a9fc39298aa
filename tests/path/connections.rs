//! Client sockets: counted for their whole life, refused in protocol, bounded to the unit.

use std::time::Duration;

use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::{gate, limit, until, with_listen};

const TWO: &str = "max_connections = { http = 2, https = 2 }";

#[tokio::test]
async fn the_socket_over_the_limit_gets_503_and_is_closed_and_a_closed_one_makes_room() {
    let origin = Origin::start().await;
    let gate = gate(&with_listen(origin.address, TWO, ""));
    let mut first = Client::connect(gate.http()[0]).await;
    assert_eq!(first.get("/api/x").await.status, 200);
    let idle = Client::connect(gate.http()[0]).await;
    until("both are counted", || {
        limit(&gate.snapshot(), "connections_http").in_use == 2
    })
    .await;
    let mut third = Client::connect(gate.http()[0]).await;
    let refused = third.get("/api/x").await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("tidegate-limit"), Some("connections_http"));
    assert_eq!(refused.header("connection"), Some("close"));
    assert!(refused.header("retry-after").is_some());
    assert!(third.closed().await);
    assert_eq!(first.get("/api/x").await.status, 200, "the others serve on");
    drop(idle);
    until("its place is free", || {
        limit(&gate.snapshot(), "connections_http").in_use == 1
    })
    .await;
    let mut fourth = Client::connect(gate.http()[0]).await;
    assert_eq!(fourth.get("/api/x").await.status, 200);
    assert_eq!(origin.seen.requests(), 3);
}

#[tokio::test]
async fn a_limit_of_no_connections_blocks_them_all() {
    let origin = Origin::start().await;
    let none = "max_connections = { http = 0, https = 0 }";
    let gate = gate(&with_listen(origin.address, none, ""));
    let mut client = Client::connect(gate.http()[0]).await;
    assert_eq!(client.get("/api/x").await.status, 503);
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_idle_timeout_and_a_busy_one_is_not() {
    let origin = Origin::start().await;
    let gate = gate(&with_listen(origin.address, "idle_timeout = \"300ms\"", ""));
    let mut client = Client::connect(gate.http()[0]).await;
    assert_eq!(client.get("/api/x?sleep=900").await.status, 200);
    assert!(client.closed().await);
    until("none left", || {
        limit(&gate.snapshot(), "connections_http").in_use == 0
    })
    .await;
}

#[tokio::test]
async fn the_next_head_on_a_kept_connection_has_its_own_deadline() {
    let origin = Origin::start().await;
    let listen = "header_timeout = \"400ms\"\nidle_timeout = \"20s\"";
    let gate = gate(&with_listen(origin.address, listen, ""));
    let mut client = Client::connect(gate.http()[0]).await;
    assert_eq!(client.get("/api/x").await.status, 200);
    assert!(
        client.stays_open(Duration::from_millis(900)).await,
        "idle is not a slow head"
    );
    assert_eq!(client.get("/api/x").await.status, 200);
    client.send("GET /api/x HTTP/1.1\r\nHost:").await;
    assert_eq!(client.answer().await.unwrap().status, 408);
    assert!(client.closed().await);
}
