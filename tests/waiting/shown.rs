//! What the operator sees of a line.

use serde_json::{Value, json};

use crate::rig::{LONG, Rig, get, seats};
use crate::support::client::Client;
use crate::support::until;

async fn shown(rig: &Rig, path: &str) -> Value {
    let mut admin = Client::connect(rig.gate.admin()).await;
    let answer = admin.get(path).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn limits_show_who_waits_and_metrics_how_many_and_how_long() {
    let each = format!(
        "[upstream.limits.each]\ncounts = \"requests_in_flight\"\nkey = \"address\"\nlimit = 1\n\
         wait = {{ {LONG} }}\n"
    );
    let rig = Rig::start(&each).await;
    let mut clients = Vec::new();
    for (user, calls) in [(1, 4), (2, 2), (3, 1)] {
        for _ in 0..calls {
            let mut client = rig.client().await;
            client
                .send(get("/api/x?hold", &format!("10.0.0.{user}")))
                .await;
            clients.push(client);
        }
    }
    until("three run, four wait", || {
        rig.origin.seen.running() == 3 && rig.row("each").waiting == 4
    })
    .await;
    let limits = shown(&rig, "/limits").await;
    let mut rows = limits["limits"].as_array().unwrap().iter();
    let row = rows.find(|row| row["name"] == "each").unwrap();
    assert_eq!(row["waiting"], 4);
    let top = row["top"].as_array().unwrap().clone();
    for (user, waiting) in [(1, 3), (2, 1), (3, 0)] {
        let key = format!("10.0.0.{user}");
        let expected = json!({"key": key, "in_use": 1, "waiting": waiting});
        assert!(top.contains(&expected), "{expected}: {top:?}");
    }
    let metrics = async || {
        let mut admin = Client::connect(rig.gate.admin()).await;
        String::from_utf8(admin.get("/metrics").await.body).unwrap()
    };
    let line = r#"tidegate_limit_waiting{limit="each",upstream="up"} 4"#;
    assert!(metrics().await.contains(line));
    for _ in 0..4 {
        let before = rig.origin.seen.requests();
        rig.origin.release();
        until("the next run, or none is left", || {
            rig.origin.seen.requests() > before || rig.row("each").waiting == 0
        })
        .await;
    }
    // Who has left the line may still be on the way up.
    until("the last run", || rig.origin.seen.requests() == 7).await;
    rig.origin.release();
    for client in &mut clients {
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    let said = metrics().await;
    for line in [
        r#"tidegate_limit_waiting{limit="each",upstream="up"} 0"#,
        r#"tidegate_limit_wait_seconds_count{limit="each",upstream="up"} 4"#,
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    rig.all_back().await;
}

#[tokio::test]
async fn explain_says_that_a_call_would_wait_how_long_and_behind_whom() {
    let mut rig = Rig::start(&seats(1, "line = 5, per_user = 4, at_most = \"120s\"")).await;
    let question = "/explain?target=%2Fapi%2Fx";
    let said = shown(&rig, question).await;
    assert_eq!(said["verdict"], "pass");
    rig.fill().await;
    let said = shown(&rig, question).await;
    assert_eq!(
        (&said["verdict"], &said["waits_for"]),
        (&json!("wait"), &json!("calls"))
    );
    let mut clients = Vec::new();
    for (user, calls) in [(1, 3), (2, 1)] {
        for _ in 0..calls {
            clients.push(rig.stand(get("/api/x", &format!("10.0.0.{user}"))).await);
        }
    }
    let said = shown(&rig, question).await;
    assert_eq!(said["verdict"], "wait", "{said}");
    assert_eq!(said["refused_by"], Value::Null);
    assert!(said["wait_seconds"].as_f64().unwrap() > 0.0, "{said}");
    assert_eq!(said["wait_at_most_seconds"], 120.0);
    let limits = said["limits"].as_array().unwrap();
    let calls = limits.iter().find(|one| one["name"] == "calls").unwrap();
    assert_eq!(calls["ahead"], json!({"least": 0, "most": 2}), "{calls}");
    let waiting: Vec<_> = calls["waiting"].as_array().unwrap().iter().collect();
    let named: Vec<_> = waiting
        .iter()
        .map(|one| (one["key"].as_str().unwrap(), one["waiting"].as_u64()))
        .collect();
    assert_eq!(named, [("10.0.0.1", Some(3)), ("10.0.0.2", Some(1))]);
    assert!(waiting[0]["longest_seconds"].as_f64().unwrap() > 0.0);
    clients.push(rig.stand(get("/api/x", "10.0.0.3")).await);
    let said = shown(&rig, question).await;
    assert_eq!(
        (&said["verdict"], &said["refused_by"], &said["reason"]),
        (&json!("refuse"), &json!("calls"), &json!("line_full"))
    );
    rig.let_go().await;
    for client in &mut clients {
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    rig.all_back().await;
    assert_eq!(shown(&rig, question).await["verdict"], "pass");
}
