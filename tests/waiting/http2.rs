//! Streams of one HTTP/2 connection: each waits, and leaves, alone.

use std::time::Duration;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use tidegate::app::Options;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rig::{LONG, Rig, seats};
use crate::support::PATIENCE;
use crate::support::origin::hash_of;
use crate::support::pki::{self_signed, tls};
use crate::support::raw2::{ACK, END_HEADERS, END_STREAM, Frame, PING, Raw2, frame, get};

async fn start(name: &str, limits: &str) -> Rig {
    start_with(name, "", limits, Options::default()).await
}

async fn start_with(name: &str, more: &str, limits: &str, options: Options) -> Rig {
    let folder = std::env::temp_dir().join(format!("tidegate-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = self_signed(&["localhost"], false).write(&folder);
    let listen = format!(
        "https = [\"127.0.0.1:0\"]\ncertificate = \"{}\"\nprivate_key = \"{}\"\n{more}",
        certificate.display(),
        key.display()
    );
    Rig::start_with(&listen, limits, options).await
}

async fn connect(rig: &Rig) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(rig.gate.https()[0]).await.unwrap();
    let stream = tls(stream, &["h2"]).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(
    sender: &SendRequest<Bytes>,
    target: &str,
    body: Option<&[u8]>,
) -> (ResponseFuture, SendStream<Bytes>) {
    let mut sender = sender.clone().ready().await.unwrap();
    let request = http::Request::post(format!("https://localhost{target}"));
    let request = request.body(()).unwrap();
    let (answer, mut stream) = sender.send_request(request, body.is_none()).unwrap();
    if let Some(body) = body {
        stream
            .send_data(Bytes::copy_from_slice(body), true)
            .unwrap();
    }
    (answer, stream)
}

async fn answered(answer: ResponseFuture) -> (u16, Vec<u8>) {
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    let status = answer.status().as_u16();
    let (mut body, mut bytes) = (answer.into_body(), Vec::new());
    while let Some(piece) = body.data().await {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        bytes.extend(piece);
    }
    (status, bytes)
}

#[tokio::test]
async fn a_stream_that_is_reset_leaves_the_line_and_the_others_stay() {
    let mut rig = start("reset", &seats(1, LONG)).await;
    rig.fill().await;
    let sender = connect(&rig).await;
    let small = [b'b'; 1000];
    for (at, body) in [None, Some(&small[..])].into_iter().enumerate() {
        let before = u64::try_from(at).unwrap();
        let (_, mut gone) = ask(&sender, "/api/x?n=gone", body).await;
        rig.until_waiting(before + 1).await;
        let (stays, _) = ask(&sender, "/api/x?n=stays", body).await;
        rig.until_waiting(before + 2).await;
        gone.send_reset(Reason::CANCEL);
        rig.until_waiting(before + 1).await;
        // Its answer is read further down, by the number of what the upstream saw.
        tokio::spawn(answered(stays));
    }
    let body = vec![b'c'; 50_000];
    let (last, _) = ask(&sender, "/api/x?n=last", Some(&body)).await;
    rig.until_waiting(3).await;
    rig.let_go().await;
    let (status, said) = answered(last).await;
    let said: serde_json::Value = serde_json::from_slice(&said).unwrap();
    assert_eq!(status, 200);
    assert_eq!(said["body_hash"], hash_of(&body));
    rig.all_back().await;
    let expected = ["/api/x?n=stays", "/api/x?n=stays", "/api/x?n=last"];
    assert_eq!(rig.asked(), expected);
}

#[tokio::test]
async fn a_connection_that_ends_takes_all_its_streams_out_of_the_line() {
    let mut rig = start("ends", &seats(1, LONG)).await;
    rig.fill().await;
    let (sender, other) = (connect(&rig).await, connect(&rig).await);
    let mut asked = Vec::new();
    for _ in 0..20 {
        asked.push(ask(&sender, "/api/x?n=gone", None).await);
    }
    rig.until_waiting(20).await;
    let (stays, _) = ask(&other, "/api/x?n=stays", None).await;
    rig.until_waiting(21).await;
    drop((asked, sender));
    rig.until_waiting(1).await;
    rig.let_go().await;
    assert_eq!(answered(stays).await.0, 200);
    assert_eq!(rig.asked(), ["/api/x?n=stays"]);
    rig.all_back().await;
}

#[tokio::test]
async fn who_waits_hears_a_beat_and_who_does_not_hears_none() {
    let mut rig = start_with(
        "beat",
        "idle_timeout = \"2s\"",
        &seats(1, LONG),
        Options::default(),
    )
    .await;
    rig.fill().await;
    let stream = TcpStream::connect(rig.gate.https()[0]).await.unwrap();
    let mut client = Raw2::over(tls(stream, &["h2"]).await.unwrap(), &[]).await;
    assert!(
        client
            .send(&get(1, "/api/x", END_HEADERS | END_STREAM))
            .await
    );
    rig.until_waiting(1).await;
    let is_beat = |frame: &Frame| frame.kind == PING && frame.flags & ACK == 0;
    let mut payload = Vec::new();
    for _ in 0..3 {
        let beat = client.until(is_beat).await.expect("a PING");
        payload = beat.payload;
        assert!(client.send(&frame(PING, ACK, 0, &payload)).await);
    }
    rig.let_go().await;
    let ends = |frame: &Frame| frame.stream == 1 && frame.flags & END_STREAM != 0;
    assert!(client.until(ends).await.is_some());
    // It idles, and is closed for that, by a PING of another kind.
    let again = |frame: &Frame| is_beat(frame) && frame.payload == payload;
    assert!(client.until(again).await.is_none());
    rig.all_back().await;
}

#[tokio::test]
async fn a_body_that_nobody_reads_meanwhile_is_not_late() {
    let options = Options {
        unwatched: Some(Duration::from_secs(1)),
        ..Options::default()
    };
    let short = "body_timeout = \"300ms\"";
    let mut rig = start_with("late", short, &seats(1, LONG), options).await;
    rig.fill().await;
    let body = vec![b'c'; 1 << 20];
    let sender = connect(&rig).await;
    let (answer, _stream) = ask(&sender, "/api/x?n=long", Some(&body)).await;
    let (status, said) = answered(answer).await;
    let said = String::from_utf8(said).unwrap();
    assert_eq!(status, 503, "{said}");
    assert!(said.contains("calls: 1 of 1 in use"), "{said}");
    rig.let_go().await;
    assert_eq!(rig.asked(), [""; 0]);
    rig.all_back().await;
}
