//! Limits on how many are logged in: in all, of one user, at one moment.

use std::net::Ipv4Addr;

use crate::model::{Model, PASSWORD, Point};
use crate::people::{
    Session, Way, Work, answers, ask, ask_all, ask_once, from, log_all_in, log_in, login, opened,
    start_all,
};
use crate::rig::{Setup, in_use, is_refused, listed, refused};
use crate::support::{all_given_back, until};

/// The status by which a refusal reads best in each way.
fn status(way: Way) -> u16 {
    match way {
        Way::Api | Way::Rest => 503,
        Way::Rpc => 200,
        Way::Soap => 500,
    }
}

async fn all_work(gate: std::net::SocketAddr, sessions: &[Session]) {
    let asked = sessions.iter().map(|session| session.asks(Work::List));
    for answer in ask_all(gate, asked.collect(), 16).await {
        assert_eq!(
            (answer.status, answer.header("tidegate-limit")),
            (200, None)
        );
    }
}

#[tokio::test]
async fn ten_users_with_a_hundred_sessions_each_then_user11_is_refused_and_the_rest_go_on() {
    let model = Model::start().await;
    let gate = Setup::of("vcenter-8.0").start(model.address);
    let http = gate.http()[0];
    let who = (0..1000).map(|n| (Way::OF_REST[n % 3], format!("user{}@corp", n % 10 + 1)));
    let sessions = log_all_in(http, who.collect(), 16).await;
    assert_eq!(in_use(&gate, "sessions"), 1000);
    for way in Way::OF_REST {
        let answer = ask_once(http, &login(way, "user11@corp", PASSWORD)).await;
        is_refused(&answer, status(way), "sessions");
    }
    all_work(http, &sessions).await;
    let soap = log_in(http, Way::Soap, "user11@corp").await;
    assert_eq!(
        in_use(&gate, "soap_sessions"),
        1,
        "SOAP's are counted apart"
    );
    assert_eq!(ask_once(http, &soap.asks(Work::Logout)).await.status, 200);
    assert_eq!(
        ask_once(http, &sessions[0].asks(Work::Logout)).await.status,
        204
    );
    log_in(http, Way::Api, "user11@corp").await;
    assert_eq!(model.books.most("rest sessions"), 1000);
    assert_eq!(listed(gate.admin()).await, model.books.live());
    assert_eq!(refused(&gate, "sessions"), 3);
}

#[tokio::test]
async fn user1s_551st_session_is_refused_and_her_550_and_user2_go_on() {
    let model = Model::start().await;
    let gate = Setup::of("vcenter-8.0").start(model.address);
    let http = gate.http()[0];
    let who = (0..550).map(|n| (Way::OF_REST[n % 3], "user1@corp".to_owned()));
    let sessions = log_all_in(http, who.collect(), 16).await;
    for way in Way::OF_REST {
        for spelling in ["user1@corp", "CORP\\User1", "USER1@Corp."] {
            let answer = ask_once(http, &login(way, spelling, PASSWORD)).await;
            is_refused(&answer, status(way), "sessions_per_user");
        }
    }
    all_work(http, &sessions).await;
    log_in(http, Way::Api, "user2@corp").await;
    assert_eq!(model.books.most("sessions of user1@corp"), 550);
    assert_eq!(
        ask_once(http, &sessions[1].asks(Work::Logout)).await.status,
        200
    );
    log_in(http, Way::Rpc, "CORP\\User1").await;
    assert_eq!(model.books.most("sessions of user1@corp"), 550);
    assert_eq!(listed(gate.admin()).await, model.books.live());
}

#[tokio::test]
async fn with_160_logins_in_flight_the_161st_is_refused_on_vcenter_7() {
    let model = Model::start().await;
    let gate = Setup::of("vcenter-7.0").start(model.address);
    let http = gate.http()[0];
    let early = log_in(http, Way::Api, "early@corp").await;
    model.hold(Point::Login);
    let mut waiting = Vec::new();
    for n in 0..160 {
        // From several addresses: from one alone, no more unproven logins than these come at once.
        let address = Ipv4Addr::new(127, 0, 1, n % 4 + 1);
        let mut client = from(address, http).await;
        let user = format!("user{n}@corp");
        let way = Way::OF_REST[usize::from(n) % 3];
        client.send(login(way, &user, PASSWORD)).await;
        waiting.push(client);
    }
    until("160 logins are on their way", || {
        model.books.now("logins") == 160
    })
    .await;
    let mut late = from(Ipv4Addr::new(127, 0, 1, 9), http).await;
    let answer = ask(&mut late, &login(Way::Api, "late@corp", PASSWORD)).await;
    is_refused(&answer, 503, "session_creations");
    let working = ask_once(http, &early.asks(Work::List)).await;
    assert_eq!(working.status, 200, "who is logged in goes on");
    model.let_go(Point::Login);
    for answer in answers(&mut waiting).await {
        assert!(answer.status < 300 && answer.header("tidegate-limit").is_none());
    }
    let answer = ask(&mut late, &login(Way::Api, "late@corp", PASSWORD)).await;
    assert!(opened(Way::Api, &answer).is_some());
    assert_eq!(model.books.most("logins"), 160);
    until("no login is on its way", || {
        in_use(&gate, "session_creations") == 0
    })
    .await;
    assert_eq!(in_use(&gate, "sessions"), 162);
}

#[tokio::test]
async fn failed_logins_free_their_places_at_once() {
    let model = Model::start().await;
    let setup = Setup::of("vcenter-8.0").limit("sessions", "limit = 3");
    let gate = setup
        .limit("soap_sessions", "limit = 3")
        .start(model.address);
    let http = gate.http()[0];
    for way in Way::ALL {
        model.hold(Point::Login);
        let wrong = (0..3).map(|n| login(way, &format!("user{n}@corp"), "wrong"));
        let mut wrong = start_all(http, wrong).await;
        until("three logins are on their way", || {
            model.books.now("logins") == 3
        })
        .await;
        let name = if way == Way::Soap {
            "soap_sessions"
        } else {
            "sessions"
        };
        let fourth = ask_once(http, &login(way, "good@corp", PASSWORD)).await;
        is_refused(&fourth, status(way), name);
        model.let_go(Point::Login);
        for answer in answers(&mut wrong).await {
            assert_eq!(opened(way, &answer), None, "{way:?}");
            assert_eq!(answer.header("tidegate-limit"), None);
        }
        let mut good = Vec::new();
        for n in 0..3 {
            good.push(log_in(http, way, &format!("user{n}@corp")).await);
        }
        let asked = good.iter().map(|session| session.asks(Work::Logout));
        ask_all(http, asked.collect(), 1).await;
        until("nobody is logged in", || in_use(&gate, name) == 0).await;
    }
    assert_eq!(model.books.done("login refused"), 12);
    all_given_back(&gate).await;
}

#[tokio::test]
async fn since_8_0_update_3_rest_and_soap_share_3000_sessions() {
    let model = Model::start().await;
    let gate = Setup::of("vcenter-8.0u3").start(model.address);
    let http = gate.http()[0];
    // No limit of a user's own in this version: one has half of them.
    let who = (0..3000).map(|n| (Way::ALL[n % 4], format!("user{}@corp", n % 2 * n)));
    let sessions = log_all_in(http, who.collect(), 16).await;
    assert_eq!(in_use(&gate, "sessions"), 3000);
    for way in Way::ALL {
        let answer = ask_once(http, &login(way, "late@corp", PASSWORD)).await;
        is_refused(&answer, status(way), "sessions");
    }
    all_work(http, &sessions[..100]).await;
    let soap = sessions
        .iter()
        .find(|session| session.way == Way::Soap)
        .unwrap();
    assert_eq!(ask_once(http, &soap.asks(Work::Logout)).await.status, 200);
    log_in(http, Way::Rpc, "late@corp").await;
    assert_eq!(model.books.most("sessions"), 3000);
    assert_eq!(listed(gate.admin()).await, model.books.live());
}
