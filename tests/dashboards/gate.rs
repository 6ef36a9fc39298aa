//! A gate as a process of its own, and a load that meets its limits.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::folder;
use crate::support::client::Client;
use crate::support::pki::self_signed;
use crate::support::{plain, until};

/// A process that is killed when this is dropped.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// A gate, as long as this lives.
pub struct Gate {
    pub admin: SocketAddr,
    pub http: SocketAddr,
    _process: Process,
}

impl Gate {
    /// The least that there is: one plain listener, one upstream that nobody calls, no TLS.
    pub async fn least(name: &str) -> Self {
        Self::start(name, &plain(nobody(), "")).await
    }

    /// The stack of a vCenter in front of `origin` (host `vc1.example`), with limits that a small load meets;
    /// an upstream that is not there (`gone.example`); TLS beside plain.
    pub async fn loaded(name: &str, origin: SocketAddr) -> Self {
        let (certificate, key) = self_signed(&["localhost"], false).write(&folder(name));
        let text = format!(
            r#"
[listen]
http = ["127.0.0.1:0"]
https = ["127.0.0.1:0"]
admin = "127.0.0.1:0"
certificate = "{}"
private_key = "{}"
[runtime]
threads = 2
[state]
url = "memory"
[log]
access = "off"
[[upstream]]
name = "vc1"
address = "http://{origin}"
profile = "vcenter-8.0"
hosts = ["vc1.example"]
[upstream.limits.request_rate]
limit = 20
[upstream.limits.one_at_a_time]   # nobody may wait for it
counts = "requests_in_flight"
limit = 1
[[upstream]]
name = "gone"
address = "http://{}"
profile = "generic"
hosts = ["gone.example"]
"#,
            certificate.display(),
            key.display(),
            nobody()
        );
        Self::start(name, &text).await
    }

    async fn start(name: &str, text: &str) -> Self {
        let file = folder(name).join("tidegate.toml");
        std::fs::write(&file, text).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["run", "--config"])
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env_remove("RUST_LOG")
            .env_remove("LISTEN_FDS")
            .spawn()
            .unwrap();
        let mut process = Process(child);
        let log = said(process.0.stderr.take().unwrap());
        let text = || log.lock().unwrap().clone();
        until("the gate stands, or says why not", || {
            text().contains("the gate stands") || process.0.try_wait().unwrap().is_some()
        })
        .await;
        let text = text();
        Self {
            admin: address(&text, "\"admin\":\""),
            http: address(&text, "\"http\":\"["),
            _process: process,
        }
    }
}

/// What a process says on `stderr`, as it comes; read to its end.
pub fn said(stderr: ChildStderr) -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let kept = log.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            *kept.lock().unwrap() += &(line + "\n");
        }
    });
    log
}

/// The address behind the last `label` in `text`.
pub fn address(text: &str, label: &str) -> SocketAddr {
    let (_, rest) = text
        .rsplit_once(label)
        .unwrap_or_else(|| panic!("no {label} in {text}"));
    let end = rest.find([']', '"', ' ', '\n']).unwrap_or(rest.len());
    rest[..end].parse().unwrap()
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    let bound = TcpListener::bind("127.0.0.1:0").unwrap();
    bound.local_addr().unwrap()
}

/// Clients who call both upstreams of [`Gate::loaded`], some at a time, until they are dropped.
pub fn load(http: SocketAddr) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for _ in 0..8 {
        clients.spawn(call(http, "vc1.example", "/api/vcenter/vm?sleep=100"));
    }
    clients.spawn(call(http, "vc1.example", "/api/vcenter/vm?close"));
    clients.spawn(call(http, "gone.example", "/api/x"));
    clients
}

async fn call(http: SocketAddr, host: &str, target: &str) {
    let mut pace = tokio::time::interval(Duration::from_millis(50));
    loop {
        pace.tick().await;
        let mut client = Client::connect(http).await;
        let call = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        client.send(call).await;
        client.answer().await;
    }
}
