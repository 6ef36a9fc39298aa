//! What a receiver sees on its socket, checked by another implementation of HMAC than the sender's.

use std::sync::Arc;

use serde_json::Value;
use tidegate::app::Post;
use tidegate::task::{Delivery, hook_body};

use crate::receiver::{Receiver, Seen, answer, is_signed};
use crate::rig::{KEY, Rig};

fn post() -> Arc<Post> {
    Arc::new(Post::new().unwrap())
}

#[tokio::test]
async fn a_receiver_that_fails_once_hears_it_five_seconds_later_signed_anew() {
    let receiver = Receiver::start(vec![answer("500 Oops"), answer("200 OK")]).await;
    let rig = Rig::new();
    rig.outbox(post(), &[&receiver.prefix()]);
    let id = rig.done(&receiver.url()).await;
    rig.settled().await;
    let seen = receiver.seen();
    assert_eq!(seen.len(), 2);
    for one in &seen {
        assert!(
            one.head
                .starts_with("POST /hooks/tasks?of=vc1 HTTP/1.1\r\n"),
            "{}",
            one.head
        );
        assert_eq!(one.field("content-type"), "application/json");
        assert!(is_signed(one, KEY), "{one:?}");
        let said: Value = serde_json::from_slice(&one.body).unwrap();
        assert_eq!(said["type"], "task.completed");
        assert_eq!(said["data"]["state"], "COMPLETED");
        assert_eq!(said["data"]["version"], 4);
        assert_eq!(said["data"]["links"]["self"], format!("/-/jobs/{id}"));
        assert_eq!(
            said["data"]["links"]["result"],
            format!("/-/jobs/{id}/result")
        );
    }
    assert_eq!(seen[0].field("webhook-id"), seen[1].field("webhook-id"));
    assert_eq!(seen[0].body, seen[1].body);
    let at = |seen: &Seen| seen.field("webhook-timestamp").parse::<u64>().unwrap();
    assert!(
        at(&seen[1]) >= at(&seen[0]) + 5,
        "never sooner than after 5 s"
    );
    let mut altered = seen[1].clone();
    altered.body[0] ^= 1;
    assert!(!is_signed(&altered, KEY));
}

#[tokio::test]
async fn each_of_two_receivers_hears_its_own_and_a_dead_one_nobody_elses() {
    let (one, other) = (
        Receiver::start(vec![answer("204 No Content")]).await,
        Receiver::start(vec![answer("410 Gone")]).await,
    );
    let dead = {
        let bound = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        bound.local_addr().unwrap()
    };
    let dead = format!("http://{dead}/");
    let rig = Rig::new();
    rig.outbox(post(), &[&one.prefix(), &other.prefix(), &dead]);
    for _ in 0..3 {
        rig.done(&dead).await;
        rig.done(&one.url()).await;
    }
    let gone = rig.done(&other.url()).await;
    let deadline = std::time::Instant::now() + crate::rig::PATIENCE;
    while one.seen().len() < 3 || other.seen().is_empty() {
        assert!(
            std::time::Instant::now() < deadline,
            "{:?}",
            rig.desk.tally().told()
        );
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let said: Value = serde_json::from_slice(&other.seen()[0].body).unwrap();
    assert_eq!(said["data"]["id"], gone.to_string());
    let ids: std::collections::BTreeSet<_> = one
        .seen()
        .iter()
        .map(|seen| seen.field("webhook-id").to_owned())
        .collect();
    assert_eq!(ids.len(), 3);
    assert!(!rig.is_settled().await, "the dead one may come back");
}

#[tokio::test]
async fn a_redirection_is_not_followed_and_a_flood_of_an_answer_is_not_read() {
    let elsewhere = Receiver::start(vec![answer("200 OK")]).await;
    let moved = format!(
        "HTTP/1.1 307 Elsewhere\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
        elsewhere.url()
    );
    let flood = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n{}",
        "x".repeat(1 << 20)
    );
    let receiver = Receiver::start(vec![moved, flood]).await;
    let rig = Rig::new();
    rig.outbox(post(), &[&receiver.prefix(), &elsewhere.prefix()]);
    rig.done(&receiver.url()).await;
    rig.settled().await;
    assert_eq!(receiver.seen().len(), 2);
    assert!(elsewhere.seen().is_empty());
    let failed = Delivery::ALL
        .iter()
        .position(|one| *one == Delivery::Failed);
    assert_eq!(rig.desk.tally().told().deliveries[failed.unwrap()], 1);
}

#[tokio::test]
async fn what_was_not_heard_before_a_restart_is_heard_after_it() {
    let rig = Rig::new();
    let receiver = Receiver::start(vec![answer("200 OK")]).await;
    let id = rig.done(&receiver.url()).await;
    let again = Rig::over(rig.store.clone());
    again.outbox(post(), &[&receiver.prefix()]);
    again.settled().await;
    let seen = receiver.seen();
    assert_eq!(seen.len(), 1);
    assert!(is_signed(&seen[0], KEY));
    let said: Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!(said["data"]["id"], id.to_string());
    let tidegate::task::Found::Task(task) = again.desk.find(id).await.unwrap() else {
        panic!("it is kept");
    };
    assert_eq!(seen[0].body, hook_body(&task, "/-/jobs"));
    let at = said["timestamp"].as_str().unwrap();
    let millis = format!(".{:03}Z", task.ended.unwrap().0 % 1000);
    assert!(at.len() == 24 && at.ends_with(&millis), "{at}");
}
