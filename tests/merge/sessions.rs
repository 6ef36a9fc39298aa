//! Patches that were made in login sessions: one call shows one of them, and a session that is over fails its own patches alone.

use serde_json::json;
use tidegate::app::Running;

use crate::rig::{VERSION, add, avi, before, call, fields, over_of, patch, sent, status};
use crate::vendors::avi::Avi;
use crate::vendors::{Kind, Model};

/// Logs in through the gate; the lines that show the session.
async fn log_in(gate: &Running) -> String {
    let body = json!({"username": "admin", "password": "pw"}).to_string();
    let answer = call(gate.http()[0], "POST /login", "", &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let cookies = answer.headers("set-cookie");
    let pairs: Vec<_> = cookies
        .iter()
        .map(|cookie| cookie.split(';').next().unwrap().to_owned())
        .collect();
    let csrf = pairs[0].split_once('=').unwrap().1.to_owned();
    format!(
        "Cookie: {}\r\nX-CSRFToken: {csrf}\r\nReferer: https://avi\r\n",
        pairs.join("; ")
    )
}

async fn log_out_past_the_gate(avi: &Model<Avi>, session: &str) {
    let answer = call(avi.address, "POST /logout", session, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn sessions_of_one_user_are_one_call_and_one_that_is_over_fails_its_own_alone() {
    let avi = avi().await;
    let gate = before(&avi, "2s", "");
    let (over, lasting) = (log_in(&gate).await, log_in(&gate).await);
    let mut ids = Vec::new();
    for (nth, session) in [&over, &lasting, &over, &lasting, &over].iter().enumerate() {
        let body = add(&[&format!("10.0.0.{nth}")]);
        let id = patch(&gate, &format!("{session}{VERSION}"), &body).await;
        ids.push(id);
    }
    let queued = status(gate.http()[0], &lasting, &ids[0]).await;
    assert_eq!(queued["status"], "QUEUED", "it is the same user's");
    log_out_past_the_gate(&avi, &over).await;
    for (nth, id) in ids.iter().enumerate() {
        let told = over_of(gate.http()[0], &lasting, id).await;
        let expected = if nth % 2 == 0 {
            ("FAIL", 401)
        } else {
            ("SUCCESS", 200)
        };
        let said = (
            told["status"].as_str().unwrap(),
            told["status_code"].as_u64().unwrap(),
        );
        assert_eq!(said, expected, "{nth}: {told}");
    }
    assert_eq!(sent(&avi).len(), 2, "once with each session");
    assert_eq!(sent(&avi)[1], add(&["10.0.0.1", "10.0.0.3"]));
    let cookies = fields(&avi, "cookie");
    assert_ne!(cookies[0], cookies[1]);
    assert_eq!(avi.books.count(Kind::Start), 0);
}
