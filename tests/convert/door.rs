//! The door to the task API: what is the gate's own, and what is an upstream's.

use std::time::Duration;

use crate::rig::{ALICE, ASYNC, BOB, get, id, list, post, request, say, start};
use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::{gate, plain, until};

#[tokio::test]
async fn what_is_the_gates_own_never_goes_up() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    for (target, status) in [
        ("/-/tasks", 200),
        ("/-/tasks/policy", 200),
        ("/-/openapi.json", 200),
        ("/-/problems/gone", 200),
        ("/-/problems/no-such", 404),
        ("/-/tasks/", 404),
        ("/-/tasks/x/y/z", 404),
        ("/-/tasks?state=NONSENSE", 400),
    ] {
        assert_eq!(get(&gate, target, ALICE).await.status, status, "{target}");
    }
    assert_eq!(origin.seen.requests(), 0);
}

#[tokio::test]
async fn odd_spellings_reach_no_task() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let id = id(&say(&gate, post("/clone?hold", &format!("{ALICE}{ASYNC}"))).await);
    let before = origin.seen.requests();
    for target in [
        format!("//-/tasks/{id}"),
        format!("/-//tasks/{id}"),
        format!("/%2d/tasks/{id}"),
        format!("/-/%74asks/{id}"),
        format!("/-/tasks//{id}"),
        format!("/-/tasks/./{id}"),
        format!("/x/../-/tasks/{id}"),
        format!("/-/tasks/../tasks/{id}"),
        format!("/-/tasks;x/{id}"),
        format!("/-/tasks/{id}%2fresult"),
        format!("/-\\tasks\\{id}"),
        format!("/-/TASKS/{id}"),
        format!("/-/tasksx/{id}"),
        "/-/other".to_owned(),
        "/-/problems".to_owned(),
    ] {
        let answer = get(&gate, &target, ALICE).await;
        match answer.status {
            400 => {}
            // The model upstream says what it was asked for.
            200 => assert_eq!(answer.json()["target"], target.as_str()),
            other => panic!("{target}: {other}"),
        }
    }
    assert!(origin.seen.requests() > before);
    // What climbs out of the API is judged as what it comes to: a blocking call of a route.
    let climbs = post("/-/tasks/../../always?hold", ALICE);
    let answer = say(&gate, climbs).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(answer.json()["route"], "always");
}

#[tokio::test]
async fn the_whole_form_of_a_target_is_the_same_place() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let answer = get(&gate, "http://gate.example/-/tasks", ALICE).await;
    assert_eq!((answer.status, origin.seen.requests()), (200, 0));
}

#[tokio::test]
async fn another_prefix_leaves_the_usual_one_to_the_upstream() {
    let origin = Origin::start().await;
    let text = plain(origin.address, "").replace("[log]", "[tasks]\nprefix = \"/jobs\"\n[log]");
    let gate = gate(&text);
    assert_eq!(
        get(&gate, "/jobs", ALICE).await.json()["tasks"],
        serde_json::json!([])
    );
    assert_eq!(get(&gate, "/openapi.json", ALICE).await.status, 200);
    assert_eq!(origin.seen.requests(), 0);
    let up = get(&gate, "/-/tasks", ALICE).await;
    assert_eq!(up.json()["target"], "/-/tasks");
}

#[tokio::test]
async fn a_body_for_the_api_is_bounded() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let id = id(&say(&gate, post("/clone?hold", &format!("{ALICE}{ASYNC}"))).await);
    let cancel = format!("/-/tasks/{id}/cancel");
    let long = format!("{{\"reason\":\"{}\"}}", "x".repeat(70_000));
    let answer = say(&gate, request("POST", &cancel, ALICE, &long)).await;
    assert_eq!(answer.status, 413);
    assert_eq!(
        say(&gate, request("POST", &cancel, BOB, "")).await.status,
        404
    );
    let events = format!("/-/tasks/{id}/events");
    assert_eq!(get(&gate, &events, BOB).await.status, 404);
    assert_eq!(list(&gate, ALICE).await.len(), 1);
}

#[tokio::test]
async fn one_connection_carries_answers_with_and_without_a_body() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let id = id(&say(&gate, post("/clone?hold", &format!("{ALICE}{ASYNC}"))).await);
    let mut client = Client::connect(gate.http()[0]).await;
    let ask = |method: &str, more: &str| {
        format!("{method} /-/tasks/{id} HTTP/1.1\r\nHost: a\r\n{ALICE}{more}\r\n")
    };
    // From here on nothing changes it: its upstream never answers.
    let whole = loop {
        client.send(ask("GET", "")).await;
        let whole = client.answer().await.unwrap();
        if whole.json()["substate"] == "IN_FLIGHT" {
            break whole;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let etag = whole.header("etag").unwrap().to_owned();
    client.send(ask("HEAD", "")).await;
    assert_eq!(client.answer_to("HEAD").await.unwrap().status, 200);
    client
        .send(ask("GET", &format!("If-None-Match: {etag}\r\n")))
        .await;
    let cached = client.answer_to("HEAD").await.unwrap();
    assert_eq!(
        (cached.status, cached.header("content-length")),
        (304, None)
    );
    client.send(ask("GET", "")).await;
    assert_eq!(
        client.answer().await.unwrap().status,
        200,
        "and what follows is whole"
    );
}

#[tokio::test]
async fn whoever_hangs_up_ends_its_wait() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let id = id(&say(&gate, post("/clone?hold", &format!("{ALICE}{ASYNC}"))).await);
    until("the task runs", || gate.in_flight() == 1).await;
    for (target, fields) in [
        (format!("/-/tasks/{id}"), "Prefer: wait=60\r\n"),
        (format!("/-/tasks/{id}/events"), ""),
    ] {
        let mut client = Client::connect(gate.http()[0]).await;
        client
            .send(format!(
                "GET {target} HTTP/1.1\r\nHost: a\r\n{ALICE}{fields}\r\n"
            ))
            .await;
        until("it waits", || gate.in_flight() == 2).await;
        drop(client);
        until("it is over", || gate.in_flight() == 1).await;
    }
}

#[tokio::test]
async fn events_come_as_they_happen_and_end_with_the_task() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let id = id(&say(&gate, post("/clone?hold", &format!("{ALICE}{ASYNC}"))).await);
    let mut client = Client::connect(gate.http()[0]).await;
    client
        .send(format!(
            "GET /-/tasks/{id}/events HTTP/1.1\r\nHost: a\r\n{ALICE}\r\n"
        ))
        .await;
    client.read_ahead(200).await;
    // Where nobody works on it, it can be taken back; else its end is made by its upstream.
    let cancel = request("POST", &format!("/-/tasks/{id}/cancel"), ALICE, "");
    if say(&gate, cancel).await.status != 200 {
        origin.release();
    }
    let stream = client.answer().await.unwrap();
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    assert_eq!(stream.header("transfer-encoding"), Some("chunked"));
    let text = String::from_utf8(stream.body).unwrap();
    assert!(stream.whole && text.contains("event: state"), "{text}");
    assert!(text.contains("\"done\":true"), "{text}");
}
