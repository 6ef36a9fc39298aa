//! What a receiver sees on its socket, checked by another implementation of HMAC than the sender's.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use sha2::{Digest, Sha256};
use tidegate::app::Post;
use tidegate::task::{Delivery, hook_body, stamp};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::{KEY, Rig};

/// One request as it came.
#[derive(Debug, Clone)]
struct Seen {
    head: String,
    body: Vec<u8>,
}

impl Seen {
    fn field(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(one, _)| one.eq_ignore_ascii_case(name));
        found
            .unwrap_or_else(|| panic!("no {name} in {}", self.head))
            .1
    }
}

/// A receiver that answers with these, one after the other, and with the last from then on.
struct Receiver {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Receiver {
    async fn start(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = seen.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let came = read(socket, &answers, &kept);
                came.await;
            }
        });
        Self { address, seen }
    }

    fn url(&self) -> String {
        format!("http://{}/hooks/tasks?of=vc1", self.address)
    }

    fn prefix(&self) -> String {
        format!("http://{}/hooks/", self.address)
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn read(mut socket: TcpStream, answers: &[String], kept: &Mutex<Vec<Seen>>) {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        if socket.read_buf(&mut bytes).await.unwrap() == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&bytes);
        if let Some(end) = text.find("\r\n\r\n") {
            let head = text[..end].to_owned();
            let lower = head.to_ascii_lowercase();
            let length = lower.split("content-length: ").nth(1).unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            break (head, length);
        }
    };
    let begin = head.len() + 4;
    while bytes.len() < begin + length {
        socket.read_buf(&mut bytes).await.unwrap();
    }
    let place = {
        let mut kept = kept.lock().unwrap();
        kept.push(Seen {
            head,
            body: bytes[begin..].to_vec(),
        });
        kept.len() - 1
    };
    let answer = &answers[place.min(answers.len() - 1)];
    drop(socket.write_all(answer.as_bytes()).await);
}

fn answer(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
}

fn post() -> Arc<Post> {
    Arc::new(Post::new().unwrap())
}

/// HMAC-SHA256 by RFC 2104, from the hash alone.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let padded = |with: u8| -> Vec<u8> {
        let mut block = key.to_vec();
        block.resize(64, 0);
        block.iter().map(|byte| byte ^ with).collect()
    };
    let inner = Sha256::digest([padded(0x36), message.to_vec()].concat());
    Sha256::digest([padded(0x5c), inner.to_vec()].concat()).to_vec()
}

fn is_signed(seen: &Seen) -> bool {
    use base64::Engine as _;
    let (id, at) = (seen.field("webhook-id"), seen.field("webhook-timestamp"));
    let message = [format!("{id}.{at}.").as_bytes(), &seen.body].concat();
    let mac = base64::engine::general_purpose::STANDARD.encode(hmac(KEY, &message));
    seen.field("webhook-signature") == format!("v1,{mac}")
}

#[tokio::test]
async fn a_receiver_that_fails_once_hears_it_five_seconds_later_signed_anew() {
    let receiver = Receiver::start(vec![answer("500 Oops"), answer("200 OK")]).await;
    let rig = Rig::new();
    rig.outbox(post(), &[&receiver.prefix()]);
    let id = rig.done(&receiver.url()).await;
    rig.settled().await;
    let seen = receiver.seen();
    assert_eq!(seen.len(), 2);
    for one in &seen {
        assert!(
            one.head
                .starts_with("POST /hooks/tasks?of=vc1 HTTP/1.1\r\n"),
            "{}",
            one.head
        );
        assert_eq!(one.field("content-type"), "application/json");
        assert!(is_signed(one), "{one:?}");
        let said: Value = serde_json::from_slice(&one.body).unwrap();
        assert_eq!(said["type"], "task.completed");
        assert_eq!(said["data"]["state"], "COMPLETED");
        assert_eq!(said["data"]["version"], 4);
        assert_eq!(said["data"]["links"]["self"], format!("/-/jobs/{id}"));
        assert_eq!(
            said["data"]["links"]["result"],
            format!("/-/jobs/{id}/result")
        );
    }
    assert_eq!(seen[0].field("webhook-id"), seen[1].field("webhook-id"));
    assert_eq!(seen[0].body, seen[1].body);
    let at = |seen: &Seen| seen.field("webhook-timestamp").parse::<u64>().unwrap();
    assert!(
        at(&seen[1]) >= at(&seen[0]) + 5,
        "never sooner than after 5 s"
    );
    let mut altered = seen[1].clone();
    altered.body[0] ^= 1;
    assert!(!is_signed(&altered));
}

#[tokio::test]
async fn each_of_two_receivers_hears_its_own_and_a_dead_one_nobody_elses() {
    let (one, other) = (
        Receiver::start(vec![answer("204 No Content")]).await,
        Receiver::start(vec![answer("410 Gone")]).await,
    );
    let dead = {
        let bound = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        bound.local_addr().unwrap()
    };
    let dead = format!("http://{dead}/");
    let rig = Rig::new();
    rig.outbox(post(), &[&one.prefix(), &other.prefix(), &dead]);
    for _ in 0..3 {
        rig.done(&dead).await;
        rig.done(&one.url()).await;
    }
    let gone = rig.done(&other.url()).await;
    let deadline = std::time::Instant::now() + crate::rig::PATIENCE;
    while one.seen().len() < 3 || other.seen().is_empty() {
        assert!(
            std::time::Instant::now() < deadline,
            "{:?}",
            rig.desk.tally().told()
        );
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let said: Value = serde_json::from_slice(&other.seen()[0].body).unwrap();
    assert_eq!(said["data"]["id"], gone.to_string());
    let ids: std::collections::BTreeSet<_> = one
        .seen()
        .iter()
        .map(|seen| seen.field("webhook-id").to_owned())
        .collect();
    assert_eq!(ids.len(), 3);
    assert!(!rig.is_settled().await, "the dead one may come back");
}

#[tokio::test]
async fn a_redirection_is_not_followed_and_a_flood_of_an_answer_is_not_read() {
    let elsewhere = Receiver::start(vec![answer("200 OK")]).await;
    let moved = format!(
        "HTTP/1.1 307 Elsewhere\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
        elsewhere.url()
    );
    let flood = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n{}",
        "x".repeat(1 << 20)
    );
    let receiver = Receiver::start(vec![moved, flood]).await;
    let rig = Rig::new();
    rig.outbox(post(), &[&receiver.prefix(), &elsewhere.prefix()]);
    rig.done(&receiver.url()).await;
    rig.settled().await;
    assert_eq!(receiver.seen().len(), 2);
    assert!(elsewhere.seen().is_empty());
    let failed = Delivery::ALL
        .iter()
        .position(|one| *one == Delivery::Failed);
    assert_eq!(rig.desk.tally().told().deliveries[failed.unwrap()], 1);
}

#[tokio::test]
async fn what_was_not_heard_before_a_restart_is_heard_after_it() {
    let rig = Rig::new();
    let receiver = Receiver::start(vec![answer("200 OK")]).await;
    let id = rig.done(&receiver.url()).await;
    let again = Rig::over(rig.store.clone());
    again.outbox(post(), &[&receiver.prefix()]);
    again.settled().await;
    let seen = receiver.seen();
    assert_eq!(seen.len(), 1);
    assert!(is_signed(&seen[0]));
    let said: Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!(said["data"]["id"], id.to_string());
    let tidegate::task::Found::Task(task) = again.desk.find(id).await.unwrap() else {
        panic!("it is kept");
    };
    assert_eq!(seen[0].body, hook_body(&task, "/-/jobs"));
    assert_eq!(said["timestamp"], stamp(task.ended.unwrap()));
}
