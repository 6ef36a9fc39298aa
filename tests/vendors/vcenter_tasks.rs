//! vCenter's tasks: their start, their description, lists of them, cancelation.

use serde_json::{Value, json};

use super::vendors::vcenter::VCenter;
use super::vendors::{Ending, Kind, Model, Pace, Twist, When};
use super::{Answer, basic, call, compact, text};

const START: &str = "POST /api/vcenter/vm?action=clone&vmw-task=true";
const CLONE: &str = r#"{"source":"vm-11","name":"web-02"}"#;
const ID: &str = "52f9f1b0-160a-25fe-fd1e-e7526df80e0d:com.vmware.esx.settings.clusters.software";
/// As the specification shows it.
const INFO: &str = r#"{
  "description":{"id":"com.vmware.vcenter.vm.clone","default_message":"Clone virtual machine","args":[]},
  "service":"com.vmware.vcenter.VM","operation":"clone$task",
  "parent":null,
  "target":{"type":"VirtualMachine","id":"vm-11"},
  "status":"RUNNING",
  "cancelable":true,
  "user":"VSPHERE.LOCAL\\Administrator",
  "start_time":"2026-03-01T10:15:02.651Z",
  "progress":{"total":100,"completed":42,"message":{"id":"...","default_message":"...","args":[]}}
}"#;

fn admin() -> String {
    basic("Administrator@VSPHERE.LOCAL")
}

/// A vCenter with one clone under way, whose task has this name.
async fn one() -> (Model<VCenter>, String) {
    let vc = VCenter::start(Pace::ByHand).await;
    let id = start(&vc, "web-02").await;
    (vc, id)
}

async fn start(vc: &Model<VCenter>, name: &str) -> String {
    let body = CLONE.replace("web-02", name);
    let started = call(vc.address, START, &admin(), &body).await;
    assert_eq!(started.status, 202, "{}", text(&started));
    started.json().as_str().unwrap().to_owned()
}

async fn poll(vc: &Model<VCenter>, id: &str) -> Answer {
    // One segment, whatever is in it.
    let id = id.replace(':', "%3A");
    call(
        vc.address,
        &format!("GET /api/cis/tasks/{id}"),
        &admin(),
        "",
    )
    .await
}

async fn list(vc: &Model<VCenter>, who: &str, body: Value) -> Answer {
    let line = "POST /api/cis/tasks?action=list";
    call(vc.address, line, &basic(who), &body.to_string()).await
}

#[tokio::test]
async fn a_task_starts_and_is_described_as_in_the_specification() {
    let vc = VCenter::start(Pace::ByHand).await;
    vc.works.clock("2026-03-01T10:15:02.651Z");
    vc.works.next_name(ID);
    let started = call(vc.address, START, &admin(), CLONE).await;
    assert_eq!(
        started.head,
        "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 80\r\n\r\n"
    );
    assert_eq!(text(&started), format!("\"{ID}\""));
    assert_eq!(poll(&vc, ID).await.json()["status"], "PENDING");
    vc.works.step();
    assert_eq!(text(&poll(&vc, ID).await), compact(INFO));
    vc.works.step();
    let over = poll(&vc, ID).await.json();
    assert_eq!(
        (&over["status"], &over["result"]),
        (&"SUCCEEDED".into(), &"vm-12".into())
    );
    assert_eq!(over["end_time"], "2026-03-01T10:15:02.651Z");
    assert_eq!(over["error"], Value::Null);
    assert_eq!(vc.books.effects("clone web-02"), 1);
    assert_eq!(vc.books.count(Kind::Start), 1);
    assert_eq!(vc.books.count(Kind::Poll), 3);
    assert_eq!(vc.books.most("blocking"), 0);
}

#[tokio::test]
async fn older_tasks_come_wrapped() {
    let vc = VCenter::start(Pace::ByHand).await;
    vc.works.next_name(ID);
    let line = "POST /rest/vcenter/vm?action=clone&vmw-task=true";
    let started = call(vc.address, line, &admin(), &format!("{{\"spec\":{CLONE}}}")).await;
    assert_eq!(
        (started.status, text(&started)),
        (202, format!("{{\"value\":\"{ID}\"}}"))
    );
    let line = format!("GET /rest/cis/tasks/{ID}");
    let info = call(vc.address, &line, &admin(), "").await.json();
    assert_eq!(info["value"]["status"], "PENDING");
    let spec = json!({"filter_spec": {"tasks": [ID]}}).to_string();
    let all = call(
        vc.address,
        "POST /rest/cis/tasks?action=list",
        &admin(),
        &spec,
    )
    .await
    .json();
    assert_eq!(all["value"][0]["key"], ID);
    assert_eq!(all["value"][0]["value"]["status"], "PENDING");
}

#[tokio::test]
async fn a_relocation_has_no_result() {
    let vc = VCenter::start(Pace::ByHand).await;
    let line = "POST /api/vcenter/vm/vm-11?action=relocate&vmw-task=true";
    let started = call(vc.address, line, &admin(), "{}").await;
    vc.works.finish_all();
    let info = poll(&vc, started.json().as_str().unwrap()).await.json();
    assert_eq!(info["status"], "SUCCEEDED");
    assert!(info.get("result").is_none());
    assert_eq!(info["operation"], "relocate$task");
}

#[tokio::test]
async fn results_are_left_out_when_asked_and_early_ones_are_not_the_last() {
    let (vc, id) = one().await;
    vc.early_results(true);
    vc.works.step();
    assert_eq!(poll(&vc, &id).await.json()["result"], "vm-not-yet");
    vc.works.step();
    assert_eq!(poll(&vc, &id).await.json()["result"], "vm-12");
    let line = format!("GET /api/cis/tasks/{id}?exclude_result=true");
    let without = call(vc.address, &line, &admin(), "").await.json();
    assert_eq!(
        (&without["status"], without.get("result")),
        (&"SUCCEEDED".into(), None)
    );
}

#[tokio::test]
async fn each_way_to_fail_is_told_in_its_form() {
    let vc = VCenter::start(Pace::ByHand).await;
    let fails = [
        Twist::fails("TIMED_OUT", "It took too long."),
        Twist::Ends(Ending::Unexplained),
        Twist::Ends(Ending::Canceled),
        Twist::Ends(Ending::Partial(vec!["one of them".to_owned()])),
    ];
    let mut infos = Vec::new();
    for (number, twist) in fails.into_iter().enumerate() {
        vc.works.straight();
        vc.works.twist(When::Always, twist);
        let id = start(&vc, &format!("web-{number}")).await;
        vc.works.finish(&id);
        infos.push(poll(&vc, &id).await.json());
    }
    let statuses: Vec<&Value> = infos.iter().map(|info| &info["status"]).collect();
    assert_eq!(statuses, ["FAILED", "FAILED", "FAILED", "SUCCEEDED"]);
    assert_eq!(infos[0]["error"]["error_type"], "TIMED_OUT");
    assert_eq!(
        infos[0]["error"]["messages"][0]["default_message"],
        "It took too long."
    );
    assert!(infos[1].get("error").is_none() && infos[1]["result"].is_string());
    assert_eq!(infos[2]["error"]["error_type"], "CANCELED");
    assert_eq!(infos[3]["result"]["success"], false);
    assert_eq!(
        infos[3]["result"]["error_messages"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        vc.books.all_effects().len(),
        1,
        "only what ended in part did anything"
    );
}

#[tokio::test]
async fn a_list_wants_tasks_or_services_and_answers_a_map() {
    let (vc, id) = one().await;
    let refused = list(
        &vc,
        "administrator@vsphere.local",
        json!({"filter_spec": {}}),
    )
    .await;
    assert_eq!(
        (refused.status, &refused.json()["error_type"]),
        (400, &"INVALID_ARGUMENT".into())
    );
    let admin = "administrator@vsphere.local";
    let spec =
        json!({"filter_spec": {"tasks": [id, "gone:x"]}, "result_spec": {"exclude_result": true}});
    let found = list(&vc, admin, spec).await;
    assert_eq!(found.status, 200);
    let map = found.json();
    assert_eq!(map.as_object().unwrap().keys().collect::<Vec<_>>(), [&id]);
    assert_eq!(map[&id]["status"], "PENDING");
    assert_eq!(vc.books.count(Kind::BatchPoll), 2);
}

#[tokio::test]
async fn a_list_is_narrowed_by_each_of_its_filters() {
    let (vc, id) = one().await;
    let service = "com.vmware.vcenter.VM";
    let narrowed = [
        (json!({"status": ["PENDING"]}), 1),
        (json!({"status": ["SUCCEEDED"]}), 0),
        (json!({"users": ["vsphere.local\\administrator"]}), 1),
        (json!({"users": ["someone"]}), 0),
        (json!({"operations": ["clone$task"]}), 1),
        (json!({"operations": ["relocate$task"]}), 0),
        (
            json!({"targets": [{"type": "VirtualMachine", "id": "vm-11"}]}),
            1,
        ),
        (
            json!({"targets": [{"type": "VirtualMachine", "id": "vm-9"}]}),
            0,
        ),
        (json!({"services": ["com.vmware.vcenter.host"]}), 0),
        (json!({"tasks": [], "status": []}), 1),
    ];
    for (mut filter, count) in narrowed {
        if filter["services"].is_null() {
            filter["services"] = json!([service]);
        }
        let found = list(
            &vc,
            "administrator@vsphere.local",
            json!({"filter_spec": filter}),
        )
        .await;
        let found = found.json();
        assert_eq!(found.as_object().unwrap().len(), count, "{filter}");
        assert_eq!(found.get(&id).is_some(), count == 1);
    }
}

#[tokio::test]
async fn a_list_of_more_than_a_thousand_is_cut_and_noted() {
    let (vc, id) = one().await;
    let mut ids = vec!["none:x".to_owned(); 1000];
    let admin = "administrator@vsphere.local";
    list(&vc, admin, json!({"filter_spec": {"tasks": ids}})).await;
    assert!(vc.books.violations().is_empty());
    ids.push(id);
    list(&vc, admin, json!({"filter_spec": {"tasks": ids}})).await;
    assert_eq!(vc.books.violations().len(), 1);
}

#[tokio::test]
async fn tasks_are_seen_by_who_started_them_and_by_who_sees_all() {
    let (vc, id) = one().await;
    let line = format!("GET /api/cis/tasks/{id}");
    let other = call(vc.address, &line, &basic("bob@vsphere.local"), "").await;
    assert_eq!(
        (other.status, &other.json()["error_type"]),
        (404, &"NOT_FOUND".into())
    );
    let spec = json!({"filter_spec": {"tasks": [id]}});
    let of_other = list(&vc, "bob@vsphere.local", spec.clone()).await;
    assert_eq!(text(&of_other), "{}");
    vc.sees_all("VSPHERE.LOCAL\\Bob");
    assert_eq!(
        call(vc.address, &line, &basic("bob@vsphere.local"), "")
            .await
            .status,
        200
    );
    let of_other = list(&vc, "bob@vsphere.local", spec).await;
    assert!(of_other.json().get(&id).is_some());
    assert_eq!(call(vc.address, &line, "", "").await.status, 401);
}

#[tokio::test]
async fn a_task_is_canceled_once_and_where_it_can_be() {
    let (vc, id) = one().await;
    let line = |id: &str| format!("POST /api/cis/tasks/{id}?action=cancel");
    let canceled = call(vc.address, &line(&id), &admin(), "").await;
    assert_eq!(canceled.status, 204);
    let info = poll(&vc, &id).await.json();
    assert_eq!(
        (&info["status"], &info["error"]["error_type"]),
        (&"FAILED".into(), &"CANCELED".into())
    );
    let again = call(vc.address, &line(&id), &admin(), "").await;
    assert_eq!(again.status, 400);
    assert_eq!(again.json()["error_type"], "NOT_ALLOWED_IN_CURRENT_STATE");
    vc.works.twist(When::Next(1), Twist::NotCancelable);
    let fixed = start(&vc, "web-03").await;
    assert_eq!(poll(&vc, &fixed).await.json()["cancelable"], false);
    let refused = call(vc.address, &line(&fixed), &admin(), "").await;
    assert_eq!(
        (refused.status, &refused.json()["error_type"]),
        (400, &"UNSUPPORTED".into())
    );
    assert_eq!(
        call(vc.address, &line("no:x"), &admin(), "").await.status,
        404
    );
    assert_eq!(vc.books.count(Kind::Cancel), 4);
    vc.works.finish_all();
    assert_eq!(vc.books.effects("clone web-02"), 0);
    assert_eq!(vc.books.effects("clone web-03"), 1);
}
