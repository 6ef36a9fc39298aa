//! The operator's door: health, metrics, limits, connections, configuration, and a page that shows them live.
//!
//! It is no proxy and knows no other room's types but the rows of [`crate::observe`]; what it shows
//! comes in through [`Sources`]. Wrap a [`Door`] in Pingora's `HttpServer::new_app` to serve it.

mod answer;
mod page;
mod token;

pub use token::Locks;

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use http::{Method, Response, StatusCode};
use pingora_core::apps::http_app::ServeHttp;
use pingora_core::protocols::http::ServerSession;

use crate::observe::{Meters, SessionRow, Snapshot, Throttle};
use token::Entry;

/// Largest request body that is read and thrown away; no path takes one.
const LARGEST_BODY: usize = 64 * 1024;

/// Where the door finds what it shows.
#[derive(Clone)]
pub struct Sources {
    /// What the rooms hold at this moment.
    pub snapshot: Arc<dyn Fn() -> Snapshot + Send + Sync>,
    /// Whether traffic should come here.
    pub ready: Arc<dyn Fn() -> Readiness + Send + Sync>,
    /// The effective configuration as a JSON object, secrets replaced by `"***"`.
    pub config: Arc<dyn Fn() -> String + Send + Sync>,
    /// Loads the configuration again, as SIGHUP does.
    pub reload: Arc<dyn Fn() -> Reloaded + Send + Sync>,
    /// Every live login session.
    pub sessions: Arc<dyn Fn() -> Vec<SessionRow> + Send + Sync>,
    /// Logs the session of this id out at its upstream.
    pub end_session: Arc<dyn Fn(String) -> EndSession + Send + Sync>,
    /// Explains what would become of the call that a query describes; or says what is wrong with it.
    pub explain: Arc<Explain>,
    /// Every principal's tasks, and one by its name.
    pub tasks: Arc<AskTasks>,
    /// The metrics of the process.
    pub meters: Arc<Meters>,
}

/// What is asked of tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AboutTasks {
    /// Those that a query describes.
    Listed(String),
    /// The one of this name.
    One(String),
    /// The operator says that the lost calls of this name are over.
    FreeSeat(String),
}

/// Answers what is asked of tasks with JSON, or else with a status and what is wrong.
pub type AskTasks = dyn Fn(AboutTasks) -> Told + Send + Sync;

/// An answer about tasks on its way.
pub type Told = Pin<Box<dyn Future<Output = Result<Vec<u8>, (StatusCode, String)>> + Send>>;

/// What would become of the call that a query describes, or what is wrong with it.
pub type Explain = dyn Fn(&str) -> Result<serde_json::Value, String> + Send + Sync;

/// A session that is being ended.
pub type EndSession = Pin<Box<dyn Future<Output = Ending> + Send>>;

/// What became of a session that was to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The upstream took the logout.
    Ended,
    /// There is no such session.
    Unknown,
    /// Its token is not kept, or its API has no logout.
    Impossible,
    /// The upstream did not take it.
    Failed,
}

/// Whether traffic should come here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// All listeners are bound and the store answers.
    Ready,
    /// Not now, and why: starting, draining, or the store is lost.
    NotReady(String),
}

/// What became of a reload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reloaded {
    /// The new configuration is in force; these things changed.
    Changed(Vec<String>),
    /// Nothing was changed; all the faults.
    Refused(Vec<String>),
}

impl Reloaded {
    /// What a version that cannot reload says.
    #[must_use]
    pub fn unsupported() -> Self {
        Self::Refused(vec![
            "this version cannot reload its configuration: nothing was changed; restart it to load the file again"
                .to_owned(),
        ])
    }
}

/// What a path answers with.
type Show = fn(&Sources, &str) -> Response<Vec<u8>>;

/// The operator's door as an application.
pub struct Door {
    sources: Sources,
    locks: Locks,
    knocks: Throttle,
}

impl Door {
    /// A door that shows `sources` and opens as `locks` say.
    #[must_use]
    pub fn new(sources: Sources, locks: Locks) -> Self {
        Self {
            sources,
            locks,
            knocks: Throttle::new(NonZeroU32::MIN),
        }
    }

    async fn answer(
        &self,
        method: &Method,
        (path, query): (&str, &str),
        credentials: Option<&[u8]>,
    ) -> Response<Vec<u8>> {
        match self.locks.entry(method, path, credentials) {
            Entry::Free => match Aside::of(path, query) {
                Some(aside) => self.aside(method, aside).await,
                None => self.route(method, path, query),
            },
            Entry::NoToken => answer::no_token(),
            Entry::Denied => {
                if let Some(suppressed) = self.knocks.pass() {
                    tracing::warn!(%method, suppressed, "a call to the admin listener came without the right token");
                }
                answer::denied()
            }
        }
    }

    async fn aside(&self, method: &Method, aside: Aside<'_>) -> Response<Vec<u8>> {
        match aside {
            Aside::Session(id) if *method == Method::DELETE => {
                answer::ended((self.sources.end_session)(id.to_owned()).await)
            }
            Aside::Seat(id) if *method == Method::DELETE => {
                answer::told((self.sources.tasks)(AboutTasks::FreeSeat(id.to_owned())).await)
            }
            Aside::Session(_) | Aside::Seat(_) => answer::wrong_method(answer::DELETE),
            Aside::Tasks(about) if answer::is_read(method) => {
                answer::told((self.sources.tasks)(about).await)
            }
            Aside::Tasks(_) => answer::wrong_method(answer::READ),
        }
    }

    fn route(&self, method: &Method, path: &str, query: &str) -> Response<Vec<u8>> {
        let (allowed, show): (&str, Show) = match path {
            "/healthz" => (answer::READ, |_, _| answer::text(StatusCode::OK, "ok")),
            "/readyz" => (answer::READ, |sources, _| readyz(&(sources.ready)())),
            "/metrics" => (answer::READ, |sources, _| {
                answer::metrics(sources.meters.render(&(sources.snapshot)()))
            }),
            "/limits" => (answer::READ, |sources, _| {
                answer::json((sources.snapshot)().limits_json())
            }),
            "/connections" => (answer::READ, |sources, _| {
                answer::json((sources.snapshot)().connections_json())
            }),
            "/sessions" => (answer::READ, |sources, _| {
                answer::json(serde_json::to_vec(&Listed {
                    sessions: (sources.sessions)(),
                }))
            }),
            "/explain" => (answer::READ, |sources, query| {
                answer::explained((sources.explain)(query))
            }),
            "/config" => (answer::READ, |sources, _| {
                answer::json(Ok((sources.config)().into_bytes()))
            }),
            "/" => (answer::READ, |_, _| page::page()),
            "/reload" => (answer::POST, |sources, _| {
                answer::reloaded(&(sources.reload)())
            }),
            _ => {
                return answer::problem(
                    StatusCode::NOT_FOUND,
                    "There is nothing under this path.",
                    &[],
                );
            }
        };
        if allowed.split(", ").any(|one| one == method.as_str()) {
            show(&self.sources, query)
        } else {
            answer::wrong_method(allowed)
        }
    }
}

/// `{"sessions":[…]}`
#[derive(serde::Serialize)]
struct Listed {
    sessions: Vec<SessionRow>,
}

/// Paths whose answer takes a while.
enum Aside<'a> {
    Session(&'a str),
    Seat(&'a str),
    Tasks(AboutTasks),
}

impl<'a> Aside<'a> {
    fn of(path: &'a str, query: &str) -> Option<Self> {
        if path == "/tasks" {
            return Some(Self::Tasks(AboutTasks::Listed(query.to_owned())));
        }
        if let Some(id) = path.strip_prefix("/tasks/") {
            if let Some(id) = id.strip_suffix("/seat") {
                return Some(Self::Seat(id));
            }
            return Some(Self::Tasks(AboutTasks::One(id.to_owned())));
        }
        path.strip_prefix("/sessions/").map(Self::Session)
    }
}

fn readyz(readiness: &Readiness) -> Response<Vec<u8>> {
    match readiness {
        Readiness::Ready => answer::text(StatusCode::OK, "ready"),
        Readiness::NotReady(reason) => answer::text(StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

#[async_trait]
impl ServeHttp for Door {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        let head = session.req_header();
        let method = head.method.clone();
        let credentials = head
            .headers
            .get(http::header::AUTHORIZATION)
            .map(http::HeaderValue::as_bytes);
        let path = (head.uri.path(), head.uri.query().unwrap_or_default());
        let mut response = self.answer(&method, path, credentials).await;
        if method == Method::HEAD {
            response.body_mut().clear();
        }
        if !swallow_body(session).await {
            session.set_keepalive(None);
        }
        response
    }
}

/// Reads what the client sends although nobody asked for it; `false` when that is too much or breaks off.
async fn swallow_body(session: &mut ServerSession) -> bool {
    let mut seen = 0;
    loop {
        match session.read_request_body().await {
            Ok(Some(chunk)) => seen += chunk.len(),
            Ok(None) => return true,
            Err(_) => return false,
        }
        if seen > LARGEST_BODY {
            return false;
        }
    }
}

#[cfg(test)]
mod tests;
