//! Limits and routes once checked: plain data about what may pass and what is what.

use std::sync::Arc;
use std::time::Duration;

use super::after::After;
use super::work::Work;
use crate::call::Class;

/// One limit of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Its name, `[a-z0-9_]+`: the same word in log, metric label, response and README.
    pub name: Arc<str>,
    /// What is counted.
    pub counts: Counts,
    /// For whom.
    pub key: Key,
    /// Which calls; everything when empty.
    pub matches: Match,
    /// The ceiling: requests, sockets, sessions, or bytes. 0 blocks.
    pub limit: u64,
    /// Rates: at most `limit` in any window of this length; zero for everything else.
    pub window: Duration,
    /// Rates: at most this many back to back, never above `limit`; zero for everything else.
    pub burst: u64,
    /// Enforce, or only count and report. A limit that is `off` is not in the list.
    pub mode: Mode,
    /// Status of a refusal: 429 or 503; 502 for [`Counts::ResponseBytes`], always.
    pub full_status: u16,
    /// Who may wait, and how long.
    pub wait: Wait,
    /// Why this version does not enforce the limit; `None` when it does.
    pub not_enforced: Option<&'static str>,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// Open sockets to the upstream, idle pooled ones too.
    UpstreamConnections,
    /// Calls in flight.
    RequestsInFlight,
    /// Calls per sliding window.
    Requests,
    /// Live login sessions.
    Sessions,
    /// Logins in flight.
    SessionCreations,
    /// Bytes of one response.
    ResponseBytes,
}

/// For whom a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// Everybody together.
    All,
    /// Each user apart.
    User,
    /// Each client address apart.
    Address,
    /// Each login session apart.
    Session,
}

/// Whether a limit refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Refuses.
    Enforce,
    /// Counts and reports what it would have refused.
    Shadow,
}

/// Which calls a limit or route speaks of. An empty list or `None` leaves that side open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Match {
    /// Classes, any of them.
    pub class: Vec<Class>,
    /// Names of routes, any of them.
    pub route: Vec<String>,
    /// Method, upper case.
    pub method: Option<String>,
    /// Path pattern: `*` is one segment, `**` any number, at the end only.
    pub path: Option<String>,
    /// Query parameters that must be there with these values.
    pub query: Vec<(String, String)>,
    /// Header fields, names in lower case, that must be there with these values.
    pub header: Vec<(String, String)>,
    /// JSON-RPC service pattern: `*` at the end matches the rest.
    pub service: Option<String>,
    /// JSON-RPC or SOAP operation.
    pub operation: Option<String>,
}

/// Who may wait for a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// Most calls in line; 0: refuse at once.
    pub line: u64,
    /// Most calls of one user in line, never above `line`.
    pub per_user: u64,
    /// Longest wait.
    pub at_most: Duration,
}

/// One route: which calls are what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// Which calls.
    pub matches: Match,
    /// What they are.
    pub class: Class,
    /// Whether a blocking call becomes a task.
    pub convert: Convert,
    /// Longest the work may take.
    pub deadline: Option<Duration>,
    /// Who goes first in a line.
    pub priority: Priority,
    /// How its calls are done as tasks.
    pub work: Work,
    /// What is done about tasks of it that would end badly. Every rule that is for the end of a task counts.
    pub after: Vec<After>,
}

/// When a blocking call becomes a task (`async = …`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convert {
    /// Never.
    Never,
    /// When the client asks.
    Prefer,
    /// When the client asks; and clients that do not ask are given the end of what the upstream does behind its answer.
    Wait,
    /// Always.
    Always,
}

/// Who goes first in a line (`priority = …`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for it: before all that is batch.
    Interactive,
    /// It can wait for everything else.
    Batch,
}
