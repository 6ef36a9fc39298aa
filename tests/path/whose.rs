//! Whose a session is: what is asked of the upstream, by whom, and how much of it at once.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use tidegate::app::Running;
use tokio::net::TcpSocket;

use crate::support::client::{Answer, Client};
use crate::support::script::scripted;
use crate::support::{PATIENCE, limit, until, vcenter};

/// One exchange from 127.0.0.`last`.
async fn call_from(last: u8, gate: &Running, request: &str) -> Answer {
    let socket = TcpSocket::new_v4().unwrap();
    socket
        .bind((Ipv4Addr::new(127, 0, 0, last), 0).into())
        .unwrap();
    let mut client = Client::over(socket.connect(gate.http()[0]).await.unwrap());
    client.send(request).await;
    client.answer().await.unwrap()
}

fn list(token: &str) -> String {
    format!("GET /api/vcenter/vm HTTP/1.1\r\nHost: a\r\nvmware-api-session-id: {token}\r\n\r\n")
}

/// A SOAP call in the session `old`.
fn soap(method: &str) -> String {
    let body = format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
         <{method} xmlns=\"urn:vim25\"/></s:Body></s:Envelope>"
    );
    let length = body.len();
    format!(
        "POST /sdk HTTP/1.1\r\nHost: a\r\nCookie: vmware_soap_session=old\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
}

fn in_use(gate: &Running, name: &str) -> u64 {
    limit(&gate.snapshot(), name).in_use
}

fn holder(gate: &Running) -> Option<String> {
    let row = limit(&gate.snapshot(), "sessions_per_user");
    row.top.first().map(|top| top.key.clone())
}

#[tokio::test]
async fn unanswered_questions_of_one_address_leave_room_for_those_of_others() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let upstream = scripted(move |request| {
        if !request.starts_with("GET /api/session ") {
            return "[]";
        }
        if request.contains("real") {
            return "{\"user\":\"Eve@corp\"}";
        }
        counted.fetch_add(1, Ordering::SeqCst);
        ""
    })
    .await;
    let gate = vcenter(upstream, "");
    for number in 0..30 {
        let answer = call_from(2, &gate, &list(&format!("made-up-{number}"))).await;
        assert_eq!(answer.status, 200);
    }
    assert_eq!(call_from(3, &gate, &list("real")).await.status, 200);
    until("it is known", || {
        holder(&gate).as_deref() == Some("eve@corp")
    })
    .await;
    assert_eq!(
        asked.load(Ordering::SeqCst),
        2,
        "two of one address at a time"
    );
}

#[tokio::test]
async fn eight_questions_are_asked_at_the_same_time_and_a_silent_upstream_gets_five_seconds() {
    let (asked, answers) = (
        Arc::new(AtomicUsize::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let (counted, talks) = (asked.clone(), answers.clone());
    let upstream = scripted(move |request| {
        if !request.starts_with("GET /api/session ") {
            return "[]";
        }
        counted.fetch_add(1, Ordering::SeqCst);
        if talks.load(Ordering::SeqCst) {
            "{\"user\":\"Eve@corp\"}"
        } else {
            ""
        }
    })
    .await;
    let gate = vcenter(upstream, "");
    for last in 2..12 {
        let answer = call_from(last, &gate, &list(&format!("token-{last}"))).await;
        assert_eq!(answer.status, 200);
    }
    until("eight are asked", || asked.load(Ordering::SeqCst) == 8).await;
    answers.store(true, Ordering::SeqCst);
    // The two in line come to their turn only once others are given up: the upstream never answers those.
    until("the other two are known", || in_use(&gate, "sessions") == 2).await;
    assert_eq!(asked.load(Ordering::SeqCst), 10);
}

/// Says whose the session is once `method` was called in it; and how often it was asked.
async fn logged_in_by(
    method: &'static str,
    answer: &'static str,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let logged_in = AtomicBool::new(false);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let address = scripted(move |request| {
        if request.contains("<RetrieveProperties ") {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        if request.contains(&format!("<{method} ")) {
            logged_in.store(true, Ordering::SeqCst);
            answer
        } else if !request.contains("<RetrieveProperties ") {
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>\
             <RetrieveServiceContentResponse xmlns=\"urn:vim25\"/></e:Body></e:Envelope>"
        } else if logged_in.load(Ordering::SeqCst) {
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>\
             <RetrievePropertiesResponse xmlns=\"urn:vim25\"><returnval><propSet>\
             <name>currentSession</name><val><userName>CORP\\eve</userName></val></propSet>\
             </returnval></RetrievePropertiesResponse></e:Body></e:Envelope>"
        } else {
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>\
             <RetrievePropertiesResponse xmlns=\"urn:vim25\"><returnval/>\
             </RetrievePropertiesResponse></e:Body></e:Envelope>"
        }
    })
    .await;
    (address, asked)
}

async fn users(gate: &Running) -> Vec<String> {
    let mut admin = Client::connect(gate.admin()).await;
    let listed = admin.get("/sessions").await.json();
    let rows = listed["sessions"].as_array().unwrap();
    rows.iter()
        .map(|row| row["user"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test]
async fn a_soap_login_in_a_cookie_that_was_used_before_is_a_session_of_that_cookie() {
    for (method, answer) in [
        (
            "Login",
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body><LoginResponse \
             xmlns=\"urn:vim25\"><returnval><userName>CORP\\eve</userName></returnval></LoginResponse>\
             </e:Body></e:Envelope>",
        ),
        // Nobody is named: the upstream is asked again, though it was a moment ago.
        (
            "LoginByToken",
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>\
             <LoginByTokenResponse xmlns=\"urn:vim25\"/></e:Body></e:Envelope>",
        ),
    ] {
        let (upstream, asked) = logged_in_by(method, answer).await;
        let gate = vcenter(upstream, "");
        let before = call_from(1, &gate, &soap("RetrieveServiceContent")).await;
        assert_eq!(before.status, 200);
        until("it is asked about", || asked.load(Ordering::SeqCst) == 1).await;
        assert_eq!(users(&gate).await.len(), 0);
        assert_eq!(call_from(1, &gate, &soap(method)).await.status, 200);
        until("it counts", || in_use(&gate, "soap_sessions") == 1).await;
        let deadline = Instant::now() + PATIENCE;
        while users(&gate).await != ["eve@corp"] {
            assert!(
                Instant::now() < deadline,
                "{method}: {:?}",
                users(&gate).await
            );
        }
        let after = call_from(1, &gate, &soap("FindByUuid")).await;
        assert_eq!((after.status, in_use(&gate, "soap_sessions")), (200, 1));
    }
}
