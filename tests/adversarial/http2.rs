//! HTTP/2 as an attacker speaks it.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use tidegate::app::Running;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::origin::Origin;
use crate::support::pki::{self_signed, tls};
use crate::support::raw2::{END_HEADERS, END_STREAM, HEADERS, Raw2, get, reset};
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

const WHOLE: u8 = END_HEADERS | END_STREAM;

type Tls = tokio_rustls::client::TlsStream<TcpStream>;

async fn connect(address: SocketAddr) -> Tls {
    let socket = TcpStream::connect(address).await.unwrap();
    socket.set_nodelay(true).unwrap();
    tls(socket, &["h2"]).await.unwrap()
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
            drop(writer.write_all(&first).await);
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

/// Every stream is opened and given up at once, in one piece, before the gate has looked at it.
fn opened_and_reset() -> impl Iterator<Item = Vec<u8>> {
    (0..20_000).map(|n| {
        let stream = 2 * n + 1;
        [get(stream, "/api/x?hold", WHOLE), reset(stream)].concat()
    })
}

/// As many as may be open, and given up only once the gate serves them all.
async fn opened_served_and_reset(client: &mut Raw2<Tls>, gate: &Running) -> bool {
    for round in 0..200 {
        let streams: Vec<u32> = (0..100).map(|n| 2 * (round * 100 + n) + 1).collect();
        let open = streams
            .iter()
            .flat_map(|stream| get(*stream, "/api/x?hold", WHOLE));
        if !client.send(&open.collect::<Vec<u8>>()).await || !client.ping().await {
            return true;
        }
        let running = limit(&gate.snapshot(), "calls").in_use;
        assert!(running <= 50, "{running} at once");
        let resets: Vec<u8> = streams.iter().flat_map(|stream| reset(*stream)).collect();
        if !client.send(&resets).await {
            return true;
        }
    }
    !client.ping().await
}

#[tokio::test]
async fn rapid_reset_is_bounded_and_leaves_nothing_behind() {
    let origin = Origin::start().await;
    let calls = "[upstream.limits.calls]\ncounts = \"requests_in_flight\"\nlimit = 50";
    let gate = gate(&secure("reset", origin.address, "", calls));
    let client = Raw2::over(connect(gate.https()[0]).await, &[]).await;
    assert!(client.cut_by(opened_and_reset()).await, "unseen streams");
    let mut client = Raw2::over(connect(gate.https()[0]).await, &[]).await;
    assert!(
        opened_served_and_reset(&mut client, &gate).await,
        "streams that are served"
    );
    all_given_back(&gate).await;
    until("the upstream runs nothing", || origin.seen.running() == 0).await;
    let row = limit(&gate.snapshot(), "calls");
    let offered = row.admitted + row.refused.iter().sum::<u64>();
    assert!(
        (100..2500).contains(&offered),
        "about 1000 streams a connection: {offered}"
    );
}

#[tokio::test]
async fn a_client_that_gives_up_many_calls_at_once_or_one_after_the_other_is_no_attacker() {
    let origin = Origin::start().await;
    let gate = gate(&secure("honest", origin.address, "", ""));
    let mut client = Raw2::over(connect(gate.https()[0]).await, &[]).await;
    let at_once = (0..100).map(|n| 2 * n + 1);
    let open: Vec<u8> = at_once
        .clone()
        .flat_map(|stream| get(stream, "/api/x?hold", WHOLE))
        .collect();
    let give_up: Vec<u8> = at_once.flat_map(reset).collect();
    assert!(client.send(&[open, give_up].concat()).await);
    assert!(client.ping().await, "a page was closed");
    for stream in (100..400).map(|n| 2 * n + 1) {
        assert!(
            client
                .send(&[get(stream, "/api/x?hold", WHOLE), reset(stream)].concat())
                .await
        );
        assert!(client.ping().await, "one call after the other, {stream}");
    }
    assert!(client.send(&get(9001, "/api/x", WHOLE)).await);
    let answer = client
        .until(|frame| frame.kind == HEADERS && frame.stream == 9001)
        .await;
    assert!(answer.is_some(), "and is served on");
    all_given_back(&gate).await;
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
