//! Where there is no façade, a call goes up as it came.

use std::time::Duration;

use crate::rig::{CLONE, before_vcenter, body, call, clone_of, log_in, tasks, text};
use crate::support::gate;
use crate::vendors::vcenter::{VCenter, sign};
use crate::vendors::{Kind, Pace};

const SOON: Pace = Pace::Lasts(Duration::from_millis(5));

#[tokio::test]
async fn upstream_and_route_switch_it_off() {
    let never = "[[upstream.route]]\nname = \"mine\"\n\
         match = { method = \"POST\", path = \"/api/vcenter/vm\", query = { action = \"clone\" } }\n\
         class = \"blocking\"\nasync = \"never\"\n";
    for lines in ["native = false", "adapters = []", never] {
        let model = VCenter::start(SOON).await;
        let gate = before_vcenter(model.address, lines);
        let session = log_in(&gate).await;
        let line = format!("POST {CLONE}");
        let answer = call(gate.http()[0], &line, &session, &clone_of("web")).await;
        assert_eq!(answer.status, 200, "{lines}: {answer:?}");
        assert_eq!(answer.header("task-id"), None, "{lines}");
        assert!(tasks(&gate, &session).await.is_empty(), "{lines}");
        assert_eq!(model.books.count(Kind::Blocking), 1, "{lines}");
    }
}

#[tokio::test]
async fn what_is_signed_has_another_form_or_asks_for_a_task_is_left_as_it_is() {
    let model = VCenter::start(SOON).await;
    let gate = before_vcenter(model.address, "");
    let session = log_in(&gate).await;
    let (address, vm) = (gate.http()[0], clone_of("signed"));
    let signed = sign("POST", CLONE, vm.as_bytes(), "admin@vsphere.local");
    let fields = format!("Authorization: {signed}\r\n");
    let answer = call(address, &format!("POST {CLONE}"), &fields, &vm).await;
    assert_eq!((answer.status, answer.header("task-id")), (200, None));
    let instant = "POST /api/vcenter/vm?action=instant-clone";
    let answer = call(address, instant, &session, &clone_of("instant")).await;
    assert_eq!((answer.status, answer.header("task-id")), (200, None));
    assert_eq!(model.books.count(Kind::Blocking), 2);
    let native = format!("POST {CLONE}&vmw-task=true");
    let answer = call(address, &native, &session, &clone_of("native")).await;
    assert_eq!((answer.status, answer.header("task-id")), (202, None));
    assert!(body(&answer).contains("com.vmware"), "the upstream's own");
    assert!(tasks(&gate, &session).await.is_empty());
    assert_eq!(model.books.violations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_session_that_is_none_is_told_so_by_the_upstream() {
    let model = VCenter::start(SOON).await;
    let gate = before_vcenter(model.address, "");
    let line = format!("POST {CLONE}");
    for fields in ["", "vmware-api-session-id: nobody\r\n"] {
        let answer = call(gate.http()[0], &line, fields, &clone_of("web")).await;
        assert_eq!(answer.status, 401, "{answer:?}");
        assert_eq!(answer.json()["error_type"], "UNAUTHENTICATED");
    }
    assert_eq!(model.books.effects("clone web"), 0);
}

#[tokio::test]
async fn a_queue_that_is_full_leaves_calls_to_the_line() {
    let model = VCenter::start(SOON).await;
    let tasks_are_none = "queue = 1\nqueue_per_user = 1";
    let gate = gate(&text(model.address, "vcenter-8.0", "", tasks_are_none));
    let session = log_in(&gate).await;
    let line = format!("POST {CLONE}");
    let calls = (0..20).map(|number| {
        let (address, line, session) = (gate.http()[0], line.clone(), session.clone());
        let vm = clone_of(&format!("web-{number}"));
        tokio::spawn(async move { call(address, &line, &session, &vm).await })
    });
    for answer in calls.collect::<Vec<_>>() {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    assert_eq!(model.books.all_effects().len(), 20);
    assert_eq!(model.books.violations(), Vec::<String>::new());
}
