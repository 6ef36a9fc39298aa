//! OpenStack: servers whose status is all there is to follow.

use super::vendors::openstack::OpenStack;
use super::vendors::{Kind, Model, Pace, Twist, When};
use super::{Answer, call};

const SERVER: &str = r#"{"server":{"name":"web","flavorRef":"1","imageRef":"2"}}"#;
const TOKEN: &str = "X-Auth-Token: t1\r\n";

/// An OpenStack with the token `t1`.
async fn openstack() -> Model<OpenStack> {
    let openstack = OpenStack::start(Pace::ByHand).await;
    openstack.works.next_name("t1");
    let login = r#"{"auth":{"identity":{"methods":["password"],"password":{"user":{"name":"a","password":"pw"}}}}}"#;
    let opened = call(openstack.address, "POST /v3/auth/tokens", "", login).await;
    assert_eq!(
        (opened.status, opened.header("x-subject-token")),
        (201, Some("t1"))
    );
    openstack
}

async fn ask(openstack: &Model<OpenStack>, line: &str) -> Answer {
    let body = if line.starts_with("POST") { SERVER } else { "" };
    call(openstack.address, line, TOKEN, body).await
}

async fn create(openstack: &Model<OpenStack>) -> String {
    let made = ask(openstack, "POST /v2.1/servers").await;
    assert_eq!(
        (made.status, &made.json()["server"]["status"]),
        (202, &"BUILD".into())
    );
    made.header("location").unwrap().to_owned()
}

#[tokio::test]
async fn a_server_is_built_and_removed() {
    let openstack = openstack().await;
    let path = create(&openstack).await;
    let get = format!("GET {path}");
    assert_eq!(
        ask(&openstack, &get).await.json()["server"]["status"],
        "BUILD"
    );
    openstack.works.finish_all();
    let server = ask(&openstack, &get).await.json();
    assert_eq!(
        (&server["server"]["status"], &server["server"]["name"]),
        (&"ACTIVE".into(), &"web".into())
    );
    let delete = format!("DELETE {path}");
    assert_eq!(ask(&openstack, &delete).await.status, 204);
    let going = ask(&openstack, &get).await.json();
    assert_eq!(going["server"]["OS-EXT-STS:task_state"], "deleting");
    openstack.works.finish_all();
    assert_eq!(ask(&openstack, &get).await.status, 404);
    assert_eq!(ask(&openstack, &delete).await.status, 404);
    assert_eq!(openstack.servers_named("web"), 0);
    assert_eq!(openstack.books.effects("create web"), 1);
    assert_eq!(
        (
            openstack.books.count(Kind::Start),
            openstack.books.count(Kind::Poll)
        ),
        (3, 4)
    );
}

#[tokio::test]
async fn a_server_fails_with_a_fault() {
    let openstack = openstack().await;
    let twist = Twist::fails("500", "No valid host was found.");
    openstack.works.twist(When::Next(1), twist);
    let path = create(&openstack).await;
    openstack.works.finish_all();
    let server = ask(&openstack, &format!("GET {path}")).await.json();
    assert_eq!(server["server"]["status"], "ERROR");
    assert_eq!(
        server["server"]["fault"]["message"],
        "No valid host was found."
    );
    assert_eq!(server["server"]["fault"]["code"], 500);
}

#[tokio::test]
async fn names_are_not_unique_and_are_looked_for() {
    let openstack = openstack().await;
    create(&openstack).await;
    create(&openstack).await;
    assert_eq!(openstack.servers_named("web"), 2);
    let found = ask(&openstack, "GET /v2.1/servers?name=web").await.json();
    assert_eq!(found["servers"].as_array().unwrap().len(), 2);
    let none = ask(&openstack, "GET /v2.1/servers/detail?name=db")
        .await
        .json();
    assert_eq!(none["servers"].as_array().unwrap().len(), 0);
    assert_eq!(
        (
            openstack.books.count(Kind::Probe),
            openstack.books.count(Kind::BatchPoll)
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn a_status_flaps_and_a_server_is_seen_late() {
    let openstack = openstack().await;
    openstack.works.twist(When::Next(1), Twist::slow_commit(1));
    openstack
        .works
        .twist(When::Next(1), Twist::Flaps { back: 1 });
    let get = format!("GET {}", create(&openstack).await);
    openstack.works.finish_all();
    assert_eq!(ask(&openstack, &get).await.status, 404);
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(ask(&openstack, &get).await.json()["server"]["status"].clone());
    }
    assert_eq!(seen, ["ACTIVE", "BUILD", "ACTIVE"]);
    openstack.end_sessions();
    assert_eq!(ask(&openstack, &get).await.status, 401);
}
