//! What the upstream refuses by itself: sent again where nothing was executed, and limits that shrink.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidegate::app::Running;

use crate::support::client::{Answer, Client};
use crate::support::pki::self_signed;
use crate::support::script::scripted;
use crate::support::{all_given_back, gate, limit, plain, until, vcenter, with_listen};
use crate::tls::{folder, http2};

const LINES: &str = r#"
[upstream.limits.seats]
counts = "requests_in_flight"
limit = 10
wait = { line = 100, per_user = 100, at_most = "20s" }
[upstream.limits.request_rate]
counts = "requests"
limit = 1000
window = "60s"
[[upstream.refused]]
name = "too-many"
status = 429
[[upstream.refused]]
name = "full"
status = 503
body = "no worker took it"
"#;

const OK: &str = "done";
const BUSY: &str =
    "HTTP/1.1 429 Slow Down\r\nRetry-After: 1\r\nX-Own: yes\r\nContent-Length: 5\r\n\r\nlater";
const FULL: &str =
    "HTTP/1.1 503 Full\r\nTransfer-Encoding: chunked\r\n\r\n11\r\nno worker took it\r\n0\r\n\r\n";
const DOWN: &str = "HTTP/1.1 503 Down\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\ndown";

/// What the upstream heard, and when.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(Instant, String)>>>);

impl Heard {
    fn calls(&self) -> Vec<(Instant, String)> {
        self.0.lock().unwrap().clone()
    }
}

/// An upstream that says `first` to the first so many calls, and then that it is done.
async fn relenting(first: &'static str, times: usize) -> (SocketAddr, Heard) {
    let heard = Heard::default();
    let told = heard.clone();
    let address = scripted(move |request| {
        let mut calls = told.0.lock().unwrap();
        calls.push((Instant::now(), request.to_owned()));
        if calls.len() <= times { first } else { OK }
    })
    .await;
    (address, heard)
}

async fn asked(gate: &Running, request: &[u8]) -> Answer {
    let mut client = Client::connect(gate.http()[0]).await;
    client.send(request).await;
    client.answer().await.expect("an answer")
}

const GET: &[u8] = b"GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n";

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn a_refusal_that_executed_nothing_is_waited_out_and_sent_again() {
    let (origin, heard) = relenting(BUSY, 2).await;
    let gate = gate(&plain(origin, LINES));
    let answer = asked(&gate, GET).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"done"[..]));
    assert_eq!(answer.header("x-own"), None);
    let calls = heard.calls();
    assert_eq!(calls.len(), 3);
    for pair in calls.windows(2) {
        let rest = pair[1].0 - pair[0].0;
        assert!(rest >= Duration::from_secs(1), "again after {rest:?}");
    }
    all_given_back(&gate).await;
    let snapshot = gate.snapshot();
    assert_eq!(
        limit(&snapshot, "request_rate").in_use,
        3,
        "each reached the upstream"
    );
    let narrowed = limit(&snapshot, "request_rate");
    assert_eq!(narrowed.limit, 1000);
    assert!(
        narrowed.effective.is_some_and(|effective| effective < 1000),
        "{narrowed:?}"
    );
    assert_eq!(limit(&snapshot, "seats").effective, None);
}

#[tokio::test]
async fn a_signature_in_the_body_shrinks_the_seats_and_they_grow_back_by_themselves() {
    let (origin, heard) = relenting(FULL, 1).await;
    let lines = LINES.replace("limit = 10\n", "limit = 50\n");
    let gate = gate(&plain(origin, &lines));
    assert_eq!(asked(&gate, GET).await.status, 200);
    assert_eq!(heard.calls().len(), 2);
    let now = || limit(&gate.snapshot(), "seats").effective;
    let shrunk = now().expect("it is smaller");
    assert!((35..50).contains(&shrunk), "{shrunk}");
    until("it grows", || now().is_none_or(|grown| grown > shrunk)).await;
    all_given_back(&gate).await;
}

#[tokio::test]
async fn what_nothing_proves_goes_to_the_client_and_is_asked_once() {
    for said in [
        DOWN,
        "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 500 X\r\nContent-Length: 3\r\n\r\nbad",
    ] {
        let (origin, heard) = relenting(said, 9).await;
        let gate = gate(&plain(origin, LINES));
        let answer = asked(&gate, GET).await;
        assert!(said.ends_with(std::str::from_utf8(&answer.body).unwrap()));
        assert!(said.contains(&format!(" {} ", answer.status)), "{answer:?}");
        assert_eq!(heard.calls().len(), 1, "{said}");
        let yields = limit(&gate.snapshot(), "seats").effective.is_some();
        assert_eq!(
            yields,
            said == DOWN,
            "a 503 that says when is a word about load"
        );
        all_given_back(&gate).await;
    }
}

#[tokio::test]
async fn a_body_is_sent_again_byte_for_byte_and_one_that_is_not_kept_is_not() {
    let letters: Vec<u8> = (0..100_000).map(|at| b'a' + (at * 7 % 26) as u8).collect();
    for (length, attempts) in [(1, 2), (10_000, 2), (100_000, 1)] {
        let body = &letters[..length];
        let (origin, heard) = relenting(BUSY, 1).await;
        let gate = gate(&plain(origin, LINES));
        let answer = asked(&gate, &post(body)).await;
        assert_eq!(
            answer.status,
            if attempts == 2 { 200 } else { 429 },
            "{length}"
        );
        let calls = heard.calls();
        assert_eq!(calls.len(), attempts, "{length}");
        for (_, call) in &calls {
            let (_, sent) = call.split_once("\r\n\r\n").unwrap();
            assert!(sent.as_bytes() == body, "{} of {length} bytes", sent.len());
        }
        all_given_back(&gate).await;
    }
}

#[tokio::test]
async fn who_cannot_wait_gets_the_answer_as_it_is() {
    let (origin, heard) = relenting(BUSY, 99).await;
    let gate = gate(&plain(origin, LINES));
    let hasty = b"GET /api/x HTTP/1.1\r\nHost: a\r\nPrefer: wait=1\r\n\r\n";
    let answer = asked(&gate, hasty).await;
    assert_eq!((answer.status, &answer.body[..]), (429, &b"later"[..]));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert_eq!(answer.header("x-own"), Some("yes"));
    assert_eq!(heard.calls().len(), 1);
    let other = asked(&gate, GET).await;
    assert_eq!(other.header("tidegate-limit"), Some("request_rate"));
    assert_eq!(
        heard.calls().len(),
        1,
        "nobody asks before the upstream wants it"
    );
    all_given_back(&gate).await;
}

#[tokio::test]
async fn a_call_is_sent_four_times_and_no_more() {
    let (origin, heard) = relenting(BUSY, 99).await;
    let gate = gate(&plain(origin, LINES));
    let answer = asked(&gate, GET).await;
    assert_eq!((answer.status, &answer.body[..]), (429, &b"later"[..]));
    assert_eq!(answer.header("x-own"), Some("yes"));
    assert_eq!(heard.calls().len(), 4);
    all_given_back(&gate).await;
}

#[tokio::test]
async fn a_call_whose_turn_does_not_come_again_gets_the_answer_that_was_kept() {
    // The seat alone: the rate would be shut for the other call as well.
    let (seat, _) = LINES.split_once("[upstream.limits.request_rate]").unwrap();
    let lines = seat.replace("limit = 10\n", "limit = 1\n")
        + "[[upstream.refused]]\nname = \"too-many\"\nstatus = 429";
    let heard = Heard::default();
    let heard_too = heard.clone();
    let origin = scripted(move |request| {
        let mut calls = heard_too.0.lock().unwrap();
        calls.push((Instant::now(), request.to_owned()));
        if request.contains("/api/long") {
            ""
        } else {
            BUSY
        }
    })
    .await;
    let gate = gate(&plain(origin, &lines));
    let refused = tokio::spawn({
        let address = gate.http()[0];
        async move {
            let mut client = Client::connect(address).await;
            client
                .send("GET /api/x HTTP/1.1\r\nHost: a\r\nPrefer: wait=3\r\n\r\n")
                .await;
            client.answer().await.expect("an answer")
        }
    });
    until("it was refused", || heard.calls().len() == 1).await;
    // The only seat is another's, for ever.
    let mut other = Client::connect(gate.http()[0]).await;
    other
        .send("GET /api/long HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    let answer = refused.await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (429, &b"later"[..]));
    assert_eq!(answer.header("x-own"), Some("yes"));
    assert_eq!(answer.header("tidegate-limit"), None);
    drop(other);
    all_given_back(&gate).await;
}

#[tokio::test]
async fn a_client_that_goes_while_its_call_rests_leaves_nothing_behind() {
    let (origin, heard) = relenting(BUSY, 99).await;
    let gate = gate(&plain(origin, LINES));
    let mut client = Client::connect(gate.http()[0]).await;
    client.send(GET).await;
    until("it was refused", || {
        heard.calls().len() == 1 && limit(&gate.snapshot(), "seats").in_use == 0
    })
    .await;
    drop(client);
    until("nothing is in flight", || gate.in_flight() == 0).await;
    all_given_back(&gate).await;
    assert_eq!(heard.calls().len(), 1);
}

#[tokio::test]
async fn learning_is_left_off_where_the_file_says_so() {
    let (origin, heard) = relenting(BUSY, 1).await;
    let gate = gate(&plain(origin, &format!("learn = false\n{LINES}")));
    assert_eq!(asked(&gate, GET).await.status, 429);
    assert_eq!(heard.calls().len(), 1);
    assert_eq!(limit(&gate.snapshot(), "request_rate").effective, None);
}

#[tokio::test]
async fn a_login_over_the_sessions_of_its_user_waits_for_one_and_counts_once() {
    const TOO_MANY: &str = "HTTP/1.1 503 X\r\nRetry-After: 1\r\nContent-Length: 122\r\n\r\n\
        {\"error_type\":\"SERVICE_UNAVAILABLE\",\"messages\":[\"com.vmware.vapi.endpoint.failedToLoginMaxUserSessionCountReached\"],\"x\":1}";
    const OPENED: &str =
        "HTTP/1.1 201 Created\r\nContent-Length: 34\r\n\r\n\"b00db39f948d13ea1e59b4d6fce56389\"";
    assert!(TOO_MANY.ends_with('}') && TOO_MANY.split_once("\r\n\r\n").unwrap().1.len() == 122);
    let heard = Heard::default();
    let told = heard.clone();
    let origin = scripted(move |request| {
        let mut calls = told.0.lock().unwrap();
        calls.push((Instant::now(), request.to_owned()));
        if calls.len() == 1 { TOO_MANY } else { OPENED }
    })
    .await;
    let gate = vcenter(origin, "");
    let login = b"POST /api/session HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YWxpY2U6cHc=\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(asked(&gate, login).await.status, 201);
    assert_eq!(heard.calls().len(), 2);
    let sessions = || limit(&gate.snapshot(), "sessions");
    until("one session is counted", || sessions().in_use == 1).await;
    assert_eq!((sessions().effective, sessions().audit_mismatch), (None, 0));
    let shrunk: Vec<_> = gate.snapshot().limits;
    assert!(
        shrunk.iter().all(|row| row.effective.is_none()),
        "one user's sessions are not the load of all"
    );
}

#[tokio::test]
async fn a_json_rpc_call_keeps_its_class_and_its_body_when_it_is_sent_again() {
    const SIGN: &str = "[[upstream.refused]]\nname = \"too-many\"\nstatus = 429";
    let (origin, heard) = relenting(BUSY, 1).await;
    let gate = vcenter(origin, SIGN);
    let body = br#"{"jsonrpc":"2.0","method":"invoke","id":"1","params":{"serviceId":"com.vmware.vcenter.VM","operationId":"clone","input":{}}}"#;
    let mut client = Client::connect(gate.http()[0]).await;
    assert_eq!(client.post("/api", body).await.status, 200);
    let calls = heard.calls();
    assert_eq!(calls.len(), 2);
    for (_, call) in &calls {
        assert!(call.as_bytes().ends_with(body), "{call}");
    }
    assert_eq!(limit(&gate.snapshot(), "blocking_tasks").admitted, 2);
    all_given_back(&gate).await;
}

#[tokio::test]
async fn a_stream_of_http2_is_sent_again_with_its_body() {
    let (origin, heard) = relenting(BUSY, 1).await;
    let (certificate, key) = self_signed(&["localhost"], false).write(&folder("sent-back"));
    let listen = format!(
        "https = [\"127.0.0.1:0\"]\ncertificate = \"{}\"\nprivate_key = \"{}\"",
        certificate.display(),
        key.display()
    );
    let gate = gate(&with_listen(origin, &listen, LINES));
    let (mut sender, driver) = http2(gate.https()[0]).await;
    let body = vec![b'z'; 10_000];
    let request =
        http::Request::post("https://localhost/api/x").header("content-length", body.len());
    let (answer, mut stream) = sender
        .send_request(request.body(()).unwrap(), false)
        .unwrap();
    stream.send_data(body.clone().into(), true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    let calls = heard.calls();
    assert_eq!(calls.len(), 2);
    for (_, call) in &calls {
        assert!(call.split_once("\r\n\r\n").unwrap().1.as_bytes() == body);
    }
    all_given_back(&gate).await;
    driver.abort();
}
