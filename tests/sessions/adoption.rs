//! Sessions that were opened around the gate, that end without it, and that the operator ends.

use std::net::SocketAddr;

use serde_json::Value;

use crate::model::{Kind, Model, PASSWORD};
use crate::people::{
    Session, Way, Work, answers, ask_once, avi_login, cookie, log_in, login, nsx_login, opened,
    request, start_all,
};
use crate::rig::{Setup, folder, in_use, is_refused, listed, rows};
use crate::support::until;

/// A session of `user` that the gate knows nothing of.
fn opened_around(model: &Model, way: Way, user: &str) -> Session {
    let kind = if way == Way::Soap {
        Kind::Soap
    } else {
        Kind::Rest
    };
    let token = model.books.open(user, kind);
    Session::new(way, user, &token)
}

/// Polls until the door shows so many sessions.
async fn shows(door: SocketAddr, count: usize) -> Vec<Value> {
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    loop {
        let rows = rows(door).await;
        if rows.len() == count {
            return rows;
        }
        assert!(
            std::time::Instant::now() < deadline,
            "{count} sessions are wanted: {rows:?}"
        );
    }
}

#[tokio::test]
async fn a_session_opened_around_the_gate_is_asked_about_once_and_counts() {
    for way in Way::ALL {
        let model = Model::start().await;
        let gate = Setup::of("vcenter-8.0").start(model.address);
        let (http, door) = (gate.http()[0], gate.admin());
        let session = opened_around(&model, way, "user1@corp");
        let mut uses = start_all(http, (0..20).map(|_| session.asks(Work::List))).await;
        for answer in answers(&mut uses).await {
            assert_eq!(answer.status, 200, "{way:?}");
        }
        let rows = shows(door, 1).await;
        let kind = if way == Way::Soap { "soap" } else { "rest" };
        let row = &rows[0];
        assert_eq!(
            (&row["user"], &row["kind"]),
            (&"user1@corp".into(), &kind.into()),
            "{way:?}"
        );
        assert_eq!(
            (&row["adopted"], &row["client"]),
            (&true.into(), &"127.0.0.1".into())
        );
        let limit = if way == Way::Soap {
            "soap_sessions"
        } else {
            "sessions"
        };
        assert_eq!(in_use(&gate, limit), 1);
        for _ in 0..3 {
            assert_eq!(ask_once(http, &session.asks(Work::List)).await.status, 200);
        }
        assert_eq!(model.books.done("whose"), 1, "{way:?}");
        let out = ask_once(http, &session.asks(Work::Logout)).await;
        assert!(out.status < 300, "{way:?}");
        shows(door, 0).await;
        assert_eq!(in_use(&gate, limit), 0);
    }
}

#[tokio::test]
async fn a_token_that_nobody_gave_out_is_no_session() {
    let model = Model::start().await;
    let gate = Setup::of("vcenter-8.0").start(model.address);
    let http = gate.http()[0];
    let bogus = "0123456789abcdef0123456789abcdef";
    for way in Way::ALL {
        let session = Session::new(way, "nobody", bogus);
        let answer = ask_once(http, &session.asks(Work::List)).await;
        let status = [401, 401, 200, 500][way as usize];
        assert_eq!(
            (answer.status, answer.header("tidegate-limit")),
            (status, None),
            "{way:?}"
        );
    }
    // Answered to whoever asks: the upstream has to say whose the token is, and knows it not.
    let session = Session::new(Way::Soap, "nobody", bogus);
    let answer = ask_once(http, &session.calls("RetrieveServiceContent")).await;
    assert_eq!(answer.status, 200);
    until("it was asked", || model.books.done("whose") == 1).await;
    // Its answer is on its way; that of the next question, which comes behind it, is waited for.
    let real = opened_around(&model, Way::Api, "user1@corp");
    assert_eq!(ask_once(http, &real.asks(Work::List)).await.status, 200);
    shows(gate.admin(), 1).await;
    assert_eq!(listed(gate.admin()).await, model.books.live());
}

#[tokio::test]
async fn above_the_limit_adopted_sessions_count_and_only_new_logins_are_refused() {
    let model = Model::start().await;
    let setup = Setup::of("vcenter-8.0").limit("sessions", "limit = 2");
    let gate = setup.start(model.address);
    let http = gate.http()[0];
    let mut sessions = Vec::new();
    for n in 0..3 {
        let session = opened_around(&model, Way::Api, &format!("user{n}@corp"));
        assert_eq!(ask_once(http, &session.asks(Work::List)).await.status, 200);
        shows(gate.admin(), n + 1).await;
        sessions.push(session);
    }
    assert_eq!(in_use(&gate, "sessions"), 3);
    let wanted = login(Way::Api, "user9@corp", PASSWORD);
    for session in &sessions[..2] {
        is_refused(&ask_once(http, &wanted).await, 503, "sessions");
        for session in &sessions[2..] {
            assert_eq!(ask_once(http, &session.asks(Work::List)).await.status, 200);
        }
        let out = ask_once(http, &session.asks(Work::Logout)).await;
        assert_eq!(out.status, 204);
    }
    assert!(opened(Way::Api, &ask_once(http, &wanted).await).is_some());
    is_refused(&ask_once(http, &wanted).await, 503, "sessions");
}

#[tokio::test]
async fn a_session_that_the_upstream_ended_is_forgotten_when_it_says_so() {
    for way in Way::ALL {
        let model = Model::start().await;
        let gate = Setup::of("vcenter-8.0").start(model.address);
        let http = gate.http()[0];
        let stays = log_in(http, way, "user1@corp").await;
        let goes = log_in(http, way, "user2@corp").await;
        assert!(model.books.end(&goes.token));
        assert_eq!(rows(gate.admin()).await.len(), 2, "nobody has said so yet");
        let answer = ask_once(http, &goes.asks(Work::List)).await;
        assert_eq!(answer.status, [401, 401, 200, 500][way as usize]);
        assert_eq!(listed(gate.admin()).await, model.books.live(), "{way:?}");
        let limit = if way == Way::Soap {
            "soap_sessions"
        } else {
            "sessions"
        };
        assert_eq!(in_use(&gate, limit), 1, "{way:?}");
        let answer = ask_once(http, &stays.asks(Work::List)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(model.books.done("whose"), 0, "both were known");
        model.books.end_all();
        ask_once(http, &stays.asks(Work::List)).await;
        assert_eq!(rows(gate.admin()).await.len(), 0);
    }
}

#[tokio::test]
async fn errors_that_are_no_401_leave_a_session_known() {
    let model = Model::start().await;
    let gate = Setup::of("vcenter-8.0").start(model.address);
    let http = gate.http()[0];
    let session = log_in(http, Way::Soap, "user1@corp").await;
    let answer = ask_once(http, &session.calls("Fails")).await;
    assert_eq!(answer.status, 500, "a fault of another kind");
    assert_eq!(listed(gate.admin()).await, model.books.live());
}

#[tokio::test]
async fn who_terminates_the_sessions_of_others_stays_logged_in() {
    let model = Model::start().await;
    let gate = Setup::of("vcenter-8.0").start(model.address);
    let http = gate.http()[0];
    let session = log_in(http, Way::Soap, "root@corp").await;
    let answer = ask_once(http, &session.calls("TerminateSession")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(listed(gate.admin()).await, model.books.live());
    assert_eq!(in_use(&gate, "soap_sessions"), 1);
}

/// `DELETE /sessions/{id}`, with this field beside it.
async fn end(door: SocketAddr, id: &str, field: &str) -> u16 {
    let asked = request("DELETE", &format!("/sessions/{id}"), field, "");
    ask_once(door, &asked).await.status
}

#[tokio::test]
async fn the_operator_logs_a_session_out() {
    let secret = folder("operator").join("token");
    std::fs::write(&secret, "s3same-open").unwrap();
    for profile in ["vcenter-8.0", "nsx-4", "avi"] {
        let model = Model::start().await;
        let mut setup = Setup::of(profile);
        setup.admin = format!("token = \"file:{}\"", secret.display());
        let gate = setup.start(model.address);
        let (http, door) = (gate.http()[0], gate.admin());
        let mut tokens = Vec::new();
        match profile {
            "nsx-4" => tokens.push(cookie(&ask_once(http, &nsx_login("admin", PASSWORD)).await).1),
            "avi" => tokens.push(cookie(&ask_once(http, &avi_login("admin", PASSWORD)).await).1),
            _ => {
                for way in Way::ALL {
                    tokens.push(log_in(http, way, "user1@corp").await.token);
                }
            }
        }
        let shown = rows(door).await;
        assert_eq!(shown.len() as u64, model.books.now("sessions"), "{profile}");
        let key = "Authorization: Bearer s3same-open\r\n";
        for (number, row) in shown.iter().enumerate() {
            let id = row["id"].as_str().unwrap();
            assert!(
                tokens
                    .iter()
                    .all(|token| !token.contains(id) && !id.contains(token))
            );
            for wrong in ["", "Authorization: Bearer guessed\r\n"] {
                assert!(matches!(end(door, id, wrong).await, 401 | 403));
            }
            assert_eq!(model.books.done("logout"), number as u64);
            assert_eq!(end(door, id, key).await / 100, 2, "{profile}: {row}");
            assert_eq!(
                model.books.done("logout"),
                number as u64 + 1,
                "{profile}: {row}"
            );
            assert_eq!(end(door, id, key).await, 404, "it is gone");
            assert_eq!(listed(door).await, model.books.live(), "{profile}: {row}");
        }
        assert_eq!(model.books.now("sessions"), 0);
        assert_eq!(end(door, "no-id", key).await, 404);
    }
}
