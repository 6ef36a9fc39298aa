//! Logins whose client does not wait for the answer: the sessions that they open count all the same.

use std::net::SocketAddr;

use tidegate::app::Running;

use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::pki::self_signed;
use crate::support::script::scripted;
use crate::support::{all_given_back, gate, limit, until, vcenter};
use crate::tls::{folder, http2, text};

/// `administrator@vsphere.local` with any password.
const BASIC: &str = "Authorization: Basic YWRtaW5pc3RyYXRvckB2c3BoZXJlLmxvY2FsOng=\r\n";
const IN_FLIGHT: &str = r#"
[upstream.limits.logins]
counts = "requests_in_flight"
match = { class = ["login"] }
limit = 9
full = { status = 503 }
"#;

/// A gate that counts logins in flight.
fn counting(upstream: SocketAddr, lines: &str) -> Running {
    vcenter(upstream, &format!("{lines}\n{IN_FLIGHT}"))
}

fn in_use(gate: &Running, name: &str) -> u64 {
    limit(&gate.snapshot(), name).in_use
}

/// A login over REST that the origin holds.
fn held(query: &str) -> String {
    let target = format!("/api/session?hold&{query}");
    format!("POST {target} HTTP/1.1\r\nHost: a\r\n{BASIC}Content-Length: 0\r\n\r\n")
}

/// Sends `request` and leaves once the origin has it, and the gate has seen that the client is gone.
async fn leave(gate: &Running, origin: &Origin, request: &str) {
    let mut client = Client::connect(gate.http()[0]).await;
    client.send(request).await;
    until("the origin has it", || origin.seen.running() == 1).await;
    drop(client);
    until("the client is gone", || gate.in_flight() == 0).await;
}

#[tokio::test]
async fn a_login_whose_client_goes_away_counts_once_the_upstream_answers() {
    let origin = Origin::start().await;
    let gate = counting(origin.address, "");
    let query = "status=201&header=vmware-api-session-id:b00db39f";
    leave(&gate, &origin, &held(query)).await;
    let row = limit(&gate.snapshot(), "sessions_per_user");
    assert_eq!(row.in_use, 1);
    assert!(row.top[0].key.starts_with("user "), "{row:?}");
    assert_eq!(in_use(&gate, "logins"), 1, "the upstream is at it still");
    origin.release();
    until("the login is over", || in_use(&gate, "logins") == 0).await;
    assert_eq!(in_use(&gate, "sessions"), 1);
    let mut client = Client::connect(gate.http()[0]).await;
    client
        .send("DELETE /api/session?status=204 HTTP/1.1\r\nHost: a\r\nvmware-api-session-id: b00db39f\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.unwrap().status, 204);
    until("its token is known", || in_use(&gate, "sessions") == 0).await;
    all_given_back(&gate).await;
}

#[tokio::test]
async fn a_login_with_a_body_whose_client_goes_away_counts_as_well() {
    let origin = Origin::start().await;
    let gate = counting(origin.address, "");
    let body = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
                <Login xmlns=\"urn:vim25\"><userName>eve@corp</userName><password>x</password></Login>\
                </s:Body></s:Envelope>";
    let target = "/sdk?hold&header=Set-Cookie:vmware_soap_session=b00db39f";
    let length = body.len();
    let request =
        format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}");
    leave(&gate, &origin, &request).await;
    origin.release();
    until("the login is over", || in_use(&gate, "logins") == 0).await;
    assert_eq!(in_use(&gate, "soap_sessions"), 1);
}

#[tokio::test]
async fn a_login_that_is_refused_when_its_client_is_gone_leaves_nothing() {
    let origin = Origin::start().await;
    let gate = counting(origin.address, "");
    leave(&gate, &origin, &held("status=401")).await;
    assert_eq!(
        in_use(&gate, "sessions"),
        1,
        "its place is taken until then"
    );
    origin.release();
    until("it is given back", || in_use(&gate, "sessions") == 0).await;
    all_given_back(&gate).await;
}

#[tokio::test]
async fn a_login_whose_client_goes_away_between_head_and_body_counts_even_if_the_rest_never_comes()
{
    // Head and part of the body; the upstream is silent from then on.
    let upstream = scripted(|_| {
        "HTTP/1.1 201 Created\r\nvmware-api-session-id: b00db39f\r\nContent-Length: 90\r\n\r\nx"
    })
    .await;
    let gate = counting(upstream, "response_timeout = \"1s\"");
    let mut client = Client::connect(gate.http()[0]).await;
    client.send(held("")).await;
    client.read_ahead(20).await;
    drop(client);
    until("the login is over", || in_use(&gate, "logins") == 0).await;
    assert_eq!(in_use(&gate, "sessions"), 1);
}

#[tokio::test]
async fn a_login_that_nobody_waits_for_and_nobody_answers_is_given_up_in_time() {
    let origin = Origin::start().await;
    let gate = counting(origin.address, "response_timeout = \"1s\"");
    leave(&gate, &origin, &held("")).await;
    until("it is given up", || in_use(&gate, "logins") == 0).await;
    assert_eq!(in_use(&gate, "sessions"), 0);
    until("its connection too", || origin.seen.running() == 0).await;
    all_given_back(&gate).await;
}

#[tokio::test]
async fn a_login_on_a_stream_of_http2_that_is_reset_counts_as_well() {
    let origin = Origin::start_tls(self_signed(&["localhost"], false).acceptor()).await;
    let (certificate, key) = self_signed(&["localhost"], false).write(&folder("logins"));
    let listen = format!(
        "https = [\"127.0.0.1:0\"]\ncertificate = \"{}\"\nprivate_key = \"{}\"",
        certificate.display(),
        key.display()
    );
    let upstream = "profile = \"vcenter-8.0\"\ninsecure = { skip_verify = true }\n";
    let text = text(&origin, &listen, &format!("{upstream}{IN_FLIGHT}"));
    let gate = gate(&text);
    let (mut sender, driver) = http2(gate.https()[0]).await;
    let target = "https://localhost/api/session?hold&header=vmware-api-session-id:b00db39f";
    let request = http::Request::post(target).header("authorization", "Bearer opaque");
    let (answer, mut stream) = sender
        .send_request(request.body(()).unwrap(), true)
        .unwrap();
    until("the origin has it", || origin.seen.running() == 1).await;
    stream.send_reset(h2::Reason::CANCEL);
    drop(answer);
    until("the client is gone", || gate.in_flight() == 0).await;
    origin.release();
    until("the login is over", || in_use(&gate, "logins") == 0).await;
    assert_eq!(in_use(&gate, "sessions"), 1);
    driver.abort();
}

#[tokio::test]
async fn other_calls_are_given_up_with_their_client() {
    let origin = Origin::start().await;
    let gate = counting(origin.address, "");
    leave(
        &gate,
        &origin,
        "GET /api/x?hold HTTP/1.1\r\nHost: a\r\n\r\n",
    )
    .await;
    until("the upstream sees it", || origin.seen.running() == 0).await;
    all_given_back(&gate).await;
}

#[tokio::test]
async fn a_login_in_the_json_form_of_vim25_counts_for_the_user_in_its_body() {
    const ONE: &str = r#"
[upstream.limits.soap_sessions_per_user]
counts = "sessions"
key = "user"
match = { class = ["soap"] }
limit = 1
full = { status = 503 }
"#;
    let origin = Origin::start().await;
    let gate = counting(origin.address, ONE);
    let login = async |user: &str, token: &str, more: &str| {
        let target = format!(
            "/sdk/vim25/8.0.1.0/SessionManager/SessionManager/Login\
             ?header=vmware-api-session-id:{token}{more}"
        );
        let body = format!("{{\"userName\":\"{user}\",\"password\":\"x\",\"locale\":\"en\"}}");
        let length = body.len();
        let mut client = Client::connect(gate.http()[0]).await;
        client
            .send(format!(
                "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            ))
            .await;
        client.answer().await.unwrap()
    };
    assert_eq!(login("eve@corp", "one", "").await.status, 200);
    until("it counts", || in_use(&gate, "soap_sessions_per_user") == 1).await;
    let refused = login("CORP\\\\Eve", "two", "").await;
    assert_eq!(
        refused.header("tidegate-limit"),
        Some("soap_sessions_per_user"),
        "{refused:?}"
    );
    assert_eq!(login("adam@corp", "three", "").await.status, 200);
    assert_eq!(in_use(&gate, "soap_sessions"), 2);
    assert_eq!(login("bob@corp", "four", "&status=401").await.status, 401);
    assert_eq!(in_use(&gate, "soap_sessions"), 2);
}
