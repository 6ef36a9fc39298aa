//! HTTP/2 frames that move nothing: a few are borne, a flood ends the connection, and is told so.

use tidegate::listen::Cause;
use tokio::net::TcpStream;

use crate::bare::Bare;
use crate::support::pki::{self_signed, tls};
use crate::support::raw2::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, Raw2, SETTINGS, WINDOW_UPDATE,
    frame, get, reset,
};

type Tls = tokio_rustls::client::TlsStream<TcpStream>;

const WHOLE: u8 = END_HEADERS | END_STREAM;

async fn client(bare: &Bare) -> Raw2<Tls> {
    let socket = TcpStream::connect(bare.https).await.unwrap();
    socket.set_nodelay(true).unwrap();
    Raw2::over(tls(socket, &["h2"]).await.unwrap(), &[]).await
}

/// What floods the gate, by name: what comes first, and what is repeated.
fn floods() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let settings = [0, 4, 0, 1, 0, 0];
    let room = 1_u32.to_be_bytes();
    let open = get(1, "/", END_HEADERS);
    // A literal field that enters no table, `a: b`.
    let field = b"\0\x01a\x01b";
    let half = get(1, "/", END_STREAM);
    vec![
        ("ping", vec![], frame(PING, 0, 0, &[0; 8])),
        ("answers to pings", vec![], frame(PING, ACK, 0, &[0; 8])),
        ("settings", vec![], frame(SETTINGS, 0, 0, &settings)),
        ("empty settings", vec![], frame(SETTINGS, 0, 0, &[])),
        ("resets", get(1, "/", WHOLE), reset(1)),
        ("priorities", vec![], frame(2, 0, 3, &[0, 0, 0, 0, 9])),
        ("unknown frames", vec![], frame(0x5a, 0, 0, &[])),
        ("windows", vec![], frame(WINDOW_UPDATE, 0, 0, &room)),
        ("empty data", open, frame(DATA, 0, 1, &[])),
        (
            "empty continuations",
            half.clone(),
            frame(CONTINUATION, 0, 1, &[]),
        ),
        ("continuations", half, frame(CONTINUATION, 0, 1, field)),
    ]
}

#[tokio::test]
async fn every_flood_of_frames_is_cut_and_told() {
    let identity = self_signed(&["localhost"], false);
    for (name, first, again) in floods() {
        let bare = Bare::start(
            "floods",
            "idle_timeout = \"10m\"\nbody_timeout = \"10m\"\nheader_timeout = \"10m\"",
            &identity,
        )
        .await;
        let client = client(&bare).await;
        let batch: Vec<u8> = std::iter::repeat_n(again, 100).flatten().collect();
        let all = std::iter::once(first).chain(std::iter::repeat_n(batch, 1000));
        assert!(client.cut_by(all).await, "{name}");
        bare.all_closed().await;
        assert_eq!(bare.causes(), [Cause::FrameFlood], "{name}");
    }
}

#[tokio::test]
async fn as_many_as_an_honest_client_sends_are_borne() {
    let identity = self_signed(&["localhost"], false);
    let bare = Bare::start("borne", "", &identity).await;
    let mut client = client(&bare).await;
    for (name, _, again) in floods() {
        if name.contains("continuations") || name.contains("data") || name == "resets" {
            continue;
        }
        let batch: Vec<u8> = std::iter::repeat_n(again, 50).flatten().collect();
        assert!(client.send(&batch).await && client.ping().await, "{name}");
    }
    assert!(client.send(&get(1, "/", WHOLE)).await);
    let answer = client.until(|frame| frame.kind == HEADERS).await;
    assert!(answer.is_some());
    drop(client);
    bare.all_closed().await;
    assert_eq!(bare.causes(), []);
}
