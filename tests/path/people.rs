//! Who calls: names that are only claimed, and sessions of which the answers say one thing or another.

use std::time::Instant;

use tidegate::app::Running;

use crate::support::client::{Answer, Client};
use crate::support::origin::Origin;
use crate::support::script::scripted;
use crate::support::{PATIENCE, all_given_back, gate, limit, plain, until, vcenter};

/// `administrator@vsphere.local` with any password.
const BASIC: &str = "Authorization: Basic YWRtaW5pc3RyYXRvckB2c3BoZXJlLmxvY2FsOng=\r\n";
const PER_USER: &str = r#"
[upstream.limits.calls_per_user]
counts = "requests_in_flight"
key = "user"
limit = 9
full = { status = 503 }
"#;

fn post(target: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {target} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {length}\r\n\r\n{body}")
}

async fn call(gate: &Running, request: &str) -> Answer {
    let mut client = Client::connect(gate.http()[0]).await;
    client.send(request).await;
    client.answer().await.unwrap()
}

/// A call of VMware's SDKs with this security context.
fn rpc(service: &str, operation: &str, security: &str) -> String {
    format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"invoke\",\"id\":\"1\",\"params\":{{\"serviceId\":\"{service}\",\
         \"operationId\":\"{operation}\",\"input\":{{}},\"ctx\":{{\"securityCtx\":{security}}}}}}}"
    )
}

fn sessions(gate: &Running, name: &str) -> u64 {
    limit(&gate.snapshot(), name).in_use
}

/// Logs in over REST: the model says the token in a field.
async fn log_in(gate: &Running, token: &str, fields: &str) {
    let target = format!("/api/session?status=201&header=vmware-api-session-id:{token}");
    let answer = call(gate, &post(&target, fields, "")).await;
    assert_eq!(answer.status, 201);
}

#[tokio::test]
async fn a_name_beside_a_call_that_nobody_checks_stays_a_claim() {
    let origin = Origin::start().await;
    let gate = vcenter(origin.address, PER_USER);
    let list = rpc("com.vmware.vcenter.VM", "list", "null");
    let find = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
                <RetrieveServiceContent xmlns=\"urn:vim25\"/></s:Body></s:Envelope>";
    for (target, body) in [
        ("/api", &*list),
        ("/sdk", find),
        ("/ui/x", ""),
        ("/api/x", ""),
    ] {
        let answer = call(&gate, &post(target, BASIC, body)).await;
        assert_eq!(answer.status, 200, "{target}");
    }
    let holder = async || {
        let mut client = Client::connect(gate.http()[0]).await;
        client
            .send(format!(
                "GET /api/x?hold HTTP/1.1\r\nHost: a\r\n{BASIC}\r\n"
            ))
            .await;
        let held = || limit(&gate.snapshot(), "calls_per_user");
        until("it is held", || held().in_use == 1).await;
        let key = held().top[0].key.clone();
        drop(client);
        until("it is given back", || held().in_use == 0).await;
        key
    };
    assert_eq!(holder().await, "127.0.0.1");
    log_in(&gate, "t", BASIC).await;
    assert_eq!(holder().await, "administrator@vsphere.local");
}

#[tokio::test]
async fn a_name_in_a_field_is_not_the_name_of_a_login_by_its_body() {
    let origin = Origin::start().await;
    let gate = vcenter(origin.address, "");
    let login = rpc(
        "com.vmware.cis.session",
        "create",
        "{\"schemeId\":\"oauth\",\"accessToken\":\"opaque\"}",
    );
    let held = post("/api?hold", BASIC, &login);
    let mut client = Client::connect(gate.http()[0]).await;
    client.send(held).await;
    until("it runs", || origin.seen.running() == 1).await;
    let row = limit(&gate.snapshot(), "sessions_per_user");
    assert_eq!((row.in_use, row.top[0].key.as_str()), (1, "127.0.0.1"));
    origin.release();
    assert_eq!(client.answer().await.unwrap().status, 200);
    all_given_back(&gate).await;
}

#[tokio::test]
async fn only_the_api_of_a_session_says_that_it_is_gone() {
    let origin = Origin::start().await;
    let gate = vcenter(origin.address, "");
    log_in(&gate, "b00db39f", BASIC).await;
    assert_eq!(sessions(&gate, "sessions"), 1);
    let token = "vmware-api-session-id: b00db39f\r\n";
    for target in [
        "/sdk/vim25/8.0.1.0/VirtualMachine/vm-1/PowerOnVM_Task?status=401",
        "/folder/x.iso?status=401",
    ] {
        let answer = call(&gate, &post(target, token, "")).await;
        assert_eq!(answer.status, 401);
        assert_eq!(sessions(&gate, "sessions"), 1, "{target}");
    }
    let answer = call(&gate, &post("/api/x?status=401", token, "")).await;
    assert_eq!(answer.status, 401);
    assert_eq!(sessions(&gate, "sessions"), 0);
    all_given_back(&gate).await;
}

#[tokio::test]
async fn a_login_whose_answer_breaks_off_counts_all_the_same() {
    let origin = Origin::start().await;
    let gate = vcenter(origin.address, "");
    let target = "/api/session?cut=10&header=vmware-api-session-id:b00db39f";
    let answer = call(&gate, &post(target, BASIC, "")).await;
    assert!(!answer.whole);
    until("it counts", || sessions(&gate, "sessions") == 1).await;
    let row = limit(&gate.snapshot(), "sessions_per_user");
    assert_eq!(row.top[0].key, "administrator@vsphere.local");
}

#[tokio::test]
async fn a_session_whose_login_named_nobody_is_asked_whose_it_is() {
    let upstream = scripted(|request| match request.split(' ').next() {
        Some("POST") => "\"b00db39f\"",
        _ => "{\"user\":\"Eve@corp\"}",
    })
    .await;
    let gate = vcenter(upstream, "");
    let opaque = "Authorization: Bearer opaque\r\n";
    let answer = call(&gate, &post("/api/session", opaque, "")).await;
    assert_eq!(answer.status, 200);
    let holder = || {
        limit(&gate.snapshot(), "sessions_per_user").top[0]
            .key
            .clone()
    };
    until("it is known", || holder() == "eve@corp").await;
    assert_eq!(sessions(&gate, "sessions"), 1);
    assert_eq!(sessions(&gate, "sessions_per_user"), 1);
}

#[tokio::test]
async fn a_logout_that_json_rpc_says_failed_ends_no_session() {
    let upstream = scripted(|request| {
        if request.contains("\"create\"") {
            "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{\"output\":{\"SECRET\":\"b00db39f\"}}}"
        } else if request.contains("\"vapi-bad\"") {
            "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{\"error\":{\"ERROR\":{\"com.vmware.vapi.std.errors.invalid_argument\":{}}}}}"
        } else {
            "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{\"output\":null}}"
        }
    })
    .await;
    let gate = vcenter(upstream, "");
    let service = "com.vmware.cis.session";
    let login = "{\"schemeId\":\"x\",\"userName\":\"eve@corp\",\"password\":\"x\"}";
    call(&gate, &post("/api", "", &rpc(service, "create", login))).await;
    assert_eq!(sessions(&gate, "sessions"), 1);
    let token = "{\"schemeId\":\"x\",\"sessionId\":\"b00db39f\"}";
    let logout = rpc(service, "delete", token);
    let bad = logout.replace("\"input\":{}", "\"input\":{\"vapi-bad\":1}");
    for (request, left) in [(bad, 1), (logout, 0)] {
        let answer = call(&gate, &post("/api", "", &request)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(sessions(&gate, "sessions"), left, "{request}");
    }
    all_given_back(&gate).await;
}

#[tokio::test]
async fn where_nobody_can_be_asked_a_token_alone_is_no_session() {
    let origin = Origin::start().await;
    let text = plain(
        origin.address,
        "[upstream.limits.request_rate]\nlimit = 1000",
    );
    let gate = gate(&text.replace("profile = \"generic\"", "profile = \"avi\""));
    let mut client = Client::connect(gate.http()[0]).await;
    for number in 0..50 {
        let request = format!(
            "GET /api/initial-data HTTP/1.1\r\nHost: a\r\nCookie: sessionid=x{number}\r\n\r\n"
        );
        client.send(request).await;
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    let live = || {
        gate.snapshot()
            .sessions
            .iter()
            .map(|row| row.live)
            .sum::<u64>()
    };
    let login = post(
        "/login?header=Set-Cookie:sessionid=real",
        "",
        "{\"username\":\"a\"}",
    );
    assert_eq!(call(&gate, &login).await.status, 200);
    until("the login counts", || live() > 0).await;
    assert_eq!(live(), 1);
}

#[tokio::test]
async fn a_login_form_with_a_query_beside_it_names_nobody() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, "").replace("\"generic\"", "\"nsx-4\""));
    let form = "j_username=adam&j_password=x";
    let query = "j_username=eve&header=Set-Cookie:JSESSIONID=b00db39f";
    let target = format!("/api/session/create?{query}");
    let fields = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(call(&gate, &post(&target, fields, form)).await.status, 200);
    let mut admin = Client::connect(gate.admin()).await;
    let listed = admin.get("/sessions").await.json();
    assert_eq!(listed["sessions"].as_array().unwrap().len(), 1, "{listed}");
    assert_ne!(listed["sessions"][0]["user"], "adam");
}

#[tokio::test]
async fn a_session_named_far_behind_the_beginning_of_a_json_rpc_call_is_in_use_and_can_be_gone() {
    let upstream = scripted(|request| {
        if request.starts_with("POST /api/session ") {
            "\"b00db39f\""
        } else if request.contains("\"hold\"") {
            ""
        } else {
            "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{\"error\":{\"ERROR\":{\
             \"com.vmware.vapi.std.errors.unauthenticated\":{}}}}}"
        }
    })
    .await;
    let gate = vcenter(upstream, "");
    assert_eq!(
        call(&gate, &post("/api/session", BASIC, "")).await.status,
        200
    );
    let token = "{\"schemeId\":\"x\",\"sessionId\":\"b00db39f\"}";
    let list = |operation| {
        let input = format!("\"input\":{{\"x\":\"{}\"}}", "y".repeat(100_000));
        rpc("com.vmware.vcenter.VM", operation, token).replace("\"input\":{}", &input)
    };
    let mut held = Client::connect(gate.http()[0]).await;
    held.send(post("/api", "", &list("hold"))).await;
    let mut admin = Client::connect(gate.admin()).await;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let listed = admin.get("/sessions").await.json();
        if listed["sessions"][0]["in_flight"] == 1 {
            break;
        }
        assert!(Instant::now() < deadline, "it is in use: {listed}");
    }
    drop(held);
    let answer = call(&gate, &post("/api", "", &list("list"))).await;
    assert_eq!((answer.status, sessions(&gate, "sessions")), (200, 0));
    all_given_back(&gate).await;
}

#[tokio::test]
async fn a_json_rpc_answer_whose_head_names_its_error_is_believed_before_its_body() {
    let upstream = scripted(|request| {
        if request.starts_with("POST /api/session ") {
            "\"b00db39f\""
        } else if request.contains("\"hides\"") {
            concat!(
                "HTTP/1.1 200 OK\r\nvapi-error: com.vmware.vapi.std.errors.not_found\r\n",
                "Content-Length: 80\r\n\r\n",
                "{\"result\":{\"error\":{\"ERROR\":{\"com.vmware.vapi.std.errors.unauthenticated\":{}}}}}"
            )
        } else if request.contains("\"delete\"") {
            "HTTP/1.1 200 OK\r\nvapi-error: com.vmware.vapi.std.errors.not_found\r\nContent-Length: 2\r\n\r\n{}"
        } else {
            "HTTP/1.1 200 OK\r\nvapi-error: com.vmware.vapi.std.errors.unauthenticated\r\nContent-Length: 2\r\n\r\n{}"
        }
    })
    .await;
    let gate = vcenter(upstream, "");
    assert_eq!(
        call(&gate, &post("/api/session", BASIC, "")).await.status,
        200
    );
    let token = "{\"schemeId\":\"x\",\"sessionId\":\"b00db39f\"}";
    for (service, operation, left) in [
        ("com.vmware.vcenter.VM", "hides", 1),
        ("com.vmware.cis.session", "delete", 1),
        ("com.vmware.vcenter.VM", "list", 0),
    ] {
        let answer = call(&gate, &post("/api", "", &rpc(service, operation, token))).await;
        assert_eq!(
            (answer.status, sessions(&gate, "sessions")),
            (200, left),
            "{operation}"
        );
    }
    all_given_back(&gate).await;
}

#[tokio::test]
async fn only_where_rest_and_soap_share_sessions_is_a_token_of_one_known_to_the_other() {
    for (profile, holder) in [
        ("vcenter-8.0", "127.0.0.1"),
        ("vcenter-8.0u3", "administrator@vsphere.local"),
    ] {
        let origin = Origin::start().await;
        let text = plain(origin.address, PER_USER);
        let gate = gate(&text.replace("\"generic\"", &format!("\"{profile}\"")));
        log_in(&gate, "b00db39f", BASIC).await;
        let target = "/sdk/vim25/8.0.3.0/VirtualMachine/vm-1/PowerOnVM_Task?hold";
        let mut client = Client::connect(gate.http()[0]).await;
        let token = "vmware-api-session-id: b00db39f\r\n";
        client.send(post(target, token, "")).await;
        until("it runs", || origin.seen.running() == 1).await;
        let row = limit(&gate.snapshot(), "calls_per_user");
        assert_eq!(row.top[0].key, holder, "{profile}");
        origin.release();
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
}
