//! What an upstream said of its own task at its end, beside the answer that was made of that.

use std::time::Duration;

use http::Method;
use serde_json::Value;
use tidegate::answer::Answer;
use tidegate::task::{State, Status, TaskId};

use crate::busy::{ENVIRONMENT, RUN, brief, put};
use crate::rig::{CLONE, Call, Kept, Rig};
use crate::shown::{api, ask};
use crate::vendors::nsx_v::NsxV;
use crate::vendors::skytap::Skytap;
use crate::vendors::vcenter::VCenter;
use crate::vendors::{Pace, Twist, When};

/// The result, and what the upstream said.
async fn both(rig: &Rig, id: TaskId) -> [Answer; 2] {
    let api = api(rig);
    let get = async |tail| ask(&api, Method::GET, id, tail).await;
    [get("/result").await, get("/result?raw=true").await]
}

fn field<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let found = answer.headers.iter().find(|(n, _)| n == name)?;
    found.1.to_str().ok()
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn a_clone_tells_its_machine_and_the_task_that_made_it() {
    let vc = VCenter::start(brief()).await;
    let rig = Rig::vcenter(vc.address).await;
    let id = rig.clone("web-1").await;
    rig.over(id).await;
    let [result, raw] = both(&rig, id).await;
    assert_eq!((result.status, &*result.body), (200, &b"\"vm-12\""[..]));
    assert_eq!((raw.status, field(&raw, "asyncresult")), (200, Some("200")));
    assert_eq!(field(&raw, "task-state"), Some("COMPLETED"));
    let info = json(&raw);
    assert_eq!(
        (&info["status"], &info["result"], &info["operation"]),
        (&"SUCCEEDED".into(), &"vm-12".into(), &"clone$task".into())
    );
    assert!(info["end_time"].is_string(), "{info}");
    rig.stop().await;
}

#[tokio::test]
async fn an_end_without_a_body_and_a_bad_one_have_their_task_too() {
    let vc = VCenter::start(brief()).await;
    let rig = Rig::vcenter(vc.address).await;
    let target = "/api/vcenter/vm/vm-11?action=relocate";
    let moved = rig
        .submit(&Call::new("POST", target, "vm-relocate", "{}"))
        .await;
    rig.over(moved).await;
    let [result, raw] = both(&rig, moved).await;
    assert_eq!((result.status, result.body.len()), (204, 0));
    assert_eq!(json(&raw)["status"], "SUCCEEDED");

    let twist = Twist::fails("ALREADY_EXISTS", "The name exists.");
    vc.works.twist(When::Always, twist);
    let failed = rig.clone("web-1").await;
    rig.over(failed).await;
    let [result, raw] = both(&rig, failed).await;
    assert_eq!((result.status, raw.status), (400, 200));
    assert_eq!(field(&raw, "task-state"), Some("FAILED"));
    assert_eq!(json(&raw)["error"]["error_type"], "ALREADY_EXISTS");
    rig.stop().await;
}

#[tokio::test]
async fn what_was_taken_back_says_how() {
    let vc = VCenter::start(Pace::ByHand).await;
    let rig = Rig::vcenter(vc.address).await;
    let id = rig.clone("web-1").await;
    rig.reaches(id, Status::Polling).await;
    crate::rig::until("it can be taken back", || {
        rig.desk.live(id).is_some_and(|live| live.cancelable)
    })
    .await;
    rig.desk.cancel(id).await.unwrap();
    assert_eq!(rig.over(id).await.status.state(), State::Aborted);
    let [result, raw] = both(&rig, id).await;
    assert_eq!((result.status, raw.status), (409, 200));
    assert_eq!(field(&raw, "task-state"), Some("ABORTED"));
    assert_eq!(json(&raw)["error"]["error_type"], "CANCELED");
    rig.stop().await;
}

#[tokio::test]
async fn an_answer_of_the_upstream_to_the_call_itself_is_its_word() {
    let vc = VCenter::start(brief()).await;
    let rig = Rig::vcenter(vc.address).await;
    let body = "{\"source\":\"vm-404\",\"name\":\"a\"}";
    let refused = Call::new("POST", CLONE, "vm-clone", body);
    let id = rig.submit(&refused).await;
    rig.over(id).await;
    let [result, raw] = both(&rig, id).await;
    assert_eq!((result.status, raw.status), (404, 404));
    assert_eq!(result.body, raw.body);
    assert_eq!(field(&raw, "asyncresult"), Some("404"));
    rig.stop().await;
}

#[tokio::test]
async fn a_job_in_xml_and_a_resource_are_told_as_they_came() {
    let nsx = NsxV::start(Pace::Lasts(Duration::from_millis(300))).await;
    nsx.full_lists(true);
    let rig = Rig::start(nsx.address, "nsx-v", "", &Kept::default()).await;
    let monitors = "/api/4.0/edges/edge-4/loadbalancer/config/monitors";
    let monitor = "<monitor><type>http</type><interval>5</interval></monitor>";
    let id = rig
        .submit(&Call::new("POST", monitors, "edge-post", monitor))
        .await;
    rig.over(id).await;
    let [result, raw] = both(&rig, id).await;
    assert_eq!((result.status, raw.status), (201, 200));
    let job = String::from_utf8(raw.body.to_vec()).unwrap();
    assert!(
        job.contains("<edgeJob>") && job.contains("COMPLETED"),
        "{job}"
    );
    assert_eq!(field(&raw, "content-type"), Some("application/xml"));
    rig.stop().await;

    let skytap = Skytap::start(brief()).await;
    let rig = Rig::skytap(skytap.address).await;
    let id = rig.submit(&put(ENVIRONMENT, RUN)).await;
    rig.over(id).await;
    let [result, raw] = both(&rig, id).await;
    assert_eq!((result.status, raw.status), (200, 200));
    assert_eq!(json(&raw)["runstate"], "running");
    rig.stop().await;
}
