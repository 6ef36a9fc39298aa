//! HTTP/2: refusals on its streams, deadlines of its frames, and what one stream does to the others.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use tidegate::config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use crate::rig::{PATIENCE, Rig, config_tls, eventually};
use crate::tls::connect;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// An HTTP/2 client, and the task that runs its connection.
async fn client(
    rig: &Rig,
) -> (
    SendRequest<Bytes>,
    tokio::task::JoinHandle<Result<(), h2::Error>>,
) {
    let files = rig.certificate.clone().expect("a TLS rig");
    let stream = connect(rig.https, &files, "h2", None)
        .await
        .expect("connected");
    let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    (sender, tokio::spawn(connection))
}

fn request(path: &str) -> http::Request<()> {
    http::Request::get(format!("https://gate.test{path}"))
        .body(())
        .expect("a request")
}

async fn status(sender: &SendRequest<Bytes>, path: &str) -> Result<u16, h2::Error> {
    let mut sender = sender.clone().ready().await?;
    let (answer, _) = sender.send_request(request(path), true)?;
    let answer = timeout(PATIENCE, answer)
        .await
        .expect("an answer in time")?;
    let status = answer.status().as_u16();
    let mut body = answer.into_body();
    while let Some(chunk) = body.data().await {
        chunk?;
    }
    Ok(status)
}

/// Raw bytes of HTTP/2 under TLS.
async fn raw(to: SocketAddr, rig: &Rig) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
    let files = rig.certificate.clone().expect("a TLS rig");
    connect(to, &files, "h2", None).await.expect("connected")
}

#[tokio::test]
async fn over_the_limit_each_stream_is_answered_503_and_the_connection_ends() {
    let rig = Rig::start(&config::Listen {
        max_connections_https: 0,
        ..config_tls()
    });
    let (sender, connection) = client(&rig).await;
    let both = tokio::join!(status(&sender, "/a"), status(&sender, "/b"));
    assert_eq!(both.0.expect("an answer"), 503);
    // The second may come after the farewell: then it is refused so that it can be tried elsewhere.
    assert!(both.1.is_ok_and(|status| status == 503) || rig.requests() == 0);
    drop(sender);
    timeout(PATIENCE, connection)
        .await
        .expect("closed in time")
        .expect("no panic")
        .expect("closed in order");
    assert_eq!(rig.requests(), 0);
    rig.all_closed().await;
}

#[tokio::test]
async fn a_client_that_drips_a_header_block_is_cut() {
    let rig = Rig::start(&config::Listen {
        header_timeout: Duration::from_millis(300),
        ..config_tls()
    });
    let (mut read, mut write) = tokio::io::split(raw(rig.https, &rig).await);
    let drip = tokio::spawn(async move {
        write.write_all(PREFACE).await.expect("written");
        write
            .write_all(b"\0\x40\0\x01\x04\0\0\0\x01")
            .await
            .expect("written");
        let mut sent = 0;
        while write.write_all(b"\0").await.is_ok() && write.flush().await.is_ok() {
            sent += 1;
            sleep(Duration::from_millis(20)).await;
        }
        sent
    });
    let mut rest = Vec::new();
    // The end may be an error: there is no goodbye for such a client.
    drop(
        timeout(PATIENCE, read.read_to_end(&mut rest))
            .await
            .expect("cut in time"),
    );
    assert!(rig.has_end(None, "frame_timeout"), "{:?}", rig.ends());
    drop(read);
    assert!(
        timeout(PATIENCE, drip)
            .await
            .expect("ends")
            .expect("no panic")
            < 16_384
    );
    rig.all_closed().await;
}

#[tokio::test]
async fn a_client_without_preface_is_cut_after_header_timeout() {
    let rig = Rig::start(&config::Listen {
        header_timeout: Duration::from_millis(200),
        ..config_tls()
    });
    let mut stream = raw(rig.https, &rig).await;
    stream.write_all(&PREFACE[..10]).await.expect("written");
    let mut rest = Vec::new();
    drop(
        timeout(PATIENCE, stream.read_to_end(&mut rest))
            .await
            .expect("cut in time"),
    );
    eventually("it is reported", || rig.has_end(None, "preface")).await;
    drop(stream);
    rig.all_closed().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_order_and_a_busy_one_is_not() {
    let rig = Rig::start(&config::Listen {
        idle_timeout: Duration::from_millis(300),
        ..config_tls()
    });
    let (sender, connection) = client(&rig).await;
    let held = tokio::spawn({
        let sender = sender.clone();
        async move { status(&sender, "/hold").await }
    });
    sleep(Duration::from_millis(900)).await;
    assert!(!connection.is_finished(), "a stream is being served");
    rig.seen.release.add_permits(1);
    assert_eq!(held.await.expect("no panic").expect("an answer"), 200);
    timeout(PATIENCE, connection)
        .await
        .expect("closed in time")
        .expect("no panic")
        .expect("closed in order");
    drop(sender);
    rig.all_closed().await;
}

#[tokio::test]
async fn a_paused_body_resets_its_stream_and_no_other() {
    let rig = Rig::start(&config::Listen {
        body_timeout: Duration::from_millis(300),
        ..config_tls()
    });
    let (sender, _connection) = client(&rig).await;
    let mut ready = sender.clone().ready().await.expect("ready");
    let (answer, mut body) = ready.send_request(request("/body"), false).expect("sent");
    body.send_data(Bytes::from_static(b"hello"), false)
        .expect("sent");
    let late = timeout(PATIENCE, answer).await.expect("reset in time");
    assert!(late.is_err_and(|error| error.is_reset()));
    assert_eq!(status(&sender, "/after").await.expect("an answer"), 200);
    eventually("the request is dropped", || {
        rig.seen.now.load(Ordering::SeqCst) == 0
    })
    .await;
}

#[tokio::test]
async fn a_panic_in_a_hook_ends_its_stream_and_no_other() {
    let rig = Rig::start(&config_tls());
    let (sender, connection) = client(&rig).await;
    assert!(status(&sender, "/panic").await.is_err());
    assert_eq!(status(&sender, "/after").await.expect("an answer"), 200);
    drop(sender);
    drop(timeout(PATIENCE, connection).await.expect("closed in time"));
    rig.all_closed().await;
}

#[tokio::test]
async fn rapid_resets_are_cut() {
    let rig = Rig::start(&config_tls());
    let (mut read, mut write) = tokio::io::split(raw(rig.https, &rig).await);
    let drain = tokio::spawn(async move {
        let mut rest = Vec::new();
        drop(read.read_to_end(&mut rest).await);
    });
    write.write_all(PREFACE).await.expect("written");
    let mut sent: u32 = 0;
    for id in (1..200_000_u32).step_by(2) {
        let mut frames = vec![0, 0, 13, 1, 5];
        frames.extend(id.to_be_bytes());
        // GET, https, /, and the authority "gate.test" without Huffman coding would be 11 more bytes.
        frames.extend([0x82, 0x87, 0x84, 0x41, 0x08]);
        frames.extend(b"gate.tst");
        frames.extend([0, 0, 4, 3, 0]);
        frames.extend(id.to_be_bytes());
        frames.extend(8_u32.to_be_bytes());
        if write.write_all(&frames).await.is_err() || write.flush().await.is_err() {
            break;
        }
        sent += 1;
    }
    timeout(PATIENCE, drain)
        .await
        .expect("cut in time")
        .expect("no panic");
    assert!(sent < 100_000, "all {sent} resets were borne");
    assert!(
        rig.requests() <= 2_000,
        "{} requests were begun",
        rig.requests()
    );
    drop(write);
    rig.all_closed().await;
}

#[tokio::test]
async fn shutdown_lets_streams_finish_and_closes() {
    let rig = Rig::start(&config_tls());
    let (sender, connection) = client(&rig).await;
    let held = tokio::spawn({
        let sender = sender.clone();
        async move { status(&sender, "/hold").await }
    });
    eventually("the call is in flight", || {
        rig.seen.now.load(Ordering::SeqCst) == 1
    })
    .await;
    rig.shutdown.send_replace(true);
    rig.seen.release.add_permits(1);
    assert_eq!(held.await.expect("no panic").expect("an answer"), 200);
    timeout(PATIENCE, connection)
        .await
        .expect("closed in time")
        .expect("no panic")
        .expect("closed in order");
    drop(sender);
    rig.all_closed().await;
}

#[tokio::test]
async fn a_head_over_the_size_is_answered_431() {
    let rig = Rig::start(&config::Listen {
        max_header_bytes: 4096,
        ..config_tls()
    });
    let (sender, _connection) = client(&rig).await;
    let mut ready = sender.clone().ready().await.expect("ready");
    let large = http::Request::get("https://gate.test/")
        .header("x", "x".repeat(6000))
        .body(())
        .expect("a request");
    let (answer, _) = ready.send_request(large, true).expect("sent");
    let answer = timeout(PATIENCE, answer)
        .await
        .expect("in time")
        .expect("an answer");
    assert_eq!(answer.status(), 431);
    assert_eq!(status(&sender, "/after").await.expect("an answer"), 200);
    assert_eq!(rig.requests(), 1);
}
