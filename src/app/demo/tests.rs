//! The imitation over real sockets, and the demo's certificate.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::rustls;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const LOGIN: &str = "Authorization: Basic YWRtaW5pc3RyYXRvckB2c3BoZXJlLmxvY2FsOnB3\r\n";

struct Demo {
    vcenter: VCenter,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

impl Demo {
    async fn start(clone_takes: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let vcenter = VCenter::new(clone_takes);
        let (stop, shutdown) = watch::channel(false);
        let server = tokio::spawn(serve(vcenter.clone(), listener, shutdown));
        Self {
            vcenter,
            address,
            stop,
            server,
        }
    }

    async fn call(&self, method: &str, target: &str, headers: &str, body: &str) -> Answer {
        let length = body.len();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: vc\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        let mut socket = TcpStream::connect(self.address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        tokio::time::timeout(PATIENCE, socket.read_to_string(&mut text))
            .await
            .unwrap()
            .unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer {
            status,
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }

    async fn log_in(&self) -> String {
        let answer = self.call("POST", "/api/session", LOGIN, "").await;
        assert_eq!(answer.status, 201);
        format!(
            "vmware-api-session-id: {}\r\n",
            answer.json().as_str().unwrap()
        )
    }

    async fn eventually(&self, what: &str, holds: impl Fn(Stats) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds(self.vcenter.stats()) {
            assert!(
                Instant::now() < end,
                "never: {what}; {:?}",
                self.vcenter.stats()
            );
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_session_lives_from_login_to_logout() {
    let demo = Demo::start(Duration::ZERO).await;
    for (method, target) in [
        ("GET", "/api/vcenter/vm"),
        ("GET", "/api/cis/tagging/tag"),
        ("POST", "/api/vcenter/vm?action=clone"),
        ("GET", "/api/session"),
        ("DELETE", "/api/session"),
        ("POST", "/api/session"),
        ("GET", "/nowhere"),
    ] {
        let answer = demo
            .call(method, target, "vmware-api-session-id: none\r\n", "")
            .await;
        assert_eq!(answer.status, 401, "{method} {target}");
        let body = answer.json();
        assert_eq!(body["error_type"], "UNAUTHENTICATED", "{method} {target}");
        assert_eq!(
            body["messages"][0]["id"],
            "com.vmware.vapi.endpoint.method.authentication.required"
        );
    }
    let session = demo.log_in().await;
    let info = demo.call("GET", "/api/session", &session, "").await;
    assert_eq!(
        (info.status, &info.json()["user"]),
        (200, &json!("administrator@vsphere.local"))
    );
    assert_eq!(demo.vcenter.stats().sessions, 1);
    let out = demo.call("DELETE", "/api/session", &session, "").await;
    assert_eq!((out.status, out.body.as_str()), (204, ""));
    assert_eq!(
        demo.call("GET", "/api/vcenter/vm", &session, "")
            .await
            .status,
        401
    );
    assert_eq!(demo.vcenter.stats().sessions, 0);
}

#[tokio::test]
async fn the_old_interface_wraps_its_values() {
    let demo = Demo::start(Duration::ZERO).await;
    let path = "/rest/com/vmware/cis/session";
    let refused = demo.call("POST", path, "", "").await;
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.json()["type"],
        "com.vmware.vapi.std.errors.unauthenticated"
    );
    assert_eq!(refused.json()["value"]["error_type"], "UNAUTHENTICATED");
    let login = demo.call("POST", path, LOGIN, "").await;
    assert_eq!(login.status, 200);
    let token = login.json()["value"].as_str().unwrap().to_owned();
    assert!(login.head.contains(&format!(
        "set-cookie: vmware-api-session-id={token};path=/rest;secure;httponly"
    )));
    let cookie = format!("Cookie: a=b; vmware-api-session-id={token}\r\n");
    let info = demo
        .call(
            "POST",
            "/rest/com/vmware/cis/session?~action=get",
            &cookie,
            "",
        )
        .await;
    assert_eq!(info.json()["value"]["user"], "administrator@vsphere.local");
    let tags = demo
        .call("GET", "/rest/com/vmware/cis/tagging/tag", &cookie, "")
        .await;
    assert_eq!(tags.json()["value"].as_array().map(Vec::len), Some(3));
    assert_eq!(demo.call("DELETE", path, &cookie, "").await.status, 200);
    assert_eq!(demo.call("DELETE", path, &cookie, "").await.status, 401);
}

#[tokio::test]
async fn lists_and_what_is_not_there() {
    let demo = Demo::start(Duration::ZERO).await;
    let session = demo.log_in().await;
    let machines = demo
        .call("GET", "/api/vcenter/vm?n=1", &session, "")
        .await
        .json();
    assert_eq!(machines[0]["vm"], "vm-11");
    assert_eq!(machines[0]["power_state"], "POWERED_ON");
    assert_eq!(
        demo.call("GET", "/api/cis/tagging/tag", &session, "")
            .await
            .json()[2]
            .as_str()
            .map(str::len),
        Some(73)
    );
    let categories = demo
        .call("GET", "/api/cis/tagging/category", &session, "")
        .await
        .json();
    assert_eq!(categories.as_array().map(Vec::len), Some(1));
    for (method, target) in [
        ("GET", "/api/nowhere"),
        ("POST", "/api/vcenter/vm"),
        ("PATCH", "/api/session"),
    ] {
        let answer = demo.call(method, target, &session, "").await;
        assert_eq!(answer.status, 404, "{method} {target}");
        assert_eq!(
            answer.json()["messages"][0]["id"],
            "com.vmware.vapi.rest.httpNotFound"
        );
    }
    let large = "x".repeat(1024 * 1024 + 1);
    assert_eq!(
        demo.call("POST", "/api/session", LOGIN, &large)
            .await
            .status,
        413
    );
}

#[tokio::test]
async fn clones_block_are_counted_and_add_machines() {
    let demo = Demo::start(Duration::from_secs(2)).await;
    let session = demo.log_in().await;
    let target = "/api/vcenter/vm?action=clone";
    for (body, status) in [
        ("", 400),
        ("{}", 400),
        (r#"{"source":"vm-11"}"#, 400),
        (r#"{"source":"vm-11","name":""}"#, 400),
        (r#"{"source":"vm-99","name":"x"}"#, 404),
    ] {
        assert_eq!(
            demo.call("POST", target, &session, body).await.status,
            status,
            "{body}"
        );
    }
    let clone = |name: &str| {
        let body = json!({ "source": "vm-11", "name": name }).to_string();
        let (demo, session) = (&demo, &session);
        async move { demo.call("POST", target, session, &body).await }
    };
    let (one, two, three, ()) = tokio::join!(clone("a"), clone("b"), clone("c"), async {
        demo.eventually("three clones run at once", |stats| {
            stats.clones_running == 3
        })
        .await;
    });
    let mut ids: Vec<String> = [one, two, three]
        .iter()
        .map(|answer| answer.json().as_str().unwrap().to_owned())
        .collect();
    ids.sort();
    assert_eq!(ids, ["vm-14", "vm-15", "vm-16"]);
    let machines = demo
        .call("GET", "/api/vcenter/vm", &session, "")
        .await
        .json();
    assert_eq!(machines.as_array().map(Vec::len), Some(6));
    assert_eq!(machines[5]["vm"], "vm-16");
    demo.eventually("no socket is open", |stats| stats.connections == 0)
        .await;
    let stats = demo.call("GET", "/demo/stats", "", "").await.json();
    assert_eq!(
        (&stats["clones_running"], &stats["most_clones_running"]),
        (&json!(0), &json!(3))
    );
    assert_eq!(
        stats["requests"], 10,
        "a login, five faults, three clones, a list; the statistics do not count"
    );
    assert_eq!(stats["connections"], 1);
}

#[tokio::test]
async fn sockets_are_counted_while_they_are_open_and_the_server_stops_when_told() {
    let demo = Demo::start(Duration::ZERO).await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        sockets.push(TcpStream::connect(demo.address).await.unwrap());
    }
    demo.eventually("five sockets are open", |stats| stats.connections == 5)
        .await;
    drop(sockets);
    demo.eventually("none is open", |stats| stats.connections == 0)
        .await;
    assert_eq!(demo.vcenter.stats().most_connections, 5);
    demo.stop.send(true).unwrap();
    tokio::time::timeout(PATIENCE, demo.server)
        .await
        .unwrap()
        .unwrap();
}

#[test]
fn the_certificate_is_for_loopback_and_its_key_is_kept_private() {
    let folder = std::env::temp_dir().join(format!("tidegate-demo-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let now = OffsetDateTime::now_utc();
    for _ in 0..2 {
        // The second time over the first one's files.
        let pair = self_made(now).unwrap();
        let files = pair.write(&folder).unwrap();
        assert_eq!(std::fs::read_to_string(&files.key).unwrap(), pair.key);
        assert_eq!(
            std::fs::read_to_string(&files.chain).unwrap(),
            pair.certificate
        );
        let mode = std::fs::metadata(&files.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let pair = self_made(now).unwrap();
    let leaf = CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    rustls::ServerConfig::builder_with_provider(std::sync::Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(leaf.clone()).unwrap();
    let verifier =
        rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
            .build()
            .unwrap();
    use rustls::client::danger::ServerCertVerifier as _;
    let valid = |name: &'static str| {
        verifier
            .verify_server_cert(
                &leaf,
                &[],
                &ServerName::try_from(name).unwrap(),
                &[],
                UnixTime::now(),
            )
            .is_ok()
    };
    assert!(valid("localhost") && valid("127.0.0.1") && valid("::1"));
    assert!(!valid("example.com"));
    std::fs::remove_dir_all(&folder).unwrap();
}
