//! Bodies of calls that wait: read in, or left on the wire, they arrive as they were sent.

use std::time::{Duration, Instant};

use tidegate::app::Options;

use crate::rig::{LONG, Rig, get, seats};
use crate::support::client::Client;
use crate::support::origin::hash_of;
use crate::support::until;

/// Bytes that are nowhere the same.
fn body(length: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn head(fields: &str) -> String {
    format!("POST /api/x HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in body.chunks(size) {
        bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
        bytes.extend(piece);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

/// Sends `bytes` while it reads the answer: who waits unread must not wait for the client.
async fn arrives(rig: &Rig, client: Client, bytes: Vec<u8>, body: &[u8]) {
    let (mut read, mut write) = client.stream.into_split();
    let sending = tokio::spawn(async move {
        _ = tokio::io::AsyncWriteExt::write_all(&mut write, &bytes).await;
        write
    });
    until("its seat is free again", || rig.waiting() == 0).await;
    let mut text = Vec::new();
    while !text.ends_with(b"}") {
        let read = tokio::io::AsyncReadExt::read_buf(&mut read, &mut text);
        let read = tokio::time::timeout(crate::support::PATIENCE, read).await;
        assert!(read.unwrap().unwrap() > 0, "an answer");
    }
    drop(sending.await.unwrap());
    let text = String::from_utf8(text).unwrap();
    let answer = text.rsplit("\r\n\r\n").next().unwrap();
    let said: serde_json::Value = serde_json::from_str(answer).unwrap();
    assert_eq!(said["body_length"], body.len() as u64);
    assert_eq!(said["body_hash"], hash_of(body), "{} bytes", body.len());
}

#[tokio::test]
async fn a_body_arrives_byte_for_byte_whether_it_was_read_in_or_not() {
    let options = Options {
        unwatched: Some(Duration::from_secs(60)),
        ..Options::default()
    };
    let mut rig = Rig::start_with("", &seats(1, LONG), options).await;
    for length in [1, 1024, 40 * 1024, 56 * 1024, 57 * 1024, 1 << 20] {
        let body = body(length);
        let framed = format!("Content-Length: {length}\r\n");
        for (head, sent) in [
            (head(&framed), body.clone()),
            (head("Transfer-Encoding: chunked\r\n"), chunked(&body, 1000)),
            (
                head("Transfer-Encoding: chunked\r\n"),
                chunked(&body, 70_000),
            ),
        ] {
            rig.fill().await;
            let whole = [head.as_bytes(), &sent].concat();
            let (at_once, later) = whole.split_at(whole.len().min(head.len() + length / 2));
            let client = rig.stand(at_once).await;
            rig.let_go().await;
            arrives(&rig, client, later.to_vec(), &body).await;
        }
    }
    rig.all_back().await;
}

#[tokio::test]
async fn the_rest_of_a_body_may_come_while_its_call_waits() {
    let mut rig = Rig::start(&seats(1, LONG)).await;
    let body = body(50 * 1024);
    rig.fill().await;
    let mut client = rig.stand(head("Content-Length: 51200\r\n")).await;
    for piece in body.chunks(5000) {
        client.send(piece).await;
    }
    rig.let_go().await;
    arrives(&rig, client, Vec::new(), &body).await;
    rig.all_back().await;
}

#[tokio::test]
async fn who_asks_first_is_told_to_send_its_body_while_it_waits() {
    let mut rig = Rig::start(&seats(1, LONG)).await;
    for length in [1, 1024, 56 * 1024] {
        let body = body(length);
        rig.fill().await;
        let fields = format!("Content-Length: {length}\r\nExpect: 100-continue\r\n");
        let mut client = rig.stand(head(&fields)).await;
        client.read_ahead(25).await;
        client.send(&body).await;
        rig.let_go().await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["body_hash"], hash_of(&body));
        assert_eq!(answer.received("expect"), [""; 0]);
    }
    rig.all_back().await;
}

#[tokio::test]
async fn a_call_whose_client_cannot_be_watched_waits_no_longer_than_a_bounded_time() {
    for framing in [
        "Content-Length: 1048576\r\n",
        "Transfer-Encoding: chunked\r\n",
    ] {
        let options = Options {
            unwatched: Some(Duration::from_millis(300)),
            ..Options::default()
        };
        let mut rig = Rig::start_with("", &seats(1, LONG), options).await;
        rig.fill().await;
        let mut client = rig.client().await;
        let began = Instant::now();
        client.send(head(framing)).await;
        if framing.starts_with("Transfer") {
            // More than is read in, and it does not end.
            let piece = format!("{:x}\r\n{}\r\n", 100_000, "x".repeat(100_000));
            _ = client.try_send(piece).await;
        }
        let refused = client.answer().await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(300));
        assert_eq!(refused.status, 503);
        assert_eq!(refused.header("tidegate-limit"), Some("calls"));
        assert_eq!(rig.row("calls").refused, [0, 0, 1, 0], "timeout");
        assert!(client.closed().await, "its body is in the way");
        rig.let_go().await;
        assert_eq!(rig.asked(), [""; 0]);
        rig.all_back().await;
    }
}

#[tokio::test]
async fn a_small_body_is_watched_longer_than_that() {
    let options = Options {
        unwatched: Some(Duration::ZERO),
        ..Options::default()
    };
    let mut rig = Rig::start_with("", &seats(1, LONG), options).await;
    rig.fill().await;
    let sent = [
        get("/api/x", "10.0.0.1").into_bytes(),
        [head("Content-Length: 3\r\n").as_bytes(), b"abc"].concat(),
        [
            head("Transfer-Encoding: chunked\r\n").as_bytes(),
            &chunked(b"abc", 2),
        ]
        .concat(),
    ];
    let mut clients = Vec::new();
    for request in sent {
        clients.push(rig.stand(request).await);
    }
    rig.let_go().await;
    for client in &mut clients {
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    rig.all_back().await;
}

#[tokio::test]
async fn a_body_that_stops_coming_while_its_call_waits_is_late() {
    let short = "body_timeout = \"300ms\"";
    let mut rig = Rig::start_with(short, &seats(1, LONG), Options::default()).await;
    rig.fill().await;
    let half = head("Content-Length: 1000\r\n") + "half";
    let mut client = rig.stand(half).await;
    assert_eq!(client.answer().await.unwrap().status, 408);
    rig.until_waiting(0).await;
    rig.let_go().await;
    assert_eq!(rig.asked(), [""; 0]);
    rig.all_back().await;
}

#[tokio::test]
async fn a_call_that_is_upgraded_waits_like_others() {
    let mut rig = Rig::start(&seats(1, LONG)).await;
    rig.fill().await;
    let fields = "Host: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    let mut client = rig
        .stand(format!("GET /ui/x?upgrade HTTP/1.1\r\n{fields}\r\n"))
        .await;
    rig.let_go().await;
    assert_eq!(client.answer().await.unwrap().status, 101);
    client.send("echo").await;
    client.read_ahead(4).await;
    assert_eq!(rig.row("calls").in_use, 1, "as long as it is open");
    drop(client);
    rig.all_back().await;
}
