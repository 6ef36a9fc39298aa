//! Headers on the way up and back.

use crate::support::client::{Answer, Client};
use crate::support::origin::Origin;
use crate::support::{gate, plain, with_listen};

async fn echo(gate: &tidegate::app::Running, headers: &str) -> Answer {
    let mut client = Client::connect(gate.http()[0]).await;
    client
        .send(format!(
            "GET /api/x HTTP/1.1\r\nHost: gate.example:8080\r\n{headers}\r\n"
        ))
        .await;
    client.answer().await.unwrap()
}

#[tokio::test]
async fn hop_by_hop_fields_stop_here_and_via_is_added() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, ""));
    let answer = echo(
        &gate,
        "Connection: X-Secret, keep-alive\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\n\
         Proxy-Connection: keep-alive\r\nX-Kept: 1\r\nVia: 1.0 first\r\n",
    )
    .await;
    assert_eq!(answer.received("x-secret"), [""; 0]);
    assert_eq!(answer.received("keep-alive"), [""; 0]);
    assert_eq!(answer.received("proxy-connection"), [""; 0]);
    assert_eq!(answer.received("x-kept"), ["1"]);
    assert_eq!(answer.received("via"), ["1.0 first", "1.1 tidegate"]);
}

/// Each alone, since a call without any of them is spared the look for all.
#[tokio::test]
async fn each_hop_by_hop_field_alone_stops_here_too() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, ""));
    for field in [
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authenticate: Basic",
        "Proxy-Authorization: Basic eDp5",
        "TE: trailers",
        "Trailer: X-Sum",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
        "Connection: X-Kept",
    ] {
        let answer = echo(&gate, &format!("{field}\r\nX-Other: 1\r\n")).await;
        assert_eq!(answer.status, 200, "{field}");
        let (name, _) = field.split_once(':').unwrap();
        assert_eq!(answer.received(&name.to_lowercase()), [""; 0], "{field}");
        assert_eq!(answer.received("x-other"), ["1"], "{field}");
    }
}

#[tokio::test]
async fn forwarding_fields_of_strangers_are_replaced() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, ""));
    let spoofed = "X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\n\
                   X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n";
    let answer = echo(&gate, spoofed).await;
    assert_eq!(answer.received("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(answer.received("x-forwarded-proto"), ["http"]);
    assert_eq!(answer.received("x-forwarded-host"), ["gate.example:8080"]);
    assert_eq!(answer.received("x-real-ip"), [""; 0]);
    assert_eq!(
        answer.received("forwarded"),
        ["for=127.0.0.1;proto=http;host=\"gate.example:8080\""]
    );
}

#[tokio::test]
async fn forwarding_fields_of_trusted_proxies_are_kept_and_added_to() {
    let origin = Origin::start().await;
    let listen = "trusted_proxies = [\"127.0.0.0/8\"]";
    let gate = gate(&with_listen(origin.address, listen, ""));
    let answer = echo(
        &gate,
        "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n",
    )
    .await;
    assert_eq!(answer.received("x-forwarded-for"), ["1.2.3.4", "127.0.0.1"]);
    assert_eq!(answer.received("x-forwarded-proto"), ["https"]);
}

#[tokio::test]
async fn a_request_id_is_passed_or_made() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, ""));
    let passed = echo(&gate, "X-Request-ID: op-42\r\n").await;
    assert_eq!(passed.received("x-request-id"), ["op-42"]);
    let (first, second) = (echo(&gate, "").await, echo(&gate, "").await);
    assert_eq!(first.received("x-request-id")[0].len(), 32);
    assert_ne!(
        first.received("x-request-id"),
        second.received("x-request-id")
    );
}

#[tokio::test]
async fn host_goes_up_as_configured() {
    let origin = Origin::start().await;
    let own = origin.address.to_string();
    for (host, expected) in [
        ("", own.as_str()),
        ("host = \"client\"", "gate.example:8080"),
        ("host = \"vc.inside\"", "vc.inside"),
    ] {
        let gate = gate(&plain(origin.address, host));
        let answer = echo(&gate, "").await;
        assert_eq!(answer.received("host"), [expected], "{host}");
    }
}

#[tokio::test]
async fn referer_and_origin_follow_the_host() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, ""));
    let named =
        "Referer: https://gate.example:8080/ui?x=1\r\nOrigin: https://gate.example:8080\r\n";
    let answer = echo(&gate, named).await;
    assert_eq!(
        answer.received("referer"),
        [format!("http://{}/ui?x=1", origin.address)]
    );
    assert_eq!(
        answer.received("origin"),
        [format!("http://{}", origin.address)]
    );
    let other = echo(&gate, "Referer: https://elsewhere.example/x\r\n").await;
    assert_eq!(other.received("referer"), ["https://elsewhere.example/x"]);
}

#[tokio::test]
async fn location_and_cookie_domains_that_name_the_upstream_name_the_gate_instead() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, "host = \"vc.inside\""));
    let mut client = Client::connect(gate.http()[0]).await;
    for (location, expected) in [
        ("https://vc.inside/ui/", "http://gate.example/ui/"),
        ("http://VC.inside/a?b#c", "http://gate.example/a?b#c"),
        ("https://elsewhere/x", "https://elsewhere/x"),
        ("https://vc.inside.evil/x", "https://vc.inside.evil/x"),
        ("/relative", "/relative"),
    ] {
        let target = format!("/api/x?status=302&header=Location:{location}");
        let target = target.replace('#', "%23");
        let answer = client.get(&target).await;
        let expected = expected.replace('#', "%23");
        assert_eq!(
            answer.header("location"),
            Some(expected.as_str()),
            "{location}"
        );
    }
    let cookies = "/api/x?header=Set-Cookie:a=1;Domain=vc.inside;Path=/\
                   &header=Set-Cookie:b=2;Domain=other.example&header=Set-Cookie:c=3";
    let answer = client.get(cookies).await;
    assert_eq!(
        answer.headers("set-cookie"),
        [
            "a=1;Domain=gate.example;Path=/",
            "b=2;Domain=other.example",
            "c=3"
        ]
    );
}

#[tokio::test]
async fn an_unknown_host_is_421_where_upstreams_have_hosts() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, "hosts = [\"vc1.example\"]"));
    let mut client = Client::connect(gate.http()[0]).await;
    assert_eq!(client.get("/api/x").await.status, 421);
    for host in [
        "vc1.example",
        "VC1.example",
        "vc1.example:8080",
        "vc1.example.",
    ] {
        client
            .send(format!("GET /api/x HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        assert_eq!(client.answer().await.unwrap().status, 200, "{host}");
    }
}
