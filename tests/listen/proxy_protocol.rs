//! PROXY protocol v1 and v2: the true address where a trusted proxy tells it, and no other.

use std::net::SocketAddr;
use std::time::Duration;

use tidegate::app::Running;
use tokio::net::{TcpSocket, TcpStream};

use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::pki::tls;
use crate::support::{gate, limit, until, with_listen};
use crate::{both, tls_lines};

const EXPECTED: &str = "proxy_protocol = [\"127.0.0.1:0\"]\ntrusted_proxies = [\"127.0.0.1/32\"]\n\
                        header_timeout = \"500ms\"\nhandshake_timeout = \"20s\"\n";
/// One call an hour for each address: the second one tells whether the gate knew it.
const ONE_EACH: &str =
    "[upstream.limits.each]\ncounts = \"requests\"\nkey = \"address\"\nlimit = 1\nwindow = \"1h\"";

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, payload].concat()
}

fn v2_of(source: SocketAddr) -> Vec<u8> {
    let port = source.port().to_be_bytes();
    match source {
        SocketAddr::V4(v4) => {
            let addresses = [&v4.ip().octets()[..], &[10, 0, 0, 1], &port, &[0, 80]].concat();
            v2(0x21, 0x11, &addresses)
        }
        SocketAddr::V6(v6) => {
            let addresses = [&v6.ip().octets()[..], &[0; 16], &port, &[0, 80]].concat();
            v2(0x21, 0x21, &addresses)
        }
    }
}

fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()
}

/// What tells of an address, and the address.
fn tellings() -> Vec<(Vec<u8>, &'static str)> {
    vec![
        (
            b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n".to_vec(),
            "192.0.2.7",
        ),
        (
            b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n".to_vec(),
            "2001:db8::7",
        ),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (
            b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
            "127.0.0.1",
        ),
        (v2_of("192.0.2.8:4711".parse().unwrap()), "192.0.2.8"),
        (v2_of("[2001:db8::8]:4711".parse().unwrap()), "2001:db8::8"),
        (
            v2_of("[::ffff:192.0.2.9]:4711".parse().unwrap()),
            "192.0.2.9",
        ),
        (v2(0x20, 0x00, &[]), "127.0.0.1"),
        (v2(0x20, 0x11, &[1; 12]), "127.0.0.1"),
    ]
}

#[tokio::test]
async fn upstream_and_limits_see_the_address_that_a_trusted_proxy_tells() {
    let origin = Origin::start().await;
    for (header, address) in tellings() {
        let gate = gate(&with_listen(origin.address, EXPECTED, ONE_EACH));
        let mut client = Client::connect(gate.http()[0]).await;
        client.send([header.clone(), get("/api/x")].concat()).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, 200, "{header:?}");
        assert_eq!(answer.received("x-forwarded-for"), [address]);
        assert_eq!(client.get("/api/x").await.status, 429, "{address} again");
        // Byte by byte, the request too: the same address, so its call is spent.
        let mut client = Client::connect(gate.http()[0]).await;
        for byte in [header, get("/api/x")].concat() {
            client.send([byte]).await;
        }
        assert_eq!(client.answer().await.unwrap().status, 429, "{address}");
        let mut client = Client::connect(gate.http()[0]).await;
        client
            .send("PROXY TCP4 198.51.100.1 10.0.0.1 1 2\r\nGET /api/x HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        assert_eq!(client.answer().await.unwrap().status, 200, "another one");
    }
}

#[tokio::test]
async fn the_header_comes_before_tls() {
    let origin = Origin::start().await;
    let (lines, _) = tls_lines("proxy-tls");
    let gate = gate(&with_listen(
        origin.address,
        &format!("{lines}{EXPECTED}"),
        "",
    ));
    for (header, address) in tellings() {
        let mut client = Client::connect(gate.https()[0]).await;
        client.send(&header).await;
        let mut client = Client::over(tls(client.stream, &["http/1.1"]).await.unwrap());
        let answer = client.get("/api/x").await;
        assert_eq!(answer.received("x-forwarded-for"), [address], "{header:?}");
    }
    let naked = TcpStream::connect(gate.https()[0]).await.unwrap();
    assert!(tls(naked, &[]).await.is_err(), "without it no handshake");
}

#[tokio::test]
async fn whoever_is_not_trusted_is_closed_whatever_it_says() {
    let origin = Origin::start().await;
    let gate = gate(&with_listen(origin.address, EXPECTED, ""));
    for first in [
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n".to_vec(),
        v2_of("192.0.2.8:4711".parse().unwrap()),
        Vec::new(),
    ] {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let mut client = Client::over(socket.connect(gate.http()[0]).await.unwrap());
        drop(client.try_send([first, get("/api/x")].concat()).await);
        assert!(client.answer().await.is_none());
    }
    assert_eq!(origin.seen.requests(), 0);
    all_closed(&gate).await;
    let refused = &gate.snapshot().listeners[0].refused;
    assert!(refused.contains(&("proxy_protocol", 3)), "{refused:?}");
}

#[tokio::test]
async fn what_is_no_header_is_closed_and_what_drips_is_cut() {
    let origin = Origin::start().await;
    let gate = gate(&with_listen(origin.address, EXPECTED, ""));
    let mut bad_version = v2_of("192.0.2.8:4711".parse().unwrap());
    bad_version[12] = 0x31;
    for malformed in [
        get("/api/x"),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4711\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.700 10.0.0.1 4711 80\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\n".to_vec(),
        b"PROXY TCP5 192.0.2.7 10.0.0.1 4711 80\r\n".to_vec(),
        [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 300]].concat(),
        v2(0x21, 0x11, &[0; 4]),
        v2(0x21, 0x11, &[0; 4000]),
        v2(0x22, 0x11, &[0; 12]),
        bad_version,
    ] {
        let mut client = Client::connect(gate.http()[0]).await;
        drop(
            client
                .try_send([malformed.clone(), get("/api/x")].concat())
                .await,
        );
        assert!(client.answer().await.is_none(), "{malformed:?}");
    }
    for header in [
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n".to_vec(),
        v2_of("[2001:db8::8]:4711".parse().unwrap()),
    ] {
        let mut client = Client::connect(gate.http()[0]).await;
        for byte in header {
            if client.try_send([byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        drop(client.try_send(get("/api/x")).await);
        assert!(client.answer().await.is_none(), "it dripped");
    }
    let silent = Client::connect(gate.http()[0]).await;
    all_closed(&gate).await;
    drop(silent);
    assert_eq!(origin.seen.requests(), 0);
}

#[tokio::test]
async fn a_header_nobody_asked_for_is_a_malformed_request() {
    let origin = Origin::start().await;
    let gate = gate(&both("proxy-unasked", origin.address, "", ""));
    let mut client = Client::connect(gate.http()[0]).await;
    client
        .send("PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.unwrap().status, 400);
}

async fn all_closed(gate: &Running) {
    until("all are closed", || {
        limit(&gate.snapshot(), "connections_http").in_use == 0
    })
    .await;
}
