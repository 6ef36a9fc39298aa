//! Webhooks over TLS, to a receiver whose certificate no public authority has signed.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::model::Model;
use crate::people::{Asked, Person, Work, exchange};
use crate::rig::{Gate, Setup};
use crate::support::pki::self_signed;
use crate::support::{PATIENCE, WEBHOOK_KEY, until};

type Heard = Arc<Mutex<Vec<String>>>;

/// A receiver behind TLS: its address, what it hears, and its certificate as PEM.
async fn receiver() -> (std::net::SocketAddr, Heard, String) {
    let identity = self_signed(&["localhost"], false);
    let (acceptor, pem) = (identity.acceptor(), identity.certificate_pem);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Heard::default();
    let seen = heard.clone();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            // Who does not believe it hangs up.
            let Ok(mut stream) = acceptor.accept(socket).await else {
                continue;
            };
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"}") && stream.read_buf(&mut bytes).await.unwrap_or(0) > 0 {}
            seen.lock()
                .unwrap()
                .push(String::from_utf8_lossy(&bytes).into_owned());
            let said = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
            stream.write_all(said).await.unwrap();
            stream.shutdown().await.ok();
        }
    });
    (address, heard, pem)
}

/// A gate that trusts `roots`, or the receiver itself where there are none, and a task of whose end the receiver is to be told.
async fn submitted(name: &str, roots: Option<String>) -> (Model, Gate, Heard) {
    let model = Model::start(5);
    let (address, heard, pem) = receiver().await;
    let prefix = format!("https://localhost:{}/hooks/", address.port());
    let setup = Setup::new(name);
    let [trusted, key] = ["roots.pem", "hook.key"].map(|name| setup.folder.join(name));
    std::fs::write(&trusted, roots.unwrap_or(pem)).unwrap();
    std::fs::write(&key, WEBHOOK_KEY).unwrap();
    let lines = format!(
        "webhooks = [\"{prefix}\"]\nwebhook_secret = \"file:{}\"",
        key.display()
    );
    let trusted = trusted.to_str().unwrap();
    let setup = setup.tasks(&lines).env("SSL_CERT_FILE", trusted);
    let gate = Gate::start(setup, &model).await;
    let person = Person::log_in(gate.http(), "user1@corp").await;
    let text = person.submission(&Asked::new(Work::Clone, "told")).replace(
        "Prefer: respond-async\r\n",
        &format!("Prefer: respond-async, callback; url=\"{prefix}x\"\r\n"),
    );
    let answer = exchange(gate.http(), &text).await.unwrap();
    assert_eq!(answer.status, 202, "{answer:?}");
    (model, gate, heard)
}

#[tokio::test]
async fn a_receiver_behind_tls_is_told_where_the_operator_trusts_its_authority() {
    let (_model, _gate, heard) = submitted("told", None).await;
    until("it is told", || !heard.lock().unwrap().is_empty()).await;
    let said = heard.lock().unwrap()[0].clone();
    assert!(said.starts_with("POST /hooks/x HTTP/1.1\r\n"), "{said}");
    assert!(said.contains("task.completed") && said.contains("webhook-signature: v1,"));
}

#[tokio::test]
async fn a_receiver_that_nobody_vouches_for_is_told_nothing() {
    let other = self_signed(&["localhost"], false).certificate_pem;
    let (_model, gate, heard) = submitted("not-told", Some(other)).await;
    let deadline = Instant::now() + PATIENCE;
    let failed = "tidegate_webhook_deliveries_total{outcome=\"failed\"} 1";
    while !gate.shown("/metrics").await.contains(failed) {
        assert!(Instant::now() < deadline, "{}", gate.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(heard.lock().unwrap().is_empty());
}
