//! Avi's `async_mode=true` where the controller's own is not used: patches of the gate's own, with exactly the members of the guide.

use serde_json::{Value, json};
use tidegate::app::Running;

use crate::rig::{ADMIN, OTHER, call, text};
use crate::support::client::Answer;
use crate::support::gate;
use crate::vendors::avi::{Avi, Merging};
use crate::vendors::{Kind, Model};

const POOL: &str = "/api/pool/pool-1";
const MEMBERS: [&str; 5] = ["created", "error_message", "status", "status_code", "uuid"];

async fn start() -> (Model<Avi>, Running) {
    let avi = Avi::start().await;
    avi.merging(Merging::Off);
    let pool = json!({"uuid": "pool-1", "name": "web", "servers": []});
    avi.add_pool("pool-1", pool);
    let gate = gate(&text(avi.address, "avi", "native = false", ""));
    (avi, gate)
}

fn add(address: &str) -> String {
    json!({"add": {"servers": [{"ip": {"addr": address, "type": "V4"}}]}}).to_string()
}

async fn begin(gate: &Running, query: &str, body: &str) -> String {
    let fields = format!("{ADMIN}X-Avi-Version: 22.1.3\r\nContent-Type: application/json\r\n");
    let answer = call(
        gate.http()[0],
        &format!("PATCH {POOL}?{query}"),
        &fields,
        body,
    )
    .await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let started = answer.json();
    assert_eq!(started.as_object().unwrap().len(), 1, "{started}");
    started["patch_id"].as_str().unwrap().to_owned()
}

async fn status(gate: &Running, id: &str, fields: &str) -> Answer {
    let line = format!("GET /api/pool-async/status/{id}");
    call(gate.http()[0], &line, fields, "").await
}

async fn over(gate: &Running, id: &str) -> Value {
    let waits = format!("{ADMIN}Prefer: wait=50\r\n");
    let own = format!("GET /-/tasks/{}", id.strip_prefix("gw-").unwrap());
    assert_eq!(
        call(gate.http()[0], &own, &waits, "").await.json()["done"],
        true
    );
    let shown = status(gate, id, ADMIN).await.json();
    let members: Vec<&String> = shown.as_object().unwrap().keys().collect();
    assert_eq!(members, MEMBERS);
    assert!(shown["created"].as_str().unwrap().ends_with('Z'), "{shown}");
    shown
}

#[tokio::test]
async fn a_patch_is_made_at_once_and_told_as_the_guide_has_it() {
    let (avi, gate) = start().await;
    for query in ["async_mode=true", "async_mode"] {
        let id = begin(&gate, query, &add("1.1.1.1")).await;
        assert!(id.starts_with("gw-"), "{id}");
        let shown = over(&gate, &id).await;
        let want =
            json!({"uuid": "pool-1", "status": "SUCCESS", "error_message": "", "status_code": 200});
        for (member, value) in want.as_object().unwrap() {
            assert_eq!(&shown[member], value, "{member}: {shown}");
        }
        let foreign = status(&gate, &id, OTHER).await;
        assert_eq!(foreign.status, 404, "{foreign:?}");
        assert_eq!(
            foreign.json(),
            json!({"error": format!("There is no patch {id}.")})
        );
    }
    // The controller heard a patch that it makes at once, and nothing of status.
    assert_eq!(avi.books.count(Kind::Poll), 0);
    let line = format!("PATCH {POOL}");
    assert_eq!(avi.books.targets(Kind::Edit), [line.clone(), line]);
    assert_eq!(avi.pool("pool-1")["servers"][0]["ip"]["addr"], "1.1.1.1");
    let unknown = status(&gate, &format!("gw-{}", "0".repeat(26)), ADMIN).await;
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn a_patch_that_is_refused_fails_and_says_why() {
    let (avi, gate) = start().await;
    avi.poison("6.6.6.6");
    let id = begin(&gate, "async_mode=true", &add("6.6.6.6")).await;
    let shown = over(&gate, &id).await;
    assert_eq!(shown["status"], "FAIL", "{shown}");
    assert_eq!(shown["status_code"], 400, "{shown}");
    assert_ne!(shown["error_message"], "", "{shown}");
}
