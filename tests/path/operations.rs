//! Calls whose operation stands in the body: told apart, passed on byte for byte, refused when unclear.

use crate::support::client::{Answer, Client};
use crate::support::origin::{Origin, hash_of};
use crate::support::pki::self_signed;
use crate::support::{all_given_back, gate, limit, until, with_listen};
use crate::tls::{folder, http2};
use tidegate::app::Running;

/// A gate before `origin` with the routes and limits of a vCenter, some of them changed.
fn vcenter(origin: &Origin, listen: &str, limits: &str) -> Running {
    let text = with_listen(origin.address, listen, limits);
    gate(&text.replace("profile = \"generic\"", "profile = \"vcenter-8.0\""))
}

/// A call of VMware's SDKs in their order, filled up to about `size` bytes, with its operation before the
/// input or behind it.
fn rpc(operation: &str, size: usize, operation_first: bool) -> String {
    let named = format!("\"serviceId\":\"com.vmware.vcenter.VM\",\"operationId\":\"{operation}\"");
    let scheme = "com.vmware.vapi.std.security.session_id";
    let context =
        format!("\"ctx\":{{\"securityCtx\":{{\"schemeId\":\"{scheme}\",\"sessionId\":\"none\"}}}}");
    let filler = format!("\"input\":{{\"x\":\"{}\"}}", "y".repeat(size));
    let params = if operation_first {
        format!("{named},{filler},{context}")
    } else {
        format!("{filler},{named},{context}")
    };
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"invoke\",\"id\":\"1\",\"params\":{{{params}}}}}")
}

fn soap(method: &str, size: usize) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\">\
         <soapenv:Body><{method} xmlns=\"urn:vim25\"><x>{}</x></{method}></soapenv:Body></soapenv:Envelope>",
        "y".repeat(size)
    )
}

#[tokio::test]
async fn bodies_whose_beginning_is_read_arrive_as_they_were_sent() {
    let origin = Origin::start().await;
    let gate = vcenter(&origin, "", "");
    let mut client = Client::connect(gate.http()[0]).await;
    for size in [
        1, 10_000, 39_000, 41_000, 65_000, 66_000, 130_000, 1_000_000,
    ] {
        for (target, body) in [
            ("/api", rpc("list", size, true)),
            ("/sdk", soap("Find", size)),
        ] {
            let answer = client.post(target, body.as_bytes()).await;
            arrived(&answer, &body, &format!("{target}, {size} at once"));
            for step in [977, 16_384, 65_536] {
                let answer = chunked(&mut client, target, &body, step).await;
                arrived(
                    &answer,
                    &body,
                    &format!("{target}, {size} in chunks of {step}"),
                );
            }
        }
    }
    all_given_back(&gate).await;
}

fn arrived(answer: &Answer, body: &str, what: &str) {
    assert_eq!(answer.status, 200, "{what}");
    assert_eq!(answer.json()["body_length"], body.len(), "{what}");
    assert_eq!(
        answer.json()["body_hash"],
        hash_of(body.as_bytes()),
        "{what}"
    );
}

async fn chunked(client: &mut Client, target: &str, body: &str, step: usize) -> Answer {
    client
        .send(format!(
            "POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        ))
        .await;
    for piece in body.as_bytes().chunks(step) {
        client.send(format!("{:x}\r\n", piece.len())).await;
        client.send(piece).await;
        client.send("\r\n").await;
    }
    client.send("0\r\n\r\n").await;
    client.answer().await.unwrap()
}

#[tokio::test]
async fn who_waits_to_be_told_to_go_on_is_told() {
    let origin = Origin::start().await;
    let gate = vcenter(&origin, "", "");
    let mut client = Client::connect(gate.http()[0]).await;
    let body = soap("Find", 10);
    client
        .send(format!(
            "POST /sdk HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
            body.len()
        ))
        .await;
    client.read_ahead(20).await;
    client.send(&body).await;
    let first = client.answer().await.unwrap();
    let answer = if first.status == 100 {
        client.answer().await.unwrap()
    } else {
        first
    };
    arrived(&answer, &body, "after 100 Continue");
    assert_eq!(answer.received("expect"), [""; 0]);
}

#[tokio::test]
async fn a_body_that_hides_what_it_asks_for_is_400_and_never_executed() {
    let origin = Origin::start().await;
    let gate = vcenter(&origin, "", "");
    let twice = rpc("list", 10, true).replace("\"input\"", "\"operationId\":\"clone\",\"input\"");
    let late = rpc("clone", 120_000, false);
    let escaped =
        rpc("list", 10, true).replace("\"input\"", "\"\\u006fperationId\":\"clone\",\"input\"");
    let batch = format!("[{}]", rpc("list", 10, true));
    for (target, fields, body) in [
        ("/api", "", twice.as_str()),
        ("/api", "", &escaped),
        ("/api", "", &late),
        ("/api", "", &batch),
        ("/api", "", "{"),
        ("/api", "", ""),
        ("/api", "vapi-operation: get\r\n", &rpc("list", 10, true)),
        ("/sdk", "", "<a/>"),
        ("/sdk", "", ""),
        (
            "/sdk",
            "",
            &soap("Find", 10).replace("<soapenv:Envelope", "<!DOCTYPE x []><soapenv:Envelope"),
        ),
    ] {
        let mut client = Client::connect(gate.http()[0]).await;
        client
            .send(format!(
                "POST {target} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {}\r\n\r\n{body}",
                body.len()
            ))
            .await;
        let answer = client.answer().await.unwrap();
        assert_eq!(
            answer.status,
            400,
            "{target} {}",
            &body[..body.len().min(200)]
        );
    }
    let mut client = Client::connect(gate.http()[0]).await;
    client
        .send(
            "POST /sdk HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
        )
        .await;
    assert_eq!(client.answer().await.unwrap().status, 415);
    assert_eq!(origin.seen.requests(), 0);
    all_given_back(&gate).await;
}

#[tokio::test]
async fn a_second_operation_far_behind_the_first_breaks_the_call_off_before_it_is_whole() {
    let origin = Origin::start().await;
    let gate = vcenter(&origin, "", "");
    let mut body = rpc("list", 300_000, true);
    let end = body.rfind("}}").unwrap();
    body.insert_str(end, ",\"serviceId\":\"x\"");
    let mut client = Client::connect(gate.http()[0]).await;
    let answer = client.post("/api", body.as_bytes()).await;
    assert_eq!(answer.status, 400);
    all_given_back(&gate).await;
}

#[tokio::test]
async fn a_clone_is_one_of_ten_in_every_form_of_the_api() {
    let origin = Origin::start().await;
    let tight = "[upstream.limits.blocking_tasks]\nlimit = 2\nwait = { line = 0 }";
    let gate = vcenter(&origin, "", tight);
    let clones = || limit(&gate.snapshot(), "blocking_tasks").in_use;
    let mut rest = Client::connect(gate.http()[0]).await;
    rest.send(
        "POST /api/vcenter/vm?action=clone&hold HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let mut older = Client::connect(gate.http()[0]).await;
    older
        .send("POST /rest/vcenter/vm?action=clone&hold HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        .await;
    until("two run", || clones() == 2).await;

    let mut client = Client::connect(gate.http()[0]).await;
    let refused = client.post("/api", rpc("clone", 10, true).as_bytes()).await;
    assert_eq!(
        refused.status, 200,
        "VMware's SDK reads its typed error from 200"
    );
    assert_eq!(refused.header("tidegate-limit"), Some("blocking_tasks"));
    let json = refused.json();
    assert_eq!(json["id"], "1");
    let error = &json["result"]["error"]["ERROR"]["com.vmware.vapi.std.errors.service_unavailable"];
    let message = &error["messages"][0]["STRUCTURE"]["com.vmware.vapi.std.localizable_message"];
    let words = message["default_message"].as_str().unwrap();
    assert!(words.contains("blocking_tasks: 2 of 2 in use"), "{words}");

    let refused = client.post("/api/vcenter/vm?action=clone", b"").await;
    assert_eq!(
        (refused.status, &refused.json()["error_type"]),
        (503, &"SERVICE_UNAVAILABLE".into())
    );
    let task = client
        .post("/api/vcenter/vm?action=clone&vmw-task=true", b"")
        .await;
    assert_eq!(
        task.status, 200,
        "a clone that answers with a task does not block"
    );
    let list = client.post("/api", rpc("list", 10, true).as_bytes()).await;
    assert_eq!(list.status, 200);
    assert_eq!(list.header("tidegate-limit"), None);
    origin.release();
    until("they are over", || clones() == 0).await;
}

#[tokio::test]
async fn a_slow_body_holds_no_unit_and_is_cut_in_time() {
    let origin = Origin::start().await;
    let gate = vcenter(&origin, "body_timeout = \"300ms\"", "");
    let mut client = Client::connect(gate.http()[0]).await;
    client
        .send("POST /sdk HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n<soapenv:Env")
        .await;
    let answer = client.answer().await;
    let status = answer.map(|answer| answer.status);
    assert_eq!(status, Some(408));
    assert_eq!(limit(&gate.snapshot(), "soap_requests").admitted, 0);
    all_given_back(&gate).await;
}

/// With a head this long the engine takes in a long beginning of the body beside it: more than it can
/// send again.
#[tokio::test]
async fn a_body_behind_a_very_long_head_goes_up_whole_or_not_at_all() {
    let origin = Origin::start().await;
    let gate = vcenter(&origin, "max_header_bytes = \"1MiB\"", "");
    let body = soap("Find", 200_000);
    for pad in [33_000, 66_000, 131_500, 263_000, 525_000] {
        let mut client = Client::connect(gate.http()[0]).await;
        let request = format!(
            "POST /sdk HTTP/1.1\r\nHost: a\r\nX-Pad: {}\r\nContent-Length: {}\r\n\r\n{body}",
            "y".repeat(pad),
            body.len()
        );
        client.send(&request).await;
        let answer = client.answer().await.unwrap();
        if answer.status != 413 {
            arrived(&answer, &body, &format!("behind {pad}"));
        }
    }
    all_given_back(&gate).await;
}

/// An upstream that takes connections and says nothing: its TLS never begins.
#[tokio::test]
async fn a_body_of_http2_that_was_read_whole_is_not_late_while_the_upstream_is_dialled() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (certificate, key) = self_signed(&["localhost"], false).write(&folder("late"));
    let listen = format!(
        "https = [\"127.0.0.1:0\"]\ncertificate = \"{}\"\nprivate_key = \"{}\"\nbody_timeout = \"1s\"",
        certificate.display(),
        key.display()
    );
    let limits = "blackout = \"0s\"\nconnect_timeout = \"2s\"\ninsecure = { skip_verify = true }";
    let text = with_listen(silent.local_addr().unwrap(), &listen, limits);
    let text = text.replace("\"http://", "\"https://");
    let gate = gate(&text.replace("\"generic\"", "\"vcenter-8.0\""));
    let (mut sender, driver) = http2(gate.https()[0]).await;
    let request = http::Request::post("https://localhost/sdk")
        .body(())
        .unwrap();
    let (answer, mut stream) = sender.send_request(request, false).unwrap();
    let body = soap("FindByUuid", 10);
    stream.send_data(body.into(), true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 500, "a fault of SOAP");
    let retry_after = answer.headers().get("retry-after");
    assert!(
        retry_after.is_some(),
        "the upstream was late, not the client"
    );
    driver.abort();
}
