//! What the model answers.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::books::{Books, Running, Seen};
use super::{Levers, PASSWORD, Stage};
use crate::support::wire::{Reply, Request};

/// Where calls are answered.
pub(super) struct Desk<'a> {
    pub(super) books: &'a Arc<Books>,
    pub(super) levers: &'a Arc<Levers>,
}

impl Desk<'_> {
    /// The answer, and whether the request was one for work that blocks.
    pub(super) async fn answer(&self, request: &Request) -> (Reply, bool) {
        self.note(request);
        if request.path == "/api/session" {
            return (self.session(request), false);
        }
        if self.books.user(token(request)).is_none() {
            return (refused(), false);
        }
        match (&*request.method, &*request.path) {
            ("GET", "/api/vcenter/vm") => (self.find(request), false),
            ("POST", "/api/vcenter/vm" | "/api/blind") => {
                let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
                let name = body["name"].as_str().unwrap_or_default().to_owned();
                (self.work(name, "cloned".to_owned(), &body).await, true)
            }
            ("PUT", path) => {
                let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
                let name = path.rsplit('/').next().unwrap_or_default().to_owned();
                (
                    self.work(name, body["state"].to_string(), &body).await,
                    true,
                )
            }
            _ => (Reply::json(200, "[]"), false),
        }
    }

    fn note(&self, request: &Request) {
        let query = if request.query.is_empty() {
            String::new()
        } else {
            format!("?{}", request.query)
        };
        self.books.note(Seen {
            call: format!("{} {}{query}", request.method, request.path),
            fields: request
                .headers
                .iter()
                .map(|(name, _)| name.clone())
                .collect(),
        });
    }

    fn session(&self, request: &Request) -> Reply {
        match &*request.method {
            "POST" => match request.basic() {
                Some((user, password)) if password == PASSWORD => {
                    Reply::json(201, json!(self.books.open(&user)))
                }
                _ => refused(),
            },
            "DELETE" if self.books.close(token(request)) => Reply::json(204, ""),
            "GET" => match self.books.verify(token(request)) {
                Some(user) => Reply::json(200, json!({"user": user, "created_time": "now"})),
                None => refused(),
            },
            _ => refused(),
        }
    }

    /// The machines of the names that are asked for.
    fn find(&self, request: &Request) -> Reply {
        let asked = request.query.split('&');
        let names = asked.filter_map(|pair| pair.strip_prefix("names="));
        let found: Vec<Value> = names
            .filter(|name| self.books.is_there(name))
            .map(|name| json!({"vm": format!("vm-{name}"), "name": name}))
            .collect();
        Reply::json(200, Value::from(found))
    }

    /// Work that blocks. It goes on to its end though whoever asked dies.
    async fn work(&self, name: String, state: String, body: &Value) -> Reply {
        let Some(running) = self.books.begin(&name) else {
            let error = json!({"error_type": "SERVICE_UNAVAILABLE", "messages": []});
            return Reply::json(503, error);
        };
        let takes = body["takes"]
            .as_u64()
            .unwrap_or_else(|| self.levers.takes());
        let work = to_its_end(
            self.books.clone(),
            self.levers.clone(),
            running,
            name,
            state,
            takes,
        );
        tokio::spawn(work).await.unwrap()
    }
}

async fn to_its_end(
    books: Arc<Books>,
    levers: Arc<Levers>,
    running: Running,
    name: String,
    state: String,
    takes: u64,
) -> Reply {
    let half = Duration::from_millis(takes / 2);
    levers.at(Stage::Begun);
    tokio::time::sleep(half).await;
    levers.may_go_on().await;
    books.apply(&name);
    levers.at(Stage::Applied);
    tokio::time::sleep(half).await;
    books.show(&name, &state);
    drop(running);
    Reply::json(200, json!(format!("vm-{name}")))
}

fn token(request: &Request) -> &str {
    request.header("vmware-api-session-id").unwrap_or_default()
}

fn refused() -> Reply {
    Reply::json(
        401,
        json!({"error_type": "UNAUTHENTICATED", "messages": []}),
    )
}
