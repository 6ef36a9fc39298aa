//! Clients that wait for each answer before they send the next patch: what they said last holds.

use crate::rig::{POOL, add, admins, all_done, avi, before, delete, one_by_one, pool, ratio};
use crate::vendors::avi_patch::in_order;

#[tokio::test]
async fn the_last_word_holds_across_many_short_periods() {
    let avi = avi().await;
    let gate = before(&avi, "100ms", "");
    let mut patches = Vec::new();
    let mut ids = Vec::new();
    for nth in 0..120_u32 {
        let address = format!("10.0.0.{}", nth % 3);
        let body = match nth % 4 {
            0 => add(&[&address]),
            1 => delete(&[&address]),
            _ => ratio(&address, nth),
        };
        ids.push(admins(&gate, &body).await);
        patches.push(body);
    }
    all_done(&gate, &ids).await;
    let expected = one_by_one(&pool(), &patches);
    assert_eq!(in_order(&avi.pool(POOL)), in_order(&expected));
}

#[tokio::test]
async fn the_last_word_holds_without_a_period() {
    let avi = avi().await;
    let gate = before(&avi, "0s", "");
    for nth in 1..=40_u32 {
        let answer = crate::rig::call(
            gate.http()[0],
            crate::rig::PATCH,
            crate::rig::ADMIN,
            &ratio("10.0.0.1", nth).to_string(),
        )
        .await;
        assert_eq!(answer.json()["servers"][0]["ratio"], nth);
    }
}
