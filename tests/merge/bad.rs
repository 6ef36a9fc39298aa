//! A merge that the controller rejects: whose patch is bad fails alone, at the cost of few calls.

use serde_json::{Value, json};
use tidegate::app::Running;

use crate::rig::{
    ADMIN, PATCH, POOL, VERSION, add, admins, all_done, avi, before, call, delete, one_by_one,
    over, patch_id, pool, request, sent, task,
};
use crate::support::client::Client;
use crate::vendors::avi_patch::in_order;
use crate::vendors::{Fault, Kind, When};

/// Hands in patches that add one server each, over one connection; their names.
async fn hand_in(gate: &Running, count: usize) -> Vec<String> {
    let mut client = Client::connect(gate.http()[0]).await;
    let mut ids = Vec::new();
    for nth in 0..count {
        let body = add(&[&format!("10.0.0.{nth}")]).to_string();
        client
            .send(request(PATCH, &format!("{ADMIN}{VERSION}"), &body))
            .await;
        ids.push(patch_id(&client.answer().await.unwrap()));
    }
    ids
}

#[tokio::test]
async fn one_bad_patch_of_a_hundred_fails_alone_with_the_controller_s_words() {
    let avi = avi().await;
    avi.poison("10.0.0.66");
    let gate = before(&avi, "4s", "");
    let mut ids = hand_in(&gate, 100).await;
    let bad = ids.remove(66);
    all_done(&gate, &ids).await;
    let told = over(&gate, &bad).await;
    let said = (
        &told["status"],
        &told["status_code"],
        &told["error_message"],
    );
    let expected = (
        &json!("FAIL"),
        &json!(400),
        &json!("10.0.0.66 is not allowed in a pool"),
    );
    assert_eq!(said, expected, "{told}");
    let servers = avi.pool(POOL)["servers"].as_array().unwrap().len();
    assert_eq!(servers, 99);
    // The whole, and two for each halving of 100: 50, 25, 12 or 13, 6 or 7, 3 or 4, 1 or 2, 1.
    let calls = sent(&avi).len();
    assert!((9..=15).contains(&calls), "{calls} calls");
    let own = task(&gate, ADMIN, &bad).await;
    assert_eq!(
        (&own["state"], &own["outcome"]),
        (&json!("FAILED"), &json!("known")),
        "{own}"
    );
}

#[tokio::test]
async fn some_bad_patches_cost_a_few_calls_each() {
    let avi = avi().await;
    for bad in ["10.0.0.3", "10.0.0.4", "10.0.0.60"] {
        avi.poison(bad);
    }
    let gate = before(&avi, "3s", "");
    let ids = hand_in(&gate, 64).await;
    let mut failed = Vec::new();
    for (nth, id) in ids.iter().enumerate() {
        if over(&gate, id).await["status"] == "FAIL" {
            failed.push(nth);
        }
    }
    assert_eq!(failed, [3, 4, 60]);
    // 1 + 2 k log2 n at most.
    let calls = sent(&avi).len();
    assert!(calls <= 1 + 2 * 3 * 6, "{calls} calls");
}

#[tokio::test]
async fn the_order_holds_though_a_merge_is_halved() {
    let avi = avi().await;
    avi.poison("10.0.0.9");
    let gate = before(&avi, "1s", "");
    let patches = [
        add(&["10.0.0.1"]),
        add(&["10.0.0.9"]),
        delete(&["10.0.0.1"]),
        add(&["10.0.0.2", "10.0.0.1"]),
        delete(&["10.0.0.2"]),
    ];
    let mut ids = Vec::new();
    for body in &patches {
        ids.push(admins(&gate, body).await);
    }
    let bad = ids.remove(1);
    all_done(&gate, &ids).await;
    assert_eq!(over(&gate, &bad).await["status"], "FAIL");
    let good: Vec<&Value> = patches
        .iter()
        .enumerate()
        .filter(|(nth, _)| *nth != 1)
        .map(|(_, one)| one)
        .collect();
    let expected = one_by_one(&pool(), good);
    assert_eq!(in_order(&avi.pool(POOL)), in_order(&expected));
}

#[tokio::test]
async fn what_is_the_fault_of_all_is_not_halved() {
    let avi = avi().await;
    let gate = before(&avi, "1s", "");
    let mut ids = Vec::new();
    for nth in 0..8 {
        let line = PATCH.replace(POOL, "pool-none");
        let body = add(&[&format!("10.0.0.{nth}")]).to_string();
        let answer = call(gate.http()[0], &line, &format!("{ADMIN}{VERSION}"), &body).await;
        ids.push(patch_id(&answer));
    }
    for id in &ids {
        let told = over(&gate, id).await;
        assert_eq!(
            (&told["status"], &told["status_code"]),
            (&json!("FAIL"), &json!(404)),
            "{told}"
        );
        assert_eq!(told["error_message"], "Pool object not found!");
    }
    assert_eq!(sent(&avi).len(), 1, "there is no pool for any of them");
    avi.faults.on(Kind::Edit, When::Next(1), Fault::answer(500));
    let mut ids = Vec::new();
    for nth in 0..4 {
        ids.push(admins(&gate, &add(&[&format!("10.0.0.{nth}")])).await);
    }
    for id in &ids {
        assert_eq!(over(&gate, id).await["status_code"], 500);
    }
    assert_eq!(sent(&avi).len(), 2, "it says nothing of any of them");
}

#[tokio::test]
async fn a_controller_that_takes_one_action_a_body_is_told_one() {
    let avi = avi().await;
    avi.one_action(true);
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("one-action-{}.toml", std::process::id()));
    let dialect = include_str!("../../config/dialects/avi.toml");
    let own = dialect
        .replacen("name  = \"avi\"", "name  = \"own\"", 1)
        .replacen("merge     = { ", "merge     = { one_action = true, ", 1);
    assert_ne!(own, dialect);
    std::fs::write(&file, own).unwrap();
    let gate = before(
        &avi,
        "1s",
        &format!("dialect_files = [{:?}]", file.display()),
    );
    let patches = [
        add(&["10.0.0.1"]),
        add(&["10.0.0.2"]),
        delete(&["10.0.0.3"]),
        delete(&["10.0.0.1"]),
        add(&["10.0.0.4"]),
    ];
    let mut ids = Vec::new();
    for body in &patches {
        ids.push(admins(&gate, body).await);
    }
    all_done(&gate, &ids).await;
    let expected = one_by_one(&pool(), &patches);
    assert_eq!(in_order(&avi.pool(POOL)), in_order(&expected));
    // What is deleted goes behind what was added before it; the last is no change of theirs, and goes with the first.
    assert_eq!(sent(&avi).len(), 2);
    drop(std::fs::remove_file(file));
}

#[tokio::test]
async fn when_all_are_bad_each_fails_and_the_calls_are_spread_over_periods() {
    let avi = avi().await;
    avi.add_pool(POOL, json!({"uuid": POOL, "servers": "none can be had"}));
    let lines = "[upstream.limits.request_rate]\nlimit = 100000\n";
    let gate = before(&avi, "2s", lines);
    let ids = hand_in(&gate, 160).await;
    for id in &ids {
        let told = over(&gate, id).await;
        assert_eq!(
            (&told["status"], &told["status_code"]),
            (&json!("FAIL"), &json!(400)),
            "{told}"
        );
    }
    // A tree of halves: two for each leaf but one, and again what the first period did not come to.
    let calls = sent(&avi).len();
    assert!((319..640).contains(&calls), "{calls} calls");
}

#[tokio::test]
async fn metrics_say_how_many_calls_went_up_and_how_many_patches_in_them() {
    let avi = avi().await;
    avi.poison("10.0.0.1");
    let gate = before(&avi, "1s", "");
    for id in hand_in(&gate, 3).await {
        over(&gate, &id).await;
    }
    let page = Client::connect(gate.admin()).await.get("/metrics").await;
    let page = String::from_utf8(page.body).unwrap();
    let said = |name: &str| -> u64 {
        let line = page.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name}: {page}"))
            .trim()
            .parse()
            .unwrap()
    };
    let calls = |outcome: &str| {
        said(&format!(
            "tidegate_task_merged_calls_total{{outcome=\"{outcome}\",upstream=\"up\"}}"
        ))
    };
    let sent = sent(&avi);
    assert_eq!(calls("known") + calls("halved"), sent.len() as u64);
    assert_eq!((calls("refused"), calls("unknown")), (0, 0));
    let all = sent
        .iter()
        .map(|body| body["add"]["servers"].as_array().unwrap().len() as u64);
    let requests = said("tidegate_task_merged_requests_total{upstream=\"up\"}");
    assert_eq!(requests, all.sum::<u64>());
    assert!(requests > 3, "the bad one went up with others first");
}
