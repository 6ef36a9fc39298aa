//! Skytap: the checklist of its guide on busyness.

use serde_json::{Value, json};

use super::vendors::skytap::{Skytap, WhenBusy};
use super::vendors::{Fault, Kind, Model, Pace, Twist, When};
use super::{Answer, basic, call};

const ENVIRONMENT: &str = "/v2/configurations/1";
const RUN: &str = r#"{"runstate":"running"}"#;

async fn get(skytap: &Model<Skytap>, path: &str) -> Answer {
    call(skytap.address, &format!("GET {path}"), &basic("a"), "").await
}

async fn put(skytap: &Model<Skytap>, path: &str, body: &str) -> Answer {
    call(skytap.address, &format!("PUT {path}"), &basic("a"), body).await
}

async fn runstate(skytap: &Model<Skytap>) -> Value {
    get(skytap, ENVIRONMENT).await.json()["runstate"].clone()
}

#[tokio::test]
async fn a_200_is_the_beginning_of_a_change() {
    let skytap = Skytap::start(Pace::ByHand).await;
    assert_eq!(runstate(&skytap).await, "stopped");
    let taken = put(&skytap, ENVIRONMENT, RUN).await;
    assert_eq!(
        (taken.status, &taken.json()["runstate"]),
        (200, &"busy".into())
    );
    assert_eq!(skytap.truth("1")["runstate"], "stopped");
    let vm = get(&skytap, "/v2/configurations/1/vms/2").await.json();
    assert_eq!(vm["runstate"], "busy", "what is in it is busy as well");
    skytap.works.finish_all();
    let whole = get(&skytap, "/configurations/1.json").await.json();
    assert_eq!(whole["runstate"], "running");
    assert_eq!(whole["vms"][0]["runstate"], "running");
    assert_eq!(
        skytap
            .books
            .effects("configurations/1 {\"runstate\":\"running\"}"),
        1
    );
    assert_eq!(
        (
            skytap.books.count(Kind::Start),
            skytap.books.count(Kind::Poll)
        ),
        (1, 3)
    );
}

#[tokio::test]
async fn a_vm_is_changed_alone() {
    let skytap = Skytap::start(Pace::ByHand).await;
    let vm = "/v2/configurations/1/vms/2";
    assert_eq!(put(&skytap, vm, r#"{"name":"db"}"#).await.status, 200);
    skytap.works.finish_all();
    assert_eq!(get(&skytap, vm).await.json()["name"], "db");
    assert_eq!(get(&skytap, ENVIRONMENT).await.json()["name"], "first");
    assert_eq!(
        put(&skytap, "/v2/configurations/1/vms/9", "{}")
            .await
            .status,
        404
    );
    assert_eq!(get(&skytap, "/v2/configurations/1/vms/9").await.status, 404);
    assert_eq!(get(&skytap, "/v2/configurations/9").await.status, 404);
}

#[tokio::test]
async fn what_is_busy_is_not_changed_whatever_the_answer() {
    let skytap = Skytap::start(Pace::ByHand).await;
    put(&skytap, ENVIRONMENT, RUN).await;
    let locked = put(&skytap, ENVIRONMENT, r#"{"name":"x"}"#).await;
    assert_eq!(
        (locked.status, locked.header("retry-after")),
        (423, Some("30"))
    );
    skytap.retry_after(None);
    let locked = put(&skytap, ENVIRONMENT, r#"{"name":"x"}"#).await;
    assert_eq!((locked.status, locked.header("retry-after")), (423, None));
    let answers = [
        (WhenBusy::Unprocessable, 422),
        (WhenBusy::Conflict, 409),
        (WhenBusy::Ignored, 200),
    ];
    for (manner, status) in answers {
        skytap.when_busy(manner);
        let answer = put(&skytap, ENVIRONMENT, r#"{"name":"x"}"#).await;
        assert_eq!(answer.status, status);
        let body = String::from_utf8(answer.body).unwrap();
        assert_eq!(body.contains("busy"), status != 409, "{body}");
    }
    skytap.works.finish_all();
    assert_eq!(get(&skytap, ENVIRONMENT).await.json()["name"], "first");
    assert_eq!(skytap.books.effects("sent while busy"), 5);
    let wrong = put(&skytap, ENVIRONMENT, r#"{"runstate":"flying"}"#).await;
    assert_eq!(wrong.status, 422);
    assert!(!String::from_utf8(wrong.body).unwrap().contains("busy"));
}

#[tokio::test]
async fn somebody_elses_work_makes_busy_too() {
    let skytap = Skytap::start(Pace::ByHand).await;
    skytap.busy("1", true);
    assert_eq!(runstate(&skytap).await, "busy");
    assert_eq!(put(&skytap, ENVIRONMENT, RUN).await.status, 423);
    skytap.busy("1", false);
    assert_eq!(put(&skytap, ENVIRONMENT, RUN).await.status, 200);
}

#[tokio::test]
async fn what_is_held_back_for_the_rate_goes_on_by_itself() {
    let skytap = Skytap::start(Pace::ByHand).await;
    skytap.limits_changes(true);
    assert_eq!(
        put(&skytap, ENVIRONMENT, RUN).await.json()["rate_limited"],
        true
    );
    skytap.works.finish_all();
    let held = get(&skytap, ENVIRONMENT).await.json();
    assert_eq!(
        (&held["rate_limited"], &held["runstate"]),
        (&true.into(), &"stopped".into())
    );
    assert_eq!(held["vms"][0]["rate_limited"], true);
    assert!(skytap.books.violations().is_empty());
    assert_eq!(put(&skytap, ENVIRONMENT, RUN).await.status, 423);
    assert_eq!(
        skytap.books.violations().len(),
        1,
        "it should not have been sent again"
    );
    skytap.rate_limit("1", false);
    let done = get(&skytap, ENVIRONMENT).await.json();
    assert_eq!(
        (&done["rate_limited"], &done["runstate"]),
        (&false.into(), &"running".into())
    );
    assert_eq!(
        skytap
            .books
            .effects("configurations/1 {\"runstate\":\"running\"}"),
        1
    );
}

#[tokio::test]
async fn an_error_lingers_until_a_change_works_out() {
    let skytap = Skytap::start(Pace::ByHand).await;
    skytap.error("1", "VMware Tools is still loading");
    put(&skytap, ENVIRONMENT, RUN).await;
    let during = get(&skytap, ENVIRONMENT).await.json();
    assert_eq!(during["error"], "VMware Tools is still loading");
    skytap.works.finish_all();
    assert_eq!(get(&skytap, ENVIRONMENT).await.json()["error"], Value::Null);
    skytap
        .works
        .twist(When::Next(1), Twist::fails("error", "No capacity"));
    put(&skytap, ENVIRONMENT, r#"{"runstate":"suspended"}"#).await;
    skytap.works.finish_all();
    let failed = get(&skytap, ENVIRONMENT).await.json();
    assert_eq!(
        (&failed["runstate"], &failed["error"]),
        (&"running".into(), &"No capacity".into())
    );
}

#[tokio::test]
async fn states_flap_and_come_late() {
    let skytap = Skytap::start(Pace::ByHand).await;
    skytap.works.twist(When::Nth(1), Twist::Flaps { back: 1 });
    skytap.works.twist(When::Nth(2), Twist::slow_commit(1));
    put(&skytap, ENVIRONMENT, RUN).await;
    skytap.works.finish_all();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(runstate(&skytap).await);
    }
    assert_eq!(seen, ["running", "busy", "running"]);
    put(&skytap, ENVIRONMENT, r#"{"runstate":"stopped"}"#).await;
    seen.clear();
    for _ in 0..2 {
        seen.push(runstate(&skytap).await);
    }
    assert_eq!(
        seen,
        ["running", "busy"],
        "at first nothing is to be seen of it"
    );
}

#[tokio::test]
async fn environments_are_made_and_deleted() {
    let skytap = Skytap::start(Pace::ByHand).await;
    let body = json!({"template_id": "9", "name": "lab"}).to_string();
    let made = call(
        skytap.address,
        "POST /v2/configurations",
        &basic("a"),
        &body,
    )
    .await;
    assert_eq!(
        (made.status, &made.json()["runstate"]),
        (200, &"busy".into())
    );
    let path = format!("/v2/configurations/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(get(&skytap, &path).await.json()["runstate"], "busy");
    skytap.works.finish_all();
    assert_eq!(get(&skytap, &path).await.json()["runstate"], "stopped");
    let line = format!("DELETE {path}");
    assert_eq!(
        call(skytap.address, &line, &basic("a"), "").await.status,
        200
    );
    assert_eq!(get(&skytap, &path).await.json()["runstate"], "busy");
    skytap.works.finish_all();
    assert_eq!(get(&skytap, &path).await.status, 404);
    let all = get(&skytap, "/v2/configurations").await.json();
    assert_eq!(all.as_array().unwrap().len(), 1);
    assert_eq!(skytap.books.effects("create lab"), 1);
}

#[tokio::test]
async fn the_rate_of_requests_is_refused_with_429() {
    let skytap = Skytap::start(Pace::ByHand).await;
    skytap
        .faults
        .on(Kind::Start, When::Next(1), Fault::answer_after(429, 30));
    let late = put(&skytap, ENVIRONMENT, RUN).await;
    assert_eq!((late.status, late.header("retry-after")), (429, Some("30")));
    assert!(skytap.works.all().is_empty());
    let stranger = call(skytap.address, "GET /v2/configurations/1", "", "").await;
    assert_eq!(stranger.status, 401);
}
