//! Which calls become tasks, by the policy of their route.

use crate::rig::{ALICE, ASYNC, get, id, list, post, request, say, start};
use crate::support::origin::Origin;

#[tokio::test]
async fn a_call_that_prefers_it_becomes_a_task() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let fields = format!("{ALICE}{ASYNC}");
    let answer = say(&gate, post("/clone?hold", &fields)).await;
    let id = id(&answer);
    assert_eq!(answer.header("preference-applied"), Some("respond-async"));
    assert_eq!(answer.header("vary"), Some("Prefer"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let task = answer.json();
    assert_eq!(task["route"], "clone");
    assert_eq!(task["upstream"], "up");
    assert_eq!(task["request"]["target"], "/clone?hold");
    let tasks = list(&gate, ALICE).await;
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0]["id"], id.as_str());
    let status = get(&gate, &format!("/-/tasks/{id}"), ALICE).await;
    assert_eq!(
        (status.status, status.json()["done"].as_bool()),
        (200, Some(false))
    );
}

#[tokio::test]
async fn a_route_that_always_does_needs_no_word() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let answer = say(&gate, request("PUT", "/always?hold", ALICE, "{}")).await;
    id(&answer);
    assert_eq!(answer.header("preference-applied"), None);
}

#[tokio::test]
async fn what_is_no_blocking_call_of_such_a_route_passes_as_it_came() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let wants = format!("{ALICE}{ASYNC}");
    for (what, request) in [
        ("not asked for", post("/clone", ALICE)),
        ("never", post("/never", &wants)),
        ("no blocking call", post("/other", &wants)),
        ("only reads", request("GET", "/always", &wants, "")),
        (
            "the upstream's own task",
            post("/always?vmw-task=true", &wants),
        ),
    ] {
        let answer = say(&gate, request).await;
        assert_eq!(answer.status, 200, "{what}");
        assert_eq!(answer.header("preference-applied"), None, "{what}");
        let prefers = what != "not asked for";
        assert_eq!(!answer.received("prefer").is_empty(), prefers, "{what}");
        assert_eq!(answer.received("via").len(), 1, "{what}");
    }
    assert!(list(&gate, ALICE).await.is_empty());
    assert_eq!(origin.seen.requests(), 5);
}

#[tokio::test]
async fn a_target_stays_as_it_was_spelled() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let answer = say(&gate, post("/alw%61ys?hold", ALICE)).await;
    id(&answer);
    assert_eq!(answer.json()["request"]["target"], "/alw%61ys?hold");
}
