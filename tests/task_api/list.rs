//! The list of one's own tasks.

use serde_json::Value;
use tidegate::answer::Answer;
use tidegate::task::{Event, Owner, TaskId};

use crate::rig::{Rig, json, problem, requested, viewer};

fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200);
    let tasks = json(answer)["tasks"].as_array().unwrap().clone();
    tasks
        .iter()
        .map(|task| task["id"].as_str().unwrap().to_owned())
        .collect()
}

fn texts(ids: &[TaskId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

async fn five(rig: &Rig) -> Vec<TaskId> {
    let mut newest_first = Vec::new();
    for _ in 0..5 {
        newest_first.insert(0, rig.submit().await);
    }
    newest_first
}

#[tokio::test]
async fn all_of_ones_own_are_listed_the_newest_first() {
    let rig = Rig::new();
    let mut wanted = five(&rig).await;
    let mut of_session = requested();
    of_session.owner = Owner("session:0a".into());
    wanted.insert(0, rig.submit_as(of_session).await);
    let mut bens = requested();
    bens.owner = Owner("user:ben".into());
    rig.submit_as(bens).await;
    let mut elsewhere = requested();
    elsewhere.upstream = "vc2".into();
    rig.submit_as(elsewhere).await;
    let answer = rig.get("/-/tasks").answer().await;
    assert_eq!(ids(&answer), texts(&wanted));
    assert!(json(&answer).get("next_page_token").is_none());
    let none = rig.get("/-/tasks").by(Some(viewer("carla"))).answer().await;
    assert_eq!(ids(&none), texts(&wanted[..1]), "she has the same session");
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repeat() {
    let rig = Rig::new();
    let wanted = texts(&five(&rig).await);
    for size in 1..=6 {
        let mut seen = Vec::new();
        let mut target = format!("/-/tasks?page_size={size}");
        loop {
            let answer = rig.get(&target).answer().await;
            let page = ids(&answer);
            assert!(page.len() <= size && !page.is_empty());
            seen.extend(page);
            let Value::String(token) = &json(&answer)["next_page_token"] else {
                break;
            };
            // What comes in meanwhile is newer than all that follow.
            target = format!("/-/tasks?page_token={token}&page_size={size}");
        }
        assert_eq!(seen, wanted, "pages of {size}");
    }
}

#[tokio::test]
async fn filters_are_heeded() {
    let rig = Rig::new();
    let all = five(&rig).await;
    rig.run(all[1]).await;
    rig.complete(all[3]).await;
    rig.step(all[4], Event::Abort).await;
    for (query, wanted) in [
        ("state=RUNNING", &[1][..]),
        ("state=SCHEDULED", &[0, 2]),
        ("state=COMPLETED", &[3]),
        ("state=ABORTED", &[4]),
        ("state=FAILED", &[]),
        ("upstream=vc1", &[0, 1, 2, 3, 4]),
        ("upstream=vc2", &[]),
        ("upstream=vc2&state=RUNNING", &[]),
        ("upstream=vc1&state=RUNNING&unknown=1", &[1]),
        ("page_size=2", &[0, 1]),
        ("page_size=1000", &[0, 1, 2, 3, 4]),
    ] {
        let wanted: Vec<TaskId> = wanted.iter().map(|at| all[*at]).collect();
        let answer = rig.get(format!("/-/tasks?{query}")).answer().await;
        assert_eq!(ids(&answer), texts(&wanted), "{query}");
    }
}

#[tokio::test]
async fn wrong_parameters_are_400_and_say_what_is_wanted() {
    let rig = Rig::new();
    for (query, told) in [
        (
            "state=DONE",
            "SCHEDULED, RUNNING, COMPLETED, FAILED, ABORTED, PARTIAL_SUCCESS, EXPIRED",
        ),
        ("state=", "SCHEDULED"),
        ("page_size=0", "1 to 1000"),
        ("page_size=1001", "1 to 1000"),
        ("page_size=ten", "1 to 1000"),
        ("page_token=nonsense", "page_token"),
    ] {
        let answer = rig.get(format!("/-/tasks?{query}")).answer().await;
        assert_eq!(
            (answer.status, problem(&answer).as_str()),
            (400, "bad-parameter"),
            "{query}"
        );
        let detail = json(&answer)["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(told), "{query}: {detail}");
    }
}

#[tokio::test]
async fn with_the_store_away_the_list_is_503() {
    let rig = Rig::new();
    rig.submit().await;
    rig.store.go_away();
    let answer = rig.get("/-/tasks").answer().await;
    assert_eq!(
        (answer.status, problem(&answer).as_str()),
        (503, "store-unavailable")
    );
}
