//! What clients are told of tasks that the upstream's own task does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;
use tidegate::answer::Answer;
use tidegate::task::api::{Api, Asked, Reply, Settings};
use tidegate::task::{Owner, Status, TaskId, Viewer};

use crate::rig::{LONG, Rig, until};
use crate::vendors::vcenter::VCenter;
use crate::vendors::{Fault, Kind, Pace, When};

pub fn api(rig: &Rig) -> Api {
    let settings = Settings {
        prefix: "/-/tasks".to_owned(),
        absolute_urls: false,
        wait_max: Duration::from_secs(1),
        max_body: 4 << 20,
        ratelimit: false,
        polls_per_second: 0,
        pools: Arc::new(|_, _| None),
        dice: Arc::new(|| 0.5),
    };
    Api::new(rig.desk.clone(), settings)
}

pub async fn ask(api: &Api, method: Method, id: TaskId, tail: &str) -> Answer {
    let (tail, query) = match tail.split_once('?') {
        Some((tail, query)) => (tail, Some(query)),
        None => (tail, None),
    };
    let path = format!("/-/tasks/{id}{tail}");
    let headers = HeaderMap::new();
    let asked = Asked {
        method: &method,
        path: &path,
        query,
        headers: &headers,
        body: Bytes::new(),
        base: None,
    };
    let viewer = Viewer {
        upstream: "up".into(),
        owners: vec![Owner("user:a".into())],
    };
    match api.answer(&asked, Some(&viewer)).await {
        Reply::Whole(answer) => answer,
        Reply::Events(_) => panic!("events"),
    }
}

async fn status(api: &Api, id: TaskId) -> Value {
    let answer = ask(api, Method::GET, id, "").await;
    assert_eq!(answer.status, 200);
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn progress_trouble_and_the_way_back_are_shown() {
    let vc = VCenter::start(Pace::Lasts(LONG)).await;
    let rig = Rig::vcenter(vc.address).await;
    let api = api(&rig);
    let id = rig.clone("web-1").await;
    rig.reaches(id, Status::Polling).await;
    until("it is at work", || {
        let live = rig.desk.live(id);
        live.is_some_and(|live| live.percent.is_some_and(|percent| percent >= 42))
    })
    .await;
    let shown = status(&api, id).await;
    assert_eq!(
        (&shown["mode"], &shown["substate"]),
        (&"native".into(), &"POLLING".into())
    );
    assert_eq!(shown["cancelable"], true);
    assert_eq!(shown["upstream_task"], *vc.works.all()[0]);
    assert_eq!(shown["progress"]["message"], "Clone virtual machine");
    assert!(shown["progress"]["percent"].as_u64().unwrap() >= 42);
    assert_eq!(shown["poll_errors"], 0);

    vc.faults
        .on(Kind::BatchPoll, When::Always, Fault::answer(503));
    until("a poll failed", || {
        rig.desk.live(id).is_some_and(|live| live.poll_errors > 0)
    })
    .await;
    let shown = status(&api, id).await;
    assert!(shown["poll_errors"].as_u64().unwrap() > 0);
    assert!(shown["upstream_unreachable_since"].is_string());
    vc.faults.off();

    let answer = ask(&api, Method::POST, id, "/cancel").await;
    assert_eq!(answer.status, 202);
    let shown: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (&shown["state"], &shown["substate"]),
        (&"RUNNING".into(), &"CANCELING".into())
    );
    rig.over(id).await;
    assert_eq!(status(&api, id).await["state"], "ABORTED");
    assert_eq!(ask(&api, Method::POST, id, "/cancel").await.status, 200);
    assert_eq!(ask(&api, Method::GET, id, "/result").await.status, 409);
    rig.stop().await;
}
