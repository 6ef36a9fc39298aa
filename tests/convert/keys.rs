//! Idempotency keys: the same key is the same task.

use std::collections::BTreeSet;

use crate::rig::{ALICE, ASYNC, BOB, get, id, list, post, request, say, start, text};
use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::{gate, until};

fn keyed(target: &str, who: &str, key: &str, body: &str) -> String {
    let fields =
        format!("{who}{ASYNC}Idempotency-Key: {key}\r\nContent-Type: application/json\r\n");
    request("POST", target, &fields, body)
}

#[tokio::test]
async fn the_same_request_with_the_same_key_is_the_same_task() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let first = say(&gate, keyed("/clone?hold", ALICE, "\"k-1\"", "{}")).await;
    assert_eq!(first.header("idempotent-replayed"), None);
    for key in ["\"k-1\"", "k-1"] {
        let again = say(&gate, keyed("/clone?hold", ALICE, key, "{}")).await;
        assert_eq!(id(&again), id(&first));
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
    }
    assert_eq!(list(&gate, ALICE).await.len(), 1);
}

#[tokio::test]
async fn a_key_with_another_request_is_refused() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    id(&say(&gate, keyed("/clone?hold", ALICE, "k", "{}")).await);
    let other_body = keyed("/clone?hold", ALICE, "k", "{\"a\":1}");
    let other_type =
        keyed("/clone?hold", ALICE, "k", "{}").replace("application/json", "text/plain");
    let tenant = format!("{ALICE}X-Tenant: a\r\n");
    let other_tenant = keyed("/clone?hold", &tenant, "k", "{}");
    for request in [other_body, other_type, other_tenant] {
        let answer = say(&gate, request).await;
        assert_eq!(answer.status, 422, "{answer:?}");
        assert_eq!(answer.json()["title"], "Idempotency-Key is already used");
    }
    // Of somebody else, or for something else, it is another key.
    let fresh = [
        keyed("/clone?hold", BOB, "k", "{}"),
        keyed("/clone?hold&b", ALICE, "k", "{}"),
        keyed("/always?hold", ALICE, "k", "{}"),
        keyed("/clone?hold", ALICE, "K", "{}"),
    ];
    for request in fresh {
        let answer = say(&gate, request).await;
        id(&answer);
        assert_eq!(answer.header("idempotent-replayed"), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_one_key_is_one_task() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let address = gate.http()[0];
    let storm = (0..100).map(|_| {
        tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            client
                .send(keyed("/clone?hold", ALICE, "storm", "{}"))
                .await;
            client.answer().await.unwrap()
        })
    });
    let mut ids = BTreeSet::new();
    let mut new = 0;
    for answer in storm.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        ids.insert(id(&answer));
        new += usize::from(answer.header("idempotent-replayed").is_none());
    }
    assert_eq!((ids.len(), new), (1, 1));
    assert_eq!(list(&gate, ALICE).await.len(), 1);
}

#[tokio::test]
async fn what_is_no_key_is_refused_and_so_is_none_where_one_is_needed() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let too_long = "k".repeat(256);
    for key in ["", "\"\"", "\"a", "a b", &too_long] {
        let answer = say(&gate, keyed("/clone?hold", ALICE, key, "{}")).await;
        assert_eq!(answer.status, 400, "{key}");
        assert_eq!(answer.json()["title"], "Idempotency-Key is not valid");
    }
    for fields in [ALICE.to_owned(), format!("{ALICE}{ASYNC}")] {
        let answer = say(&gate, post("/keyed?hold", &fields)).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.json()["title"], "Idempotency-Key is missing");
    }
    id(&say(&gate, keyed("/keyed?hold", ALICE, "k", "{}")).await);
    assert_eq!(list(&gate, ALICE).await.len(), 1);
}

#[tokio::test]
async fn while_a_call_with_the_key_is_held_the_key_is_outstanding() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let held = |target: &str| keyed(target, ALICE, "k", "{}").replace(ASYNC, "");
    let mut first = Client::connect(gate.http()[0]).await;
    first.send(held("/clone?hold")).await;
    until("it runs", || origin.seen.running() == 1).await;
    for request in [held("/clone?hold"), keyed("/clone?hold", ALICE, "k", "{}")] {
        let answer = say(&gate, request).await;
        assert_eq!(answer.status, 409, "{answer:?}");
        assert_eq!(answer.header("retry-after"), Some("1"));
        let title = "A request is outstanding for this Idempotency-Key";
        assert_eq!(answer.json()["title"], title);
    }
    origin.release();
    let answer = first.answer().await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(origin.seen.requests(), 1);
    // It is over, and so the key is free; so it is when its client went away.
    let mut second = Client::connect(gate.http()[0]).await;
    second.send(held("/clone?hold")).await;
    until("it runs", || origin.seen.requests() == 2).await;
    drop(second);
    until("it is over", || gate.in_flight() == 0).await;
    id(&say(&gate, keyed("/clone?hold", ALICE, "k", "{}")).await);
}

#[tokio::test]
async fn keys_are_nothing_to_the_gate_where_it_is_told_so() {
    let origin = Origin::start().await;
    let config = text(origin.address, "") + "[headers]\nidempotency_key = false\n";
    let gate = gate(&config);
    let one = say(&gate, keyed("/clone?hold", ALICE, "k", "{}")).await;
    let other = say(&gate, keyed("/clone?hold", ALICE, "k", "{\"a\":1}")).await;
    assert_ne!(id(&one), id(&other));
    id(&say(&gate, keyed("/clone?hold", ALICE, "a b", "{}")).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_is_known_needs_no_room() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "queue = 1\nqueue_per_user = 1");
    let address = gate.http()[0];
    let storm = (0..40).map(|_| {
        tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            client.send(keyed("/clone?hold", ALICE, "k", "{}")).await;
            client.answer().await.unwrap()
        })
    });
    let mut ids = BTreeSet::new();
    for answer in storm.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        match answer.status {
            // Before the first was kept.
            409 => assert_eq!(answer.header("retry-after"), Some("1")),
            _ => drop(ids.insert(id(&answer))),
        }
    }
    assert_eq!(ids.len(), 1);
    let again = say(&gate, keyed("/clone?hold", ALICE, "k", "{}")).await;
    assert!(ids.contains(&id(&again)));
    let other = say(&gate, keyed("/clone?hold", ALICE, "k", "[]")).await;
    assert_eq!(other.status, 422);
    let new = say(&gate, keyed("/clone?hold", ALICE, "k2", "{}")).await;
    assert_eq!(new.status, 503);
}

#[tokio::test]
async fn a_held_call_is_not_done_where_a_task_has_its_key() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let held = |body: &str| keyed("/clone?hold", ALICE, "k", body).replace(ASYNC, "");
    let task = id(&say(&gate, keyed("/clone?hold", ALICE, "k", "{}")).await);
    until("it runs", || origin.seen.running() == 1).await;
    let early = say(&gate, held("{}")).await;
    assert_eq!(
        (early.status, early.header("retry-after")),
        (409, Some("1"))
    );
    assert_eq!(say(&gate, held("[]")).await.status, 422);
    origin.release();
    let fields = format!("{ALICE}Prefer: wait=50\r\n");
    let done = get(&gate, &format!("/-/tasks/{task}"), &fields).await;
    assert_eq!(done.json()["state"], "COMPLETED");
    let again = say(&gate, held("{}")).await;
    assert_eq!(
        (again.status, again.header("task-id")),
        (200, Some(task.as_str()))
    );
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(origin.seen.requests(), 1);
}

#[tokio::test]
async fn a_call_that_is_held_while_a_task_with_its_key_comes_in_is_the_only_one() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let whole = keyed("/clone?hold", ALICE, "k", "{}");
    // Its body is on the way while the other begins.
    let mut late = Client::connect(gate.http()[0]).await;
    late.send(&whole[..whole.len() - 1]).await;
    until("it is under way", || gate.in_flight() == 1).await;
    let mut held = Client::connect(gate.http()[0]).await;
    held.send(whole.replace(ASYNC, "")).await;
    until("the other runs", || origin.seen.running() == 1).await;
    late.send(&whole[whole.len() - 1..]).await;
    let answer = late.answer().await.unwrap();
    let retry_after = answer.header("retry-after");
    assert_eq!((answer.status, retry_after), (409, Some("1")));
    origin.release();
    assert_eq!(held.answer().await.unwrap().status, 200);
    assert_eq!(origin.seen.requests(), 1);
    assert!(list(&gate, ALICE).await.is_empty());
}

/// Routes of which each says something else of keys.
const KEYED: &str = r#"
[[upstream.route]]
name = "forward"
match = { path = "/forward" }
class = "blocking"
upstream_key = "forward"
[[upstream.route]]
name = "derive"
match = { path = "/derive" }
class = "blocking"
upstream_key = "derive"
[[upstream.route]]
name = "quick"
match = { path = "/quick" }
class = "rest"
upstream_key = "forward"
"#;

fn with_routes(upstream: std::net::SocketAddr) -> String {
    text(upstream, "").replacen(
        "[[upstream.route]]",
        &format!("{KEYED}[[upstream.route]]"),
        1,
    )
}

#[tokio::test]
async fn the_key_of_a_call_that_is_held_ends_at_the_gate_unless_its_route_says() {
    let origin = Origin::start().await;
    let gate = gate(&with_routes(origin.address));
    let fields = format!("{ALICE}Idempotency-Key: \"k-1\"\r\n");
    for (target, goes_up) in [
        ("/clone", false),
        ("/never", false),
        ("/ordinary", false),
        ("/forward", true),
        ("/derive", true),
        ("/quick", true),
    ] {
        let answer = say(&gate, post(target, &fields)).await;
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        let wanted: &[&str] = if goes_up { &["\"k-1\""] } else { &[] };
        assert_eq!(answer.received("idempotency-key"), wanted, "{target}");
        // Without one none is made up: there is no task to name it after.
        let answer = say(&gate, post(target, ALICE)).await;
        assert!(answer.received("idempotency-key").is_empty(), "{target}");
    }
}

#[tokio::test]
async fn the_key_of_a_task_goes_up_as_its_route_says() {
    let origin = Origin::start().await;
    let gate = gate(&with_routes(origin.address));
    let waits = format!("{ALICE}Prefer: respond-async, wait=50\r\n");
    for (target, passed_on, made) in [
        ("/clone", false, false),
        ("/forward", true, false),
        ("/derive", true, true),
    ] {
        let keyed = format!("{waits}Idempotency-Key: k-{}\r\n", &target[1..]);
        let answer = say(&gate, post(target, &keyed)).await;
        let key = format!("k-{}", &target[1..]);
        let wanted: Vec<String> = passed_on.then_some(key).into_iter().collect();
        assert_eq!(answer.received("idempotency-key"), wanted, "{target}");
        let answer = say(&gate, post(target, &waits)).await;
        let own = format!("\"gw-{}\"", answer.header("task-id").unwrap());
        let wanted: Vec<String> = made.then_some(own).into_iter().collect();
        assert_eq!(answer.received("idempotency-key"), wanted, "{target}");
    }
}

#[tokio::test]
async fn where_keys_are_the_upstreams_affair_they_go_up_as_they_came() {
    let origin = Origin::start().await;
    let config = text(origin.address, "") + "[headers]\nidempotency_key = false\n";
    let gate = gate(&config);
    let fields = format!("{ALICE}Idempotency-Key: a b\r\n");
    for target in ["/clone", "/ordinary"] {
        let answer = say(&gate, post(target, &fields)).await;
        assert_eq!(answer.received("idempotency-key"), ["a b"], "{target}");
    }
}
