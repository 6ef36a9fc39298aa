//! What is gathered in a period, and what waits for the next.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use tidegate::app::Running;

use crate::rig::{
    ADMIN, OTHER, PATCH, POOL, VERSION, add, admins, all_done, avi, before, call, delete, fields,
    one_by_one, over, over_of, patch, patch_id, pool, ratio, request, sent, status, task,
};
use crate::support::client::Client;
use crate::support::until;
use crate::vendors::avi_patch::in_order;
use crate::vendors::{Fault, Kind, When};

/// Hands all of these in, over some connections at a time, in any order.
async fn hand_in(gate: &Running, patches: Vec<Value>, connections: usize) -> Vec<String> {
    let patches = Arc::new(patches);
    let hands = (0..connections).map(|nth| {
        let (patches, address) = (patches.clone(), gate.http()[0]);
        tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            let mut ids = Vec::new();
            for patch in patches.iter().skip(nth).step_by(connections) {
                let fields = format!("{ADMIN}{VERSION}");
                client
                    .send(request(PATCH, &fields, &patch.to_string()))
                    .await;
                ids.push(patch_id(&client.answer().await.unwrap()));
            }
            ids
        })
    });
    let mut ids = Vec::new();
    for hand in hands.collect::<Vec<_>>() {
        ids.extend(hand.await.unwrap());
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_patches_of_one_period_are_one_call() {
    let avi = avi().await;
    let start = json!({"uuid": POOL, "name": "web", "servers": (0..500).map(|n| json!({"ip": {"addr": format!("10.1.{}.{}", n / 250, n % 250), "type": "V4"}})).collect::<Vec<_>>()});
    avi.add_pool(POOL, start.clone());
    let gate = before(&avi, "15s", "");
    // Each connection has servers of its own, so that their order does not depend on how they meet.
    let patches: Vec<Value> = (0..1000_u32)
        .map(|n| {
            let own = (n % 25) * 20 + (n / 25) % 20;
            let address = format!("10.1.{}.{}", own / 250, own % 250);
            if n % 3 == 0 {
                delete(&[&address])
            } else {
                ratio(&address, n)
            }
        })
        .collect();
    let ids = hand_in(&gate, patches.clone(), 25).await;
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 1000);
    assert_eq!(sent(&avi).len(), 0, "the period is not over");
    all_done(&gate, &ids).await;
    assert_eq!(sent(&avi).len(), 1, "one call for all");
    assert_eq!(avi.books.count(Kind::Start), 0);
    let expected = one_by_one(&start, &patches);
    assert_eq!(in_order(&avi.pool(POOL)), in_order(&expected));
}

#[tokio::test]
async fn a_patch_is_told_of_in_the_documented_words_from_its_acceptance_to_its_end() {
    let avi = avi().await;
    let gate = before(&avi, "1s", "");
    let line = PATCH.replace("=true", "");
    let answer = call(
        gate.http()[0],
        &line,
        ADMIN,
        &add(&["10.0.0.1"]).to_string(),
    )
    .await;
    let id = patch_id(&answer);
    assert_eq!(answer.json(), json!({"patch_id": id}));
    let told = status(gate.http()[0], ADMIN, &id).await;
    let created = told["created"].as_str().unwrap().to_owned();
    assert!(
        created.starts_with("20") && created.ends_with('Z'),
        "{created}"
    );
    let golden = json!({"uuid": POOL, "status": "QUEUED", "created": created, "error_message": "", "status_code": 0});
    assert_eq!(told, golden);
    let told = over(&gate, &id).await;
    let golden = json!({"uuid": POOL, "status": "SUCCESS", "created": created, "error_message": "", "status_code": 200});
    assert_eq!(told, golden);
    assert_eq!(
        avi.pool(POOL)["servers"],
        add(&["10.0.0.1"])["add"]["servers"]
    );
    let own = task(&gate, ADMIN, &id).await;
    assert_eq!(
        (&own["mode"], &own["attempts"]),
        (&json!("merged"), &json!(1)),
        "{own}"
    );
    let result = format!("GET /-/tasks/{}/result", &id[3..]);
    let result = call(gate.http()[0], &result, ADMIN, "").await;
    assert_eq!((result.status, result.json()), (200, avi.pool(POOL)));
    let foreign = call(
        gate.http()[0],
        &format!("GET /api/pool-async/status/{id}"),
        OTHER,
        "",
    )
    .await;
    assert_eq!(foreign.status, 404, "another's patch");
}

#[tokio::test]
async fn one_version_a_period_and_nothing_overtakes_what_waits_for_the_next() {
    let avi = avi().await;
    let gate = before(&avi, "1s", "");
    let by = |version: &str| format!("{ADMIN}X-Avi-Version: {version}\r\n");
    let (old, new) = (by("20.1.1"), by("22.1.3"));
    let mut ids = Vec::new();
    for (fields, body) in [
        (&old, ratio("10.0.0.1", 1)),
        (&new, ratio("10.0.0.1", 2)),
        (&old, add(&["10.0.0.2"])),
        // It changes what one of the other version changes, and waits behind that.
        (&old, ratio("10.0.0.1", 3)),
        (&new, add(&["10.0.0.3"])),
    ] {
        ids.push(patch(&gate, fields, &body).await);
    }
    all_done(&gate, &ids).await;
    let versions: Vec<_> = fields(&avi, "x-avi-version")
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(versions, ["20.1.1", "22.1.3", "20.1.1"]);
    let ratios: Vec<_> = avi.pool(POOL)["servers"].as_array().unwrap().clone();
    let of_first = ratios
        .iter()
        .find(|one| one["ip"]["addr"] == "10.0.0.1")
        .unwrap();
    assert_eq!((ratios.len(), &of_first["ratio"]), (3, &json!(3)));
}

#[tokio::test]
async fn each_owner_s_patches_go_up_with_credentials_of_their_own_in_the_order_in_which_they_came()
{
    let avi = avi().await;
    let gate = before(&avi, "1s", "");
    let [admin, other] = [ADMIN, OTHER].map(|user| format!("{user}{VERSION}"));
    let tenant = format!("{admin}X-Avi-Tenant: red\r\n");
    let mut ids = Vec::new();
    for (fields, body) in [
        (&admin, add(&["10.0.0.1"])),
        (&other, delete(&["10.0.0.1"])),
        (&admin, add(&["10.0.0.2"])),
        (&other, add(&["10.0.0.3"])),
        (&admin, ratio("10.0.0.1", 7)),
        (&tenant, add(&["10.0.0.4"])),
    ] {
        ids.push((fields.clone(), patch(&gate, fields, &body).await));
    }
    for (fields, id) in &ids {
        let told = over_of(gate.http()[0], fields, id).await;
        assert_eq!(told["status"], "SUCCESS", "{told}");
    }
    let credentials: Vec<_> = fields(&avi, "authorization")
        .into_iter()
        .flatten()
        .collect();
    let [admin, other] =
        [ADMIN, OTHER].map(|line| line.trim().split_once(": ").unwrap().1.to_owned());
    assert_eq!(
        credentials,
        [&*admin, &other, &admin, &admin],
        "the last is another tenant's"
    );
    assert_eq!(
        fields(&avi, "x-avi-tenant"),
        [None, None, None, Some("red".to_owned())]
    );
    let expected = one_by_one(
        &pool(),
        &[
            add(&["10.0.0.2", "10.0.0.3", "10.0.0.4"]),
            ratio("10.0.0.1", 7),
        ],
    );
    assert_eq!(in_order(&avi.pool(POOL)), in_order(&expected));
}

#[tokio::test]
async fn what_is_taken_back_before_its_period_is_over_never_goes_up() {
    let avi = avi().await;
    let gate = before(&avi, "2s", "");
    let kept = admins(&gate, &add(&["10.0.0.1"])).await;
    let gone = admins(&gate, &add(&["10.0.0.2"])).await;
    let cancel = format!("POST /-/tasks/{}/cancel", &gone[3..]);
    let canceled = call(gate.http()[0], &cancel, ADMIN, "").await;
    assert_eq!(canceled.json()["state"], "ABORTED", "{canceled:?}");
    let told = status(gate.http()[0], ADMIN, &gone).await;
    assert_eq!(
        (&told["status"], &told["status_code"]),
        (&json!("FAIL"), &json!(409)),
        "{told}"
    );
    all_done(&gate, &[kept]).await;
    assert_eq!(sent(&avi), [add(&["10.0.0.1"])]);
}

#[tokio::test]
async fn what_is_deleted_after_it_was_added_goes_up_as_deleted_alone() {
    let avi = avi().await;
    let gate = before(&avi, "1s", "");
    let mut ids = Vec::new();
    for body in [
        add(&["10.0.0.1", "10.0.0.2"]),
        delete(&["10.0.0.1"]),
        ratio("10.0.0.2", 9),
    ] {
        ids.push(admins(&gate, &body).await);
    }
    all_done(&gate, &ids).await;
    let mut expected = ratio("10.0.0.2", 9);
    expected["delete"] = delete(&["10.0.0.1"])["delete"].clone();
    assert_eq!(sent(&avi), [expected]);
}

#[tokio::test]
async fn whose_time_to_begin_is_up_before_the_period_is_not_sent() {
    let avi = avi().await;
    let gate = before(&avi, "3s", "");
    let late = patch(
        &gate,
        &format!("{ADMIN}{VERSION}Task-Start-Deadline: 1\r\n"),
        &add(&["10.0.0.1"]),
    )
    .await;
    let told = over(&gate, &late).await;
    assert_eq!(told["status"], "FAIL", "{told}");
    assert_eq!(task(&gate, ADMIN, &late).await["state"], "EXPIRED");
    let next = admins(&gate, &add(&["10.0.0.2"])).await;
    all_done(&gate, &[next]).await;
    assert_eq!(sent(&avi), [add(&["10.0.0.2"])]);
}

#[tokio::test]
async fn a_key_that_comes_again_is_the_same_patch() {
    let avi = avi().await;
    let gate = before(&avi, "1s", "");
    let fields = format!("{ADMIN}{VERSION}Idempotency-Key: \"k1\"\r\n");
    let first = patch(&gate, &fields, &add(&["10.0.0.1"])).await;
    assert_eq!(patch(&gate, &fields, &add(&["10.0.0.1"])).await, first);
    let other_version = fields.replace("22.1.3", "20.1.1");
    for (fields, body) in [
        (&fields, add(&["10.0.0.2"])),
        (&other_version, add(&["10.0.0.1"])),
    ] {
        let answer = call(gate.http()[0], PATCH, fields, &body.to_string()).await;
        assert_eq!(answer.status, 422, "another request: {answer:?}");
    }
    all_done(&gate, std::slice::from_ref(&first)).await;
    assert_eq!(patch(&gate, &fields, &add(&["10.0.0.1"])).await, first);
    assert_eq!(sent(&avi).len(), 1);
}

#[tokio::test]
async fn a_refusal_puts_all_of_them_back_and_they_go_up_as_one() {
    let avi = avi().await;
    let gate = before(&avi, "1s", "");
    avi.faults
        .on(Kind::Edit, When::Next(1), Fault::answer_after(429, 1));
    let mut ids = Vec::new();
    for address in ["10.0.0.1", "10.0.0.2"] {
        ids.push(admins(&gate, &add(&[address])).await);
    }
    until("it was refused", || avi.books.count(Kind::Edit) == 1).await;
    all_done(&gate, &ids).await;
    let both = add(&["10.0.0.1", "10.0.0.2"]);
    assert_eq!(sent(&avi), [both.clone(), both]);
    assert_eq!(avi.books.effects("pool pool-1"), 1);
}

#[tokio::test]
async fn a_refusal_of_one_owners_patches_is_not_waited_for_by_another() {
    let avi = avi().await;
    let gate = before(&avi, "1s", "");
    avi.faults
        .on(Kind::Edit, When::Next(1), Fault::answer_after(429, 4));
    let refused = add(&["10.0.0.1"]);
    let others = add(&["10.0.0.2"]);
    let first = admins(&gate, &refused).await;
    patch(&gate, &format!("{OTHER}{VERSION}"), &others).await;
    until("three went up", || avi.books.count(Kind::Edit) == 3).await;
    all_done(&gate, &[first]).await;
    assert_eq!(sent(&avi), [refused.clone(), others, refused]);
}
