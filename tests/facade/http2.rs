//! The façade over HTTP/2: each stream waits, and leaves, alone.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client::{ResponseFuture, SendRequest};
use tidegate::app::Running;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rig::{CLONE, begun, call, clone_of, log_in, request, tasks, text};
use crate::support::client::Client;
use crate::support::pki::{self_signed, tls};
use crate::support::{PATIENCE, gate, until};
use crate::vendors::vcenter::VCenter;
use crate::vendors::{Model, Pace};

fn start(model: &Model<VCenter>, name: &str) -> Running {
    start_with(model, name, "")
}

/// A gate with these lines of its upstream, plain and over TLS.
pub fn start_with(model: &Model<VCenter>, name: &str, lines: &str) -> Running {
    let folder =
        std::env::temp_dir().join(format!("tidegate-facade-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = self_signed(&["localhost"], false).write(&folder);
    let listen = format!(
        "[listen]\nidle_timeout = \"1s\"\nhttps = [\"127.0.0.1:0\"]\ncertificate = \"{}\"\nprivate_key = \"{}\"",
        certificate.display(),
        key.display()
    );
    gate(&text(model.address, "vcenter-8.0", lines, "").replace("[listen]", &listen))
}

pub async fn connect(gate: &Running) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(gate.https()[0]).await.unwrap();
    let stream = tls(stream, &["h2"]).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap()
}

/// Sends a clone in a stream of its own.
pub async fn clone(
    sender: &SendRequest<Bytes>,
    session: &str,
    name: &str,
) -> (ResponseFuture, h2::SendStream<Bytes>) {
    let (field, value) = session.trim().split_once(": ").unwrap();
    let request = http::Request::post(format!("https://localhost{CLONE}"))
        .header(field, value)
        .body(())
        .unwrap();
    let mut sender = sender.clone().ready().await.unwrap();
    let (answer, mut stream) = sender.send_request(request, false).unwrap();
    stream.send_data(clone_of(name).into(), true).unwrap();
    (answer, stream)
}

pub async fn answered(answer: ResponseFuture) -> (http::response::Parts, String) {
    let answer = timeout(PATIENCE, answer).await.unwrap().unwrap();
    let (head, mut body) = answer.into_parts();
    let mut bytes = Vec::new();
    while let Some(piece) = timeout(PATIENCE, body.data()).await.unwrap() {
        bytes.extend(piece.unwrap());
    }
    (head, String::from_utf8(bytes).unwrap())
}

#[tokio::test]
async fn streams_get_their_answers_after_a_long_silence() {
    let model = VCenter::start(Pace::Lasts(Duration::from_secs(3))).await;
    let gate = start(&model, "silence");
    let session = log_in(&gate).await;
    let sender = connect(&gate).await;
    let one = clone(&sender, &session, "one").await;
    let two = clone(&sender, &session, "two").await;
    for (answer, _) in [one, two] {
        let (head, body) = answered(answer).await;
        assert_eq!(head.status, 200, "{head:?}");
        assert!(head.headers.contains_key("task-id"), "{head:?}");
        assert!(!head.headers.contains_key("asyncresult"), "{head:?}");
        assert!(body.starts_with("\"vm-"), "{body}");
    }
}

#[tokio::test]
async fn a_stream_that_is_reset_leaves_its_task_and_no_other() {
    let model = VCenter::start(Pace::ByHand).await;
    let gate = start(&model, "reset");
    let session = log_in(&gate).await;
    let sender = connect(&gate).await;
    let (_gone, mut stream) = clone(&sender, &session, "one").await;
    let (stays, _) = clone(&sender, &session, "two").await;
    until("both have begun", || begun(&model) == 2).await;
    // The call that logged in may have been in flight until now.
    until("these two alone are in flight", || gate.in_flight() == 2).await;
    stream.send_reset(Reason::CANCEL);
    until("one has left", || gate.in_flight() == 1).await;
    model.works.finish_all();
    assert_eq!(answered(stays).await.0.status, 200);
    let list = tasks(&gate, &session).await;
    for task in &list {
        let line = format!("GET /-/tasks/{}", task["id"].as_str().unwrap());
        let waits = format!("{session}Prefer: wait=50\r\n");
        let over = call(gate.http()[0], &line, &waits, "").await;
        assert_eq!(over.json()["state"], "COMPLETED");
    }
    assert_eq!((list.len(), model.books.all_effects().len()), (2, 2));
    // HTTP/1.1 beside it, to the same gate.
    let mut client = Client::connect(gate.http()[0]).await;
    let taken = request(&format!("POST {CLONE}"), &session, &clone_of("two"));
    client.send(taken).await;
    assert_eq!(client.answer().await.unwrap().status, 400);
}

#[tokio::test]
async fn a_list_tells_of_both_over_http_2_too() {
    let model = VCenter::start(Pace::ByHand).await;
    let gate = start(&model, "list");
    let session = log_in(&gate).await;
    let line = "POST /api/vcenter/vm?action=register&vmw-task=true";
    let body = r#"{"datastore":"datastore-12","name":"web-1"}"#;
    let ours = call(gate.http()[0], line, &session, body).await.json();
    let line = format!("POST {CLONE}&vmw-task=true");
    let theirs = call(gate.http()[0], &line, &session, &clone_of("web-2"))
        .await
        .json();
    until("both have begun", || begun(&model) == 2).await;
    let sender = connect(&gate).await;
    let (field, value) = session.trim().split_once(": ").unwrap();
    let target = "https://localhost/api/cis/tasks?action=list";
    for tasks in [format!("{ours},{theirs}"), ours.to_string()] {
        let request = http::Request::post(target)
            .header(field, value)
            .body(())
            .unwrap();
        let mut sender = sender.clone().ready().await.unwrap();
        let (answer, mut stream) = sender.send_request(request, false).unwrap();
        let body = format!("{{\"filter_spec\":{{\"tasks\":[{tasks}]}}}}");
        // In pieces, as clients may send it.
        let (first, last) = body.split_at(20);
        stream.send_data(first.to_owned().into(), false).unwrap();
        stream.send_data(last.to_owned().into(), true).unwrap();
        let (head, said) = answered(answer).await;
        assert_eq!(head.status, 200, "{said}");
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        let names: Vec<&String> = said.as_object().unwrap().keys().collect();
        let want = if tasks.contains(',') { 2 } else { 1 };
        assert_eq!(names.len(), want, "{said}");
        assert_eq!(said[ours.as_str().unwrap()]["status"], "RUNNING");
    }
    assert_eq!(model.books.count(crate::vendors::Kind::BatchPoll), 1);
    model.works.finish_all();
}
