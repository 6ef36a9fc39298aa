//! A login session whose task waits for its turn is kept alive, and a task whose session is over fails at once.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate::app::{Options, Running};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::client::{Answer, Client};
use crate::support::{PATIENCE, plain, until};

/// As much of a vCenter as it takes: logins, whose a session is, and clones that never end.
#[derive(Default)]
struct Model {
    logins: AtomicUsize,
    /// Tokens that it was asked about.
    asked: Mutex<Vec<String>>,
    /// It forgets every session.
    forgets: AtomicBool,
    clones: AtomicUsize,
}

impl Model {
    async fn start() -> (Arc<Self>, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let model = Arc::new(Self::default());
        let own = model.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(own.clone().serve(socket));
            }
        });
        (model, address)
    }

    async fn serve(self: Arc<Self>, mut socket: TcpStream) {
        let mut bytes = Vec::new();
        loop {
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
                if socket.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    return;
                }
                continue;
            };
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = field(&head, "content-length").and_then(|value| value.parse().ok());
            while bytes.len() < end + 4 + length.unwrap_or(0) {
                if socket.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            bytes.drain(..end + 4 + length.unwrap_or(0));
            let (status, body) = self.answer(&head).await;
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
            );
            if socket.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }

    async fn answer(&self, head: &str) -> (&'static str, String) {
        if head.starts_with("POST /api/session ") {
            let number = self.logins.fetch_add(1, Ordering::SeqCst);
            return ("201 Created", format!("\"token-of-login-{number}\""));
        }
        if head.starts_with("GET /api/session ") {
            let token = field(head, "vmware-api-session-id").unwrap_or_default();
            self.asked.lock().unwrap().push(token.to_owned());
            if self.forgets.load(Ordering::SeqCst) {
                return ("401 Unauthorized", "{}".to_owned());
            }
            return ("200 OK", "{\"user\":\"ada@vsphere.local\"}".to_owned());
        }
        self.clones.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }

    fn asked(&self, token: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|one| *one == token).count()
    }
}

fn field<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let found = lines.find(|(one, _)| one.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}

/// A gate that runs one clone at a time, and takes sessions for over sooner than a file may say.
fn gate(upstream: SocketAddr) -> Running {
    // One that goes up by the upstream's own form takes no seat, and none would wait.
    let lines = "native = false\n[upstream.limits.blocking_tasks]\nlimit = 1";
    let text = plain(upstream, lines);
    let text = text.replace("profile = \"generic\"", "profile = \"vcenter-8.0\"");
    let mut config = tidegate::config::parse(&text, Path::new(".")).unwrap();
    config.upstreams[0].speech.session_idle_rest = Duration::from_secs(2);
    tidegate::app::start(&config, Options::default()).unwrap()
}

async fn say(gate: &Running, head: &str, body: &str) -> Answer {
    let mut client = Client::connect(gate.http()[0]).await;
    let length = body.len();
    let text = format!("{head}Host: vc.example\r\nContent-Length: {length}\r\n\r\n{body}");
    client.send(text).await;
    client.answer().await.unwrap()
}

async fn log_in(gate: &Running) -> String {
    let head =
        "POST /api/session HTTP/1.1\r\nAuthorization: Basic YWRhQHZzcGhlcmUubG9jYWw6YQ==\r\n";
    let answer = say(gate, head, "").await;
    assert_eq!(answer.status, 201);
    answer.json().as_str().unwrap().to_owned()
}

async fn clone(gate: &Running, token: &str) -> String {
    let head = format!(
        "POST /api/vcenter/vm?action=clone HTTP/1.1\r\nvmware-api-session-id: {token}\r\nPrefer: respond-async\r\nContent-Type: application/json\r\n"
    );
    let answer = say(gate, &head, "{\"source\":\"vm-1\",\"name\":\"web\"}").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn task(gate: &Running, id: &str) -> Value {
    let mut door = Client::connect(gate.admin()).await;
    door.get(&format!("/tasks/{id}")).await.json()
}

#[tokio::test]
async fn a_session_lives_as_long_as_its_task_waits_and_the_task_no_longer_than_the_session() {
    let (model, address) = Model::start().await;
    let gate = gate(address);
    let (first, second) = (log_in(&gate).await, log_in(&gate).await);
    let running = clone(&gate, &first).await;
    until("the first goes up", || {
        model.clones.load(Ordering::SeqCst) == 1
    })
    .await;
    let waiting = clone(&gate, &second).await;
    let began = Instant::now();
    let before = model.asked(&second);
    // Four thirds of the time that it may idle.
    until("it is used again and again", || {
        model.asked(&second) >= before + 4
    })
    .await;
    assert!(
        began.elapsed() >= Duration::from_secs(2),
        "no more often than it has to be"
    );
    assert_eq!(task(&gate, &waiting).await["state"], "SCHEDULED");
    let mut door = Client::connect(gate.admin()).await;
    let sessions = door.get("/sessions").await.json();
    let sessions = sessions["sessions"].as_array().unwrap().len();
    assert_eq!(sessions, 2, "the gate itself did not take it for over");
    model.forgets.store(true, Ordering::SeqCst);
    let deadline = Instant::now() + PATIENCE;
    while task(&gate, &waiting).await["done"] != true {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let over = task(&gate, &waiting).await;
    assert_eq!(over["state"], "FAILED");
    assert_eq!(over["dispatched"], false);
    assert_eq!(over["error"]["type"], "/-/problems/credentials-expired");
    assert_eq!(over["not_applied"], true);
    assert_eq!(task(&gate, &running).await["state"], "RUNNING");
    assert_eq!(model.clones.load(Ordering::SeqCst), 1, "it never went up");
}
