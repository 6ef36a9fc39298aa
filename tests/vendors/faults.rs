//! What may come between requests and answers.

use std::time::Duration;

use super::vendors::vcenter::VCenter;
use super::vendors::{Fault, Kind, Pace, When};
use super::{basic, call, request, try_call};

const START: &str = "POST /api/vcenter/vm?action=clone&vmw-task=true";
const CLONE: &str = r#"{"source":"vm-11","name":"web-02"}"#;

#[tokio::test]
async fn an_answer_is_lost_after_the_effect() {
    let vc = VCenter::start(Pace::ByHand).await;
    vc.faults.on(Kind::Start, When::Next(1), Fault::LostAnswer);
    let none = try_call(vc.address, START, &basic("a"), CLONE).await;
    assert!(none.is_none());
    vc.works.finish_all();
    assert_eq!(vc.books.effects("clone web-02"), 1);
    let second = call(vc.address, START, &basic("a"), CLONE).await;
    assert_eq!(second.status, 400, "the fault was for one alone");
}

#[tokio::test]
async fn a_blocking_answer_is_lost_after_the_effect() {
    let vc = VCenter::start(Pace::Lasts(Duration::from_millis(5))).await;
    vc.faults
        .on(Kind::Blocking, When::Next(1), Fault::LostAnswer);
    let line = "POST /api/vcenter/vm?action=clone";
    assert!(
        try_call(vc.address, line, &basic("a"), CLONE)
            .await
            .is_none()
    );
    assert_eq!(vc.books.effects("clone web-02"), 1);
}

#[tokio::test]
async fn a_connection_is_closed_before_the_effect() {
    let vc = VCenter::start(Pace::ByHand).await;
    vc.faults.on(Kind::Start, When::Nth(2), Fault::Closed);
    assert_eq!(
        call(vc.address, START, &basic("a"), CLONE).await.status,
        202
    );
    let other = CLONE.replace("02", "03");
    assert!(
        try_call(vc.address, START, &basic("a"), &other)
            .await
            .is_none()
    );
    vc.works.finish_all();
    assert_eq!(vc.vm_names(), ["golden", "web-02"]);
    assert_eq!(vc.books.count(Kind::Start), 2, "it was heard");
}

#[tokio::test]
async fn every_third_poll_is_refused() {
    let vc = VCenter::start(Pace::ByHand).await;
    let id = call(vc.address, START, &basic("a"), CLONE).await.json();
    let fault = Fault::answer_after(429, 7);
    vc.faults.on(Kind::Poll, When::Every(3), fault);
    vc.faults.on(Kind::Poll, When::Nth(2), Fault::answer(503));
    let line = format!("GET /api/cis/tasks/{}", id.as_str().unwrap());
    let mut seen = Vec::new();
    for _ in 0..7 {
        let answer = call(vc.address, &line, &basic("a"), "").await;
        seen.push((
            answer.status,
            answer.header("retry-after").map(str::to_owned),
        ));
    }
    let late = || (429, Some("7".to_owned()));
    let fine = || (200, None);
    let expected = [fine(), (503, None), late(), fine(), fine(), late(), fine()];
    assert_eq!(seen, expected);
    vc.faults.off();
    for _ in 0..3 {
        assert_eq!(call(vc.address, &line, &basic("a"), "").await.status, 200);
    }
}

#[tokio::test]
async fn an_answer_never_comes() {
    let vc = VCenter::start(Pace::ByHand).await;
    vc.faults.on(Kind::Start, When::Always, Fault::Hangs);
    let mut client = super::Client::connect(vc.address).await;
    client.send(request(START, &basic("a"), CLONE)).await;
    super::until("it was heard", || vc.works.all().len() == 1).await;
    assert!(client.stays_open(Duration::from_millis(20)).await);
}

#[tokio::test]
async fn a_body_in_chunks_is_a_body() {
    let vc = VCenter::start(Pace::ByHand).await;
    let mut client = super::Client::connect(vc.address).await;
    let head = format!(
        "{START} HTTP/1.1\r\nHost: x\r\n{}Transfer-Encoding: chunked\r\n\r\n",
        basic("a")
    );
    let (one, two) = CLONE.split_at(10);
    let body = format!("a\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", two.len());
    client.send(head + &body).await;
    assert_eq!(client.answer().await.unwrap().status, 202);
    client
        .send(request("GET /api/vcenter/vm", &basic("a"), ""))
        .await;
    assert_eq!(
        client.answer().await.unwrap().status,
        200,
        "on the same connection"
    );
    let heard = vc.books.heard();
    assert_eq!(heard[0].request.body, CLONE.as_bytes());
    assert_eq!(vc.books.targets(Kind::Probe), ["GET /api/vcenter/vm"]);
}
