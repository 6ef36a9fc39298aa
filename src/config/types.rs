//! The configuration once checked: plain data that names no station and cannot hold a wrong value.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

pub use super::account::Account;
pub use super::adapter::{
    Acceptor, Adapter, AnswerShape, Batch, Became, Before, Beside, BodyOf, Cancel, Confirm,
    Element, ErrorShape, Escape, FACE_STATES, Face, FaceRoute, Fill, Find, Form, Hole, KeyKind,
    KeyPart, List, Merge, Native, Part, Piece, Pieces, Poll, Progress, ResultShape, Rewrite, Says,
    Signature, Spot, StartedBy, TakenBack, Template, Test, What,
};
pub use super::after::{After, Bit, Blanks, Compensate, Ending, Fate, Retry, When};
pub use super::glob::{AgentPattern, Glob};
pub use super::overload::{ADAPTIVE_LIMIT, Adaptive};
pub use super::patience::Client;
pub use super::policy::{Convert, Counts, Key, Limit, Match, Mode, Priority, Route, Wait};
pub use super::refused::{HeaderSign, RefusalSignature};
pub use super::speech::Speech;
pub use super::work::{Busy, Probe, Replay, UpstreamKey, Work};

/// The whole file, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `[listen]`.
    pub listen: Listen,
    /// `[runtime]`.
    pub runtime: Runtime,
    /// `[state]`.
    pub state: State,
    /// `[tasks]`.
    pub tasks: Tasks,
    /// `[headers]`.
    pub headers: Headers,
    /// `[admin]`.
    pub admin: Admin,
    /// `[log]`.
    pub log: Log,
    /// `[[upstream]]`, at least one, names unique.
    pub upstreams: Vec<Upstream>,
}

/// `[listen]`: the sockets that clients meet, their deadlines and sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Plain listeners.
    pub http: Vec<SocketAddr>,
    /// TLS listeners.
    pub https: Vec<SocketAddr>,
    /// The operator's door.
    pub admin: SocketAddr,
    /// Certificate chain and key of the TLS listeners; present when `https` is not empty.
    pub certificate: Option<Certificate>,
    /// Bundle that client certificates must chain to (PEM).
    pub client_ca: Option<PathBuf>,
    /// Most sockets open at plain listeners (limit `connections_http`).
    pub max_connections_http: u32,
    /// Most sockets open at TLS listeners (limit `connections_https`).
    pub max_connections_https: u32,
    /// Longest TLS handshake.
    pub handshake_timeout: Duration,
    /// Longest request head: from accept (TLS: end of handshake), or the head's first byte on a reused connection, to its end.
    pub header_timeout: Duration,
    /// Longest silence between requests of one connection.
    pub idle_timeout: Duration,
    /// Longest pause inside a request body, and longest time that a client may take nothing of its answer.
    pub body_timeout: Duration,
    /// Longest whole request body of a call that is no transfer.
    pub body_deadline: Duration,
    /// Largest request head, bytes.
    pub max_header_bytes: u64,
    /// Largest request body of a call that is no transfer, bytes.
    pub max_body_bytes: u64,
    /// Networks whose `Forwarded` and `X-Forwarded-For` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Listeners (of `http` and `https`) that expect the PROXY protocol from a trusted proxy.
    pub proxy_protocol: Vec<SocketAddr>,
}

/// A certificate chain and its key, both PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The chain, leaf first.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// `[runtime]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// Worker threads; 0: one per core.
    pub threads: usize,
    /// After SIGTERM: how long calls in flight may finish.
    pub drain: Duration,
}

/// `[state]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Where durable state lives.
    pub store: Store,
    /// The key that encrypts tokens and credentials at rest.
    pub key_file: PathBuf,
}

/// Where durable state lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// Nothing survives the process: tests and benches.
    Memory,
    /// An `SQLite` database at this path.
    Sqlite(PathBuf),
}

/// `[tasks]`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "keys of the file that do not depend on each other"
)]
pub struct Tasks {
    /// Path prefix of the task API on the proxy listeners.
    pub prefix: String,
    /// Most tasks of an upstream that are not over.
    pub queue: usize,
    /// Most of these that are one user's.
    pub queue_per_user: usize,
    /// Largest request body of a task, bytes.
    pub max_body: u64,
    /// `Location` and links with scheme and host.
    pub absolute_urls: bool,
    /// Say in `Operation-Location` too where a task is.
    pub operation_location: bool,
    /// Say so in `Azure-AsyncOperation`.
    pub azure_async_operation: bool,
    /// Longest `Prefer: wait`.
    pub wait_max: Duration,
    /// How long results are kept.
    pub retention: Duration,
    /// How long a task is kept that the upstream never executed, or that it refused to somebody whom it never accepted.
    pub retention_unexecuted: Duration,
    /// Most tasks that are over and still kept.
    pub max_finished: usize,
    /// Most of these that are one user's.
    pub max_finished_per_user: usize,
    /// Most bytes of them.
    pub max_finished_bytes: u64,
    /// A dead gate's call holds its seat no longer than this.
    pub max_blocking: Duration,
    /// How long an in-doubt task may be probed.
    pub reconcile: Duration,
    /// Requests for one task by one user that are answered in a second, over time; 0: all.
    pub polls_per_second: u32,
    /// Shortest interval between polls of the upstream.
    pub poll_min: Duration,
    /// Let a client go from a call that the upstream is at work on when it cancels it.
    pub detach: bool,
    /// Allowed URL prefixes of webhooks.
    pub webhooks: Vec<String>,
    /// Key that signs webhooks.
    pub webhook_secret: Option<Secret>,
    /// What a client hears while it waits for the answer of a task that it does not know of.
    pub interim: Interim,
    /// How often.
    pub interim_every: Duration,
}

/// A sign of life before an answer, for clients of HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interim {
    /// None.
    #[default]
    Off,
    /// `102 Processing` (RFC 2518 section 10.1).
    Processing,
    /// `103 Early Hints` (RFC 8297), with a link to the task.
    EarlyHints,
}

/// `[headers]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Headers {
    /// Send `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11).
    pub ratelimit: bool,
    /// Honour `Idempotency-Key`.
    pub idempotency_key: bool,
}

/// `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// What every POST and DELETE needs; without one they answer 403.
    pub token: Option<Secret>,
    /// TLS on the admin listener.
    pub certificate: Option<Certificate>,
    /// Users with a reserved share, normalised names.
    pub break_glass_users: Vec<String>,
    /// Their share of sessions, logins and seats, in millionths (0.05 is 50 000).
    pub break_glass_share_ppm: u32,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `json` or `text`.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: LogLevel,
    /// Where the access log goes.
    pub access: AccessLog,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Least severity that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what needs a person.
    Error,
    /// And what may come to need one.
    Warn,
    /// And changes of state.
    Info,
    /// And each step.
    Debug,
    /// And what libraries say.
    Trace,
}

/// Where the access log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// Appended to this file.
    File(PathBuf),
}

/// A secret read from a `file:` reference. Never shown: `Debug` prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps the text of a secret.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(Arc::from(text))
    }

    /// The text itself, for comparing and signing only.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// One `[[upstream]]`, with its profile merged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Its name, unique: label `upstream` of metrics.
    pub name: Arc<str>,
    /// Where it listens.
    pub address: Address,
    /// The profile it was built from, a built-in name or a path.
    pub profile: String,
    /// Requests for these hosts go here (lower case, no port); empty: all.
    pub hosts: Vec<String>,
    /// What `Host` is sent up.
    pub host: HostHeader,
    /// How its certificate is verified.
    pub verify: Verify,
    /// How it speaks, and how long its sessions may idle.
    pub speech: Speech,
    /// Ride on the upstream's own async forms.
    pub native: bool,
    /// How long the gate gathers requests that it makes one, from the first of them on; zero: not at all, each is executed
    /// at once; `None`: the upstream's own form is used.
    pub merge_period: Option<Duration>,
    /// These forms: the operator's own first, then those inside the program; the first that matches a call holds.
    pub adapters: Vec<Adapter>,
    /// Dialects inside the program that they are from.
    pub dialects: Vec<String>,
    /// Files of the operator's that they are from, as they are written.
    pub dialect_files: Vec<String>,
    /// Longest time to connect, TLS included.
    pub connect_timeout: Duration,
    /// Longest silence of the upstream on an ordinary call.
    pub response_timeout: Duration,
    /// How long a pooled socket may idle.
    pub idle_timeout: Duration,
    /// Whether the gate finds out by itself how many calls at a time it takes.
    pub adaptive: Adaptive,
    /// How long calls wait for it while it is down, before they are refused with 503.
    pub blackout: Duration,
    /// Shrink limits for a while when it refuses by itself, never above what is configured.
    pub learn: bool,
    /// Who the gate itself is there.
    pub account: Option<Account>,
    /// What it is asked to find out whether it accepts the credentials of who asks for tasks (path and query of a GET); `None`:
    /// what its dialect knows.
    pub verify_with: Option<String>,
    /// How often its own numbers of utilization are read; `None`: never.
    pub utilization: Option<Duration>,
    /// Calls in one turn of a line, by user (text as it stands in `admin.break_glass.users`); who is absent has 1.
    pub weights: BTreeMap<String, NonZeroU32>,
    /// Client programs and their patience: its own first, then the profile's; the first that matches wins.
    pub clients: Vec<Client>,
    /// Answers that prove that it refused a call without executing it.
    pub refusals: Vec<RefusalSignature>,
    /// Its limits, profile and overlay merged, in the order of their names.
    pub limits: Vec<Limit>,
    /// Its routes: its own first, then the profile's.
    pub routes: Vec<Route>,
}

/// Where an upstream listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `https` rather than `http`.
    pub tls: bool,
    /// Name or IP address, no brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// What `Host` is sent up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostHeader {
    /// The upstream's own authority.
    Upstream,
    /// What the client sent.
    Client,
    /// This name.
    Name(String),
}

/// How an upstream's certificate is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verify {
    /// By the roots of the operating system.
    System,
    /// By the authorities in this PEM file.
    Ca(PathBuf),
    /// By the SHA-256 of the leaf certificate, self-signed or not.
    Fingerprint([u8; 32]),
    /// Not at all (`insecure = { skip_verify = true }`).
    Insecure,
}
