//! Limits on calls: refused to the unit, in words, and without a trace in other limits.

use std::net::SocketAddr;

use tokio::net::TcpSocket;

use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::{all_given_back, gate, limit, plain, until};

const RATE_OF_3: &str = r#"
[upstream.limits.request_rate]
counts = "requests"
limit = 3
window = "1h"
full = { status = 429 }
"#;

fn in_flight(name: &str, more: &str) -> String {
    format!("[upstream.limits.{name}]\ncounts = \"requests_in_flight\"\n{more}\n")
}

async fn from(address: &str, to: SocketAddr) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket
        .bind(format!("{address}:0").parse().unwrap())
        .unwrap();
    Client::over(socket.connect(to).await.unwrap())
}

#[tokio::test]
async fn a_rate_refuses_with_429_in_words_and_keeps_the_connection() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, RATE_OF_3));
    let mut client = Client::connect(gate.http()[0]).await;
    for _ in 0..3 {
        assert_eq!(client.get("/api/x").await.status, 200);
    }
    let refused = client.get("/api/x").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("tidegate-limit"), Some("request_rate"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(
        (3590..=3600).contains(&wait),
        "the oldest stamp leaves the window in an hour: {wait}"
    );
    assert_eq!(
        refused.header("ratelimit-policy"),
        Some("\"request_rate\";q=3;w=3600")
    );
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(refused.json()["violated-policies"][0], "request_rate");
    let again = client.get("/api/x").await;
    assert_eq!(again.status, 429, "the same connection serves on");
    assert_eq!(origin.seen.requests(), 3);
    let row = limit(&gate.snapshot(), "request_rate");
    assert_eq!((row.admitted, row.refused[0], row.in_use), (3, 2, 3));
}

#[tokio::test]
async fn calls_in_flight_are_held_to_the_unit_and_given_back() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, &in_flight("calls", "limit = 3")));
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(gate.http()[0]).await;
        client
            .send("GET /api/x?hold HTTP/1.1\r\nHost: a\r\n\r\n")
            .await;
        held.push(client);
    }
    until("three calls run", || origin.seen.running() == 3).await;
    let mut fourth = Client::connect(gate.http()[0]).await;
    let refused = fourth.get("/api/x").await;
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("tidegate-limit"), Some("calls"));
    assert!(
        refused
            .header("retry-after")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            >= 1
    );
    assert_eq!(limit(&gate.snapshot(), "calls").in_use, 3);
    origin.release();
    for client in &mut held {
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    all_given_back(&gate).await;
    assert_eq!(fourth.get("/api/x").await.status, 200);
    assert_eq!(origin.seen.most_running(), 3);
}

#[tokio::test]
async fn a_refusal_by_one_limit_leaves_no_trace_in_the_others() {
    let origin = Origin::start().await;
    let limits = in_flight("seats", "limit = 5") + &in_flight("shut", "limit = 0") + RATE_OF_3;
    let gate = gate(&plain(origin.address, &limits));
    let mut client = Client::connect(gate.http()[0]).await;
    for _ in 0..10 {
        let refused = client.get("/api/x").await;
        assert_eq!(
            (refused.status, refused.header("tidegate-limit")),
            (503, Some("shut"))
        );
    }
    let snapshot = gate.snapshot();
    let (rate, seats) = (limit(&snapshot, "request_rate"), limit(&snapshot, "seats"));
    assert_eq!((rate.in_use, rate.admitted), (0, 0));
    assert_eq!((seats.in_use, seats.admitted), (0, 0));
    assert_eq!(limit(&snapshot, "shut").refused[0], 10);
    assert_eq!(origin.seen.requests(), 0);
}

#[tokio::test]
async fn a_limit_keyed_by_address_counts_each_address_apart() {
    let origin = Origin::start().await;
    let limits = in_flight(
        "each",
        "limit = 1\nkey = \"address\"\nfull = { status = 429 }",
    );
    let gate = gate(&plain(origin.address, &limits));
    let mut first = from("127.0.0.1", gate.http()[0]).await;
    first
        .send("GET /api/x?hold HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    until("it runs", || origin.seen.running() == 1).await;
    assert_eq!(
        from("127.0.0.1", gate.http()[0])
            .await
            .get("/api/x")
            .await
            .status,
        429
    );
    assert_eq!(
        from("127.0.0.2", gate.http()[0])
            .await
            .get("/api/x")
            .await
            .status,
        200
    );
    until("idle keys are forgotten", || {
        limit(&gate.snapshot(), "each").top.len() == 1
    })
    .await;
    let row = limit(&gate.snapshot(), "each");
    assert_eq!(
        (row.top[0].key.as_str(), row.top[0].in_use),
        ("127.0.0.1", 1)
    );
    origin.release();
    assert_eq!(first.answer().await.unwrap().status, 200);
    all_given_back(&gate).await;
}

#[tokio::test]
async fn spoofed_forwarding_headers_do_not_make_another_address() {
    let origin = Origin::start().await;
    let limits = "[upstream.limits.each]\ncounts = \"requests\"\nlimit = 2\nwindow = \"1h\"\n\
                  key = \"address\"\nfull = { status = 429 }";
    let gate = gate(&plain(origin.address, limits));
    let mut client = Client::connect(gate.http()[0]).await;
    let mut statuses = Vec::new();
    for n in 0..12 {
        let spoof = format!(
            "GET /api/x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.{n}\r\n\
             Forwarded: for=10.0.0.{n}\r\nX-Real-IP: 10.0.0.{n}\r\n\r\n"
        );
        client.send(spoof).await;
        statuses.push(client.answer().await.unwrap().status);
    }
    let passed = statuses.iter().filter(|status| **status == 200).count();
    assert!(
        passed <= 4,
        "limit + burst at most, whoever it claims to be: {statuses:?}"
    );
    assert_eq!(statuses.last(), Some(&429));
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_about_the_address() {
    let origin = Origin::start().await;
    let limits = in_flight("each", "limit = 1\nkey = \"address\"");
    let listen = "trusted_proxies = [\"127.0.0.1/32\"]";
    let gate = gate(&crate::support::with_listen(
        origin.address,
        listen,
        &limits,
    ));
    let mut first = Client::connect(gate.http()[0]).await;
    first
        .send("GET /api/x?hold HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n")
        .await;
    until("it runs", || origin.seen.running() == 1).await;
    let mut second = Client::connect(gate.http()[0]).await;
    second
        .send("GET /api/x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n")
        .await;
    assert_eq!(second.answer().await.unwrap().status, 503);
    second
        .send("GET /api/x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.2\r\n\r\n")
        .await;
    assert_eq!(second.answer().await.unwrap().status, 200);
    origin.release();
    first.answer().await.unwrap();
    all_given_back(&gate).await;
}

#[tokio::test]
async fn a_shadow_limit_counts_reports_and_lets_pass() {
    let origin = Origin::start().await;
    let limits = in_flight("shadow", "limit = 0\nmode = \"shadow\"") + RATE_OF_3;
    let gate = gate(&plain(origin.address, &limits));
    let mut client = Client::connect(gate.http()[0]).await;
    for _ in 0..3 {
        assert_eq!(client.get("/api/x").await.status, 200);
    }
    assert_eq!(
        client.get("/api/x").await.header("tidegate-limit"),
        Some("request_rate")
    );
    let row = limit(&gate.snapshot(), "shadow");
    assert_eq!(row.mode, "shadow");
    assert_eq!(row.refused, [0; 4]);
    assert!(row.shadow_refused >= 3, "{row:?}");
    all_given_back(&gate).await;
}

#[tokio::test]
async fn no_spelling_of_a_path_dodges_a_limit() {
    let origin = Origin::start().await;
    let limits = in_flight("rest", "limit = 0\nmatch = { class = [\"rest\"] }")
        + &in_flight("tags", "limit = 0\nmatch = { path = \"/rest/tags/**\" }");
    let gate = gate(&plain(origin.address, &limits));
    let mut client = Client::connect(gate.http()[0]).await;
    for target in [
        "/api/vcenter/vm",
        "/api",
        "//api/x",
        "/./api/x",
        "/x/../api/x",
        "/%61pi/x",
        "/ap%69/x",
        "/x/%2e%2e/api/x",
        "/api;v=1/x",
        "/;x/api/y",
        "/rest/tags/1",
        "/rest//tags/1",
        "/rest/./tags/1",
        "/rest/t%61gs/1",
    ] {
        let answer = client.get(target).await;
        assert_eq!(answer.status, 503, "{target}");
    }
    for target in [
        "/api/%zz",
        "/api/%",
        "/api\\x",
        "/api/%00",
        "/api/%5cx",
        "/%0d%0aapi",
    ] {
        let mut client = Client::connect(gate.http()[0]).await;
        let answer = client.get(target).await;
        assert_eq!(answer.status, 400, "{target}");
    }
    assert_eq!(origin.seen.requests(), 0);
    assert_eq!(
        client.get("/ui/x").await.status,
        200,
        "other classes are not under it"
    );
}

#[tokio::test]
async fn a_response_over_the_cap_is_502_when_it_says_so_and_cut_when_it_does_not() {
    let origin = Origin::start().await;
    let limits = "[upstream.limits.response_bytes]\ncounts = \"response_bytes\"\nlimit = \"64KiB\"\n\
                  match = { class = [\"rest\"] }";
    let gate = gate(&plain(origin.address, limits));
    let mut client = Client::connect(gate.http()[0]).await;
    let exact = client.get("/api/x?bytes=65536").await;
    assert_eq!((exact.status, exact.body.len()), (200, 65536));
    let exact = client.get("/api/x?chunked=65536").await;
    assert_eq!(
        (exact.status, exact.body.len(), exact.whole),
        (200, 65536, true)
    );
    let said = client.get("/api/x?bytes=65537").await;
    assert_eq!(
        (said.status, said.header("tidegate-limit")),
        (502, Some("response_bytes"))
    );
    assert_eq!(said.header("retry-after"), None);
    let mut client = Client::connect(gate.http()[0]).await;
    let unsaid = client.get("/api/x?chunked=1000000").await;
    assert_eq!((unsaid.status, unsaid.whole), (200, false));
    assert!(
        unsaid.body.len() <= 65536,
        "not a byte more than the cap: {}",
        unsaid.body.len()
    );
    let mut client = Client::connect(gate.http()[0]).await;
    let other = client.get("/ui/x?bytes=100000").await;
    assert_eq!((other.status, other.body.len()), (200, 100_000));
    assert_eq!(limit(&gate.snapshot(), "response_bytes").refused[0], 2);
    all_given_back(&gate).await;
}
