//! The gate's tasks beside the upstream's own in the vendors' lists: both, each its asker's alone, and never mixed up.

use serde_json::{Value, json};
use tidegate::app::Running;

use crate::rig::{
    ADMIN, CLONE, OTHER, before_nsx_v, before_vcenter, begun, body, call, clone_of, log_in, request,
};
use crate::support::client::{Answer, Client};
use crate::support::until;
use crate::vendors::nsx_v::NsxV;
use crate::vendors::vcenter::VCenter;
use crate::vendors::{Fault, Kind, Pace, When};

const LIST: &str = "POST /api/cis/tasks?action=list";
const JOBS: &str = "GET /api/4.0/edges/jobs?status";
const MONITORS: &str = "/api/4.0/edges/edge-4/loadbalancer/config/monitors";
const SERVICE: &str = "com.vmware.vcenter.VM";

/// One of the gate's: vCenter has no such task.
async fn register(gate: &Running, session: &str, name: &str) -> String {
    let body = json!({"datastore": "datastore-12", "name": name}).to_string();
    let line = "POST /api/vcenter/vm?action=register&vmw-task=true";
    let answer = call(gate.http()[0], line, session, &body).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json().as_str().unwrap().to_owned()
}

/// One of vCenter's own.
async fn clone(gate: &Running, session: &str, name: &str) -> String {
    let line = format!("POST {CLONE}&vmw-task=true");
    let answer = call(gate.http()[0], &line, session, &clone_of(name)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json().as_str().unwrap().to_owned()
}

async fn list(gate: &Running, session: &str, filter: Value) -> Answer {
    let body = json!({"filter_spec": filter, "result_spec": {"exclude_result": true}}).to_string();
    let fields = format!(
        "{session}Content-Type: application/json\r\nAccept-Encoding: gzip\r\nIf-None-Match: \"x\"\r\n"
    );
    call(gate.http()[0], LIST, &fields, &body).await
}

fn names(list: &Answer) -> Vec<String> {
    assert_eq!(list.status, 200, "{list:?}");
    let mut names: Vec<String> = list.json().as_object().unwrap().keys().cloned().collect();
    names.sort();
    names
}

fn sorted<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().cloned().collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_list_by_name_tells_of_both_and_only_theirs_go_up() {
    let model = VCenter::start(Pace::ByHand).await;
    let gate = before_vcenter(model.address, "");
    let session = log_in(&gate).await;
    let ours = register(&gate, &session, "web-1").await;
    let theirs = clone(&gate, &session, "web-2").await;
    until("both have begun", || begun(&model) == 2).await;
    let both = list(&gate, &session, json!({"tasks": [ours, theirs]})).await;
    assert_eq!(names(&both), sorted([&ours, &theirs]));
    let shown = both.json();
    assert_eq!(shown[&ours]["operation"], "register$task");
    assert_eq!(shown[&ours]["status"], "RUNNING");
    assert_eq!(shown[&theirs]["operation"], "clone$task");
    let heard = model.books.heard();
    let up = heard.iter().filter(|one| one.kind == Kind::BatchPoll);
    let up: Vec<_> = up.collect();
    assert_eq!(up.len(), 1);
    assert_eq!(
        up[0].request.json()["filter_spec"]["tasks"],
        json!([theirs])
    );
    assert_eq!(up[0].request.header("accept-encoding"), Some("identity"));
    assert_eq!(up[0].request.header("if-none-match"), None);
    // The gate's alone: nobody else is asked.
    let alone = list(&gate, &session, json!({"tasks": [ours, "gw-x"]})).await;
    assert_eq!(names(&alone), std::slice::from_ref(&ours));
    assert_eq!(alone.header("content-type"), Some("application/json"));
    assert_eq!(model.books.count(Kind::BatchPoll), 1);
    // Theirs alone go up, and come down, as they are.
    let own = list(&gate, &session, json!({"tasks": [theirs]})).await;
    assert_eq!(names(&own), std::slice::from_ref(&theirs));
    assert!(own.header("content-length").is_some(), "{own:?}");
    assert_eq!(model.books.count(Kind::BatchPoll), 2);
}

#[tokio::test]
async fn a_list_by_service_tells_of_the_asker_s_own_as_far_as_they_fit() {
    let model = VCenter::start(Pace::ByHand).await;
    let gate = before_vcenter(model.address, "");
    let session = log_in(&gate).await;
    let ours = register(&gate, &session, "web-1").await;
    let theirs = clone(&gate, &session, "web-2").await;
    // A task of the gate's that is none of the vendor's kind.
    let asks = format!("{session}Prefer: respond-async\r\n");
    let line = "POST /api/vcenter/vm?action=register";
    let plain = call(
        gate.http()[0],
        line,
        &asks,
        &json!({"name": "web-3"}).to_string(),
    )
    .await;
    assert_eq!(plain.status, 202, "{plain:?}");
    until("all have begun", || begun(&model) == 3).await;
    let all = list(&gate, &session, json!({"services": [SERVICE]})).await;
    assert_eq!(names(&all), sorted([&ours, &theirs]));
    assert_eq!(all.headers("etag"), [""; 0]);
    let of = |filter: Value| list(&gate, &session, filter);
    let registered = of(json!({"services": [SERVICE], "operations": ["register$task"]})).await;
    assert_eq!(names(&registered), std::slice::from_ref(&ours));
    let over = of(json!({"services": [SERVICE], "status": ["SUCCEEDED"]})).await;
    assert_eq!(names(&over), [""; 0]);
    let other = call(gate.http()[0], "POST /api/session", OTHER, "")
        .await
        .json();
    let other = format!("vmware-api-session-id: {}\r\n", other.as_str().unwrap());
    for filter in [json!({"services": [SERVICE]}), json!({"tasks": [ours]})] {
        assert_eq!(names(&list(&gate, &other, filter).await), [""; 0]);
    }
    model.works.finish_all();
    until("it is over", || model.books.effects("register web-1") == 1).await;
    let waits = format!("{session}Prefer: wait=50\r\n");
    let own = format!("GET /-/tasks/{}", ours.strip_prefix("gw-").unwrap());
    assert_eq!(
        call(gate.http()[0], &own, &waits, "").await.json()["state"],
        "COMPLETED"
    );
    let over = of(
        json!({"services": [SERVICE], "status": ["SUCCEEDED"], "operations": ["register$task"]}),
    )
    .await;
    let shown = over.json();
    assert_eq!(shown[&ours]["status"], "SUCCEEDED", "{shown}");
    assert_eq!(shown[&ours]["progress"]["completed"], 100);
    assert_eq!(shown[&ours].get("result"), None, "exclude_result was said");
    // Who is nobody hears so from the upstream.
    let nobody = list(&gate, "", json!({"tasks": [ours]})).await;
    assert_eq!(nobody.status, 401, "{nobody:?}");
}

/// What a list leaves out is the result alone: what went wrong is told as it is of one.
#[tokio::test]
async fn a_list_tells_of_ends_what_each_tells_by_itself() {
    let model = VCenter::start(Pace::Lasts(std::time::Duration::ZERO)).await;
    let gate = before_vcenter(model.address, "");
    let session = log_in(&gate).await;
    let good = register(&gate, &session, "web-1").await;
    let over = async |id: &str| {
        let waits = format!("{session}Prefer: wait=50\r\n");
        let own = format!("GET /-/tasks/{}", id.strip_prefix("gw-").unwrap());
        let task = call(gate.http()[0], &own, &waits, "").await.json();
        assert_eq!(task["done"], true, "{task}");
    };
    over(&good).await;
    let refused = Fault::answer(400);
    model.faults.on(Kind::Blocking, When::Always, refused);
    let bad = register(&gate, &session, "web-2").await;
    over(&bad).await;
    let one = async |id: &str| {
        let line = format!("GET /api/cis/tasks/{id}");
        call(gate.http()[0], &line, &session, "").await.json()
    };
    let (alone, failed) = (one(&good).await, one(&bad).await);
    assert!(alone["result"].is_string(), "{alone}");
    let own = failed["error"]["messages"].to_string();
    assert!(own.len() > 2 && !own.contains("tidegate"), "{failed}");

    let body = json!({"filter_spec": {"tasks": [good, bad]}}).to_string();
    let whole = call(gate.http()[0], LIST, &session, &body).await.json();
    assert_eq!((&whole[&good], &whole[&bad]), (&alone, &failed));
    let brief = list(&gate, &session, json!({"tasks": [good, bad]})).await;
    let brief = brief.json();
    assert_eq!(brief[&good].get("result"), None);
    assert_eq!(brief[&good]["status"], "SUCCEEDED");
    assert_eq!(brief[&bad], failed);
}

#[tokio::test]
async fn jobs_of_both_stand_in_one_document() {
    let model = NsxV::start(Pace::ByHand).await;
    let gate = before_nsx_v(model.address, "native = false");
    let begin = |name: &'static str| {
        let line = format!("POST {MONITORS}?async=true");
        let address = gate.http()[0];
        async move {
            call(address, &line, ADMIN, name)
                .await
                .header("jobid")
                .unwrap()
                .to_owned()
        }
    };
    let first = begin("<monitor><name>a</name></monitor>").await;
    assert!(first.starts_with("gw-"), "{first}");
    until("it has begun", || begun(&model) == 1).await;
    model.works.finish_all();
    let waits = format!("{ADMIN}Prefer: wait=50\r\n");
    let own = format!("GET /-/tasks/{}", first.strip_prefix("gw-").unwrap());
    assert_eq!(
        call(gate.http()[0], &own, &waits, "").await.json()["done"],
        true
    );
    let second = begin("<monitor><name>b</name></monitor>").await;
    until("the other has begun", || begun(&model) == 2).await;
    // A job of the manager's own, by nobody's doing here.
    let line = format!("PUT {MONITORS}/monitor-4?async=true");
    assert_eq!(
        call(model.address, &line, ADMIN, "<monitor/>").await.status,
        202
    );
    let jobs = |what: &str, fields: &str| {
        let (line, fields, address) = (format!("{JOBS}={what}"), fields.to_owned(), gate.http()[0]);
        async move { call(address, &line, &fields, "").await }
    };
    let all = jobs("all", ADMIN).await;
    let text = body(&all);
    assert!(
        text.starts_with("<edgeJobs>") && text.ends_with("</edgeJobs>"),
        "{text}"
    );
    for name in [&*first, &*second, "jobdata-2128"] {
        let element = format!("<jobId>{name}</jobId>");
        assert_eq!(text.matches(&element).count(), 1, "{name}: {text}");
    }
    assert!(
        text.contains(&format!("<jobId>{first}</jobId><status>COMPLETED</status>")),
        "{text}"
    );
    let active = jobs("active", ADMIN).await;
    assert!(
        !body(&active).contains(&first) && body(&active).contains(&second),
        "{}",
        body(&active)
    );
    let other = jobs("all", OTHER).await;
    assert!(
        body(&other).contains("jobdata-2128") && !body(&other).contains("gw-"),
        "{}",
        body(&other)
    );
    assert!(
        other.header("content-length").is_some(),
        "as it came: {other:?}"
    );
    // The head alone: what it says of a body is not that of the upstream's.
    let mut client = Client::connect(gate.http()[0]).await;
    let head = request("HEAD /api/4.0/edges/jobs?status=all", ADMIN, "");
    client.send(head.replace("Content-Length: 0\r\n", "")).await;
    let head = client.answer_to("HEAD").await.unwrap();
    assert_eq!(
        (head.header("content-length"), head.header("etag")),
        (None, None),
        "{head:?}"
    );
    model.works.finish_all();
}

#[tokio::test]
async fn where_the_upstream_has_no_list_the_gate_s_own_is_all_of_it() {
    let model = NsxV::start(Pace::ByHand).await;
    model.native(false);
    model
        .faults
        .on(Kind::BatchPoll, When::Always, Fault::answer(404));
    let gate = before_nsx_v(model.address, "native = false");
    let none = call(gate.http()[0], &format!("{JOBS}=all"), ADMIN, "").await;
    assert_eq!(
        none.status, 404,
        "who has no tasks hears the upstream: {none:?}"
    );
    let line = format!("POST {MONITORS}?async=true");
    let started = call(gate.http()[0], &line, ADMIN, "<monitor/>").await;
    let id = started.header("jobid").unwrap().to_owned();
    let all = call(gate.http()[0], &format!("{JOBS}=all"), ADMIN, "").await;
    assert_eq!(
        (all.status, all.header("content-type")),
        (200, Some("application/xml"))
    );
    let text = body(&all);
    assert!(
        text.starts_with("<edgeJobs><edgeJob>") && text.contains(&id),
        "{text}"
    );
    model.faults.off();
    model
        .faults
        .on(Kind::BatchPoll, When::Always, Fault::answer(503));
    let failed = call(gate.http()[0], &format!("{JOBS}=all"), ADMIN, "").await;
    assert_eq!(
        failed.status, 503,
        "what it cannot say just now is not made up"
    );
    model.works.finish_all();
}
