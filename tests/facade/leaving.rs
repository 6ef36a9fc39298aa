//! Clients that go away, and come back.

use crate::rig::{
    CLONE, all_back, before_vcenter, begun, call, clone_of, is_plain, log_in, request, tasks,
};
use crate::support::client::Client;
use crate::support::{limit, until};
use crate::vendors::Pace;
use crate::vendors::vcenter::VCenter;

#[tokio::test]
async fn what_a_client_left_is_done_once_and_found_by_its_key() {
    let model = VCenter::start(Pace::ByHand).await;
    let gate = before_vcenter(model.address, "");
    let session = log_in(&gate).await;
    let fields = format!("{session}Idempotency-Key: \"web\"\r\n");
    let (line, body) = (format!("POST {CLONE}"), clone_of("web"));
    let mut client = Client::connect(gate.http()[0]).await;
    client.send(request(&line, &fields, &body)).await;
    until("it has begun", || begun(&model) == 1).await;
    drop(client);
    let open = || limit(&gate.snapshot(), "connections_http").in_use;
    until("its connection is gone", || open() == 0).await;
    // It asks again while that is under way.
    let mut client = Client::connect(gate.http()[0]).await;
    client.send(request(&line, &fields, &body)).await;
    model.works.finish_all();
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("idempotent-replayed"), Some("true"));
    is_plain(&answer);
    // And once more when it is over.
    let again = call(gate.http()[0], &line, &fields, &body).await;
    assert_eq!((again.status, &again.body), (200, &answer.body));
    assert_eq!(again.header("task-id"), answer.header("task-id"));
    let asks = format!("{fields}Prefer: respond-async\r\n");
    let ticket = call(gate.http()[0], &line, &asks, &body).await;
    assert_eq!(ticket.status, 202, "{ticket:?}");
    assert_eq!(ticket.json()["id"].as_str(), answer.header("task-id"));
    assert_eq!(ticket.json()["state"], "COMPLETED");
    assert_eq!((begun(&model), model.books.effects("clone web")), (1, 1));
    let other = call(gate.http()[0], &line, &fields, &clone_of("other")).await;
    assert_eq!(other.status, 422, "the key is that of another request");
    all_back(&gate, &session).await;
}

#[tokio::test]
async fn what_a_client_left_without_a_key_stands_in_its_list() {
    let model = VCenter::start(Pace::ByHand).await;
    let gate = before_vcenter(model.address, "");
    let session = log_in(&gate).await;
    let mut client = Client::connect(gate.http()[0]).await;
    let clone = request(&format!("POST {CLONE}"), &session, &clone_of("web"));
    client.send(clone).await;
    until("it has begun", || begun(&model) == 1).await;
    drop(client);
    model.works.finish_all();
    let id = tasks(&gate, &session).await[0]["id"].clone();
    let line = format!("GET /-/tasks/{}", id.as_str().unwrap());
    let waits = format!("{session}Prefer: wait=50\r\n");
    let task = call(gate.http()[0], &line, &waits, "").await;
    assert_eq!(task.json()["state"], "COMPLETED");
    assert_eq!(model.books.effects("clone web"), 1);
    all_back(&gate, &session).await;
}

#[tokio::test]
async fn a_call_that_does_not_begin_in_its_client_s_time_is_refused_and_taken_back() {
    let model = VCenter::start(Pace::ByHand).await;
    let gate = before_vcenter(model.address, "");
    let session = log_in(&gate).await;
    let address = model.address;
    drop(model);
    until("nobody is there", || {
        std::net::TcpStream::connect(address).is_err()
    })
    .await;
    let fields = format!("{session}Prefer: wait=1\r\n");
    let line = format!("POST {CLONE}");
    let answer = call(gate.http()[0], &line, &fields, &clone_of("web")).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json()["error_type"], "SERVICE_UNAVAILABLE");
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
    let list = tasks(&gate, &session).await;
    let states: Vec<_> = list.iter().map(|task| &task["state"]).collect();
    assert_eq!(states, ["ABORTED"]);
    assert_eq!(list[0]["dispatched"], false);
}
