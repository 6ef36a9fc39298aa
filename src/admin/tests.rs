//! The operator's door over real sockets: what each path answers, to whom.

mod tasks;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use pingora_core::apps::ServerApp;
use pingora_core::apps::http_app::HttpServer;
use pingora_core::protocols::l4::stream::Stream;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;
use crate::config::Secret;

/// Serves a door on a socket of its own; ends with the runtime of the test.
async fn open(locks: Locks, ready: Readiness, reloaded: Reloaded) -> SocketAddr {
    let sources = Sources {
        snapshot: Arc::new(crate::observe::sample_snapshot),
        ready: Arc::new(move || ready.clone()),
        config: Arc::new(|| r#"{"admin":{"token":"***"}}"#.to_owned()),
        reload: Arc::new(move || reloaded.clone()),
        sessions: Arc::new(|| vec![session()]),
        end_session: Arc::new(|id| {
            let ending = match &*id {
                "00000000000000aa" => Ending::Ended,
                "00000000000000bb" => Ending::Impossible,
                "00000000000000cc" => Ending::Failed,
                _ => Ending::Unknown,
            };
            Box::pin(async move { ending })
        }),
        explain: Arc::new(|query| match query {
            "" => Err("target is missing".to_owned()),
            query => Ok(serde_json::json!({ "asked": query })),
        }),
        tasks: tasks::source(),
        meters: Arc::new(Meters::new(["vc1"]).unwrap()),
    };
    let app = Arc::new(HttpServer::new_app(Door::new(sources, locks)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (_stop, shutdown) = watch::channel(false);
        while let Ok((socket, _)) = listener.accept().await {
            let (app, shutdown) = (Arc::clone(&app), shutdown.clone());
            tokio::spawn(async move {
                app.process_new(Box::new(Stream::from(socket)), &shutdown)
                    .await
            });
        }
    });
    address
}

fn session() -> SessionRow {
    SessionRow {
        id: "00000000000000aa".to_owned(),
        user: Some("alice@vsphere.local".into()),
        kind: "rest",
        upstream: "vc1".into(),
        client: [10, 0, 0, 1].into(),
        age_seconds: 60,
        idle_seconds: 5,
        in_flight: 0,
        adopted: false,
    }
}

struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Sends `requests` on one connection and reads until the other side closes it.
async fn exchange(address: SocketAddr, requests: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(requests.as_bytes()).await.unwrap();
    let mut text = String::new();
    let read = tokio::time::timeout(Duration::from_secs(20), socket.read_to_string(&mut text));
    read.await.expect("the connection is closed").unwrap();
    text
}

async fn call(address: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n{headers}\r\n");
    let text = exchange(address, &request).await;
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines
        .next()
        .unwrap()
        .split(' ')
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    Answer {
        status,
        headers,
        body: body.to_owned(),
    }
}

async fn here(token: Option<&str>) -> SocketAddr {
    let locks = Locks::new(token.map(Secret::new), true);
    open(locks, Readiness::Ready, Reloaded::unsupported()).await
}

#[tokio::test]
async fn each_path_answers_in_its_form() {
    let door = here(None).await;
    for (path, kind, begins) in [
        ("/healthz", "text/plain; charset=utf-8", "ok"),
        ("/readyz", "text/plain; charset=utf-8", "ready"),
        (
            "/metrics",
            "text/plain; version=0.0.4",
            "# HELP process_cpu_seconds_total",
        ),
        (
            "/limits",
            "application/json",
            r#"{"limits":[{"upstream":"","name":"connections_http","#,
        ),
        (
            "/limits?x=1",
            "application/json",
            r#"{"limits":[{"upstream":"","name":"connections_http","#,
        ),
        (
            "/connections",
            "application/json",
            r#"{"listeners":[{"name":"http","open":12,"limit":2048}]"#,
        ),
        (
            "/config",
            "application/json",
            r#"{"admin":{"token":"***"}}"#,
        ),
        ("/", "text/html; charset=utf-8", "<!doctype html>"),
    ] {
        let answer = call(door, "GET", path, "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), kind, "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert!(answer.body.starts_with(begins), "{path}: {}", answer.body);
        let length: usize = answer.header("content-length").parse().unwrap();
        assert_eq!(length, answer.body.len(), "{path}");
    }
    assert_eq!(call(door, "GET", "/healthz", "").await.body, "ok");
}

#[tokio::test]
async fn head_answers_the_head_alone() {
    let door = here(None).await;
    for path in ["/healthz", "/limits", "/"] {
        let (head, whole) = (
            call(door, "HEAD", path, "").await,
            call(door, "GET", path, "").await,
        );
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        assert_eq!(
            head.header("content-length"),
            whole.header("content-length"),
            "{path}"
        );
        assert!(!whole.body.is_empty(), "{path}");
    }
}

#[tokio::test]
async fn a_connection_carries_one_call_after_another() {
    let door = here(None).await;
    let mut socket = TcpStream::connect(door).await.unwrap();
    for method in ["HEAD", "GET", "POST", "GET"] {
        let request =
            format!("{method} /healthz HTTP/1.1\r\nHost: gate\r\nContent-Length: 3\r\n\r\nxyz");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let length: usize = head
            .split_once("content-length: ")
            .unwrap()
            .1
            .lines()
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!(
            head.starts_with(if method == "POST" {
                "http/1.1 403"
            } else {
                "http/1.1 200"
            }),
            "{head}"
        );
        let mut body = vec![0; if method == "HEAD" { 0 } else { length }];
        socket.read_exact(&mut body).await.unwrap();
    }
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let door = here(Some("s3cret")).await;
    let listed = call(door, "GET", "/sessions", "").await.json();
    assert_eq!(listed["sessions"][0]["id"], "00000000000000aa");
    assert_eq!(listed["sessions"][0]["user"], "alice@vsphere.local");
    let token = "Authorization: Bearer s3cret\r\n";
    for (id, status) in [
        ("00000000000000aa", 204),
        ("00000000000000bb", 409),
        ("00000000000000cc", 502),
        ("nothing", 404),
    ] {
        let path = format!("/sessions/{id}");
        assert_eq!(call(door, "DELETE", &path, "").await.status, 401, "{id}");
        let answer = call(door, "DELETE", &path, token).await;
        assert_eq!(answer.status, status, "{id}");
    }
    let answer = call(door, "GET", "/sessions/00000000000000aa", token).await;
    assert_eq!((answer.status, answer.header("allow")), (405, "DELETE"));
}

#[tokio::test]
async fn a_call_is_explained_or_the_fault_of_the_question_named() {
    let door = here(Some("s3cret")).await;
    let answer = call(door, "GET", "/explain?upstream=vc1&target=/x", "").await;
    assert_eq!(answer.json()["asked"], "upstream=vc1&target=/x");
    let answer = call(door, "GET", "/explain", "").await;
    assert_eq!(
        (answer.status, answer.json()["detail"].as_str()),
        (400, Some("target is missing"))
    );
}

#[tokio::test]
async fn what_is_not_there_is_said_so() {
    let door = here(Some("s3cret")).await;
    for path in ["/nowhere", "/limits/", "/healthz/x", "/explained"] {
        let answer = call(door, "GET", path, "").await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json()["status"], 404);
    }
    for (method, path, allow) in [
        ("PUT", "/limits", "GET, HEAD"),
        ("OPTIONS", "/healthz", "GET, HEAD"),
        ("GET", "/reload", "POST"),
    ] {
        let answer = call(door, method, path, "").await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
    let answer = call(door, "POST", "/limits", "Authorization: Bearer s3cret\r\n").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"));
}

#[tokio::test]
async fn reload_is_behind_the_token_and_says_what_became_of_it() {
    let door = here(None).await;
    let answer = call(door, "POST", "/reload", "Authorization: Bearer s3cret\r\n").await;
    assert_eq!(answer.status, 403);
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .contains("under [admin]")
    );

    let door = here(Some("s3cret")).await;
    let answer = call(door, "POST", "/reload", "Authorization: Bearer wrong\r\n").await;
    assert_eq!(answer.status, 401);
    assert_eq!(
        answer.header("www-authenticate"),
        "Bearer realm=\"tidegate admin\""
    );
    assert!(!answer.body.contains("s3cret"));
    let answer = call(door, "POST", "/reload", "Authorization: Bearer s3cret\r\n").await;
    assert_eq!(answer.status, 422);
    let body = answer.json();
    assert!(
        body["detail"]
            .as_str()
            .unwrap()
            .contains("nothing was changed")
    );
    assert!(
        body["faults"][0]
            .as_str()
            .unwrap()
            .contains("cannot reload")
    );

    let changed = Reloaded::Changed(vec!["upstream.vc1.limits.request_rate".to_owned()]);
    let locks = Locks::new(Some(Secret::new("s3cret")), true);
    let door = open(locks, Readiness::Ready, changed).await;
    let answer = call(door, "POST", "/reload", "Authorization: Bearer s3cret\r\n").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body,
        r#"{"changed":["upstream.vc1.limits.request_rate"]}"#
    );
}

#[tokio::test]
async fn off_loopback_only_three_paths_are_open() {
    let locks = Locks::new(Some(Secret::new("s3cret")), false);
    let draining = Readiness::NotReady("draining".to_owned());
    let door = open(locks, draining, Reloaded::unsupported()).await;
    assert_eq!(call(door, "GET", "/healthz", "").await.status, 200);
    assert_eq!(call(door, "GET", "/metrics", "").await.status, 200);
    let answer = call(door, "GET", "/readyz", "").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "draining"));
    for path in ["/", "/limits", "/connections", "/config", "/nowhere"] {
        assert_eq!(call(door, "GET", path, "").await.status, 401, "{path}");
        let with = call(door, "GET", path, "Authorization: Bearer s3cret\r\n").await;
        assert_eq!(
            with.status,
            if path == "/nowhere" { 404 } else { 200 },
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_page_fetches_nothing_from_elsewhere() {
    let door = here(None).await;
    let page = call(door, "GET", "/", "").await;
    assert!(
        page.header("content-security-policy")
            .contains("default-src 'none'")
    );
    for foreign in [
        "http://",
        "https://",
        "src=",
        "@import",
        "url(",
        "innerHTML",
    ] {
        assert!(!page.body.contains(foreign), "{foreign}");
    }
    for asked in [
        "\"/limits\"",
        "\"/connections\"",
        "\"/tasks?page_size=100\"",
    ] {
        assert!(page.body.contains(&format!("ask({asked})")), "{asked}");
    }
}

#[tokio::test]
async fn a_body_nobody_asked_for_is_not_read_for_ever() {
    let door = here(None).await;
    let mut socket = TcpStream::connect(door).await.unwrap();
    socket
        .write_all(b"POST /reload HTTP/1.1\r\nHost: gate\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await
        .unwrap();
    let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
    let mut sent = 0_usize;
    while sent < 64 * 1024 * 1024 && socket.write_all(chunk.as_bytes()).await.is_ok() {
        sent += 0x2000;
    }
    assert!(sent < 64 * 1024 * 1024, "the door must stop reading");
}
