//! The imitation of a vCenter: sessions, a list of machines, tags, and a clone that blocks. It enforces
//! nothing, and counts what reaches it, so that anybody can see what the gate let through.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use parking_lot::Mutex;
use pingora_core::apps::ServerApp;
use pingora_core::apps::http_app::{HttpServer, ServeHttp};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::l4::stream::Stream;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::inventory::{CATEGORIES, Inventory, TAGS};
use super::sessions::{Sessions, basic_user};
use super::vapi::{self, Fault, Form};

/// How long a clone takes in `tidegate demo`.
pub const CLONE_TAKES: Duration = Duration::from_secs(8);

/// Largest request body that is read.
const LARGEST_BODY: usize = 1024 * 1024;

/// The header, and cookie, that names a session.
const SESSION: &str = "vmware-api-session-id";

/// The imitation. Clones share their state.
#[derive(Debug, Clone)]
pub struct VCenter {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    clone_takes: Duration,
    sessions: Mutex<Sessions>,
    inventory: Mutex<Inventory>,
    requests: AtomicU64,
    clones: Level,
    connections: Level,
}

/// What the imitation saw: `GET /demo/stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// Requests since the start, this one excluded.
    pub requests: u64,
    /// Clones that run now.
    pub clones_running: u64,
    /// Most that ever ran at once.
    pub most_clones_running: u64,
    /// Sockets open now.
    pub connections: u64,
    /// Most that were ever open at once.
    pub most_connections: u64,
    /// Login sessions that are live.
    pub sessions: u64,
}

/// A number that goes up and down and remembers its peak.
#[derive(Debug, Default)]
struct Level {
    now: AtomicU64,
    most: AtomicU64,
}

impl Level {
    fn rise(&self) {
        let now = self.now.fetch_add(1, Ordering::AcqRel) + 1;
        self.most.fetch_max(now, Ordering::AcqRel);
    }

    fn read(&self) -> (u64, u64) {
        (
            self.now.load(Ordering::Acquire),
            self.most.load(Ordering::Acquire),
        )
    }
}

/// Something that is open: counted from its making to its drop.
#[derive(Debug)]
pub struct Open {
    state: Arc<State>,
    level: fn(&State) -> &Level,
}

impl Open {
    fn new(state: &Arc<State>, level: fn(&State) -> &Level) -> Self {
        level(state).rise();
        Self {
            state: Arc::clone(state),
            level,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        (self.level)(&self.state).now.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One request, as far as the imitation looks at it.
struct Asked<'a> {
    method: &'a Method,
    headers: &'a HeaderMap,
    path: &'a str,
    query: &'a str,
    body: &'a [u8],
}

impl VCenter {
    /// An imitation whose clones take so long.
    #[must_use]
    pub fn new(clone_takes: Duration) -> Self {
        let state = State {
            clone_takes,
            sessions: Mutex::default(),
            inventory: Mutex::default(),
            requests: AtomicU64::new(0),
            clones: Level::default(),
            connections: Level::default(),
        };
        Self {
            state: Arc::new(state),
        }
    }

    /// Counts a socket for as long as the guard lives. [`serve`] does so itself.
    #[must_use]
    pub fn connection(&self) -> Open {
        Open::new(&self.state, |state| &state.connections)
    }

    /// What it saw so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (clones_running, most_clones_running) = self.state.clones.read();
        let (connections, most_connections) = self.state.connections.read();
        Stats {
            requests: self.state.requests.load(Ordering::Acquire),
            clones_running,
            most_clones_running,
            connections,
            most_connections,
            sessions: u64::try_from(self.state.sessions.lock().len()).unwrap_or(u64::MAX),
        }
    }

    async fn answer(&self, asked: &Asked<'_>) -> Response<Vec<u8>> {
        if asked.path == "/demo/stats" {
            return match serde_json::to_value(self.stats()) {
                Ok(stats) => vapi::answer(Form::Api, StatusCode::OK, stats),
                Err(_) => vapi::empty(StatusCode::INTERNAL_SERVER_ERROR),
            };
        }
        self.state.requests.fetch_add(1, Ordering::AcqRel);
        let form = if asked.path.starts_with("/rest/") {
            Form::Rest
        } else {
            Form::Api
        };
        if matches!(asked.path, "/api/session" | "/rest/com/vmware/cis/session") {
            return self.session(form, asked);
        }
        if token(asked.headers).is_none_or(|token| self.state.sessions.lock().find(token).is_none())
        {
            return vapi::error(form, Fault::Unauthenticated);
        }
        let list = |ids: &[&str]| vapi::answer(form, StatusCode::OK, json!(ids));
        match (asked.method.as_str(), asked.path) {
            ("GET", "/api/vcenter/vm" | "/rest/vcenter/vm") => {
                vapi::answer(form, StatusCode::OK, self.state.inventory.lock().list())
            }
            ("POST", "/api/vcenter/vm") if asked.action("clone") => {
                self.clone_machine(form, asked.body).await
            }
            ("GET", "/api/cis/tagging/tag" | "/rest/com/vmware/cis/tagging/tag") => list(&TAGS),
            ("GET", "/api/cis/tagging/category" | "/rest/com/vmware/cis/tagging/category") => {
                list(&CATEGORIES)
            }
            _ => vapi::error(form, Fault::NoRoute),
        }
    }

    fn session(&self, form: Form, asked: &Asked<'_>) -> Response<Vec<u8>> {
        let reading = asked.action("get");
        match *asked.method {
            Method::POST if !reading => self.log_in(form, asked.headers),
            Method::GET | Method::POST => self.session_info(form, asked.headers),
            Method::DELETE => self.log_out(form, asked.headers),
            _ => vapi::error(form, Fault::NoRoute),
        }
    }

    fn log_in(&self, form: Form, headers: &HeaderMap) -> Response<Vec<u8>> {
        let Some(user) = headers
            .get(AUTHORIZATION)
            .and_then(|value| basic_user(value.as_bytes()))
        else {
            return vapi::error(form, Fault::Unauthenticated);
        };
        let token = self.state.sessions.lock().open(user, SystemTime::now());
        let cookie = HeaderValue::try_from(format!("{SESSION}={token};Path=/rest;Secure;HttpOnly"));
        let status = if form == Form::Api {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        let mut response = vapi::answer(form, status, Value::from(token));
        if let (Form::Rest, Ok(cookie)) = (form, cookie) {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        response
    }

    fn session_info(&self, form: Form, headers: &HeaderMap) -> Response<Vec<u8>> {
        let sessions = self.state.sessions.lock();
        let Some(session) = token(headers).and_then(|token| sessions.find(token)) else {
            return vapi::error(form, Fault::Unauthenticated);
        };
        let created = session.created();
        let info =
            json!({ "user": session.user, "created_time": created, "last_accessed_time": created });
        vapi::answer(form, StatusCode::OK, info)
    }

    fn log_out(&self, form: Form, headers: &HeaderMap) -> Response<Vec<u8>> {
        let mut sessions = self.state.sessions.lock();
        match token(headers).filter(|token| sessions.find(token).is_some()) {
            None => vapi::error(form, Fault::Unauthenticated),
            Some(token) => {
                sessions.close(token);
                vapi::empty(if form == Form::Api {
                    StatusCode::NO_CONTENT
                } else {
                    StatusCode::OK
                })
            }
        }
    }

    /// Blocks for as long as the clone takes. Like a vCenter it goes on when the client is gone.
    async fn clone_machine(&self, form: Form, body: &[u8]) -> Response<Vec<u8>> {
        let Ok(spec) = serde_json::from_slice::<Value>(body) else {
            return vapi::error(form, Fault::InvalidArgument);
        };
        let word = |key: &str| spec.get(key).and_then(Value::as_str);
        let (Some(source), Some(name)) = (word("source"), word("name")) else {
            return vapi::error(form, Fault::InvalidArgument);
        };
        if name.is_empty() || name.len() > 80 {
            return vapi::error(form, Fault::InvalidArgument);
        }
        if !self.state.inventory.lock().has(source) {
            return vapi::error(form, Fault::NotFound);
        }
        let running = Open::new(&self.state, |state| &state.clones);
        tokio::time::sleep(self.state.clone_takes).await;
        drop(running);
        let id = self.state.inventory.lock().add(name.to_owned());
        vapi::answer(form, StatusCode::OK, Value::from(id))
    }
}

impl Asked<'_> {
    /// Whether the query asks for `word`, in the new spelling or the old one.
    fn action(&self, word: &str) -> bool {
        self.query.split('&').any(|pair| {
            pair.strip_prefix("~action=")
                .or_else(|| pair.strip_prefix("action="))
                == Some(word)
        })
    }
}

/// The session a request names, by header or cookie.
fn token(headers: &HeaderMap) -> Option<&str> {
    if let Some(token) = headers.get(SESSION) {
        return token.to_str().ok();
    }
    let mut cookies = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok());
    cookies.find_map(|line| {
        line.split(';').find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            (name == SESSION).then_some(value)
        })
    })
}

#[async_trait]
impl ServeHttp for VCenter {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let Some(body) = read_body(session).await else {
            session.set_keepalive(None);
            return vapi::empty(StatusCode::PAYLOAD_TOO_LARGE);
        };
        let head = session.req_header();
        let asked = Asked {
            method: &head.method,
            headers: &head.headers,
            path: head.uri.path(),
            query: head.uri.query().unwrap_or_default(),
            body: &body,
        };
        self.answer(&asked).await
    }
}

/// The request body; `None` when it is too large or breaks off.
async fn read_body(session: &mut ServerSession) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = session.read_request_body().await.ok()? {
        if body.len() + chunk.len() > LARGEST_BODY {
            return None;
        }
        body.extend_from_slice(&chunk);
    }
    Some(body)
}

/// Serves the imitation in plain HTTP until `shutdown` turns true; each connection is a task of the runtime it is called on.
pub async fn serve(vcenter: VCenter, listener: TcpListener, mut shutdown: watch::Receiver<bool>) {
    let app = Arc::new(HttpServer::new_app(vcenter.clone()));
    loop {
        let socket = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = shutdown.wait_for(|stop| *stop) => return,
        };
        match socket {
            Ok((socket, _)) => {
                let (app, shutdown, open) =
                    (Arc::clone(&app), shutdown.clone(), vcenter.connection());
                tokio::spawn(async move {
                    app.process_new(Box::new(Stream::from(socket)), &shutdown)
                        .await;
                    drop(open);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the imitation of a vCenter cannot accept a connection");
                // Out of file descriptors, most likely: asking again at once would only spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
