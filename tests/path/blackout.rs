//! An upstream that is down: its calls wait, are refused in the words of its API, and come back by a ramp.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tidegate::app::Running;
use tidegate::limit::Ramp;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use crate::support::client::{Answer, Client};
use crate::support::origin::{Origin, hash_of};
use crate::support::{all_given_back, gate, limit, plain, until};
use crate::tls::folder;

const LIMITS: &str = r#"
[upstream.limits.upstream_connections]
counts = "upstream_connections"
limit = 200
[upstream.limits.calls]
counts = "requests_in_flight"
limit = 200
"#;

/// The place of an upstream that does not listen yet: it refuses connections, and nobody else gets it.
struct Absent(TcpSocket);

impl Absent {
    fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    fn start(self) -> Origin {
        Origin::on(self.0.listen(1024).unwrap(), None)
    }
}

fn waiting_gate(upstream: SocketAddr, blackout: &str, limits: &str) -> Running {
    let lines = format!("blackout = \"{blackout}\"\n{limits}");
    gate(&plain(upstream, &lines))
}

fn down_for(gate: &Running) -> Option<u64> {
    gate.snapshot().upstreams[0].down_for_seconds
}

/// Has `calls` clients ask at the same time, every second one with a body.
fn ask(gate: &Running, calls: usize, body: &'static str) -> JoinSet<Answer> {
    let address = gate.http()[0];
    let mut asked = JoinSet::new();
    for call in 0..calls {
        asked.spawn(async move {
            let mut client = Client::connect(address).await;
            if call % 2 == 0 {
                client.get("/api/x").await
            } else {
                client.post("/api/x", body.as_bytes()).await
            }
        });
    }
    asked
}

#[tokio::test]
async fn calls_wait_without_a_unit_and_go_by_the_ramp_once_their_upstream_is_there() {
    const CALLS: usize = 100;
    let absent = Absent::new();
    let gate = waiting_gate(absent.address(), "60s", LIMITS);
    let mut asked = ask(&gate, CALLS, "a body that is sent once");
    until("it is down for long", || down_for(&gate) >= Some(2)).await;
    assert_eq!(limit(&gate.snapshot(), "calls").in_use, 0);
    assert_eq!(gate.in_flight(), CALLS as u64);
    let mut operator = Client::connect(gate.admin()).await;
    let connections = operator.get("/connections").await.json();
    assert!(connections["upstreams"][0]["down_for_seconds"].as_u64() >= Some(2));
    assert_eq!(
        operator.get("/readyz").await.status,
        200,
        "the gate is well"
    );
    let began = Instant::now();
    let origin = absent.start();
    while let Some(answer) = asked.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        let seen = answer.json();
        if seen["method"] == "POST" {
            assert_eq!(seen["body_hash"], hash_of(b"a body that is sent once"));
        }
    }
    assert_eq!(origin.seen.requests(), CALLS as u64, "each once");
    let mut stamps = origin.seen.stamps();
    stamps.sort();
    let ramp = Ramp::after(Duration::from_secs(2));
    for (number, stamp) in (0..).zip(stamps) {
        let after = stamp.duration_since(began);
        assert!(after >= ramp.turn(number), "{number}: {after:?}");
    }
    assert_eq!(down_for(&gate), None);
    all_given_back(&gate).await;
}

#[tokio::test]
async fn what_asks_whether_it_is_back_is_under_the_cap_on_sockets_too() {
    let absent = Absent::new();
    let limits = LIMITS.replacen("200", "1", 1);
    let gate = waiting_gate(absent.address(), "60s", &limits);
    let mut asked = ask(&gate, 10, "body");
    until("it is down", || down_for(&gate).is_some()).await;
    let origin = absent.start();
    while let Some(answer) = asked.join_next().await {
        let answer = answer.unwrap();
        // The seats of calls are those of sockets: who finds them taken is refused by the limit.
        let limit = answer.header("tidegate-limit");
        assert!(
            answer.status == 200 || limit == Some("upstream_connections"),
            "{answer:?}"
        );
    }
    assert_eq!(origin.seen.most_open(), 1);
    assert!(origin.seen.requests() >= 1);
    all_given_back(&gate).await;
}

#[tokio::test]
async fn who_hangs_up_while_it_waits_is_gone_at_once_and_never_goes_up() {
    let absent = Absent::new();
    let gate = waiting_gate(absent.address(), "60s", LIMITS);
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = Client::connect(gate.http()[0]).await;
        client
            .send("POST /api/x HTTP/1.1\r\nHost: gate.example\r\nContent-Length: 4\r\n\r\nbody")
            .await;
        clients.push(client);
    }
    until("they wait", || {
        down_for(&gate).is_some() && gate.in_flight() == 20
    })
    .await;
    drop(clients);
    until("nobody is there", || gate.in_flight() == 0).await;
    assert!(down_for(&gate).is_some());
    let origin = absent.start();
    let mut client = Client::connect(gate.http()[0]).await;
    assert_eq!(client.get("/api/x").await.status, 200);
    assert_eq!(origin.seen.requests(), 1);
    all_given_back(&gate).await;
}

/// A profile, what is asked of it, and what the answer looks like.
struct Spoken {
    profile: &'static str,
    target: &'static str,
    body: &'static str,
    status: u16,
    says: &'static str,
}

const RPC: &str = r#"{"jsonrpc":"2.0","method":"invoke","id":"7","params":{"serviceId":"a.b","operationId":"list","input":{},"ctx":{}}}"#;
const SOAP: &str = r#"<Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/"><Body><Find xmlns="urn:vim25"/></Body></Envelope>"#;

#[rustfmt::skip]
const EVERY_FORM: [Spoken; 9] = [
    Spoken { profile: "vcenter-8.0", target: "/api/vcenter/vm", body: "", status: 503, says: r#"{"error_type":"SERVICE_UNAVAILABLE","messages":[{"id":"tidegate.upstream_down""# },
    Spoken { profile: "vcenter-8.0", target: "/rest/vcenter/vm", body: "", status: 503, says: r#"{"type":"com.vmware.vapi.std.errors.service_unavailable""# },
    Spoken { profile: "vcenter-8.0", target: "/api", body: RPC, status: 200, says: r#"{"jsonrpc":"2.0","id":"7","result":{"error":"# },
    Spoken { profile: "vcenter-8.0", target: "/sdk", body: SOAP, status: 500, says: "<faultstring>the upstream cannot be reached" },
    Spoken { profile: "nsx-4", target: "/policy/api/v1/infra", body: "", status: 503, says: r#""error_message":"the upstream cannot be reached"# },
    Spoken { profile: "nsx-v", target: "/api/4.0/edges", body: "", status: 503, says: "<errorCode>503</errorCode>" },
    Spoken { profile: "avi", target: "/api/pool", body: "", status: 503, says: r#"{"error":"the upstream cannot be reached"# },
    Spoken { profile: "skytap", target: "/configurations/12", body: "", status: 503, says: r#"{"error":"the upstream cannot be reached"# },
    Spoken { profile: "generic", target: "/things", body: "", status: 503, says: r#"{"type":"about:blank","title":"Service Unavailable","status":503"# },
];

#[tokio::test]
async fn who_waited_in_vain_is_refused_in_the_words_of_the_api_and_told_when_to_come_back() {
    let absent = Absent::new();
    for spoken in &EVERY_FORM {
        let profile = format!("profile = \"{}\"", spoken.profile);
        let text = plain(absent.address(), "blackout = \"300ms\"");
        let gate = gate(&text.replace("profile = \"generic\"", &profile));
        // The first finds out that it is down, the second knows it before it claims.
        for _ in 0..2 {
            let mut client = Client::connect(gate.http()[0]).await;
            let began = Instant::now();
            let answer = if spoken.body.is_empty() {
                client.get(spoken.target).await
            } else {
                client.post(spoken.target, spoken.body.as_bytes()).await
            };
            assert!(began.elapsed() >= Duration::from_millis(300), "it waited");
            let body = String::from_utf8_lossy(&answer.body);
            assert!(
                body.contains(spoken.says),
                "{}: {answer:?} {body}",
                spoken.target
            );
            assert_eq!(answer.status, spoken.status, "{}", spoken.target);
            assert_eq!(answer.header("tidegate-limit"), None);
            let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=60).contains(&seconds), "{seconds}");
        }
        all_given_back(&gate).await;
    }
}

#[tokio::test]
async fn a_body_too_long_to_be_kept_waits_too_and_goes_up_whole() {
    let absent = Absent::new();
    let gate = waiting_gate(absent.address(), "60s", LIMITS);
    let body: &'static str = "0123456789".repeat(40_000).leak();
    let mut asked = ask(&gate, 4, body);
    until("it is down", || down_for(&gate).is_some()).await;
    let _origin = absent.start();
    while let Some(answer) = asked.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        let seen = answer.json();
        if seen["method"] == "POST" {
            assert_eq!(seen["body_hash"], hash_of(body.as_bytes()));
        }
    }
    all_given_back(&gate).await;
}

#[tokio::test]
async fn a_call_whose_operation_stands_in_its_body_waits_like_others() {
    let absent = Absent::new();
    let text = plain(absent.address(), "blackout = \"60s\"");
    let gate = gate(&text.replace("profile = \"generic\"", "profile = \"vcenter-8.0\""));
    let mut asked = JoinSet::new();
    for (target, body) in [("/api", RPC), ("/sdk", SOAP)].repeat(4) {
        let address = gate.http()[0];
        asked.spawn(async move {
            let mut client = Client::connect(address).await;
            (
                client.post(target, body.as_bytes()).await,
                hash_of(body.as_bytes()),
            )
        });
    }
    until("they wait", || {
        down_for(&gate).is_some() && gate.in_flight() == 8
    })
    .await;
    let origin = absent.start();
    while let Some(answer) = asked.join_next().await {
        let (answer, hash) = answer.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["body_hash"], hash);
    }
    assert_eq!(origin.seen.requests(), 8);
    all_given_back(&gate).await;
}

#[tokio::test]
async fn the_access_log_says_who_ended_it_and_how_long_it_waited() {
    let absent = Absent::new();
    let access = folder("blackout").join("access.log");
    let log = format!("format = \"json\"\naccess = \"{}\"", access.display());
    let text = plain(absent.address(), "blackout = \"300ms\"");
    let gate = gate(&text.replace("access = \"off\"", &log));
    let mut client = Client::connect(gate.http()[0]).await;
    assert_eq!(client.get("/api/x").await.status, 503);
    let lines = || std::fs::read_to_string(&access).unwrap_or_default();
    until("the line is there", || lines().ends_with('\n')).await;
    let line: serde_json::Value = serde_json::from_str(lines().trim()).unwrap();
    assert!(line["wait_seconds"].as_f64() >= Some(0.3), "{line}");
    assert_eq!(line["ending"], "UA", "{line}");
    assert_eq!(line["retries"], 0, "nothing was sent: {line}");
}
