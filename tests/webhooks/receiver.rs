//! A receiver of webhooks on a socket of its own, and its own way to check signatures.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn field(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let found = lines.find(|(one, _)| one.eq_ignore_ascii_case(name));
        found
            .unwrap_or_else(|| panic!("no {name} in {}", self.head))
            .1
    }
}

/// A receiver that answers with these, one after the other, and with the last from then on.
pub struct Receiver {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Receiver {
    pub async fn start(answers: Vec<String>) -> Self {
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

    pub fn url(&self) -> String {
        format!("http://{}/hooks/tasks?of=vc1", self.address)
    }

    pub fn prefix(&self) -> String {
        format!("http://{}/hooks/", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
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

pub fn answer(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
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

/// Whether the signature is that of `key`.
pub fn is_signed(seen: &Seen, key: &[u8]) -> bool {
    use base64::Engine as _;
    let (id, at) = (seen.field("webhook-id"), seen.field("webhook-timestamp"));
    let message = [format!("{id}.{at}.").as_bytes(), &seen.body].concat();
    let mac = base64::engine::general_purpose::STANDARD.encode(hmac(key, &message));
    seen.field("webhook-signature") == format!("v1,{mac}")
}
