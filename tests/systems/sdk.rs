//! What a vCenter's clients say in forms that are never changed: signed requests, SOAP's `*_Task` methods, and VI-JSON. None of
//! these takes a seat of the calls that block: they answer at once, with a task of their own kind.

use std::time::Duration;

use serde_json::json;
use tidegate::app::Running;

use crate::rig::{ASYNC, call, over, tasks};
use crate::support::{limit, until, vcenter};
use crate::vendors::books::Heard;
use crate::vendors::vcenter::{VCenter, sign};
use crate::vendors::{Kind, Model, Pace};

const CLONE: &str = "/api/vcenter/vm?action=clone";
const SOAP: &str = "<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Body>\
    <CloneVM_Task xmlns=\"urn:vim25\"><_this type=\"VirtualMachine\">vm-11</_this><name>web</name></CloneVM_Task>\
    </soapenv:Body></soapenv:Envelope>";
const METHODS: [&str; 4] = [
    "CloneVM_Task",
    "RelocateVM_Task",
    "PowerOnVM_Task",
    "Destroy_Task",
];

fn signed(target: &str, body: &str) -> String {
    let field = sign("POST", target, body.as_bytes(), "admin@vsphere.local");
    format!("Authorization: {field}\r\nContent-Type: application/json\r\n")
}

fn clone_of(name: &str) -> String {
    json!({"source": "vm-11", "name": name}).to_string()
}

/// Logs in; the line that shows the session.
async fn log_in(gate: &Running) -> String {
    let who = "Authorization: Basic YWRtaW46cHc=\r\n";
    let opened = call(gate.http()[0], "POST /api/session", who, "").await;
    let token = opened.json();
    format!("vmware-api-session-id: {}\r\n", token.as_str().unwrap())
}

/// Takes every seat of blocking calls, and has one more wait.
async fn fill(model: &Model<VCenter>, gate: &Running) {
    let session = log_in(gate).await;
    for number in 0..11 {
        let (address, session) = (gate.http()[0], session.clone());
        let body = clone_of(&format!("held-{number}"));
        tokio::spawn(async move { call(address, &format!("POST {CLONE}"), &session, &body).await });
    }
    until("all seats are taken", || {
        model.books.count(Kind::Blocking) == 10
    })
    .await;
    until("one waits", || {
        limit(&gate.snapshot(), "blocking_tasks").waiting == 1
    })
    .await;
}

#[tokio::test]
async fn a_signed_request_goes_up_letter_for_letter_whatever_its_client_asks_the_gate_for() {
    let model = VCenter::start(Pace::Lasts(Duration::from_millis(20))).await;
    let gate = vcenter(model.address, "");
    let body = clone_of("blocks");
    let answer = call(
        gate.http()[0],
        &format!("POST {CLONE}"),
        &signed(CLONE, &body),
        &body,
    )
    .await;
    assert_eq!(
        (answer.status, answer.header("task-id")),
        (200, None),
        "{answer:?}"
    );
    let body = clone_of("task");
    let fields = signed(CLONE, &body);
    let ticket = call(
        gate.http()[0],
        &format!("POST {CLONE}"),
        &format!("{fields}{ASYNC}"),
        &body,
    )
    .await;
    assert_eq!(ticket.status, 202, "{ticket:?}");
    let task = over(&gate, ticket.header("location").unwrap(), &fields).await;
    assert_eq!(
        (&task["state"], &task["mode"]),
        (&"COMPLETED".into(), &"queued".into()),
        "{task}"
    );
    // What it signs itself may ask for a task: of the upstream's own, or where there is none.
    let native = format!("{CLONE}&vmw-task=true");
    let body = clone_of("native");
    let answer = call(
        gate.http()[0],
        &format!("POST {native}"),
        &signed(&native, &body),
        &body,
    )
    .await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let register = "/api/vcenter/vm?action=register&vmw-task=true";
    let body = json!({"datastore": "datastore-12", "name": "web"}).to_string();
    let answer = call(
        gate.http()[0],
        &format!("POST {register}"),
        &signed(register, &body),
        &body,
    )
    .await;
    assert_eq!(
        answer.status, 404,
        "it is the upstream's to say: {answer:?}"
    );
    assert_eq!(
        model.books.violations(),
        Vec::<String>::new(),
        "no signature was broken"
    );
    let heard = model.books.heard();
    let heard = heard.iter().filter(|heard| heard.request.method == "POST");
    let targets: Vec<_> = heard.map(|heard| heard.request.target()).collect();
    assert_eq!(targets, [CLONE, CLONE, &native, register]);
}

#[tokio::test]
async fn soap_task_methods_pass_as_they_are_and_do_not_count_as_blocking() {
    let model = VCenter::start(Pace::ByHand).await;
    let gate = vcenter(model.address, "native = false");
    fill(&model, &gate).await;
    let admitted = limit(&gate.snapshot(), "blocking_tasks").admitted;
    let fields = "Content-Type: text/xml; charset=utf-8\r\nSOAPAction: \"urn:vim25/8.0.2.0\"\r\nCookie: vmware_soap_session=s1\r\n";
    for method in METHODS {
        let body = SOAP.replace("CloneVM_Task", method);
        let asked = format!("{fields}{ASYNC}Idempotency-Key: {method}\r\n");
        let answer = call(gate.http()[0], "POST /sdk", &asked, &body).await;
        assert_eq!(
            (answer.status, answer.header("task-id")),
            (200, None),
            "{answer:?}"
        );
        let text = String::from_utf8(answer.body.clone()).unwrap();
        assert!(
            text.contains("<returnval type=\"Task\">"),
            "the upstream's own: {text}"
        );
        let heard = model.books.heard();
        let as_sent = |heard: &&Heard| heard.request.body == body.as_bytes();
        assert_eq!(heard.iter().filter(as_sent).count(), 1, "{method}, once");
    }
    let row = limit(&gate.snapshot(), "blocking_tasks");
    assert_eq!((row.admitted, row.waiting), (admitted, 1));
    model.works.finish_all();
}

#[tokio::test]
async fn vi_json_task_methods_pass_as_they_are_and_do_not_count_as_blocking() {
    let model = VCenter::start(Pace::ByHand).await;
    let gate = vcenter(model.address, "native = false");
    fill(&model, &gate).await;
    let admitted = limit(&gate.snapshot(), "blocking_tasks").admitted;
    let fields = "Content-Type: application/json\r\nvmware-api-session-id: s1\r\n";
    let body = r#"{"folder":{"_typeName":"ManagedObjectReference","type":"Folder","value":"group-v3"},"name":"web"}"#;
    for method in METHODS {
        let line = format!("POST /sdk/vim25/8.0.1.0/VirtualMachine/vm-11/{method}");
        let answer = call(gate.http()[0], &line, &format!("{fields}{ASYNC}"), body).await;
        assert_eq!(
            (answer.status, answer.header("task-id")),
            (200, None),
            "{answer:?}"
        );
        assert_eq!(answer.json()["type"], "Task", "the upstream's own");
    }
    let heard = model.books.heard();
    let as_sent = |heard: &&Heard| heard.request.body == body.as_bytes();
    let sent: Vec<_> = heard
        .iter()
        .filter(as_sent)
        .map(|heard| heard.request.path.clone())
        .collect();
    let asked = METHODS.map(|method| format!("/sdk/vim25/8.0.1.0/VirtualMachine/vm-11/{method}"));
    assert_eq!(sent, asked, "each once");
    let row = limit(&gate.snapshot(), "blocking_tasks");
    assert_eq!((row.admitted, row.waiting), (admitted, 1));
    assert!(tasks_of(&gate).await.is_empty(), "none of these became one");
    model.works.finish_all();
}

/// Tasks of the user who fills the seats.
async fn tasks_of(gate: &Running) -> Vec<serde_json::Value> {
    let session = log_in(gate).await;
    tasks(gate, &session).await
}
