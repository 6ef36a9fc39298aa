//! The events of a task, in time that the test holds.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use tidegate::task::Event;
use tokio::time::Instant;

use crate::rig::{Rig, answered, header};

/// Version and task of an event.
fn read(event: Option<Bytes>) -> (u64, Value) {
    let text = String::from_utf8(event.expect("an event").to_vec()).unwrap();
    let lines: Vec<&str> = text.split('\n').collect();
    let [id, kind, data, "", ""] = lines[..] else {
        panic!("no event: {text:?}");
    };
    assert_eq!(kind, "event: state");
    let id = id.strip_prefix("id: ").unwrap().parse().unwrap();
    let task = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
    (id, task)
}

#[tokio::test(start_paused = true)]
async fn every_change_is_told_until_the_end() {
    let rig = Arc::new(Rig::new());
    let id = rig.submit().await;
    let mut events = rig.get(format!("/-/tasks/{id}/events")).events().await;
    assert_eq!(events.head().status, 200);
    assert_eq!(
        header(events.head(), "content-type"),
        Some("text/event-stream")
    );
    assert_eq!(header(events.head(), "cache-control"), Some("no-store"));
    let (version, task) = read(events.next().await);
    assert_eq!(
        (version, &task["state"], &task["queue"]["position"]),
        (1, &"SCHEDULED".into(), &1.into())
    );
    rig.step(id, Event::Dispatch).await;
    let (version, task) = read(events.next().await);
    assert_eq!((version, &task["substate"]), (2, &"DISPATCHING".into()));
    let later = {
        let rig = rig.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            rig.end(id, Event::Complete, answered(200, b"{}")).await;
        })
    };
    let (version, task) = read(events.next().await);
    assert_eq!(
        (version, &task["state"], &task["version"]),
        (3, &"COMPLETED".into(), &3.into())
    );
    assert_eq!(events.next().await, None);
    assert_eq!(events.next().await, None);
    later.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_happened_meanwhile_is_told_as_it_is_by_then() {
    let rig = Rig::new();
    let id = rig.submit().await;
    let mut events = rig.get(format!("/-/tasks/{id}/events")).events().await;
    rig.complete(id).await;
    let (version, task) = read(events.next().await);
    assert_eq!((version, &task["state"]), (4, &"COMPLETED".into()));
    assert_eq!(events.next().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_silent_task_is_heard_every_fifteen_seconds() {
    let rig = Rig::new();
    let id = rig.submit().await;
    let mut events = rig.get(format!("/-/tasks/{id}/events")).events().await;
    read(events.next().await);
    let began = Instant::now();
    for beat in 1..=3 {
        assert_eq!(events.next().await.as_deref(), Some(&b":\n\n"[..]));
        assert_eq!(began.elapsed(), Duration::from_secs(15 * beat));
    }
    rig.run(id).await;
    assert_eq!(read(events.next().await).0, 3);
}

#[tokio::test(start_paused = true)]
async fn who_has_a_version_is_not_told_it_again() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.step(id, Event::Dispatch).await;
    let target = format!("/-/tasks/{id}/events");
    let mut events = rig.get(&target).with("last-event-id", "2").events().await;
    assert_eq!(events.next().await.as_deref(), Some(&b":\n\n"[..]));
    rig.step(id, Event::Sent).await;
    assert_eq!(read(events.next().await).0, 3);
    let mut behind = rig.get(&target).with("last-event-id", "1").events().await;
    assert_eq!(read(behind.next().await).0, 3);
    let mut nonsense = rig.get(&target).with("last-event-id", "x").events().await;
    assert_eq!(read(nonsense.next().await).0, 3);
}

#[tokio::test(start_paused = true)]
async fn of_what_is_over_the_end_is_told_once() {
    let rig = Rig::new();
    let id = rig.submit().await;
    rig.complete(id).await;
    let target = format!("/-/tasks/{id}/events");
    let mut events = rig.get(&target).events().await;
    assert_eq!(read(events.next().await).0, 4);
    assert_eq!(events.next().await, None);
    let answer = rig.get(&target).with("last-event-id", "4").answer().await;
    assert_eq!(
        answer.status, 204,
        "a browser's client does not come back then"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_after_an_hour_and_another_goes_on() {
    let rig = Rig::new();
    let id = rig.submit().await;
    let target = format!("/-/tasks/{id}/events");
    let mut events = rig.get(&target).events().await;
    let began = Instant::now();
    while events.next().await.is_some() {}
    assert_eq!(began.elapsed(), Duration::from_secs(3600));
    let mut next = rig.get(&target).with("last-event-id", "1").events().await;
    rig.run(id).await;
    assert_eq!(read(next.next().await).0, 3);
}

#[tokio::test(start_paused = true)]
async fn a_piece_that_was_not_waited_for_is_not_lost() {
    let rig = Rig::new();
    let id = rig.submit().await;
    let mut events = rig.get(format!("/-/tasks/{id}/events")).events().await;
    read(events.next().await);
    let short = Duration::from_secs(1);
    assert!(tokio::time::timeout(short, events.next()).await.is_err());
    rig.run(id).await;
    assert_eq!(read(events.next().await).0, 3);
}

#[tokio::test]
async fn head_has_the_fields_alone() {
    let rig = Rig::new();
    let id = rig.submit().await;
    let answer = rig
        .ask(Method::HEAD, format!("/-/tasks/{id}/events"))
        .answer()
        .await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    assert_eq!(header(&answer, "content-type"), Some("text/event-stream"));
}
