//! Clients of the gate that know that it may die at any moment.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::model::PASSWORD;
use crate::support::PATIENCE;
use crate::support::client::{Answer, Client};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// Once at most; a probe says what became of it.
    Clone,
    /// Once at most, but again where the probe proves that nothing happened.
    CloneAgain,
    /// Once at most, and nobody can say what became of it.
    Blind,
    /// Again does no harm.
    Set,
}

impl Work {
    pub const ALL: [Self; 4] = [Self::Clone, Self::CloneAgain, Self::Blind, Self::Set];

    pub fn method(self) -> &'static str {
        if self == Self::Set { "PUT" } else { "POST" }
    }

    pub fn target(self, name: &str) -> String {
        match self {
            Self::Clone => "/api/vcenter/vm?action=clone".to_owned(),
            Self::CloneAgain => "/api/vcenter/vm?action=instant-clone".to_owned(),
            Self::Blind => "/api/blind".to_owned(),
            Self::Set => format!("/api/state/{name}"),
        }
    }
}

/// A request for work.
#[derive(Debug, Clone)]
pub struct Asked {
    pub work: Work,
    pub name: String,
    pub key: Option<String>,
    /// How long it takes upstream, in milliseconds, where the model's own time is not meant.
    pub takes: Option<u64>,
}

impl Asked {
    pub fn new(work: Work, name: &str) -> Self {
        Self {
            work,
            name: name.to_owned(),
            key: None,
            takes: None,
        }
    }

    pub fn keyed(self, key: &str) -> Self {
        Self {
            key: Some(key.to_owned()),
            ..self
        }
    }

    pub fn taking(self, takes: u64) -> Self {
        Self {
            takes: Some(takes),
            ..self
        }
    }

    fn body(&self) -> String {
        let mut body = json!({"source": "vm-11", "name": self.name, "state": "on"});
        if let Some(takes) = self.takes {
            body["takes"] = takes.into();
        }
        body.to_string()
    }

    /// Target, fields and body.
    fn parts(&self) -> (String, String, String) {
        let mut fields = "Content-Type: application/json\r\nPrefer: respond-async\r\n".to_owned();
        if let Some(key) = &self.key {
            fields += &format!("Idempotency-Key: \"{key}\"\r\n");
        }
        (self.work.target(&self.name), fields, self.body())
    }
}

/// Somebody with a login session.
#[derive(Debug, Clone)]
pub struct Person {
    pub token: String,
}

impl Person {
    /// Logs in through the gate.
    pub async fn log_in(gate: SocketAddr, user: &str) -> Self {
        let encoded = STANDARD.encode(format!("{user}:{PASSWORD}"));
        let fields = format!("Authorization: Basic {encoded}\r\n");
        let text = request("POST", "/api/session", &fields, "");
        let answer = exchange(gate, &text).await.expect("an answer");
        assert_eq!(answer.status, 201, "{answer:?}");
        let token = answer.json().as_str().unwrap().to_owned();
        Self { token }
    }

    /// A request of theirs, as text, `fields` each with its end of line.
    pub fn request(&self, method: &str, target: &str, fields: &str, body: &str) -> String {
        let fields = format!("vmware-api-session-id: {}\r\n{fields}", self.token);
        request(method, target, &fields, body)
    }

    /// A submission, as text.
    pub fn submission(&self, asked: &Asked) -> String {
        let (target, fields, body) = asked.parts();
        self.request(asked.work.method(), &target, &fields, &body)
    }

    /// A call that its client holds, as text.
    pub fn call(&self, asked: &Asked) -> String {
        self.submission(asked)
            .replace("Prefer: respond-async\r\n", "")
    }

    /// Submits; nothing where the connection ended before the answer did.
    pub async fn submit(&self, gate: SocketAddr, asked: &Asked) -> Option<Answer> {
        exchange(gate, &self.submission(asked)).await
    }

    /// Submits to a gate that lives: the id of the task.
    pub async fn submitted(&self, gate: SocketAddr, asked: &Asked) -> String {
        let answer = self.submit(gate, asked).await.expect("an answer");
        assert_eq!(answer.status, 202, "{answer:?}");
        id(&answer.json())
    }

    /// Asks how a task does.
    pub async fn poll(&self, gate: SocketAddr, id: &str) -> Option<Answer> {
        self.get(gate, &format!("/-/tasks/{id}"), "").await
    }

    pub async fn get(&self, gate: SocketAddr, target: &str, fields: &str) -> Option<Answer> {
        exchange(gate, &self.request("GET", target, fields, "")).await
    }

    pub async fn cancel(&self, gate: SocketAddr, id: &str) -> Option<Answer> {
        let target = format!("/-/tasks/{id}/cancel");
        exchange(gate, &self.request("POST", &target, "", "")).await
    }

    /// How a task of a gate that lives does.
    pub async fn status(&self, gate: SocketAddr, id: &str) -> Value {
        let answer = self.poll(gate, id).await.expect("an answer");
        assert_eq!(answer.status, 200, "{id}: {answer:?}");
        answer.json()
    }

    /// Polls until the task is over.
    pub async fn end(&self, gate: SocketAddr, id: &str) -> Value {
        self.when(gate, id, |status| status["done"] == true).await
    }

    /// Polls until the task is as `wanted`.
    pub async fn when(&self, gate: SocketAddr, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let polled = async {
            loop {
                let status = self.status(gate, id).await;
                if wanted(&status) {
                    return status;
                }
                // Those who poll are not to keep the gate from its work.
                tokio::time::sleep(Duration::from_millis(60)).await;
            }
        };
        match timeout(PATIENCE, polled).await {
            Ok(status) => status,
            Err(_) => panic!("in vain: {}", self.status(gate, id).await),
        }
    }

    /// Ids of their tasks in this state, all pages.
    pub async fn listed(&self, gate: SocketAddr, state: &str) -> Vec<String> {
        let mut ids = Vec::new();
        let mut page = String::new();
        loop {
            let target = format!("/-/tasks?state={state}&page_size=100{page}");
            let answer = self.get(gate, &target, "").await.expect("an answer");
            assert_eq!(answer.status, 200, "{answer:?}");
            let list = answer.json();
            ids.extend(list["tasks"].as_array().unwrap().iter().map(id));
            match list["next_page_token"].as_str() {
                Some(token) if !token.is_empty() => page = format!("&page_token={token}"),
                _ => return ids,
            }
        }
    }
}

/// The id in a task's JSON.
pub fn id(task: &Value) -> String {
    let id = task["id"].as_str();
    id.unwrap_or_else(|| panic!("no id: {task}")).to_owned()
}

pub fn request(method: &str, target: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{method} {target} HTTP/1.1\r\nHost: gate.example\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// Sends `text` on a connection of its own: the whole answer, or nothing.
pub async fn exchange(gate: SocketAddr, text: &str) -> Option<Answer> {
    let stream = timeout(PATIENCE, TcpStream::connect(gate))
        .await
        .ok()?
        .ok()?;
    stream.set_nodelay(true).ok()?;
    let mut client = Client::over(stream);
    client.try_send(text).await.ok()?;
    client.answer().await.filter(|answer| answer.whole)
}
