//! What is not gathered: without a period, what is no addition or deletion, and what nobody asked to be patient.

use serde_json::json;

use crate::rig::{ADMIN, PATCH, POOL, VERSION, add, admins, all_done, avi, before, call, sent};
use crate::vendors::Kind;
use crate::vendors::avi::Merging;

#[tokio::test]
async fn with_no_period_a_patch_is_executed_at_once_and_answers_with_the_pool() {
    let avi = avi().await;
    // Were it asked, it would gather.
    avi.merging(Merging::ByHand);
    let gate = before(&avi, "0s", "");
    for line in [PATCH, "PATCH /api/pool/pool-1?async_mode"] {
        let answer = call(
            gate.http()[0],
            line,
            &format!("{ADMIN}{VERSION}"),
            &add(&["10.0.0.1"]).to_string(),
        )
        .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json(), avi.pool(POOL));
    }
    assert_eq!((avi.books.count(Kind::Start), sent(&avi).len()), (0, 2));
    let bad =
        json!({"add": {"servers": [{"ip": {"addr": "10.0.0.2", "type": "V4"}, "port": 99999}]}});
    let answer = call(
        gate.http()[0],
        PATCH,
        &format!("{ADMIN}{VERSION}"),
        &bad.to_string(),
    )
    .await;
    assert_eq!(
        (answer.status, answer.json()["error"].clone()),
        (400, json!("99999 is no port of 10.0.0.2"))
    );
}

#[tokio::test]
async fn what_is_no_addition_or_deletion_of_ipv4_servers_goes_up_as_it_came() {
    let avi = avi().await;
    avi.merging(Merging::ByHand);
    let gate = before(&avi, "10m", "");
    let bodies = [
        json!({"replace": {"servers": []}}),
        json!({"add": {"default_server_port": 80}}),
        json!({"add": {"servers": [{"ip": {"addr": "::1", "type": "V6"}}]}}),
        json!({"add": {"servers": []}}),
        json!({"add": {"servers": [{"ip": {"addr": "010.0.0.1", "type": "V4"}}]}}),
        // Which of the two comes first, no document says.
        json!({"add": add(&["10.0.0.1"])["add"], "delete": add(&["10.0.0.1"])["add"]}),
    ];
    for body in &bodies {
        drop(call(gate.http()[0], PATCH, ADMIN, &body.to_string()).await);
    }
    let conditional = format!("{ADMIN}If-Match: \"7\"\r\n");
    drop(
        call(
            gate.http()[0],
            PATCH,
            &conditional,
            &add(&["10.0.0.1"]).to_string(),
        )
        .await,
    );
    let up = avi.books.targets(Kind::Start);
    assert_eq!(
        up,
        vec![PATCH; bodies.len() + 1],
        "the controller says what it thinks of them"
    );
}

#[tokio::test]
async fn who_does_not_ask_for_patience_is_executed_at_once_and_who_prefers_it_is_gathered() {
    let avi = avi().await;
    let gate = before(&avi, "2s", "");
    let gathered = admins(&gate, &add(&["10.0.0.1"])).await;
    let plain = call(
        gate.http()[0],
        "PATCH /api/pool/pool-1",
        ADMIN,
        &add(&["10.0.0.2"]).to_string(),
    )
    .await;
    assert_eq!(
        (plain.status, plain.json()["servers"].clone()),
        (200, add(&["10.0.0.2"])["add"]["servers"].clone())
    );
    let prefers = format!("{ADMIN}{VERSION}Prefer: respond-async\r\n");
    let ticket = call(
        gate.http()[0],
        "PATCH /api/pool/pool-1",
        &prefers,
        &add(&["10.0.0.3"]).to_string(),
    )
    .await;
    assert_eq!(ticket.status, 202, "{ticket:?}");
    assert_eq!(ticket.header("preference-applied"), Some("respond-async"));
    let id = ticket.json()["id"].as_str().unwrap().to_owned();
    all_done(&gate, &[gathered, format!("gw-{id}")]).await;
    assert_eq!(
        sent(&avi),
        [add(&["10.0.0.2"]), add(&["10.0.0.1", "10.0.0.3"])]
    );
}

#[tokio::test]
async fn off_is_the_controller_s_own_queue() {
    let avi = avi().await;
    avi.merging(Merging::ByHand);
    let gate = before(&avi, "off", "");
    let answer = call(
        gate.http()[0],
        PATCH,
        &format!("{ADMIN}{VERSION}"),
        &add(&["10.0.0.1"]).to_string(),
    )
    .await;
    let id = answer.json()["patch_id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("patch-"), "{answer:?}");
    avi.merge();
    let told = call(
        gate.http()[0],
        &format!("GET /api/pool-async/status/{id}"),
        ADMIN,
        "",
    )
    .await;
    assert_eq!(told.json()["status"], "SUCCESS");
}

/// Nothing else may be said by a proof than what it is about.
#[tokio::test]
async fn what_is_signed_goes_up_as_it_came() {
    let avi = avi().await;
    let blocks = "[[upstream.route]]\nname = \"patch\"\nmatch = { method = \"PATCH\", path = \"/api/pool/*\" }\nclass = \"blocking\"\n";
    let gate = before(&avi, "10m", blocks);
    let signed = format!("{ADMIN}{VERSION}Signature: keyId=\"a\"\r\nPrefer: respond-async\r\n");
    let body = add(&["10.0.0.1"]).to_string();
    let ticket = call(gate.http()[0], PATCH, &signed, &body).await;
    assert_eq!(ticket.status, 202, "{ticket:?}");
    let id = format!("gw-{}", ticket.json()["id"].as_str().unwrap());
    all_done(&gate, std::slice::from_ref(&id)).await;
    assert_eq!(avi.books.targets(Kind::Start), [PATCH]);
    let own = crate::rig::task(&gate, ADMIN, &id).await;
    assert_eq!(own["mode"], "queued", "{own}");
}
