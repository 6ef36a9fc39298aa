//! Redfish: task monitors and tasks (DSP0266).

use std::time::Duration;

use super::vendors::redfish::Redfish;
use super::vendors::{Ending, Kind, Model, Pace, Twist, When};
use super::{Answer, basic, call, text};

const RESET: &str = "POST /redfish/v1/Systems/1/Actions/ComputerSystem.Reset";
const MONITOR: &str = "/redfish/v1/TaskService/TaskMonitors/7";
const TASK: &str = "/redfish/v1/TaskService/Tasks/7";

async fn get(redfish: &Model<Redfish>, path: &str) -> Answer {
    call(redfish.address, &format!("GET {path}"), &basic("a"), "").await
}

async fn started(redfish: &Model<Redfish>) -> Answer {
    redfish.works.next_name("7");
    call(redfish.address, RESET, &basic("a"), r#"{"ResetType":"On"}"#).await
}

#[tokio::test]
async fn a_monitor_answers_202_until_it_answers_for_the_operation() {
    let redfish = Redfish::start(Pace::ByHand).await;
    let started = started(&redfish).await;
    assert_eq!(
        (started.status, started.header("location")),
        (202, Some(MONITOR))
    );
    assert_eq!(started.header("retry-after"), Some("5"));
    assert_eq!(
        text(&started),
        "{\"@odata.id\":\"/redfish/v1/TaskService/Tasks/7\",\"Id\":\"7\",\"TaskState\":\"New\",\
         \"TaskMonitor\":\"/redfish/v1/TaskService/TaskMonitors/7\"}"
    );
    redfish.works.step();
    let waits = get(&redfish, MONITOR).await;
    assert_eq!(
        (waits.status, &waits.json()["TaskState"]),
        (202, &"Running".into())
    );
    assert_eq!(waits.header("location"), Some(MONITOR));
    assert_eq!(
        redfish.resource("/redfish/v1/Systems/1").unwrap()["PowerState"],
        "Off"
    );
    redfish.works.step();
    assert_eq!(get(&redfish, MONITOR).await.status, 204);
    let task = get(&redfish, TASK).await.json();
    assert_eq!(
        (&task["TaskState"], &task["TaskStatus"]),
        (&"Completed".into(), &"OK".into())
    );
    assert_eq!(task["PercentComplete"], 100);
    let system = get(&redfish, "/redfish/v1/Systems/1").await.json();
    assert_eq!(system["PowerState"], "On");
    assert_eq!(redfish.books.effects(RESET), 1);
    assert_eq!(
        (
            redfish.books.count(Kind::Start),
            redfish.books.count(Kind::Poll)
        ),
        (1, 3)
    );
    redfish.tells_once(true);
    assert_eq!(get(&redfish, MONITOR).await.status, 204);
    assert_eq!(get(&redfish, MONITOR).await.status, 404);
}

#[tokio::test]
async fn a_monitor_that_is_deleted_cancels() {
    let redfish = Redfish::start(Pace::ByHand).await;
    started(&redfish).await;
    let line = format!("DELETE {MONITOR}");
    assert_eq!(
        call(redfish.address, &line, &basic("a"), "").await.status,
        204
    );
    assert_eq!(get(&redfish, MONITOR).await.status, 410);
    assert_eq!(get(&redfish, TASK).await.json()["TaskState"], "Cancelled");
    assert_eq!(
        call(redfish.address, &line, &basic("a"), "").await.status,
        409
    );
    redfish.works.finish_all();
    assert!(redfish.books.all_effects().is_empty());
    assert_eq!(redfish.books.count(Kind::Cancel), 2);
}

#[tokio::test]
async fn what_fails_says_how() {
    let redfish = Redfish::start(Pace::ByHand).await;
    redfish
        .works
        .twist(When::Nth(1), Twist::fails("GeneralError", "No power"));
    started(&redfish).await;
    redfish.works.finish_all();
    let failed = get(&redfish, MONITOR).await;
    assert_eq!(
        (failed.status, &failed.json()["error"]["code"]),
        (500, &"Base.1.0.GeneralError".into())
    );
    let task = get(&redfish, TASK).await.json();
    assert_eq!(
        (&task["TaskState"], &task["Messages"][0]["Message"]),
        (&"Exception".into(), &"No power".into())
    );
    let partial = Ending::Partial(vec!["one fan".to_owned()]);
    redfish.works.twist(When::Nth(1), Twist::Ends(partial));
    started(&redfish).await;
    redfish.works.finish_all();
    assert_eq!(get(&redfish, TASK).await.json()["TaskStatus"], "Warning");
    assert_eq!(get(&redfish, MONITOR).await.status, 200);
}

#[tokio::test]
async fn sessions_open_and_end() {
    let redfish = Redfish::start(Pace::ByHand).await;
    let sessions = "POST /redfish/v1/SessionService/Sessions";
    let body = r#"{"UserName":"a","Password":"pw"}"#;
    let opened = call(redfish.address, sessions, "", body).await;
    assert_eq!(opened.status, 201);
    let head = format!(
        "X-Auth-Token: {}\r\n",
        opened.header("x-auth-token").unwrap()
    );
    let get = "GET /redfish/v1/Systems/1";
    assert_eq!(call(redfish.address, get, &head, "").await.status, 200);
    let end = format!("DELETE {}", opened.header("location").unwrap());
    assert_eq!(call(redfish.address, &end, &head, "").await.status, 204);
    assert_eq!(call(redfish.address, get, &head, "").await.status, 401);
}

#[tokio::test]
async fn an_older_service_blocks() {
    let redfish = Redfish::start(Pace::Lasts(Duration::ZERO)).await;
    redfish.native(false);
    let made = call(
        redfish.address,
        "POST /redfish/v1/Volumes",
        &basic("a"),
        r#"{"Name":"v"}"#,
    )
    .await;
    assert_eq!(made.status, 201);
    let path = made.header("location").unwrap();
    assert_eq!(get(&redfish, path).await.json()["Name"], "v");
    assert_eq!(redfish.books.count(Kind::Blocking), 1);
}
