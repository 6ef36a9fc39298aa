//! Clients that do not read what they asked for: they hold a place no longer than others may pause.

use std::time::Duration;

use tokio::net::TcpStream;

use crate::both;
use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::pki::tls;
use crate::support::raw2::{END_HEADERS, END_STREAM, HEADERS, Raw2, get};
use crate::support::{all_given_back, gate, limit, until};

const SHORT: &str = "body_timeout = \"500ms\"\nidle_timeout = \"60s\"";
const CALLS: &str = "[upstream.limits.calls]\ncounts = \"requests_in_flight\"\nlimit = 50";
const WHOLE: u8 = END_HEADERS | END_STREAM;
const INITIAL_WINDOW: u16 = 4;

#[tokio::test]
async fn a_client_that_reads_nothing_does_not_keep_its_place_for_ever() {
    let origin = Origin::start().await;
    let gate = gate(&both("readers", origin.address, SHORT, CALLS));
    let endless = "GET /folder/x?chunked=100000000 HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut plain = Client::connect(gate.http()[0]).await;
    plain.send(endless).await;
    let socket = TcpStream::connect(gate.https()[0]).await.unwrap();
    let mut secure = Client::over(tls(socket, &["http/1.1"]).await.unwrap());
    secure.send(endless).await;
    until("both run", || origin.seen.requests() == 2).await;
    until("their sockets are closed", || {
        let now = gate.snapshot();
        ["connections_http", "connections_https"]
            .iter()
            .all(|name| limit(&now, name).in_use == 0)
    })
    .await;
    all_given_back(&gate).await;
    until("the upstream is rid of them", || origin.seen.running() == 0).await;
}

#[tokio::test]
async fn an_http2_stream_without_room_ends_and_its_neighbours_go_on() {
    let origin = Origin::start().await;
    let gate = gate(&both("readers-h2", origin.address, SHORT, CALLS));
    let socket = TcpStream::connect(gate.https()[0]).await.unwrap();
    let stream = tls(socket, &["h2"]).await.unwrap();
    let mut client = Raw2::over(stream, &[(INITIAL_WINDOW, 0)]).await;
    for stream in [1, 3, 5] {
        assert!(
            client
                .send(&get(stream, "/folder/x?chunked=1000000", WHOLE))
                .await
        );
    }
    until("all three run", || origin.seen.requests() == 3).await;
    all_given_back(&gate).await;
    until("the upstream is rid of them", || origin.seen.running() == 0).await;
    assert!(client.send(&get(7, "/api/x?status=204", WHOLE)).await);
    let answer = client
        .until(|frame| frame.kind == HEADERS && frame.stream == 7)
        .await;
    assert!(answer.is_some(), "the connection lives");
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_served_to_the_end() {
    let origin = Origin::start().await;
    let listen = SHORT.replace("500ms", "1500ms");
    let gate = gate(&both("slow-readers", origin.address, &listen, CALLS));
    let mut client = Client::connect(gate.http()[0]).await;
    client
        .send("GET /folder/x?bytes=30000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    // Longer than the pause in all, and never one as long as it.
    for step in 1..=20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.read_ahead(step * 1_000_000).await;
    }
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.whole), (200, true));
    assert_eq!(answer.body.len(), 30_000_000);
}
