//! What is refused at the door, and in which words.

use crate::rig::{ALICE, ASYNC, BOB, get, id, list, post, say, start};
use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::until;

#[tokio::test]
async fn a_full_queue_is_a_limit_with_a_name() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "queue = 3\nqueue_per_user = 2");
    let (alice, bob) = (format!("{ALICE}{ASYNC}"), format!("{BOB}{ASYNC}"));
    for who in [ALICE, BOB] {
        assert_eq!(say(&gate, post("/never", who)).await.status, 200, "proven");
    }
    for _ in 0..2 {
        id(&say(&gate, post("/clone?hold", &alice)).await);
    }
    let own = say(&gate, post("/clone?hold", &alice)).await;
    assert_eq!(own.status, 429, "{own:?}");
    assert_eq!(own.header("tidegate-limit"), Some("task_queue_per_user"));
    assert!(own.header("retry-after").is_some());
    assert!(own.header("ratelimit").unwrap().contains("r=0"));
    let kind = own.json()["type"].as_str().unwrap().to_owned();
    assert!(kind.ends_with("#quota-exceeded"), "{kind}");
    id(&say(&gate, post("/clone?hold", &bob)).await);
    let full = say(&gate, post("/clone?hold", &bob)).await;
    assert_eq!(full.status, 503, "{full:?}");
    assert_eq!(full.header("tidegate-limit"), Some("task_queue"));
    assert!(full.header("retry-after").is_some());
    let kind = full.json()["type"].as_str().unwrap().to_owned();
    assert!(kind.ends_with("#temporary-reduced-capacity"), "{kind}");
    assert_eq!(
        (list(&gate, ALICE).await.len(), list(&gate, BOB).await.len()),
        (2, 1)
    );
}

#[tokio::test]
async fn whoever_makes_credentials_up_fills_no_more_than_the_share_of_its_address() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "queue = 100\nqueue_per_user = 3");
    assert_eq!(say(&gate, post("/never", BOB)).await.status, 200, "proven");
    // Nobody in particular, then somebody new each time.
    let made_up = |number: u32| match number {
        0 => ASYNC.to_owned(),
        _ => format!("Authorization: Bearer made-up-{number}\r\n{ASYNC}"),
    };
    for number in 0..3 {
        id(&say(&gate, post("/clone?hold", &made_up(number))).await);
    }
    for number in [0, 3, 4] {
        let answer = say(&gate, post("/clone?hold", &made_up(number))).await;
        assert_eq!(answer.status, 429, "{answer:?}");
        let limit = answer.header("tidegate-limit");
        assert_eq!(limit, Some("task_queue_per_user"));
    }
    // Who is proven has a share of its own, from the same address.
    let bob = format!("{BOB}{ASYNC}");
    for _ in 0..3 {
        id(&say(&gate, post("/clone?hold", &bob)).await);
    }
    assert_eq!(say(&gate, post("/clone?hold", &bob)).await.status, 429);
    // What is over leaves room, here as there.
    until("all run", || origin.seen.running() == 6).await;
    origin.release();
    until("they are over", || gate.in_flight() == 0).await;
    id(&say(&gate, post("/clone?hold", &made_up(5))).await);
}

#[tokio::test]
async fn a_gate_that_drains_takes_no_tasks_and_ends_what_waits() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let address = gate.http()[0];
    let id = id(&say(&gate, post("/clone?hold", &format!("{ALICE}{ASYNC}"))).await);
    let whole = post("/clone?hold", &format!("{ALICE}{ASYNC}"));
    // Its body is on the way while the gate begins to drain.
    let mut late = Client::connect(address).await;
    late.send(&whole[..whole.len() - 1]).await;
    until("the task runs", || origin.seen.running() == 1).await;
    // These wait: for a change of the task, for its events, and for its end.
    let mut poll = Client::connect(address).await;
    let version = get(&gate, &format!("/-/tasks/{id}"), ALICE).await;
    let etag = version.header("etag").unwrap();
    poll.send(format!(
        "GET /-/tasks/{id} HTTP/1.1\r\nHost: a\r\n{ALICE}Prefer: wait=60\r\nIf-None-Match: {etag}\r\n\r\n"
    ))
    .await;
    let mut events = Client::connect(address).await;
    events
        .send(format!(
            "GET /-/tasks/{id}/events HTTP/1.1\r\nHost: a\r\n{ALICE}\r\n"
        ))
        .await;
    let mut waits = Client::connect(address).await;
    let prefer = "Prefer: respond-async, wait=60\r\n";
    waits
        .send(post("/clone?hold", &format!("{ALICE}{prefer}")))
        .await;
    // Four calls, and two tasks.
    until("all are under way", || gate.in_flight() == 6).await;
    let mut idle = Client::connect(address).await;
    idle.send("GET /-/tasks/policy HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    assert_eq!(idle.answer().await.unwrap().status, 200);
    let drained = tokio::task::spawn_blocking(move || gate.drain());
    let polled = poll.answer().await.unwrap();
    assert!(matches!(polled.status, 200 | 304), "{polled:?}");
    let streamed = events.answer().await.unwrap();
    assert!(streamed.whole && streamed.status == 200, "{streamed:?}");
    assert_eq!(waits.answer().await.unwrap().status, 202);
    late.send(&whole[whole.len() - 1..]).await;
    let refused = late.answer().await.unwrap();
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(refused.header("connection"), Some("close"));
    assert!(refused.header("retry-after").is_some());
    assert!(late.closed().await);
    until("its tasks are up", || origin.seen.running() >= 2).await;
    origin.release();
    assert_eq!(drained.await.unwrap().cut, 0);
}
