//! Avi: its sessions, the patches of its guide over the wire, and merges.

use std::time::Duration;

use serde_json::{Value, json};

use super::vendors::avi::{Avi, Merging};
use super::vendors::{Kind, Model, Twist, When};
use super::{Answer, basic, call, text, until};

const POOL: &str = "pool-1";

async fn avi(merging: Merging) -> Model<Avi> {
    let avi = Avi::start().await;
    avi.merging(merging);
    avi.add_pool(POOL, json!({"uuid": POOL, "name": "web", "servers": []}));
    avi
}

fn server(address: &str) -> Value {
    json!({"ip": {"addr": address, "type": "V4"}})
}

fn add(address: &str) -> Value {
    json!({"add": {"servers": [server(address)]}})
}

async fn patch(avi: &Model<Avi>, query: &str, version: &str, body: &Value) -> Answer {
    let line = format!("PATCH /api/pool/{POOL}{query}");
    let head = format!("{}X-Avi-Version: {version}\r\n", basic("admin"));
    call(avi.address, &line, &head, &body.to_string()).await
}

async fn start(avi: &Model<Avi>, body: &Value) -> String {
    let started = patch(avi, "?async_mode=true", "22.1.3", body).await;
    assert_eq!(started.status, 202, "{}", text(&started));
    started.json()["patch_id"].as_str().unwrap().to_owned()
}

async fn status(avi: &Model<Avi>, id: &str) -> Answer {
    let line = format!("GET /api/pool-async/status/{id}");
    call(avi.address, &line, &basic("admin"), "").await
}

async fn word(avi: &Model<Avi>, id: &str) -> Value {
    status(avi, id).await.json()["status"].clone()
}

#[tokio::test]
async fn a_session_needs_its_cookies_and_its_token() {
    let avi = avi(Merging::Off).await;
    avi.works.next_name("s1");
    let login = json!({"username": "admin", "password": "pw"}).to_string();
    let opened = call(avi.address, "POST /login", "", &login).await;
    assert_eq!(opened.json()["session_cookie_name"], "avi-sessionid");
    let cookies = opened.headers("set-cookie");
    assert_eq!(cookies[0], "csrftoken=csrf-s1; Path=/");
    assert!(cookies[1].starts_with("sessionid=s1;") && cookies[2].starts_with("avi-sessionid=s1;"));
    let cookie = "Cookie: avi-sessionid=s1; csrftoken=csrf-s1\r\n";
    let line = format!("PATCH /api/pool/{POOL}");
    let body = add("1.1.1.1").to_string();
    assert_eq!(call(avi.address, &line, cookie, &body).await.status, 401);
    let whole = format!("{cookie}X-CSRFToken: csrf-s1\r\nReferer: https://avi\r\n");
    assert_eq!(call(avi.address, &line, &whole, &body).await.status, 200);
    avi.rotates(true);
    let rotated = call(avi.address, &format!("GET /api/pool/{POOL}"), cookie, "").await;
    assert!(
        rotated
            .header("set-cookie")
            .unwrap()
            .starts_with("csrftoken=csrf-")
    );
    avi.end_sessions();
    avi.lost_session(419);
    assert_eq!(call(avi.address, &line, &whole, &body).await.status, 419);
    let wrong = json!({"username": "admin", "password": "no"}).to_string();
    assert_eq!(
        call(avi.address, "POST /login", "", &wrong).await.status,
        401
    );
}

#[tokio::test]
async fn without_a_merge_period_patches_are_made_at_once() {
    let avi = avi(Merging::Off).await;
    let made = patch(&avi, "?async_mode=true", "22.1.3", &add("1.1.1.1")).await;
    assert_eq!(
        (made.status, made.json()["patch_id"].clone()),
        (200, Value::Null)
    );
    assert_eq!(made.json()["servers"], json!([server("1.1.1.1")]));
    let plain = patch(&avi, "", "22.1.3", &json!({"replace": {"name": "x"}})).await;
    assert_eq!(plain.json()["name"], "x");
    assert_eq!(avi.pool(POOL), plain.json());
    assert_eq!(avi.books.effects("pool pool-1"), 2);
    assert_eq!(
        (avi.books.count(Kind::Start), avi.books.count(Kind::Edit)),
        (1, 1)
    );
    let bad = patch(&avi, "", "22.1.3", &json!({"put": {}})).await;
    assert_eq!((bad.status, bad.json()["error"].is_string()), (400, true));
    avi.one_action(true);
    let two = json!({"add": {"servers": []}, "delete": {"servers": []}});
    assert_eq!(patch(&avi, "", "22.1.3", &two).await.status, 400);
}

#[tokio::test]
async fn patches_of_a_period_become_one_change() {
    let avi = avi(Merging::ByHand).await;
    avi.works.clock("2024-01-02T03:04:05.000Z");
    let first = start(&avi, &add("1.1.1.1")).await;
    let bare = patch(&avi, "?async_mode", "22.1.3", &add("1.1.1.2")).await;
    let second = bare.json()["patch_id"].as_str().unwrap().to_owned();
    let third = start(&avi, &json!({"delete": {"servers": [server("1.1.1.1")]}})).await;
    let told = status(&avi, &first).await;
    assert_eq!(
        text(&told),
        r#"{"uuid":"pool-1","status":"QUEUED","created":"2024-01-02T03:04:05.000Z","error_message":"","status_code":0}"#
    );
    avi.begin_merge();
    assert_eq!(word(&avi, &second).await, "IN_PROGRESS");
    assert_eq!(avi.pool(POOL)["servers"], json!([]));
    avi.merge();
    for id in [&first, &second, &third] {
        let told = status(&avi, id).await.json();
        assert_eq!(
            (&told["status"], &told["status_code"]),
            (&"SUCCESS".into(), &200.into())
        );
    }
    assert_eq!(avi.pool(POOL)["servers"], json!([server("1.1.1.2")]));
    assert_eq!(avi.books.effects("pool pool-1"), 1);
    avi.works.cleanup();
    assert_eq!(status(&avi, &first).await.status, 404);
}

#[tokio::test]
async fn one_bad_patch_fails_its_whole_merge() {
    let avi = avi(Merging::ByHand).await;
    avi.poison("9.9.9.9");
    let good = start(&avi, &add("1.1.1.1")).await;
    let bad = start(&avi, &add("9.9.9.9")).await;
    avi.merge();
    for id in [&good, &bad] {
        let told = status(&avi, id).await.json();
        assert_eq!(
            (&told["status"], &told["status_code"]),
            (&"FAIL".into(), &400.into())
        );
        assert_eq!(told["error_message"], "9.9.9.9 is not allowed in a pool");
    }
    assert_eq!(avi.pool(POOL)["servers"], json!([]));
    assert_eq!(avi.books.effects("pool pool-1"), 0);
    let again = start(&avi, &add("1.1.1.1")).await;
    avi.merge();
    assert_eq!(word(&avi, &again).await, "SUCCESS");
}

#[tokio::test]
async fn a_period_has_one_version() {
    let avi = avi(Merging::ByHand).await;
    start(&avi, &add("1.1.1.1")).await;
    let other = patch(&avi, "?async_mode=true", "21.1.1", &add("1.1.1.2")).await;
    assert_eq!((other.status, avi.books.violations().len()), (400, 1));
    avi.merge();
    let later = patch(&avi, "?async_mode=true", "21.1.1", &add("1.1.1.2")).await;
    assert_eq!((later.status, avi.books.violations().len()), (202, 1));
}

#[tokio::test]
async fn merges_take_servers_with_v4_and_add_or_delete() {
    let avi = avi(Merging::ByHand).await;
    let v6 = json!({"ip": {"addr": "fe80::1", "type": "V6"}});
    let refused = [
        json!({"replace": {"servers": []}}),
        json!({"add": {"name": "x"}}),
        json!({"add": {"servers": [v6]}}),
        json!([]),
    ];
    for body in refused {
        let answer = patch(&avi, "?async_mode=true", "22.1.3", &body).await;
        assert_eq!(answer.status, 400, "{body}");
    }
    let line = "PATCH /api/pool/none?async_mode=true";
    let unknown = call(avi.address, line, &basic("a"), &add("1.1.1.1").to_string()).await;
    assert_eq!(unknown.status, 404);
    assert!(avi.works.all().is_empty());
}

#[tokio::test]
async fn a_period_ends_by_itself() {
    let avi = avi(Merging::Every(Duration::from_millis(30))).await;
    avi.started_status(200);
    avi.works.twist(When::Nth(1), Twist::vanishes_for_good(1));
    for number in 1..=20 {
        let started = patch(
            &avi,
            "?async_mode=true",
            "22.1.3",
            &add(&format!("1.1.1.{number}")),
        )
        .await;
        assert_eq!(started.status, 200);
    }
    until("all are merged", || avi.works.ended() == 20).await;
    assert_eq!(avi.pool(POOL)["servers"].as_array().unwrap().len(), 20);
    assert!(avi.books.effects("pool pool-1") < 20);
    assert_eq!(status(&avi, &avi.works.all()[0]).await.status, 404);
}

#[tokio::test]
async fn a_pool_is_put_and_read() {
    let avi = avi(Merging::Off).await;
    let line = format!("PUT /api/pool/{POOL}");
    call(avi.address, &line, &basic("a"), r#"{"name":"other"}"#).await;
    let line = format!("GET /api/pool/{POOL}");
    let read = call(avi.address, &line, &basic("a"), "").await;
    assert_eq!(read.json(), json!({"name": "other"}));
    assert_eq!(avi.books.count(Kind::Probe), 1);
}
