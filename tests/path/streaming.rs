//! Bodies in both directions: whole, bounded where they must be, and never held in memory.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::client::Client;
use crate::support::origin::{Origin, hash_of};
use crate::support::{all_given_back, gate, limit, plain, until, with_listen};

#[tokio::test]
async fn request_bodies_arrive_as_they_were_sent_with_length_and_in_chunks() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, ""));
    let mut client = Client::connect(gate.http()[0]).await;
    for size in [1, 65_535, 65_536, 65_537, 1_000_000] {
        let body: Vec<u8> = (0..size)
            .map(|n: u32| n.wrapping_mul(2_654_435_761) as u8)
            .collect();
        let answer = client.post("/api/x", &body).await;
        assert_eq!(answer.json()["body_length"], size);
        assert_eq!(answer.json()["body_hash"], hash_of(&body));
        client
            .send("POST /api/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        for piece in body.chunks(30_000) {
            client.send(format!("{:x}\r\n", piece.len())).await;
            client.send(piece).await;
            client.send("\r\n").await;
        }
        client.send("0\r\n\r\n").await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.json()["body_length"], size);
        assert_eq!(answer.json()["body_hash"], hash_of(&body));
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413_by_length_and_while_streaming() {
    let origin = Origin::start().await;
    let gate = gate(&with_listen(
        origin.address,
        "max_body_bytes = \"1MiB\"",
        "",
    ));
    let mut client = Client::connect(gate.http()[0]).await;
    client
        .send("POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\nExpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.unwrap().status, 413);
    assert_eq!(origin.seen.requests(), 0);
    let mut client = Client::connect(gate.http()[0]).await;
    client
        .send("POST /api/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    let piece = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..17 {
        if client.try_send(&piece).await.is_err() {
            break;
        }
    }
    assert_eq!(client.answer().await.unwrap().status, 413);
    all_given_back(&gate).await;
    let mut client = Client::connect(gate.http()[0]).await;
    let transfer = client.post("/folder/vm/disk.vmdk", &vec![0; 2 << 20]).await;
    assert_eq!(
        transfer.json()["body_length"],
        2 << 20,
        "transfers have no such limit"
    );
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_the_upstream_back_and_memory_stays_flat() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, ""));
    let before = resident();
    let size: u64 = 1 << 30;
    let mut client = Client::connect(gate.http()[0]).await;
    client
        .send(format!(
            "GET /folder/disk.vmdk?bytes={size} HTTP/1.1\r\nHost: a\r\n\r\n"
        ))
        .await;
    let mut bytes = vec![0; 1 << 20];
    let mut read: u64 = 0;
    let mut most = 0;
    while read < size {
        let now = client.stream.read(&mut bytes).await.unwrap();
        assert!(now > 0, "the whole gigabyte comes: {read}");
        read += now as u64;
        most = most.max(resident().saturating_sub(before));
    }
    assert!(
        most < 64 << 20,
        "resident memory grew by {most} bytes while a gigabyte passed"
    );
    // Up, with an upstream that takes it as fast as it can.
    client
        .send(format!(
            "PUT /folder/x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
            64 << 20
        ))
        .await;
    drop(client);
    all_given_back(&gate).await;
}

/// Resident memory of this process, bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[tokio::test]
async fn an_upgraded_connection_passes_bytes_and_holds_its_units_to_the_end() {
    let origin = Origin::start().await;
    let limits = "[upstream.limits.calls]\ncounts = \"requests_in_flight\"\nlimit = 2\n\
                  [upstream.limits.upstream_connections_total]\ncounts = \"upstream_connections\"\nlimit = 2";
    let gate = gate(&plain(origin.address, limits));
    let mut client = Client::connect(gate.http()[0]).await;
    client
        .send("GET /ui/console?upgrade HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.unwrap().status, 101);
    for round in 0..10_u8 {
        let sent = [round; 3000];
        client.stream.write_all(&sent).await.unwrap();
        let mut back = [0; 3000];
        client.stream.read_exact(&mut back).await.unwrap();
        assert_eq!(back, sent);
    }
    assert_eq!(limit(&gate.snapshot(), "calls").in_use, 1);
    drop(client);
    until("the upstream's side ends too", || origin.seen.open() == 0).await;
    all_given_back(&gate).await;
}

#[tokio::test]
async fn a_paused_body_is_cut_after_body_timeout() {
    let origin = Origin::start().await;
    let gate = gate(&with_listen(origin.address, "body_timeout = \"300ms\"", ""));
    let mut client = Client::connect(gate.http()[0]).await;
    client
        .send("POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        .await;
    assert_eq!(client.answer().await.unwrap().status, 408);
    assert!(client.closed().await);
    all_given_back(&gate).await;
}

#[tokio::test]
async fn a_body_that_drips_is_cut_at_its_deadline_but_a_transfer_is_not() {
    let origin = Origin::start().await;
    let listen = "body_timeout = \"10s\"\nbody_deadline = \"500ms\"";
    let gate = gate(&with_listen(origin.address, listen, ""));
    for (target, spared) in [("/api/x", false), ("/folder/x", true)] {
        let mut client = Client::connect(gate.http()[0]).await;
        client
            .send(format!(
                "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\n"
            ))
            .await;
        for _ in 0..15 {
            if client.try_send("x").await.is_err() {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let status = client.answer().await.map(|answer| answer.status);
        assert_eq!(status == Some(200), spared, "{target}: {status:?}");
    }
    all_given_back(&gate).await;
}
