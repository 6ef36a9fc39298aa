//! Redfish: 202 and a Task Monitor (DSP0266).

use std::time::Duration;

use tidegate::app::Running;

use crate::checks::{self, Site, System};
use crate::rig::{ASYNC, before_with, blocking, call, over, result, tasks};
use crate::support::client::Answer;
use crate::support::hurried::hurried;
use crate::support::{limit, until};
use crate::vendors::redfish::Redfish;
use crate::vendors::{Ending, Fault, Kind, Model, Pace, Twist, When};

const VOLUMES: &str = "/redfish/v1/Volumes";
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

struct Service;

impl System for Service {
    type Its = Redfish;
    const DIALECT: &str = "redfish";
    const REPEATS: bool = false;

    async fn start(pace: Pace) -> Model<Redfish> {
        Redfish::start(pace).await
    }

    fn routes(convert: &str) -> String {
        let sessions = format!(
            "[[upstream.route]]\nname = \"log-in\"\nmatch = {{ method = \"POST\", path = \"{SESSIONS}\" }}\nclass = \"login\"\n"
        );
        sessions + &blocking("POST", "/redfish/v1/**", convert)
    }

    async fn log_in(gate: &Running) -> String {
        let body = r#"{"UserName":"a","Password":"pw"}"#;
        let opened = call(gate.http()[0], &format!("POST {SESSIONS}"), "", body).await;
        assert_eq!(opened.status, 201, "{opened:?}");
        format!(
            "X-Auth-Token: {}\r\n",
            opened.header("x-auth-token").unwrap()
        )
    }

    fn work(name: &str) -> (String, String) {
        (
            format!("POST {VOLUMES}"),
            format!("{{\"Name\":\"{name}\"}}"),
        )
    }

    fn each_once(model: &Model<Redfish>, names: &[String]) {
        let made = model.books.effects(&format!("POST {VOLUMES}"));
        assert_eq!(made, names.len() as u64);
        assert_eq!(model.books.all_effects().len(), 1);
    }

    fn is_end(answer: &Answer, _: &str) {
        assert_eq!(answer.status, 201, "{answer:?}");
        let made = answer.header("location").unwrap();
        assert!(made.starts_with(VOLUMES), "{made}");
        assert_eq!(answer.json()["@odata.id"], made);
    }

    fn place(started: &Answer) -> String {
        started.header("location").unwrap().to_owned()
    }

    fn is_done(polled: &Answer) -> bool {
        polled.status == 201
    }
}

#[tokio::test]
async fn redfish_is_passed_on_to_who_knows_it() {
    checks::is_passed_on::<Service>().await;
}

#[tokio::test]
async fn redfish_is_followed_by_a_task() {
    checks::is_followed_by_a_task::<Service>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redfish_is_waited_for_by_clients_that_block() {
    checks::is_waited_for::<Service>().await;
}

#[tokio::test]
async fn redfish_is_followed_through_faults() {
    checks::is_followed_through_faults::<Service>().await;
}

#[tokio::test]
async fn redfish_work_that_is_lost_is_not_guessed_at() {
    checks::is_not_guessed_at::<Service>().await;
}

#[tokio::test]
async fn redfish_work_is_found_again_by_its_key() {
    checks::is_found_again::<Service>().await;
}

#[tokio::test]
async fn a_monitor_that_is_deleted_is_that_of_a_task_that_was_taken_back() {
    let site = Site::<Service>::new(Pace::ByHand, "prefer").await;
    let task = site.begin("web").await;
    until("it is followed", || site.model.books.count(Kind::Poll) > 0).await;
    let cancel = format!("POST {task}/cancel");
    let heard = call(site.gate.http()[0], &cancel, &site.me, "").await;
    assert_eq!(heard.status, 202, "{heard:?}");
    let shown = over(&site.gate, &task, &site.me).await;
    assert_eq!(
        (&shown["state"], &shown["outcome"]),
        (&"ABORTED".into(), &"known".into()),
        "{shown}"
    );
    assert_eq!(site.model.books.count(Kind::Cancel), 1);
    assert!(site.model.books.all_effects().is_empty());
    assert_eq!(result(&site.gate, &task, &site.me).await.status, 409);
}

#[tokio::test]
async fn an_operation_that_fails_or_is_done_in_part_is_told_by_its_monitor() {
    let site = Site::<Service>::new(Pace::Lasts(Duration::from_millis(50)), "wait").await;
    let broken = Twist::fails("GeneralError", "No power");
    site.model.works.twist(When::Nth(1), broken);
    let partly = Ending::Partial(vec!["one fan".to_owned()]);
    site.model.works.twist(When::Nth(2), Twist::Ends(partly));
    let failed = site.work("web", "").await;
    assert_eq!(
        (failed.status, &failed.json()["error"]["message"]),
        (500, &"No power".into())
    );
    let partial = site.work("web", "").await;
    assert_eq!(
        partial.json()["@Message.ExtendedInfo"][0]["Message"],
        "one fan"
    );
    let states: Vec<_> = tasks(&site.gate, &site.me).await;
    let mut states: Vec<_> = states
        .iter()
        .map(|task| task["state"].as_str().unwrap())
        .collect();
    states.sort_unstable();
    // The monitor's own answer does not tell a part from the whole; the Task would.
    assert_eq!(states, ["COMPLETED", "FAILED"]);
}

/// A service may do the work before it answers: its call has a seat until then.
#[tokio::test]
async fn a_service_that_blocks_all_the_same_holds_a_seat() {
    let site = Site::<Service>::new(Pace::ByHand, "wait").await;
    site.model.native(false);
    let waits = site.work("web", "");
    let ends = async {
        let blocks = || site.model.books.now("blocking") == 1;
        until("it blocks", blocks).await;
        assert_eq!(limit(&site.gate.snapshot(), "blocking").in_use, 1);
        site.model.works.finish_all();
    };
    let (answer, ()) = tokio::join!(waits, ends);
    Service::is_end(&answer, "web");
    assert_eq!(site.model.books.count(Kind::Blocking), 1);
    assert_eq!(site.model.books.count(Kind::Poll), 0);
}

#[tokio::test]
async fn a_service_that_blocks_is_asked_by_a_task_that_holds_a_seat() {
    let site = Site::<Service>::new(Pace::ByHand, "prefer").await;
    site.model.native(false);
    let task = site.begin("web").await;
    until("it blocks", || site.model.books.now("blocking") == 1).await;
    assert_eq!(limit(&site.gate.snapshot(), "blocking").in_use, 1);
    site.model.works.finish_all();
    let shown = over(&site.gate, &task, &site.me).await;
    assert_eq!(
        (&shown["state"], &shown["mode"]),
        (&"COMPLETED".into(), &"queued".into()),
        "{shown}"
    );
    Service::is_end(&result(&site.gate, &task, &site.me).await, "web");
    assert_eq!(site.model.books.count(Kind::Poll), 0);
}

#[tokio::test]
async fn a_start_that_is_lost_is_asked_after_as_its_dialect_says() {
    let model = Service::start(Pace::Lasts(Duration::from_millis(50))).await;
    let text = std::fs::read_to_string(hurried("redfish")).unwrap();
    let cancel = "cancel   = {";
    assert!(text.contains(cancel));
    let probe = "probe = { get = \"/redfish/v1/Systems/1\", json = \"/Id\", every = \"1s\" }\n";
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("redfish-probed.toml");
    std::fs::write(
        &file,
        text.replacen(cancel, &(probe.to_owned() + cancel), 1),
    )
    .unwrap();
    let gate = before_with(model.address, &file, "", &Service::routes("prefer"));
    let me = Service::log_in(&gate).await;
    model
        .faults
        .on(Kind::Start, When::Nth(1), Fault::LostAnswer);
    let (line, body) = Service::work("web");
    let ticket = call(gate.http()[0], &line, &format!("{me}{ASYNC}"), &body).await;
    let task = ticket.header("location").unwrap();
    let shown = over(&gate, task, &me).await;
    assert_eq!(
        (&shown["state"], &shown["result_source"]),
        (&"COMPLETED".into(), &"probe".into()),
        "{shown}"
    );
    assert_eq!(model.books.count(Kind::Start), 1);
}

/// Two behind one address: each by the token that the service gave it.
#[tokio::test]
async fn a_task_is_its_token_s_and_not_its_address_s() {
    let site = Site::<Service>::new(Pace::Lasts(Duration::from_millis(20)), "prefer").await;
    let task = site.begin("web").await;
    over(&site.gate, &task, &site.me).await;
    let other = Service::log_in(&site.gate).await;
    for fields in [other.as_str(), "X-Auth-Token: made-up\r\n", ""] {
        let line = format!("GET {task}");
        let answer = call(site.gate.http()[0], &line, fields, "").await;
        assert!([401, 404].contains(&answer.status), "{fields}: {answer:?}");
        let result = result(&site.gate, &task, fields).await;
        assert!([401, 404].contains(&result.status), "{fields}: {result:?}");
    }
    assert!(tasks(&site.gate, &other).await.is_empty());
    let unknown = call(site.gate.http()[0], "POST /redfish/v1/Volumes", ASYNC, "{}").await;
    assert!([401, 202].contains(&unknown.status), "{unknown:?}");
}
