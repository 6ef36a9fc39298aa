//! Slow and huge requests are cut, and cost nobody else anything.

use std::time::Duration;

use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::{all_given_back, gate, limit, until, with_listen};

const SHORT: &str = "header_timeout = \"500ms\"\nbody_timeout = \"500ms\"\nbody_deadline = \"1500ms\"\n\
                     idle_timeout = \"10s\"\nmax_header_bytes = \"8KiB\"\nmax_body_bytes = \"1MiB\"";

/// Sends `bytes` one by one, with pauses that are each far below every time-out.
async fn drip(client: &mut Client, bytes: &str) {
    for byte in bytes.bytes() {
        if client.try_send([byte]).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_head_that_drips_is_408_whatever_its_pace() {
    let origin = Origin::start().await;
    let gate = gate(&with_listen(origin.address, SHORT, ""));
    let mut client = Client::connect(gate.http()[0]).await;
    drip(
        &mut client,
        "GET /api/x HTTP/1.1\r\nHost: a\r\nX-Slow: 1\r\n",
    )
    .await;
    assert_eq!(client.answer().await.unwrap().status, 408);
    assert!(client.closed().await);
    assert_eq!(origin.seen.requests(), 0);
}

#[tokio::test]
async fn a_thousand_slow_clients_do_not_keep_a_quick_one_waiting() {
    let origin = Origin::start().await;
    let gate = gate(&with_listen(
        origin.address,
        &SHORT.replace("500ms\"\nbody_t", "20s\"\nbody_t"),
        "",
    ));
    let mut slow = Vec::new();
    for _ in 0..1000 {
        let mut client = Client::connect(gate.http()[0]).await;
        client.send("GET /api/x HTTP/1.1\r\nHo").await;
        slow.push(client);
    }
    until("all are counted", || {
        limit(&gate.snapshot(), "connections_http").in_use == 1000
    })
    .await;
    let mut quick = Client::connect(gate.http()[0]).await;
    assert_eq!(quick.get("/api/x").await.status, 200);
    drop((slow, quick));
    until("all are gone", || {
        limit(&gate.snapshot(), "connections_http").in_use == 0
    })
    .await;
}

#[tokio::test]
async fn a_head_over_the_limit_is_431_in_one_piece_or_in_many() {
    let origin = Origin::start().await;
    let gate = gate(&with_listen(origin.address, SHORT, ""));
    let large = format!(
        "GET /api/x HTTP/1.1\r\nHost: a\r\nX-Large: {}\r\n\r\n",
        "x".repeat(9000)
    );
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000));
    let many: String = (0..1500).map(|n| format!("X{n}: 1\r\n")).collect();
    let many = format!("GET /api/x HTTP/1.1\r\nHost: a\r\n{many}\r\n");
    let endless = format!(
        "GET /api/x HTTP/1.1\r\nHost: a\r\n{}",
        "X-More: 1\r\n".repeat(10_000)
    );
    for head in [large, long, many, endless] {
        let mut client = Client::connect(gate.http()[0]).await;
        for piece in head.as_bytes().chunks(700) {
            if client.try_send(piece).await.is_err() {
                break;
            }
        }
        assert_eq!(
            client.answer().await.unwrap().status,
            431,
            "{}",
            &head[..40]
        );
        assert!(client.closed().await);
    }
    let fits = format!(
        "GET /api/x HTTP/1.1\r\nHost: a\r\nX-Large: {}\r\n\r\n",
        "x".repeat(7000)
    );
    let mut client = Client::connect(gate.http()[0]).await;
    client.send(fits).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    assert_eq!(origin.seen.requests(), 1);
}

#[tokio::test]
async fn an_endless_chunked_body_is_cut_at_max_body_bytes() {
    let origin = Origin::start().await;
    let gate = gate(&with_listen(origin.address, SHORT, ""));
    let mut client = Client::connect(gate.http()[0]).await;
    client
        .send("POST /api/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let mut sent = 0;
    while client
        .try_send(format!("1000\r\n{}\r\n", "x".repeat(0x1000)))
        .await
        .is_ok()
    {
        sent += 0x1000;
        assert!(sent < 256 << 20, "the gate takes it without end");
    }
    assert_eq!(client.answer().await.map(|answer| answer.status), Some(413));
    all_given_back(&gate).await;
}

#[tokio::test]
async fn chunk_extensions_and_huge_chunk_sizes_are_no_way_round() {
    let origin = Origin::start().await;
    let gate = gate(&with_listen(origin.address, SHORT, ""));
    for body in [
        "ffffffffffffffffff\r\n",
        "7fffffffffffffff\r\nabc",
        "-1\r\nabc",
        "0x10\r\nabc",
        " 5\r\nabcde\r\n0\r\n\r\n",
        "5;ext\n abcde\r\n0\r\n\r\n",
        "5\nabcde\n0\n\n",
    ] {
        let mut client = Client::connect(gate.http()[0]).await;
        client
            .send("POST /api/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        _ = client.try_send(body).await;
        let status = client.answer().await.map(|answer| answer.status);
        assert!(
            status.is_none_or(|status| status >= 400),
            "{body:?}: {status:?}"
        );
    }
    all_given_back(&gate).await;
}
