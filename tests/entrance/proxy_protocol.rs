//! The PROXY protocol before plain and TLS connections.

use tidegate::config;
use tidegate::listen::{self, Inherited, RefusedBecause, Role};
use tokio::io::AsyncWriteExt;

use crate::rig::{Rig, config, eventually, read_answer, read_to_close, send};

fn rig(trusted: &[&str]) -> Rig {
    let mut config = config::Listen {
        trusted_proxies: trusted
            .iter()
            .map(|net| net.parse().expect("a network"))
            .collect(),
        ..config()
    };
    let address = config.http[0];
    config.proxy_protocol = vec![address];
    let bound = listen::bind(&config, Inherited::default()).expect("bound");
    Rig::start_on(bound, &config)
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client() {
    let rig = rig(&["127.0.0.0/8"]);
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    v2.extend([192, 0, 2, 7, 127, 0, 0, 1, 0x12, 0x67, 0, 80]);
    for header in [b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\n".to_vec(), v2] {
        for pieces in [1, 4096] {
            let mut bytes = header.clone();
            bytes.extend(b"GET /peer HTTP/1.1\r\nHost: a\r\n\r\n");
            let mut socket = send(rig.http, b"").await;
            for piece in bytes.chunks(pieces) {
                socket.write_all(piece).await.expect("written");
            }
            assert_eq!(
                read_answer(&mut socket).await,
                (200, "192.0.2.7:4711".to_owned())
            );
        }
    }
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0GET /peer HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut socket = send(rig.http, local).await;
    let own = socket.local_addr().expect("bound").to_string();
    assert_eq!(read_answer(&mut socket).await, (200, own));
}

#[tokio::test]
async fn without_a_header_or_trust_the_connection_closes() {
    let trusting = rig(&["127.0.0.0/8"]);
    let mut socket = send(trusting.http, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(
        !read_to_close(&mut socket)
            .await
            .unwrap_or_default()
            .contains("HTTP")
    );
    let wary = rig(&["10.0.0.0/8"]);
    let mut socket = send(
        wary.http,
        b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 80\r\nGET /",
    )
    .await;
    assert!(
        !read_to_close(&mut socket)
            .await
            .unwrap_or_default()
            .contains("HTTP")
    );
    for rig in [trusting, wary] {
        eventually("it is counted", || {
            rig.snapshot(Role::Http).refused[RefusedBecause::ProxyProtocol as usize] == 1
        })
        .await;
        assert!(rig.has_end(None, "proxy_protocol"));
        rig.all_closed().await;
        assert_eq!(rig.requests(), 0);
    }
}
