//! What a client that waits hears meanwhile, and how one that went away finds its call by the name that it gave it.

use std::time::Duration;

use serde_json::Value;
use tidegate::app::Running;
use tokio::io::AsyncReadExt;

use crate::rig::{CLONE, OTHER, before_vcenter, begun, call, clone_of, log_in, request, text};
use crate::support::client::Client;
use crate::support::{PATIENCE, gate, limit, until};
use crate::vendors::Pace;
use crate::vendors::vcenter::VCenter;

async fn named(gate: &Running, session: &str, name: &str) -> Vec<Value> {
    let line = format!("GET /-/tasks?request_id={name}");
    let answer = call(gate.http()[0], &line, session, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["tasks"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_a_client_left_is_found_by_the_name_of_its_request() {
    let model = VCenter::start(Pace::ByHand).await;
    let gate = before_vcenter(model.address, "");
    let session = log_in(&gate).await;
    let fields = format!("{session}X-Request-ID: build-7/web\r\n");
    let mut client = Client::connect(gate.http()[0]).await;
    let line = format!("POST {CLONE}");
    client
        .send(request(&line, &fields, &clone_of("web-1")))
        .await;
    until("it has begun", || begun(&model) == 1).await;
    drop(client);
    let open = || limit(&gate.snapshot(), "connections_http").in_use;
    until("its connection is gone", || open() == 0).await;
    let asks = format!("{session}Prefer: respond-async\r\n");
    assert_eq!(
        call(gate.http()[0], &line, &asks, &clone_of("web-2"))
            .await
            .status,
        202
    );
    let found = named(&gate, &session, "build-7%2Fweb").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["request"]["request_id"], "build-7/web");
    let waits = format!("{session}Prefer: wait=50\r\n");
    let own = format!("GET /-/tasks/{}", found[0]["id"].as_str().unwrap());
    until("the other has begun", || begun(&model) == 2).await;
    model.works.finish_all();
    assert_eq!(
        call(gate.http()[0], &own, &waits, "").await.json()["state"],
        "COMPLETED"
    );
    assert_eq!(model.books.effects("clone web-1"), 1);
    assert!(named(&gate, &session, "build-8").await.is_empty());
    let other = call(gate.http()[0], "POST /api/session", OTHER, "")
        .await
        .json();
    let other = format!("vmware-api-session-id: {}\r\n", other.as_str().unwrap());
    assert!(
        named(&gate, &other, "build-7%2Fweb").await.is_empty(),
        "it is another's"
    );
}

/// Everything that is said to a clone until `end` is in it.
async fn heard(
    gate: &Running,
    session: &str,
    version: &str,
    enough: impl Fn(&str) -> bool,
) -> (Client, String) {
    let mut client = Client::connect(gate.http()[0]).await;
    let clone = request(&format!("POST {CLONE}"), session, &clone_of("web-1"));
    client.send(clone.replace("HTTP/1.1", version)).await;
    let text = more(&mut client, enough).await;
    (client, text)
}

async fn more(client: &mut Client, enough: impl Fn(&str) -> bool) -> String {
    let mut text = String::new();
    while !enough(&text) {
        let mut piece = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, client.stream.read(&mut piece));
        let read = read.await.expect("something in time").unwrap();
        assert_ne!(read, 0, "{text}");
        text += std::str::from_utf8(&piece[..read]).unwrap();
    }
    text
}

#[tokio::test]
async fn a_client_that_waits_hears_signs_of_life_where_they_are_wanted() {
    for (word, status, link) in [
        ("processing", "HTTP/1.1 102 Processing", false),
        ("early-hints", "HTTP/1.1 103 Early Hints", true),
    ] {
        let model = VCenter::start(Pace::ByHand).await;
        let tasks = format!("interim = \"{word}\"\ninterim_every = \"50ms\"\n");
        let gate = gate(&text(model.address, "vcenter-8.0", "", &tasks));
        let session = log_in(&gate).await;
        let signs = |text: &str| text.matches(status).count();
        let (mut client, said) = heard(&gate, &session, "HTTP/1.1", |text| signs(text) >= 3).await;
        assert_eq!(said.contains("; rel=\"monitor\""), link, "{said}");
        if link {
            let own = said.split_once("/-/tasks/").unwrap().1;
            let line = format!("GET /-/tasks/{}", &own[..26]);
            assert_eq!(call(gate.http()[0], &line, &session, "").await.status, 200);
        }
        model.works.finish_all();
        let said = more(&mut client, |text| text.contains("\"vm-12\"")).await;
        assert_eq!(said.matches("HTTP/1.1 200 OK").count(), 1, "{said}");
        // The connection goes on.
        client.send(request("GET /api/session", &session, "")).await;
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn nobody_hears_any_where_they_are_not() {
    let model = VCenter::start(Pace::Lasts(Duration::from_millis(300))).await;
    let gate = before_vcenter(model.address, "");
    let session = log_in(&gate).await;
    let (_, said) = heard(&gate, &session, "HTTP/1.1", |text| {
        text.contains("\"vm-12\"")
    })
    .await;
    assert!(said.starts_with("HTTP/1.1 200 OK"), "{said}");
    // Nor does a client that is too old for it.
    let tasks = "interim = \"processing\"\ninterim_every = \"10ms\"\n";
    let gate = crate::support::gate(&text(model.address, "vcenter-8.0", "", tasks));
    let session = log_in(&gate).await;
    let said = heard(&gate, &session, "HTTP/1.0", |text| {
        text.contains("\r\n\r\n")
    })
    .await
    .1;
    assert!(!said.contains("102 Processing"), "{said}");
}
