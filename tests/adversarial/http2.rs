//! HTTP/2 as an attacker speaks it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::origin::Origin;
use crate::support::pki::{self_signed, tls};
use crate::support::{PATIENCE, all_given_back, gate, limit, until, with_listen};

fn secure(name: &str, origin: SocketAddr, listen: &str, limits: &str) -> String {
    let folder = std::env::temp_dir().join(format!("tidegate-h2-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = self_signed(&["localhost"], false).write(&folder);
    let listen = format!(
        "https = [\"127.0.0.1:0\"]\ncertificate = \"{}\"\nprivate_key = \"{}\"\n{listen}",
        certificate.display(),
        key.display()
    );
    with_listen(origin, &listen, limits)
}

type Tls = tokio_rustls::client::TlsStream<TcpStream>;

async fn connect(address: SocketAddr) -> Tls {
    tls(TcpStream::connect(address).await.unwrap(), &["h2"])
        .await
        .unwrap()
}

/// Whether the other side ends the connection while `client` goes on.
async fn cut(
    client: impl Future<Output = ()>,
    mut reader: impl tokio::io::AsyncRead + Unpin,
) -> bool {
    let end = async {
        let mut bytes = [0; 4096];
        while !matches!(reader.read(&mut bytes).await, Ok(0) | Err(_)) {}
    };
    let both = async { tokio::join!(client, end) };
    tokio::time::timeout(PATIENCE, both).await.is_ok()
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

#[tokio::test]
async fn a_byte_at_a_time_is_cut_in_preface_frame_and_header_block() {
    let origin = Origin::start().await;
    let text = secure(
        "drip",
        origin.address,
        "header_timeout = \"500ms\"\nidle_timeout = \"20s\"",
        "",
    );
    let gate = gate(&text);
    // HEADERS of 100 bytes, END_STREAM but not END_HEADERS.
    let headers: &[u8] = &[0, 0, 100, 1, 1, 0, 0, 0, 1];
    for first in [
        Vec::new(),
        [PREFACE, SETTINGS].concat(),
        [PREFACE, SETTINGS, headers].concat(),
    ] {
        let (reader, mut writer) = tokio::io::split(connect(gate.https()[0]).await);
        let drip = async {
            _ = writer.write_all(&first).await;
            for _ in 0..600 {
                let sent = writer
                    .write_all(if first.is_empty() { b"P" } else { &[0] })
                    .await;
                if sent.is_err() || writer.flush().await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        assert!(cut(drip, reader).await, "{} bytes at first", first.len());
    }
    until("all are gone", || {
        limit(&gate.snapshot(), "connections_https").in_use == 0
    })
    .await;
    assert_eq!(origin.seen.requests(), 0);
}

#[tokio::test]
async fn rapid_reset_is_bounded_and_leaves_nothing_behind() {
    let origin = Origin::start().await;
    let calls = "[upstream.limits.calls]\ncounts = \"requests_in_flight\"\nlimit = 50";
    let gate = gate(&secure("reset", origin.address, "", calls));
    let (mut sender, connection) = h2::client::handshake(connect(gate.https()[0]).await)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let mut opened = 0_u32;
    while opened < 20_000 {
        let Ok(ready) = sender.ready().await else {
            break;
        };
        sender = ready;
        let request = http::Request::get("https://localhost/api/x?hold")
            .body(())
            .unwrap();
        let Ok((_, mut stream)) = sender.send_request(request, true) else {
            break;
        };
        stream.send_reset(h2::Reason::CANCEL);
        opened += 1;
    }
    assert!(opened < 20_000, "the connection was cut");
    driver.abort();
    all_given_back(&gate).await;
    until("the upstream runs nothing", || origin.seen.running() == 0).await;
    assert!(origin.seen.most_running() <= 50);
}

#[tokio::test]
async fn a_header_list_over_the_limit_is_refused_and_others_go_on() {
    let origin = Origin::start().await;
    let gate = gate(&secure(
        "large",
        origin.address,
        "max_header_bytes = \"8KiB\"",
        "",
    ));
    let (sender, connection) = h2::client::handshake(connect(gate.https()[0]).await)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    let large = http::Request::get("https://localhost/api/x").header("x-large", "x".repeat(20_000));
    let (refused, _) = sender.send_request(large.body(()).unwrap(), true).unwrap();
    let refused = refused.await;
    assert!(
        refused
            .as_ref()
            .map_or(true, |answer| answer.status() == 431),
        "{refused:?}"
    );
    let request = http::Request::get("https://localhost/api/x")
        .body(())
        .unwrap();
    let mut sender = sender.ready().await.unwrap();
    let (fine, _) = sender.send_request(request, true).unwrap();
    assert_eq!(fine.await.unwrap().status(), 200);
    driver.abort();
}

#[tokio::test]
async fn a_body_that_pauses_is_cut_and_its_stream_alone() {
    let origin = Origin::start().await;
    let gate = gate(&secure(
        "pause",
        origin.address,
        "body_timeout = \"400ms\"",
        "",
    ));
    let (sender, connection) = h2::client::handshake(connect(gate.https()[0]).await)
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    let request = http::Request::post("https://localhost/api/x")
        .body(())
        .unwrap();
    let (paused, mut body) = sender.send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(b"abc"), false).unwrap();
    let paused = paused.await;
    assert!(
        paused
            .as_ref()
            .map_or(true, |answer| answer.status() == 408),
        "{paused:?}"
    );
    let mut sender = sender.ready().await.unwrap();
    let request = http::Request::get("https://localhost/api/x")
        .body(())
        .unwrap();
    let (fine, _) = sender.send_request(request, true).unwrap();
    assert_eq!(fine.await.unwrap().status(), 200);
    drop(body);
    driver.abort();
    all_given_back(&gate).await;
}
