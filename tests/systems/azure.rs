//! Azure style: an operation that `Azure-AsyncOperation`, `Operation-Location` or `Location` names.

use std::time::Duration;

use tidegate::app::Running;

use crate::checks::{self, Site, System};
use crate::rig::{before_with, blocking, call, over, result};
use crate::support::client::Answer;
use crate::support::hurried::hurried;
use crate::vendors::azure::{Azure, Form};
use crate::vendors::{Ending, Kind, Model, Pace, Twist, When};

const VMS: &str = "/subscriptions/s1/resourceGroups/g1/providers/Microsoft.Compute/virtualMachines";

/// Azure by the field that says where the status is.
struct By<const FORM: u8>;

const ASYNC_OPERATION: u8 = 0;
const OPERATION_LOCATION: u8 = 1;
const LOCATION: u8 = 2;

fn path(name: &str) -> String {
    format!("{VMS}/{name}")
}

impl<const FORM: u8> System for By<FORM> {
    type Its = Azure;
    const DIALECT: &str = "azure";
    const REPEATS: bool = true;

    async fn start(pace: Pace) -> Model<Azure> {
        let model = Azure::start(pace).await;
        model.form(match FORM {
            ASYNC_OPERATION => Form::AsyncOperation,
            OPERATION_LOCATION => Form::OperationLocation,
            _ => Form::Location,
        });
        model.retry_after(1);
        model
    }

    fn routes(convert: &str) -> String {
        let of = |method| blocking(method, "/subscriptions/**", convert);
        [of("PUT"), of("PATCH"), of("DELETE")].concat()
    }

    async fn log_in(_: &Running) -> String {
        "Authorization: Bearer me\r\n".to_owned()
    }

    fn work(name: &str) -> (String, String) {
        let line = format!("PUT {}?api-version=2024-07-01", path(name));
        (line, r#"{"location":"here"}"#.to_owned())
    }

    fn each_once(model: &Model<Azure>, names: &[String]) {
        let made = model.books.all_effects();
        let each: Vec<_> = names
            .iter()
            .map(|name| made.get(&format!("PUT {}", path(name))))
            .collect();
        assert!(each.iter().all(|times| *times == Some(&1)), "{made:?}");
        assert_eq!(made.len(), names.len());
    }

    fn is_end(answer: &Answer, name: &str) {
        assert_eq!(answer.status, 200, "{answer:?}");
        let vm = answer.json();
        assert_eq!(vm["id"], path(name));
        assert_eq!(vm["properties"]["provisioningState"], "Succeeded");
    }

    fn place(started: &Answer) -> String {
        let fields = ["azure-asyncoperation", "operation-location", "location"];
        let mut named = fields.iter().filter_map(|name| started.header(name));
        named.next().unwrap().to_owned()
    }

    fn is_done(polled: &Answer) -> bool {
        let said = serde_json::from_slice::<serde_json::Value>(&polled.body).unwrap_or_default();
        said["status"] == "Succeeded" || said["properties"]["provisioningState"] == "Succeeded"
    }
}

#[tokio::test]
async fn azure_is_passed_on_to_who_knows_it() {
    checks::is_passed_on::<By<ASYNC_OPERATION>>().await;
    checks::is_passed_on::<By<OPERATION_LOCATION>>().await;
    checks::is_passed_on::<By<LOCATION>>().await;
}

#[tokio::test]
async fn azure_is_followed_by_a_task() {
    checks::is_followed_by_a_task::<By<ASYNC_OPERATION>>().await;
    checks::is_followed_by_a_task::<By<OPERATION_LOCATION>>().await;
}

/// `Location` alone names what answers 202 until it answers for the operation.
#[tokio::test]
async fn an_operation_that_location_alone_names_is_followed() {
    checks::is_followed_by_a_task::<By<LOCATION>>().await;
    checks::is_followed_through_faults::<By<LOCATION>>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn azure_is_waited_for_by_clients_that_block() {
    checks::is_waited_for::<By<ASYNC_OPERATION>>().await;
    checks::is_waited_for::<By<LOCATION>>().await;
}

#[tokio::test]
async fn azure_is_followed_through_faults() {
    checks::is_followed_through_faults::<By<ASYNC_OPERATION>>().await;
}

#[tokio::test]
async fn azure_puts_whose_answer_is_lost_are_sent_again() {
    checks::is_not_guessed_at::<By<ASYNC_OPERATION>>().await;
}

#[tokio::test]
async fn azure_work_is_found_again_by_its_key() {
    checks::is_found_again::<By<ASYNC_OPERATION>>().await;
}

/// Azure writes whole URLs, with the name by which it was asked.
#[tokio::test]
async fn an_upstream_that_is_asked_by_another_name_is_followed_by_it() {
    for host in ["client", "arm.example"] {
        let model = By::<ASYNC_OPERATION>::start(Pace::Lasts(Duration::from_millis(50))).await;
        let keys = format!("host = \"{host}\"\n");
        let routes = By::<ASYNC_OPERATION>::routes("wait");
        let gate = before_with(model.address, &hurried("azure"), &keys, &routes);
        let (line, body) = By::<ASYNC_OPERATION>::work("web");
        let me = By::<ASYNC_OPERATION>::log_in(&gate).await;
        let answer = call(gate.http()[0], &line, &me, &body).await;
        By::<ASYNC_OPERATION>::is_end(&answer, "web");
        let heard = model.books.heard();
        let named = heard[0].request.header("host").unwrap();
        assert_eq!(
            named,
            if host == "client" {
                "gate.example"
            } else {
                host
            }
        );
    }
}

#[tokio::test]
async fn an_operation_that_fails_or_is_canceled_says_so() {
    let site =
        Site::<By<ASYNC_OPERATION>>::new(Pace::Lasts(Duration::from_millis(50)), "wait").await;
    let works = &site.model.works;
    works.twist(When::Nth(1), Twist::fails("Conflict", "Taken."));
    works.twist(When::Nth(2), Twist::Ends(Ending::Canceled));
    let failed = site.work("web", "").await;
    let said = r#"{"error":{"code":"Conflict","message":"Taken."}}"#;
    assert_eq!(
        (failed.status, std::str::from_utf8(&failed.body)),
        (409, Ok(said))
    );
    let task = site.begin("other").await;
    assert_eq!(over(&site.gate, &task, &site.me).await["state"], "ABORTED");
    assert_eq!(result(&site.gate, &task, &site.me).await.status, 409);
    assert!(site.model.books.all_effects().is_empty());
}

#[tokio::test]
async fn a_deletion_ends_without_its_resource() {
    let site =
        Site::<By<ASYNC_OPERATION>>::new(Pace::Lasts(Duration::from_millis(50)), "wait").await;
    site.work("web", "").await;
    let line = format!("DELETE {}", path("web"));
    let gone = call(site.gate.http()[0], &line, &site.me, "").await;
    assert_eq!((gone.status, gone.body.len()), (200, 0), "{gone:?}");
    assert_eq!(site.model.resource(&path("web")), None);
    let again = call(site.gate.http()[0], &line, &site.me, "").await;
    assert_eq!(
        (again.status, &again.json()["error"]["code"]),
        (404, &"ResourceNotFound".into())
    );
    assert_eq!(site.model.books.count(Kind::Start), 3);
}
