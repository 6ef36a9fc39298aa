//! Bodies of every kind come through whole, by a task or not.

use std::time::Duration;

use crate::rig::{CLONE, before_vcenter, body, call, clone_of, log_in, text};
use crate::support::client::{Answer, Client};
use crate::support::gate;
use crate::vendors::vcenter::VCenter;
use crate::vendors::{Kind, Model, Pace};

const SOON: Pace = Pace::Lasts(Duration::from_millis(5));

/// A clone by this name with a body of so many bytes, or a few more.
fn padded(name: &str, bytes: usize) -> String {
    let clone = clone_of(name);
    let inner = clone.strip_suffix('}').unwrap();
    format!("{inner},\"description\":\"{}\"}}", "x".repeat(bytes))
}

async fn in_chunks(client: &mut Client, fields: &str, body: &str) -> Answer {
    let head =
        format!("POST {CLONE} HTTP/1.1\r\nHost: a\r\n{fields}Transfer-Encoding: chunked\r\n\r\n");
    client.send(head).await;
    for piece in body.as_bytes().chunks(3000) {
        let size = format!("{:x}\r\n", piece.len());
        client
            .send([size.as_bytes(), piece, b"\r\n"].concat())
            .await;
    }
    client.send("0\r\n\r\n").await;
    client.answer().await.unwrap()
}

/// The bodies that the model has heard of clones.
fn heard(model: &Model<VCenter>) -> Vec<String> {
    let heard = model.books.heard().into_iter();
    heard
        .filter(|heard| matches!(heard.kind, Kind::Start | Kind::Blocking))
        .map(|heard| String::from_utf8(heard.request.body).unwrap())
        .collect()
}

#[tokio::test]
async fn short_ones_and_long_ones_announced_and_in_chunks() {
    let model = VCenter::start(SOON).await;
    let gate = before_vcenter(model.address, "");
    let session = log_in(&gate).await;
    let mut client = Client::connect(gate.http()[0]).await;
    // As much as can be sent up again, and more; in chunks the length is not known beforehand.
    let cases = [
        (10, true, true),
        (200_000, true, true),
        (10, false, true),
        (200_000, false, false),
    ];
    let mut sent = Vec::new();
    for (number, (bytes, announced, by_task)) in cases.into_iter().enumerate() {
        let clone = padded(&format!("web-{number}"), bytes);
        let answer = if announced {
            call(gate.http()[0], &format!("POST {CLONE}"), &session, &clone).await
        } else {
            in_chunks(&mut client, &session, &clone).await
        };
        assert_eq!(answer.status, 200, "{number}: {answer:?}");
        assert_eq!(answer.header("task-id").is_some(), by_task, "{number}");
        sent.push(clone);
    }
    assert_eq!(heard(&model), sent);
}

#[tokio::test]
async fn one_that_is_too_long_for_a_task_is_held_as_any_call() {
    let model = VCenter::start(SOON).await;
    let gate = gate(&text(
        model.address,
        "vcenter-8.0",
        "",
        "max_body = \"1KiB\"",
    ));
    let session = log_in(&gate).await;
    let line = format!("POST {CLONE}");
    let clone = padded("long", 2000);
    let answer = call(gate.http()[0], &line, &session, &clone).await;
    assert_eq!((answer.status, answer.header("task-id")), (200, None));
    assert_eq!(heard(&model), [clone]);
}

#[tokio::test]
async fn who_waits_to_be_asked_for_its_body_is_asked() {
    let model = VCenter::start(SOON).await;
    let gate = before_vcenter(model.address, "");
    let session = log_in(&gate).await;
    let fields = format!("{session}Expect: 100-continue\r\n");
    let line = format!("POST {CLONE}");
    let answer = call(gate.http()[0], &line, &fields, &clone_of("web")).await;
    assert_eq!(answer.status, 200, "{}", body(&answer));
    assert_eq!(heard(&model), [clone_of("web")]);
}
