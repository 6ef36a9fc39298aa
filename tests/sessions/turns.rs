//! Turns in a line by who is logged in: each user in turn, administrators first.

use std::time::Duration;

use crate::model::{Model, Point, Strict};
use crate::people::{Session, Way, Work, answers, log_in, request};
use crate::rig::{Setup, in_use, refused, shown};
use crate::support::client::Client;
use crate::support::{limit, until};

const ONE: &str = "limit = 1";

/// A clone of `session`, once it stands in the line of `blocking_tasks`.
async fn stand(gate: &tidegate::app::Running, session: &Session) -> Client {
    let waiting = || limit(&gate.snapshot(), "blocking_tasks").waiting;
    let before = waiting();
    let mut client = Client::connect(gate.http()[0]).await;
    client.send(session.asks(Work::Clone)).await;
    until("it waits", || waiting() == before + 1).await;
    client
}

#[tokio::test]
async fn users_take_turns_whatever_their_sessions_and_addresses_and_administrators_go_first() {
    let model = Model::start_strict(Strict::new(Duration::ZERO, Duration::from_millis(5))).await;
    let mut setup = Setup::as_it_is("vcenter-8.0").limit("blocking_tasks", ONE);
    setup.admin = "break_glass = { users = [\"root@corp\"], share = 0.05 }".to_owned();
    let gate = setup.start(model.address);
    let http = gate.http()[0];
    let heavy = [
        log_in(http, Way::Api, "heavy@corp").await,
        log_in(http, Way::Rpc, "CORP\\Heavy").await,
    ];
    let light = log_in(http, Way::Api, "light@corp").await;
    let root = log_in(http, Way::Api, "root@corp").await;
    model.hold(Point::Clone);
    let mut clients = vec![Client::connect(http).await];
    clients[0].send(heavy[0].asks(Work::Clone)).await;
    until("the only seat is taken", || model.books.now("clones") == 1).await;
    for n in 0..6 {
        clients.push(stand(&gate, &heavy[n % 2]).await);
    }
    for session in [&light, &light, &root] {
        clients.push(stand(&gate, session).await);
    }
    let asked = "/explain?method=POST&target=%2Fapi%2Fvcenter%2Fvm%3Faction%3Dclone&user=";
    let said = shown(gate.admin(), &format!("{asked}other@corp")).await;
    assert_eq!(
        (&said["verdict"], &said["waits_for"]),
        (&"wait".into(), &"blocking_tasks".into())
    );
    let limits = said["limits"].as_array().unwrap().iter();
    let mut of_tasks = limits.filter(|one| one["name"] == "blocking_tasks");
    let waiting = of_tasks.next().unwrap()["waiting"]
        .as_array()
        .unwrap()
        .clone();
    let named: Vec<_> = waiting
        .iter()
        .map(|one| {
            (
                one["key"].as_str().unwrap(),
                one["waiting"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        named,
        [("heavy@corp", 6), ("light@corp", 2), ("root@corp", 1)]
    );
    // Polls and logouts stand in no such line.
    let token = format!("vmware-api-session-id: {}\r\n", heavy[0].token);
    let poll = request("GET", "/api/cis/tasks/52f9", &token, "");
    let mut poller = Client::connect(http).await;
    poller.send(poll).await;
    assert_eq!(poller.answer().await.unwrap().status, 200);
    model.let_go(Point::Clone);
    for answer in answers(&mut clients).await {
        assert_eq!(
            (answer.status, answer.header("tidegate-limit")),
            (200, None)
        );
    }
    let cloned = model.books.order("clone");
    let order: Vec<&str> = cloned
        .iter()
        .map(|user| user.split('@').next().unwrap())
        .collect();
    assert_eq!(
        order,
        [
            "heavy", "root", "heavy", "light", "heavy", "light", "heavy", "heavy", "heavy", "heavy"
        ]
    );
    assert_eq!(refused(&gate, "blocking_tasks"), 0);
    assert_eq!(model.books.most("clones"), 1);
    until("every seat is free", || {
        in_use(&gate, "blocking_tasks") == 0
    })
    .await;
}
