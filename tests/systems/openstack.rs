//! OpenStack style: the status of the resource is all that tells how far the work is.

use std::time::Duration;

use tidegate::app::Running;

use crate::checks::{self, Site, System};
use crate::rig::{blocking, call};
use crate::support::client::Answer;
use crate::vendors::openstack::OpenStack;
use crate::vendors::{Kind, Model, Pace, Twist, When};

const SERVERS: &str = "/v2.1/servers";

struct Compute;

impl System for Compute {
    type Its = OpenStack;
    const DIALECT: &str = "openstack";
    const REPEATS: bool = false;

    async fn start(pace: Pace) -> Model<OpenStack> {
        OpenStack::start(pace).await
    }

    fn routes(convert: &str) -> String {
        blocking("POST", SERVERS, convert) + &blocking("DELETE", "/v2.1/servers/*", convert)
    }

    async fn log_in(gate: &Running) -> String {
        let body = r#"{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"a","password":"pw"}}}}}"#;
        let opened = call(gate.http()[0], "POST /v3/auth/tokens", "", body).await;
        assert_eq!(opened.status, 201, "{opened:?}");
        format!(
            "X-Auth-Token: {}\r\n",
            opened.header("x-subject-token").unwrap()
        )
    }

    fn work(name: &str) -> (String, String) {
        let body = format!(
            "{{\"server\":{{\"name\":\"{name}\",\"flavorRef\":\"1\",\"imageRef\":\"2\"}}}}"
        );
        (format!("POST {SERVERS}"), body)
    }

    fn each_once(model: &Model<OpenStack>, names: &[String]) {
        for name in names {
            assert_eq!(model.books.effects(&format!("create {name}")), 1);
            assert_eq!(model.servers_named(name), 1, "{name}");
        }
    }

    fn is_end(answer: &Answer, name: &str) {
        assert_eq!(answer.status, 202, "{answer:?}");
        let server = answer.json()["server"].clone();
        assert_eq!(
            (&server["name"], &server["status"]),
            (&name.into(), &"ACTIVE".into())
        );
    }

    fn place(started: &Answer) -> String {
        started.header("location").unwrap().to_owned()
    }

    fn is_done(polled: &Answer) -> bool {
        polled.json()["server"]["status"] == "ACTIVE"
    }
}

#[tokio::test]
async fn openstack_is_passed_on_to_who_knows_it() {
    checks::is_passed_on::<Compute>().await;
}

#[tokio::test]
async fn openstack_is_followed_by_a_task() {
    checks::is_followed_by_a_task::<Compute>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openstack_is_waited_for_by_clients_that_block() {
    checks::is_waited_for::<Compute>().await;
}

#[tokio::test]
async fn openstack_is_followed_through_faults() {
    checks::is_followed_through_faults::<Compute>().await;
}

#[tokio::test]
async fn openstack_work_that_is_lost_is_not_guessed_at() {
    checks::is_not_guessed_at::<Compute>().await;
}

#[tokio::test]
async fn openstack_work_is_found_again_by_its_key() {
    checks::is_found_again::<Compute>().await;
}

#[tokio::test]
async fn a_server_that_fails_says_why_and_one_that_is_deleted_is_over_when_it_is_gone() {
    let site = Site::<Compute>::new(Pace::Lasts(Duration::from_millis(200)), "wait").await;
    let fault = Twist::fails("500", "No valid host was found.");
    site.model.works.twist(When::Nth(1), fault);
    let failed = site.work("web", "").await;
    assert_eq!(failed.status, 500, "{failed:?}");
    assert_eq!(
        failed.json()["server"]["fault"]["message"],
        "No valid host was found."
    );
    let made = site.work("web", "").await.json();
    let id = made["server"]["id"].as_str().unwrap().to_owned();
    let line = format!("DELETE {SERVERS}/{id}");
    let gone = call(site.gate.http()[0], &line, &site.me, "").await;
    assert_eq!(gone.status, 204, "{gone:?}");
    let left = call(
        site.gate.http()[0],
        &format!("GET {SERVERS}/{id}"),
        &site.me,
        "",
    )
    .await;
    assert_eq!(left.status, 404, "{left:?}");
    assert_eq!(site.model.books.effects(&format!("delete {id}")), 1);
    assert_eq!(site.model.books.count(Kind::Start), 3);
}
