//! A gate in front of the model, and what its operator sees.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tidegate::app::{Options, Running};

use crate::support::client::{Answer, Client};
use crate::support::process::Process;
use crate::support::{gate_with, limit};

/// A configuration, in parts.
#[derive(Clone)]
pub struct Setup {
    pub profile: &'static str,
    /// Calls wait in line as the profile says.
    pub waits: bool,
    /// What is said of a limit, beside what its profile says.
    pub limits: Vec<(&'static str, &'static str)>,
    /// The lines of `[admin]`.
    pub admin: String,
    /// The lines of `[state]`.
    pub state: String,
    /// The lines of `[log]`.
    pub log: String,
    pub http: SocketAddr,
    pub door: SocketAddr,
}

impl Setup {
    /// As the profile says, but that nothing waits in line: what is full refuses at once, and calls that block are held: no
    /// form of the upstream's own is used. The rate is out of the way, so that a fast machine does not meet it.
    pub fn of(profile: &'static str) -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            profile,
            waits: false,
            limits: vec![("request_rate", "limit = 100000")],
            admin: String::new(),
            state: "url = \"memory\"".to_owned(),
            log: "access = \"off\"".to_owned(),
            http: free,
            door: free,
        }
    }

    /// As the profile says.
    pub fn as_it_is(profile: &'static str) -> Self {
        Self {
            waits: true,
            limits: Vec::new(),
            ..Self::of(profile)
        }
    }

    /// More is said of the limit `name`.
    pub fn limit(mut self, name: &'static str, lines: &'static str) -> Self {
        self.limits.retain(|(other, _)| *other != name);
        self.limits.push((name, lines));
        self
    }

    /// State in `folder`, which outlives the gate.
    pub fn kept_in(mut self, folder: &Path) -> Self {
        let folder = folder.display();
        self.state =
            format!("url = \"sqlite://{folder}/tidegate.db\"\nkey_file = \"{folder}/state.key\"");
        self
    }

    pub fn text(&self, model: SocketAddr) -> String {
        let mut limits = BTreeMap::new();
        if !self.waits {
            limits = waits(self.profile);
        }
        for (name, lines) in &self.limits {
            *limits.entry((*name).to_owned()).or_default() += &format!("{lines}\n");
        }
        let limits: String = limits
            .iter()
            .map(|(name, lines)| format!("[upstream.limits.{name}]\n{lines}"))
            .collect();
        format!(
            r#"
[listen]
http = ["{http}"]
admin = "{door}"
max_connections = {{ http = 6000 }}
[runtime]
threads = 2
drain = "20s"
[state]
{state}
[admin]
{admin}
[log]
{log}
[[upstream]]
name = "vc"
address = "http://{model}"
profile = "{profile}"
adapters = []
{limits}
"#,
            http = self.http,
            door = self.door,
            state = self.state,
            admin = self.admin,
            log = self.log,
            profile = self.profile,
        )
    }

    pub fn start(&self, model: SocketAddr) -> Running {
        gate_with(&self.text(model), Options::default())
    }

    /// A gate as a process, its configuration in `folder`. It logs as for an operator who looks for a fault in a hurry.
    pub async fn process(&self, model: SocketAddr, folder: &Path) -> Process {
        let level = "trace,pingora_proxy=trace,pingora_core::protocols=trace,h2=trace";
        Process::start(&self.text(model), folder, &[("RUST_LOG", level)]).await
    }
}

/// `wait = { line = 0 }` for each limit of the profile that has a line.
fn waits(profile: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/profiles");
    let text = std::fs::read_to_string(folder.join(format!("{profile}.toml"))).unwrap();
    let mut waits = BTreeMap::new();
    let mut name = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("[limits.") {
            name = Some(rest.trim_end_matches(']').to_owned());
        } else if line.starts_with("wait") {
            let wait = "wait = { line = 0 }\n".to_owned();
            waits.insert(name.clone().expect("a wait belongs to a limit"), wait);
        }
    }
    waits
}

/// An empty folder for this test alone.
pub fn folder(name: &str) -> PathBuf {
    let path =
        std::env::temp_dir().join(format!("tidegate-sessions-{name}-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&path));
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// What the operator's door says under `path`.
pub async fn shown(door: SocketAddr, path: &str) -> Value {
    let answer = Client::connect(door).await.get(path).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

/// The rows of `/sessions`.
pub async fn rows(door: SocketAddr) -> Vec<Value> {
    let shown = shown(door, "/sessions").await;
    shown["sessions"].as_array().unwrap().clone()
}

/// Kind and user of every session that the gate knows, sorted: as the model's `live`.
pub async fn listed(door: SocketAddr) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or("nobody").to_owned();
    let mut listed: Vec<_> = rows(door)
        .await
        .iter()
        .map(|row| (text(&row["kind"]), text(&row["user"])))
        .collect();
    listed.sort();
    listed
}

/// Units in use of limit `name`.
pub fn in_use(gate: &Running, name: &str) -> u64 {
    limit(&gate.snapshot(), name).in_use
}

/// How often limit `name` refused.
pub fn refused(gate: &Running, name: &str) -> u64 {
    limit(&gate.snapshot(), name).refused.iter().sum()
}

/// Fails unless `answer` is a refusal by `limit` with this status.
#[track_caller]
pub fn is_refused(answer: &Answer, status: u16, limit: &str) {
    let said = (answer.status, answer.header("tidegate-limit"));
    assert_eq!(said, (status, Some(limit)), "{answer:?}");
    let retry = answer.header("retry-after").expect("a time to come back");
    assert!(retry.parse::<u64>().unwrap() >= 1, "{answer:?}");
}
