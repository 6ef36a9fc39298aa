//! What the tests share: a gate in this process, a model upstream, and clients that see every byte.
#![allow(dead_code, reason = "each test crate uses its part of it")]

pub mod client;
pub mod hurried;
pub mod origin;
pub mod pki;
pub mod process;
pub mod raw2;
pub mod script;
pub mod seen;
pub mod shim;
pub mod wire;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tidegate::app::{Options, Running};
use tidegate::observe::{LimitRow, Snapshot};

/// Longest that any test waits for something to happen. Nothing is judged by how long it took.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a gate with this configuration text; port 0 means a free one.
pub fn gate(text: &str) -> Running {
    gate_with(text, Options::default())
}

pub fn gate_with(text: &str, options: Options) -> Running {
    let config = match tidegate::config::parse(text, Path::new(".")) {
        Ok(config) => config,
        Err(faults) => panic!("{faults}\n{text}"),
    };
    tidegate::app::start(&config, options).unwrap()
}

/// A configuration with one plain listener, in front of `origin`, with `limits` (TOML below
/// `[[upstream]]`) and nothing else: no profile limit is on.
pub fn plain(origin: SocketAddr, limits: &str) -> String {
    with_listen(origin, "", limits)
}

/// As [`plain`], with more lines in `[listen]`.
pub fn with_listen(origin: SocketAddr, listen: &str, limits: &str) -> String {
    format!(
        r#"
[listen]
http = ["127.0.0.1:0"]
admin = "127.0.0.1:0"
{listen}
[runtime]
threads = 2
drain = "20s"
[state]
url = "memory"
[log]
access = "off"
[[upstream]]
name = "up"
address = "http://{origin}"
profile = "generic"
idle_timeout = "10s"
{limits}
"#
    )
}

/// A gate before `upstream` with the routes and limits of a vCenter, and these lines on top of them.
pub fn vcenter(upstream: SocketAddr, lines: &str) -> Running {
    let text = plain(upstream, lines);
    gate(&text.replace("profile = \"generic\"", "profile = \"vcenter-8.0\""))
}

/// The key that signs webhooks, of the gates of these tests.
pub const WEBHOOK_KEY: &str = "an-unguessable-key-of-33-letters!";

/// Lines of `[tasks]` that let webhooks go below `prefix`, signed by [`WEBHOOK_KEY`].
pub fn webhooks(prefix: &str) -> String {
    let file =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("webhook-{}.key", std::process::id()));
    std::fs::write(&file, WEBHOOK_KEY).unwrap();
    let file = file.display();
    format!("webhooks = [\"{prefix}\"]\nwebhook_secret = \"file:{file}\"")
}

/// Polls until `done` says so; fails with `what` after [`PATIENCE`].
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(
            Instant::now() < deadline,
            "waited {PATIENCE:?} in vain: {what}"
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The row of limit `name` of upstream `up`, or of the gate itself.
pub fn limit(snapshot: &Snapshot, name: &str) -> LimitRow {
    let row = snapshot.limits.iter().find(|row| &*row.name == name);
    row.unwrap_or_else(|| panic!("no limit {name} in {snapshot:?}"))
        .clone()
}

/// Waits until no limit has a unit in use (idle sockets to the upstream apart) and no counter
/// differs from its holders.
pub async fn all_given_back(gate: &Running) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Some(left) = left(&gate.snapshot()) else {
            return;
        };
        assert!(Instant::now() < deadline, "not given back: {left}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// What is still held, or counted wrong.
fn left(snapshot: &Snapshot) -> Option<String> {
    let spared = ["requests", "upstream_connections", "connections"];
    let held = snapshot
        .limits
        .iter()
        .find(|row| row.audit_mismatch != 0 || (row.in_use > 0 && !spared.contains(&row.counts)));
    let busy = snapshot.upstreams.iter().find(|row| row.open != row.idle);
    held.map(|row| format!("{row:?}"))
        .or_else(|| busy.map(|row| format!("{row:?}")))
}
