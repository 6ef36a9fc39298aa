//! Sockets to the upstream: SOAP and REST share them.

use crate::model::{Model, Point};
use crate::people::{Way, Work, answers, ask_once, log_in, start_all};
use crate::rig::{Setup, in_use, refused};
use crate::support::until;

/// A client's own connections are no bound here: the listener takes more than the upstream does.
#[tokio::test]
async fn with_1750_soap_connections_in_use_550_rest_calls_are_held_to_the_298_that_are_left() {
    let model = Model::start().await;
    // 640 SOAP requests may be in flight; the rest of the 1750 are long polls, of which the profile
    // lets in fewer.
    let setup = Setup::of("vcenter-8.0").limit("long_polls", "limit = 1110");
    let gate = setup.start(model.address);
    let http = gate.http()[0];
    let soap = log_in(http, Way::Soap, "user1@corp").await;
    let rest = log_in(http, Way::Api, "user1@corp").await;
    model.hold(Point::Soap);
    model.hold(Point::Call);
    let polls = (0..1110).map(|_| soap.calls("WaitForUpdatesEx"));
    let mut polls = start_all(http, polls).await;
    let mut calls = start_all(http, (0..640).map(|_| soap.asks(Work::List))).await;
    until("1750 SOAP connections are in use", || {
        (model.books.now("polls"), model.books.now("soap")) == (1110, 640)
    })
    .await;
    let mut asked = start_all(http, (0..550).map(|_| rest.asks(Work::List))).await;
    until("all 550 are judged", || {
        let total = refused(&gate, "upstream_connections_total");
        model.books.now("calls") + total == 550
    })
    .await;
    assert_eq!(model.books.now("calls"), 298);
    assert_eq!(in_use(&gate, "upstream_connections_total"), 2048);
    assert_eq!(in_use(&gate, "upstream_connections"), 298);
    model.let_go(Point::Call);
    model.let_go(Point::Soap);
    model.news();
    let answered = answers(&mut asked).await;
    let passed = answered.iter().filter(|answer| answer.status == 200);
    assert_eq!(passed.count(), 298);
    let limited = answered.iter().filter(|answer| {
        answer.status == 503
            && answer.header("tidegate-limit") == Some("upstream_connections_total")
    });
    assert_eq!(limited.count(), 252);
    polls.append(&mut calls);
    let of_soap = answers(&mut polls).await;
    assert!(of_soap.iter().all(|answer| answer.status == 200));
    assert_eq!(model.books.most("sockets"), 2048);
    assert_eq!(model.books.most("sockets of rest"), 298);
    // Nothing is in the way any more: now REST has all of its own.
    model.hold(Point::Call);
    let mut asked = start_all(http, (0..551).map(|_| rest.asks(Work::List))).await;
    until("550 run and one is refused", || {
        model.books.now("calls") == 550 && refused(&gate, "upstream_connections") == 1
    })
    .await;
    // Idle sockets of SOAP gave way to the 252 more, and few others.
    assert!(model.books.now("sockets of soap") > 1000);
    model.let_go(Point::Call);
    answers(&mut asked).await;
    assert_eq!(model.books.most("sockets"), 2048);
    assert_eq!(ask_once(http, &rest.asks(Work::List)).await.status, 200);
}

#[tokio::test]
async fn of_soap_requests_640_run_at_once_and_long_polls_are_not_among_them() {
    let model = Model::start().await;
    let gate = Setup::of("vcenter-8.0").start(model.address);
    let http = gate.http()[0];
    let soap = log_in(http, Way::Soap, "user1@corp").await;
    model.hold(Point::Soap);
    let mut polls = start_all(http, (0..50).map(|_| soap.calls("WaitForUpdatesEx"))).await;
    until("50 polls wait", || model.books.now("polls") == 50).await;
    let mut calls = start_all(http, (0..641).map(|_| soap.asks(Work::List))).await;
    until("640 run and one is refused", || {
        model.books.now("soap") == 640 && refused(&gate, "soap_requests") == 1
    })
    .await;
    assert_eq!(
        (in_use(&gate, "soap_requests"), in_use(&gate, "long_polls")),
        (640, 50)
    );
    assert_eq!(
        in_use(&gate, "blocking_tasks"),
        0,
        "nor does a poll take a seat of a blocking call"
    );
    model.let_go(Point::Soap);
    model.news();
    let answered = answers(&mut calls).await;
    let limited: Vec<_> = answered
        .iter()
        .filter(|answer| answer.status != 200)
        .collect();
    let [one] = limited[..] else {
        panic!("exactly one is refused: {limited:?}");
    };
    assert_eq!(
        (one.status, one.header("tidegate-limit")),
        (500, Some("soap_requests"))
    );
    let text = String::from_utf8_lossy(&one.body);
    assert!(
        text.contains("<faultcode>ServerFaultCode</faultcode>") && text.contains("soap_requests"),
        "{text}"
    );
    answers(&mut polls).await;
    assert_eq!(model.books.most("soap"), 640);
}
