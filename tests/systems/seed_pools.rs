//! Each example of the Avi guide on patches of pools: to the controller itself, and through the gate, with the same end.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate::app::Running;

use crate::rig::{ASYNC, blocking, call, is_plain, over, result, tasks};
use crate::support::client::Answer;
use crate::support::{gate, plain};
use crate::vendors::avi::{Avi, Merging};
use crate::vendors::{Kind, Model};

const POOL: &str = "/api/pool/pool_uuid";
const ADD: &str = r#"{ "add": { "servers": [ { "ip": { "addr": "1.1.1.1", "type": "V4" } }, { "ip": { "addr": "1.1.1.2", "type": "V4" } } ] } }"#;
const UPDATE: &str =
    r#"{ "add": { "servers": [ { "ip": { "addr": "1.1.1.1", "type": "V4" }, "ratio": 10 } ] } }"#;
const REPLACE: &str = r#"{ "replace": { "servers": [ { "ip": { "addr": "3.3.3.3", "type": "V4" } }, { "ip": { "addr": "3.3.3.4", "type": "V4" } } ] } }"#;
/// As the guide prints it, with commas that JSON does not have.
const REPLACE_AS_PRINTED: &str = r#"{ "replace": { "servers": [ { "ip": { "addr": "3.3.3.3", "type": "V4" }, }, { "ip": { "addr": "3.3.3.4", "type": "V4" }, } ] } }"#;
const DELETE: &str = r#"{ "delete": { "servers": [ { "hostname": "www.example.com", "ip": { "addr": "3.3.3.3", "type": "V4" }, "resolve_server_by_dns": true } ] } }"#;
const SET: &str =
    r#"{ "replace": { "request_queue_enabled": true, "default_server_port": 8080 } }"#;
const UNSET: &str = r#"{ "delete": { "default_server_port": 8080 } }"#;

fn v4(address: &str) -> Value {
    json!({"ip": {"addr": address, "type": "V4"}})
}

/// A controller, and a gate before it.
struct Site {
    model: Model<Avi>,
    gate: Running,
    me: String,
}

impl Site {
    async fn new() -> Self {
        Self::with("").await
    }

    /// With these routes of the operator's.
    async fn with(routes: &str) -> Self {
        let model = Avi::start().await;
        let pool = json!({"name": "p", "servers": [v4("1.1.1.9")], "default_server_port": 80});
        model.add_pool("pool_uuid", pool);
        let text = plain(model.address, routes);
        let gate = gate(&text.replace("profile = \"generic\"", "profile = \"avi\""));
        let body = r#"{"username":"admin","password":"pw"}"#;
        let json = "Content-Type: application/json\r\n";
        let opened = call(gate.http()[0], "POST /login", json, body).await;
        assert_eq!(opened.status, 200, "{opened:?}");
        let cookies: Vec<_> = opened.headers("set-cookie").into_iter().map(pair).collect();
        let csrf = cookies
            .iter()
            .find_map(|one| one.strip_prefix("csrftoken="))
            .unwrap();
        let me = format!(
            "Cookie: {}\r\nX-CSRFToken: {csrf}\r\nReferer: https://gate.example/\r\nX-Avi-Version: 22.1.3\r\n{json}",
            cookies.join("; ")
        );
        Self { model, gate, me }
    }

    async fn patch(&self, query: &str, body: &str) -> Answer {
        let line = format!("PATCH {POOL}{query}");
        call(self.gate.http()[0], &line, &self.me, body).await
    }

    /// Patches, and holds that the answer is the pool, which is what the same patch makes of it without a gate.
    async fn patched(&self, body: &str) -> Value {
        let alone = Avi::start().await;
        alone.add_pool("pool_uuid", self.model.pool("pool_uuid"));
        let pair = "Authorization: Basic YWRtaW46cHc=\r\nContent-Type: application/json\r\n";
        let direct = call(alone.address, &format!("PATCH {POOL}"), pair, body).await;
        let answer = self.patch("", body).await;
        assert_eq!((answer.status, direct.status), (200, 200), "{answer:?}");
        assert_eq!(answer.json(), direct.json());
        assert_eq!(self.model.pool("pool_uuid"), alone.pool("pool_uuid"));
        answer.json()
    }
}

fn pair(cookie: &str) -> String {
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn adding_two_servers_to_a_pool() {
    let site = Site::new().await;
    let pool = site.patched(ADD).await;
    assert_eq!(
        pool["servers"],
        json!([v4("1.1.1.9"), v4("1.1.1.1"), v4("1.1.1.2")])
    );
    assert_eq!(
        (&pool["name"], &pool["default_server_port"]),
        (&"p".into(), &80.into())
    );
    assert_eq!(site.model.books.effects("pool pool_uuid"), 1);
}

#[tokio::test]
async fn updating_a_server_of_a_pool_by_its_key() {
    let site = Site::new().await;
    site.patched(ADD).await;
    let pool = site.patched(UPDATE).await;
    let mut updated = v4("1.1.1.1");
    updated["ratio"] = json!(10);
    assert_eq!(
        pool["servers"],
        json!([v4("1.1.1.9"), updated, v4("1.1.1.2")])
    );
}

#[tokio::test]
async fn replacing_all_servers_of_a_pool() {
    let site = Site::new().await;
    let pool = site.patched(REPLACE).await;
    assert_eq!(pool["servers"], json!([v4("3.3.3.3"), v4("3.3.3.4")]));
    assert_eq!(pool["name"], "p", "other fields stay as they are");
}

#[tokio::test]
async fn a_body_with_the_guide_s_own_slips_reaches_the_controller_letter_for_letter() {
    let site = Site::new().await;
    let answer = site.patch("", REPLACE_AS_PRINTED).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    let heard = site.model.books.heard();
    let patch = heard
        .iter()
        .find(|heard| heard.request.method == "PATCH")
        .unwrap();
    assert_eq!(patch.request.body, REPLACE_AS_PRINTED.as_bytes());
}

#[tokio::test]
async fn deleting_a_server_from_a_pool() {
    let site = Site::new().await;
    site.patched(REPLACE).await;
    assert_eq!(
        site.patched(DELETE).await["servers"],
        json!([v4("3.3.3.4")])
    );
}

#[tokio::test]
async fn setting_and_unsetting_scalar_fields_of_a_pool() {
    let site = Site::new().await;
    let set = site.patched(SET).await;
    assert_eq!(
        (&set["request_queue_enabled"], &set["default_server_port"]),
        (&true.into(), &8080.into())
    );
    let unset = site.patched(UNSET).await;
    assert_eq!(unset["default_server_port"], Value::Null);
    assert_eq!(unset["request_queue_enabled"], true);
    // For scalars add and replace are equivalent.
    let added = site.patched(&SET.replace("replace", "add")).await;
    assert_eq!(added["default_server_port"], 8080);
}

/// "PATCH /api/pool/<pool-uuid>?async_mode", and the status by its `patch_id`, as the controller has them.
#[tokio::test]
async fn an_asynchronous_patch_is_queued_merged_and_asked_for_by_its_id() {
    for query in ["?async_mode", "?async_mode=true"] {
        let site = Site::new().await;
        site.model.merging(Merging::ByHand);
        let queued = site.patch(query, ADD).await;
        assert_eq!(queued.status, 202, "{queued:?}");
        let id = queued.json()["patch_id"].as_str().unwrap().to_owned();
        let status = format!("GET /api/pool-async/status/{id}");
        for (word, code) in [("QUEUED", 0), ("IN_PROGRESS", 0), ("SUCCESS", 200)] {
            match word {
                "IN_PROGRESS" => site.model.begin_merge(),
                "SUCCESS" => site.model.merge(),
                _ => {}
            }
            let told = call(site.gate.http()[0], &status, &site.me, "")
                .await
                .json();
            let fields: Vec<_> = told.as_object().unwrap().keys().cloned().collect();
            assert_eq!(
                fields,
                ["created", "error_message", "status", "status_code", "uuid"]
            );
            assert_eq!(
                (&told["status"], &told["status_code"]),
                (&word.into(), &code.into())
            );
            assert_eq!(told["uuid"], "pool_uuid");
        }
        assert_eq!(
            site.model.pool("pool_uuid")["servers"]
                .as_array()
                .unwrap()
                .len(),
            3
        );
        assert_eq!(
            site.model.books.targets(Kind::Start),
            [format!("PATCH {POOL}{query}")]
        );
        assert!(tasks(&site.gate, &site.me).await.is_empty());
    }
}

/// "When async_patch_merge_period is 0 all PATCH calls with ?async_mode=true are converted into synchronous calls and 200 is returned".
#[tokio::test]
async fn without_a_merge_period_an_asynchronous_patch_is_answered_200() {
    let site = Site::new().await;
    let answer = site.patch("?async_mode=true", ADD).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["servers"].as_array().unwrap().len(), 3);
}

/// An operator who lets patches of pools be blocking calls: they are merged by the controller behind their clients' backs.
#[tokio::test]
async fn a_patch_that_blocks_is_done_by_the_controller_s_own_merge() {
    let site = Site::with(&blocking("PATCH", "/api/pool/*", "prefer")).await;
    site.model
        .merging(Merging::Every(Duration::from_millis(100)));
    let answer = site.patch("", ADD).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["servers"].as_array().unwrap().len(), 3);
    is_plain(&answer);
    let asked = [format!("PATCH {POOL}?async_mode=true")];
    assert_eq!(site.model.books.targets(Kind::Start), asked);
    // What no merge takes goes up as it came.
    let set = site.patch("", SET).await;
    assert_eq!(
        (set.status, set.json()["default_server_port"].clone()),
        (200, 8080.into())
    );
    assert_eq!(
        site.model.books.targets(Kind::Edit),
        [format!("PATCH {POOL}")]
    );
}

#[tokio::test]
async fn a_patch_that_is_asked_for_as_a_task_follows_the_controller_s_merge() {
    let site = Site::with(&blocking("PATCH", "/api/pool/*", "prefer")).await;
    site.model
        .merging(Merging::Every(Duration::from_millis(100)));
    let line = format!("PATCH {POOL}");
    let fields = format!("{}{ASYNC}", site.me);
    let ticket = call(site.gate.http()[0], &line, &fields, ADD).await;
    assert_eq!(ticket.status, 202, "{ticket:?}");
    let task = ticket.header("location").unwrap();
    let shown = over(&site.gate, task, &site.me).await;
    assert_eq!(
        (&shown["state"], &shown["mode"]),
        (&"COMPLETED".into(), &"native".into()),
        "{shown}"
    );
    let end = result(&site.gate, task, &site.me).await;
    assert_eq!(end.json()["servers"].as_array().unwrap().len(), 3);
    assert_eq!(site.model.books.effects("pool pool_uuid"), 1);
}
