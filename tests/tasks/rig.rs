//! A gate as a process, on a database that outlives it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::model::Model;
use crate::support::PATIENCE;
use crate::support::client::Client;
use crate::support::process::Process;

/// What the routes of a vCenter are not: short in doubt, and one of each kind.
const ROUTES: &str = r#"
[[upstream.route]]
name = "clone"
match = { method = "POST", path = "/api/vcenter/vm", query = { action = "clone" } }
class = "blocking"
json = true
probe = { get = "/api/vcenter/vm?names={/name}", json = "/0/vm", every = "100ms" }
[[upstream.route]]
name = "clone-again"
match = { method = "POST", path = "/api/vcenter/vm", query = { action = "instant-clone" } }
class = "blocking"
probe = { get = "/api/vcenter/vm?names={/name}", json = "/0/vm", every = "100ms" }
requeue = true
[[upstream.route]]
name = "blind"
match = { method = "POST", path = "/api/blind" }
class = "blocking"
[[upstream.route]]
name = "set"
match = { method = "PUT", path = "/api/state/*" }
class = "blocking"
"#;

/// What the operator shows.
pub const TOKEN: &str = "an-unguessable-token-of-35-letters!";

/// A configuration, in the parts that tests change.
pub struct Setup {
    pub folder: PathBuf,
    /// The lines of `[tasks]`.
    pub tasks: String,
    /// What the process is started with.
    pub env: Vec<(String, String)>,
}

impl Setup {
    /// An empty folder for this test alone; what is in doubt is in doubt for seconds.
    pub fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("tidegate-tasks-{name}-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder).unwrap();
        let folder = folder.canonicalize().unwrap();
        std::fs::write(folder.join("admin.token"), TOKEN).unwrap();
        Self {
            folder,
            tasks: "max_blocking = \"2s\"\nreconcile = \"6s\"".to_owned(),
            env: Vec::new(),
        }
    }

    pub fn tasks(mut self, lines: &str) -> Self {
        self.tasks = lines.to_owned();
        self
    }

    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    pub fn database(&self) -> PathBuf {
        self.folder.join("tidegate.db")
    }

    fn text(&self, model: SocketAddr) -> String {
        format!(
            r#"
[listen]
http = ["127.0.0.1:0"]
admin = "127.0.0.1:0"
max_connections = {{ http = 4000 }}
[admin]
token = "file:{folder}/admin.token"
[runtime]
threads = 2
drain = "5s"
[state]
url = "sqlite://{folder}/tidegate.db"
key_file = "{folder}/state.key"
[tasks]
{tasks}
[log]
access = "off"
[[upstream]]
name = "vc"
address = "http://{model}"
profile = "vcenter-8.0"
native = false
[upstream.limits.request_rate]
limit = 100000
{ROUTES}
"#,
            folder = self.folder.display(),
            tasks = self.tasks,
        )
    }
}

/// A gate that dies and comes back.
pub struct Gate {
    setup: Setup,
    text: String,
    process: Option<Process>,
    /// What gates before this one have logged.
    logged: String,
    /// Where it listens now; none while it is dead.
    at: Arc<Mutex<Option<SocketAddr>>>,
}

impl Gate {
    pub async fn start(setup: Setup, model: &Model) -> Self {
        let mut gate = Self {
            text: setup.text(model.address),
            setup,
            process: None,
            logged: String::new(),
            at: Arc::default(),
        };
        gate.again().await;
        gate
    }

    /// Starts it on the same database; it is dead.
    pub async fn again(&mut self) {
        let env = self.setup.env.clone();
        let env: Vec<(&str, &str)> = env.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert!(self.tried(&env).await, "it does not stand: {}", self.logged);
    }

    /// As [`Gate::again`], with `env` instead of what was set; false where it ends instead of standing.
    pub async fn tried(&mut self, env: &[(&str, &str)]) -> bool {
        assert!(self.process.is_none());
        match Process::tried(&self.text, &self.setup.folder, env).await {
            Ok(process) => {
                *self.at.lock().unwrap() = Some(process.http);
                self.process = Some(process);
                true
            }
            Err(log) => {
                self.logged += &log;
                false
            }
        }
    }

    fn process(&self) -> &Process {
        self.process.as_ref().expect("it lives")
    }

    pub fn http(&self) -> SocketAddr {
        self.process().http
    }

    pub fn door(&self) -> SocketAddr {
        self.process().door
    }

    /// Where it listens, for those who outlive it.
    pub fn whereabouts(&self) -> Arc<Mutex<Option<SocketAddr>>> {
        self.at.clone()
    }

    pub fn folder(&self) -> &Path {
        &self.setup.folder
    }

    pub fn database(&self) -> PathBuf {
        self.setup.database()
    }

    /// Kills it (SIGKILL) when it is called, from wherever.
    pub fn killer(&self) -> impl FnOnce() + Send + 'static {
        let id: Pid = self.process().id();
        move || _ = kill_process(id, Signal::KILL)
    }

    /// Kills it (SIGKILL).
    pub fn kill(&mut self) {
        self.ends(Process::kill);
    }

    /// Has it leave in order.
    pub fn stop(&mut self) {
        self.ends(Process::stop);
    }

    /// Whether something else has killed it.
    pub fn is_dead(&mut self) -> bool {
        self.process.as_mut().is_none_or(Process::has_ended)
    }

    fn ends(&mut self, how: impl FnOnce(&mut Process)) {
        *self.at.lock().unwrap() = None;
        let Some(mut process) = self.process.take() else {
            return;
        };
        how(&mut process);
        self.logged += &process.log();
    }

    /// What it has logged, in all its lives.
    pub fn log(&self) -> String {
        let now = self.process.as_ref().map(Process::log);
        self.logged.clone() + &now.unwrap_or_default()
    }

    /// What the operator's door says under `path`.
    pub async fn shown(&self, path: &str) -> String {
        let answer = Client::connect(self.door()).await.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        String::from_utf8(answer.body).unwrap()
    }

    /// Fails unless every seat comes back and no counter differs from its holders.
    pub async fn all_given_back(&self) {
        let deadline = Instant::now() + PATIENCE;
        while let Some(left) = self.left().await {
            if Instant::now() >= deadline {
                let held =
                    "/explain?upstream=vc&method=POST&target=/api/vcenter/vm%3Faction%3Dclone";
                let (held, tasks) = (self.shown(held).await, self.shown("/tasks").await);
                panic!("not given back: {left}\n{held}\n{tasks}\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn left(&self) -> Option<String> {
        let metrics = self.shown("/metrics").await;
        let wrong = metrics
            .lines()
            .find(|line| line.starts_with("tidegate_audit_mismatch") && !line.ends_with(" 0"));
        if let Some(wrong) = wrong {
            return Some(wrong.to_owned());
        }
        let limits: Value = serde_json::from_str(&self.shown("/limits").await).unwrap();
        let rows = limits["limits"].as_array().unwrap().iter();
        let mut held = rows.filter(|row| row["counts"] == "requests_in_flight");
        held.find(|row| row["in_use"] != 0 || row["waiting"] != 0)
            .map(Value::to_string)
    }
}
