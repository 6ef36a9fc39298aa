//! Clients that block, as many as there are: each gets the answer of its own call.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::rig::{
    CLONE, all_back, before_vcenter, begun, call, clone_of, is_plain, log_in, request, tasks,
};
use crate::support::client::Client;
use crate::support::until;
use crate::vendors::vcenter::VCenter;
use crate::vendors::{Kind, Pace};

const CLIENTS: u64 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clones_that_block_run_where_ten_are_borne() {
    let model = VCenter::start(Pace::Lasts(Duration::from_millis(30))).await;
    let gate = before_vcenter(model.address, "");
    let session = log_in(&gate).await;
    let mut calls = JoinSet::new();
    for number in 0..CLIENTS {
        let (address, session) = (gate.http()[0], session.clone());
        let body = clone_of(&format!("web-{number}"));
        calls.spawn(async move { call(address, &format!("POST {CLONE}"), &session, &body).await });
    }
    let mut made = BTreeSet::new();
    while let Some(answer) = calls.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(answer.header("task-id").is_some(), "{answer:?}");
        is_plain(&answer);
        made.insert(answer.json().as_str().unwrap().to_owned());
    }
    assert_eq!(made.len() as u64, CLIENTS, "each has a VM of its own");
    for number in 0..CLIENTS {
        assert_eq!(model.books.effects(&format!("clone web-{number}")), 1);
    }
    // Those that the upstream does by tasks of its own take no seat at all.
    let blocked = model.books.count(Kind::Blocking);
    let most = model.books.most("blocking");
    assert!(
        most <= 10 && (blocked > 0 || most == 0),
        "{blocked}, {most}"
    );
    assert_eq!(begun(&model), CLIENTS);
    assert_eq!(model.books.violations(), Vec::<String>::new());
    assert_eq!(tasks(&gate, &session).await.len(), 100, "a page of them");
    all_back(&gate, &session).await;
}

#[tokio::test]
async fn an_answer_without_a_body_is_none_and_an_error_is_the_upstream_s() {
    let model = VCenter::start(Pace::Lasts(Duration::from_millis(5))).await;
    let gate = before_vcenter(model.address, "");
    let session = log_in(&gate).await;
    let (address, relocate) = (gate.http()[0], "/api/vcenter/vm/vm-11?action=relocate");
    let moved = call(address, &format!("POST {relocate}"), &session, "{}").await;
    assert_eq!((moved.status, moved.body.len()), (204, 0), "{moved:?}");
    is_plain(&moved);
    let line = format!("POST {CLONE}");
    let taken = call(address, &line, &session, &clone_of("golden")).await;
    let direct = call(model.address, &line, &session, &clone_of("golden")).await;
    assert_eq!((taken.status, taken.json()), (400, direct.json()));
    is_plain(&taken);
}

/// Longer than the gate lets a connection idle.
#[tokio::test]
async fn a_long_silence_is_not_cut() {
    let model = VCenter::start(Pace::Lasts(Duration::from_secs(3))).await;
    let text = crate::rig::text(model.address, "vcenter-8.0", "", "");
    let text = text.replace(
        "[listen]",
        "[listen]\nidle_timeout = \"1s\"\nbody_timeout = \"1s\"",
    );
    let gate = crate::support::gate(&text);
    let session = log_in(&gate).await;
    let line = format!("POST {CLONE}");
    let answer = call(gate.http()[0], &line, &session, &clone_of("slow")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn one_connection_carries_a_call_after_the_other() {
    let model = VCenter::start(Pace::Lasts(Duration::from_millis(5))).await;
    let gate = before_vcenter(model.address, "");
    let session = log_in(&gate).await;
    let mut client = Client::connect(gate.http()[0]).await;
    for name in ["one", "two", "three"] {
        let clone = request(&format!("POST {CLONE}"), &session, &clone_of(name));
        client.send(clone).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    drop(client);
    until("nobody waits", || gate.in_flight() == 0).await;
}
