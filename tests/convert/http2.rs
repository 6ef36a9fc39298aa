//! The same over HTTP/2, where each stream comes and goes alone.

use bytes::Bytes;
use h2::Reason;
use h2::client::SendRequest;
use tidegate::app::Running;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rig::{ALICE, list, text};
use crate::support::origin::Origin;
use crate::support::pki::{self_signed, tls};
use crate::support::{PATIENCE, gate, until};

const AUTHORIZATION: &str = "Basic YWxpY2U6YQ==";

fn start(origin: &Origin, name: &str) -> Running {
    let folder =
        std::env::temp_dir().join(format!("tidegate-convert-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = self_signed(&["localhost"], false).write(&folder);
    let listen = format!(
        "[listen]\nhttps = [\"127.0.0.1:0\"]\ncertificate = \"{}\"\nprivate_key = \"{}\"",
        certificate.display(),
        key.display()
    );
    gate(&text(origin.address, "").replace("[listen]", &listen))
}

async fn connect(gate: &Running) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(gate.https()[0]).await.unwrap();
    let stream = tls(stream, &["h2"]).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap()
}

fn request(method: &str, target: &str, prefer: Option<&str>) -> http::Request<()> {
    let mut request = http::Request::builder()
        .method(method)
        .uri(format!("https://localhost{target}"))
        .header("authorization", AUTHORIZATION)
        .header("cookie", "a=1")
        .header("cookie", "b=2");
    if let Some(prefer) = prefer {
        request = request.header("prefer", prefer);
    }
    request.body(()).unwrap()
}

/// The whole answer to a request with this body.
async fn say(
    sender: &mut SendRequest<Bytes>,
    request: http::Request<()>,
    body: &[u8],
) -> (http::response::Parts, serde_json::Value) {
    let (answer, mut stream) = sender.send_request(request, body.is_empty()).unwrap();
    if !body.is_empty() {
        stream
            .send_data(Bytes::copy_from_slice(body), true)
            .unwrap();
    }
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    let (head, mut body) = answer.into_parts();
    let mut bytes = Vec::new();
    while let Some(piece) = timeout(PATIENCE, body.data()).await.unwrap() {
        let piece = piece.unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        bytes.extend(piece);
    }
    (head, serde_json::from_slice(&bytes).unwrap_or_default())
}

#[tokio::test]
async fn a_stream_becomes_a_task_and_goes_up_as_one_request() {
    let origin = Origin::start().await;
    let gate = start(&origin, "task");
    let mut sender = connect(&gate).await;
    let clone = request("POST", "/clone", Some("respond-async, wait=50"));
    let (head, heard) = say(&mut sender, clone, b"{}").await;
    assert_eq!(head.status, 200, "{head:?}");
    assert!(head.headers.contains_key("task-id"));
    let fields: Vec<(String, String)> = serde_json::from_value(heard["headers"].clone()).unwrap();
    let of = |name: &str| {
        let fields = fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        fields.map(|(_, value)| value.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of("cookie"), ["a=1; b=2"]);
    assert_eq!(of("via"), ["2 tidegate"]);
    assert_eq!(of("x-forwarded-proto"), ["https"]);
    assert_eq!(of("x-forwarded-host"), ["localhost"]);
    assert_eq!(of("host"), [origin.address.to_string()]);
}

#[tokio::test]
async fn a_stream_that_is_reset_in_its_body_leaves_nothing() {
    let origin = Origin::start().await;
    let gate = start(&origin, "reset");
    let mut sender = connect(&gate).await;
    let clone = request("POST", "/clone?hold", Some("respond-async"));
    let (_answer, mut stream) = sender.send_request(clone, false).unwrap();
    stream
        .send_data(Bytes::from_static(b"{\"half"), false)
        .unwrap();
    until("it is under way", || gate.in_flight() == 1).await;
    stream.send_reset(Reason::CANCEL);
    until("it is over", || gate.in_flight() == 0).await;
    assert!(list(&gate, ALICE).await.is_empty());
    assert_eq!(origin.seen.requests(), 0);
}

#[tokio::test]
async fn events_and_long_polls_end_with_their_stream() {
    let origin = Origin::start().await;
    let gate = start(&origin, "events");
    let mut sender = connect(&gate).await;
    let clone = request("POST", "/clone?hold", Some("respond-async"));
    let (head, task) = say(&mut sender, clone, b"{}").await;
    assert_eq!(head.status, 202);
    let id = task["id"].as_str().unwrap();
    until("the task runs", || gate.in_flight() == 1).await;
    let polls = request("GET", &format!("/-/tasks/{id}"), Some("wait=60"));
    let (_answer, mut poll) = sender.send_request(polls, true).unwrap();
    let events = request("GET", &format!("/-/tasks/{id}/events"), None);
    let (answer, mut watching) = sender.send_request(events, true).unwrap();
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    assert!(!answer.headers().contains_key("transfer-encoding"));
    let mut body = answer.into_body();
    let first = timeout(PATIENCE, body.data())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert!(!first.is_empty());
    until("both wait", || gate.in_flight() == 3).await;
    poll.send_reset(Reason::CANCEL);
    until("one is over", || gate.in_flight() == 2).await;
    watching.send_reset(Reason::CANCEL);
    until("both are over", || gate.in_flight() == 1).await;
    // The connection lives on.
    let (head, _) = say(&mut sender, request("GET", "/-/tasks", None), b"").await;
    assert_eq!(head.status, 200);
}
