//! A vCenter that says how much of it is in use: what others use is not the gate's to give.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{all_given_back, gate, limit, plain, until};
use crate::tls::folder;

/// A vCenter of which others use `others`; it counts logins and logouts.
#[derive(Default)]
struct Vcenter {
    others: AtomicU64,
    logins: AtomicU64,
    logouts: AtomicU64,
    most_sessions: AtomicU64,
    /// It has no such numbers.
    is_old: bool,
}

impl Vcenter {
    async fn start(self: &Arc<Self>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let vcenter = self.clone();
        tokio::spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let vcenter = vcenter.clone();
                tokio::spawn(async move { vcenter.talk(socket, address.port()).await });
            }
        });
        address
    }

    async fn talk(&self, mut socket: TcpStream, port: u16) {
        let mut heard = Vec::new();
        while !heard.windows(4).any(|end| end == b"\r\n\r\n") {
            if socket.read_buf(&mut heard).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let head = String::from_utf8(heard).unwrap();
        let (status, body) = self.answer(&head, port);
        let said = format!(
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(said.as_bytes()).await.unwrap();
        // Whoever asked closes.
        while socket
            .read_buf(&mut Vec::with_capacity(64))
            .await
            .unwrap_or(0)
            > 0
        {}
    }

    fn answer(&self, head: &str, port: u16) -> (u16, String) {
        let others = self.others.load(SeqCst);
        let has_session = head.to_lowercase().contains("vmware-api-session-id: token");
        match head.split(' ').take(2).collect::<Vec<_>>()[..] {
            // gate:secret
            ["POST", "/api/session"] if head.contains("Basic Z2F0ZTpzZWNyZXQ=") => {
                let open = self.logins.fetch_add(1, SeqCst) + 1 - self.logouts.load(SeqCst);
                self.most_sessions.fetch_max(open, SeqCst);
                (201, "\"token\"".to_owned())
            }
            ["DELETE", "/api/session"] if has_session => {
                self.logouts.fetch_add(1, SeqCst);
                (204, String::new())
            }
            ["GET", "/api/vcenter/utilization/proxies"] if has_session && !self.is_old => {
                let load = format!(
                    r#"{{"active_requests":{},"max_outstanding_requests":550}}"#,
                    others + 1
                );
                let routes = r#"[{"path":"/api"}]"#;
                (
                    200,
                    format!(
                        r#"{{"proxies":[{{"service":"envoy","upstreams":[{{"name":"u","routes":{routes},"requests_back_pressure":{load}}}]}}]}}"#
                    ),
                )
            }
            ["GET", "/api/vcenter/utilization/connections"] if has_session && !self.is_old => {
                let ports = format!(r#"[{{"port":{port},"open_connections":0,"peers":[]}}]"#);
                (
                    200,
                    format!(
                        r#"{{"servers":[{{"service":"envoy","ports":{ports},"total_connections":{},"connection_limit":1024}}]}}"#,
                        others + 1
                    ),
                )
            }
            _ => (404, String::new()),
        }
    }
}

async fn gate_before(vcenter: &Arc<Vcenter>, name: &str) -> tidegate::app::Running {
    let folder = folder(name);
    let password = folder.join("password");
    std::fs::write(&password, "secret\n").unwrap();
    let lines = format!(
        "utilization = \"5s\"\naccount = {{ user = \"gate\", password = \"file:{}\" }}",
        password.display()
    );
    let text = plain(vcenter.start().await, &lines);
    gate(&text.replace("profile = \"generic\"", "profile = \"vcenter-8.0\""))
}

#[tokio::test]
async fn what_others_use_is_taken_off_the_limits_on_sockets_and_comes_back() {
    let vcenter = Arc::new(Vcenter::default());
    vcenter.others.store(500, SeqCst);
    let gate = gate_before(&vcenter, "utilization").await;
    let effective = |name: &str| limit(&gate.snapshot(), name).effective;
    // 550 less the others' 500; of all, 1024 less theirs. The gate's own call is not theirs, nor are its sockets, of
    // which the last ones may still be closing.
    until("others are seen", || {
        effective("upstream_connections") == Some(50)
    })
    .await;
    let total = effective("upstream_connections_total").unwrap();
    assert!((524..=527).contains(&total), "{total}");
    vcenter.others.store(10_000, SeqCst);
    until("a twentieth stays", || {
        effective("upstream_connections") == Some(27)
    })
    .await;
    vcenter.others.store(0, SeqCst);
    until("all is in force", || {
        effective("upstream_connections").is_none()
    })
    .await;
    until("it logs out", || {
        vcenter.logins.load(SeqCst) == vcenter.logouts.load(SeqCst)
    })
    .await;
    assert_eq!(vcenter.most_sessions.load(SeqCst), 1);
    all_given_back(&gate).await;
    assert_eq!(limit(&gate.snapshot(), "sessions").in_use, 0);
}

#[tokio::test]
async fn one_without_such_numbers_changes_nothing() {
    let vcenter = Arc::new(Vcenter {
        is_old: true,
        ..Vcenter::default()
    });
    let gate = gate_before(&vcenter, "utilization-old").await;
    until("it was asked", || vcenter.logouts.load(SeqCst) == 1).await;
    let snapshot = gate.snapshot();
    assert_eq!(limit(&snapshot, "upstream_connections").effective, None);
    assert_eq!(
        limit(&snapshot, "upstream_connections_total").effective,
        None
    );
}
