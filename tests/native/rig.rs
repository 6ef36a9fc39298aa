//! A crew at its desk, in front of a vendor's model, with a dialect that polls ten times a second.

use std::any::Any;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tidegate::call::Caller;
use tidegate::config;
use tidegate::forward::Upstream;
use tidegate::limit::Moment;
use tidegate::session::Keys;
use tidegate::store::Memory;
use tidegate::task::{
    Answer, Bounds, Crew, Desk, Event, Found, Means, Owner, Parcel, Record, Recovered, Replay,
    Requested, Roster, Status, Submission, TaskId, TaskStore,
};
use tokio::task::JoinHandle;

/// Longest that any test waits for something to happen. Nothing is judged by how long it took.
const PATIENCE: Duration = Duration::from_secs(30);
/// A bound that no test meets.
pub const LONG: Duration = Duration::from_secs(3600);
pub const CLONE: &str = "/api/vcenter/vm?action=clone";

/// What outlives a gate.
#[derive(Clone)]
pub struct Kept {
    store: Arc<dyn TaskStore>,
    keys: Arc<Keys>,
}

impl Default for Kept {
    fn default() -> Self {
        Self::on(Arc::new(Memory::default()))
    }
}

impl Kept {
    pub fn on(store: Arc<dyn TaskStore>) -> Self {
        Self {
            store,
            keys: Arc::new(Keys::random().unwrap()),
        }
    }
}

/// No user is known.
struct Nobody;

impl Roster for Nobody {
    fn caller(&self, _: usize, _: &Requested) -> (Caller, NonZeroU32) {
        (Caller::default(), NonZeroU32::MIN)
    }

    fn busy(&self, _: &Requested) -> Option<Box<dyn Any + Send>> {
        None
    }
}

pub struct Rig {
    pub desk: Arc<Desk>,
    pub crew: Crew,
    pub upstream: Arc<Upstream>,
    pub found: Recovered,
    epoch: Instant,
    beside: JoinHandle<()>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.beside.abort();
    }
}

/// The built-in dialect, in a hurry. It goes before the profile's own.
pub fn hurried(dialect: &str) -> String {
    let (text, name) = match dialect {
        "vcenter" => (
            include_str!("../../config/dialects/vcenter.toml"),
            "name  = \"vcenter\"",
        ),
        "nsx-v" => (
            include_str!("../../config/dialects/nsx-v.toml"),
            "name  = \"nsx-v\"",
        ),
        "skytap" => (
            include_str!("../../config/dialects/skytap.toml"),
            "name  = \"skytap\"",
        ),
        "redfish" => (
            include_str!("../../config/dialects/redfish.toml"),
            "name  = \"redfish\"",
        ),
        other => panic!("{other}"),
    };
    assert!(text.contains(name));
    let text = text.replacen(name, "name  = \"hurried\"", 1);
    if dialect == "skytap" {
        let hurried = text
            .replace("every = \"10s\"", "every = \"100ms\"")
            .replace("apart = \"2s\"", "apart = \"100ms\"");
        assert!(!hurried.contains("\"10s\"") && !hurried.contains("\"2s\""));
        return hurried;
    }
    let hurried = text
        .replace("\"5s..30s\"", "\"100ms..300ms\"")
        .replace("\"2s..15s\"", "\"100ms..300ms\"")
        .replace("\"2s..30s\"", "\"100ms..300ms\"")
        .replace("\nwithin  = \"10s\"", "\nwithin  = \"2s\"")
        .replace(
            "\nstarted = \"start_time\"",
            "\nstarted = \"start_time\"\nwithin  = \"2s\"",
        )
        .replacen(
            "started   =",
            "confirm   = { apart = \"100ms\" }\nstarted   =",
            1,
        );
    assert!(!hurried.contains("s..30s\"") && hurried.contains("100ms..300ms"));
    assert!(dialect == "redfish" || hurried.contains("within  = \"2s\""));
    hurried
}

impl Rig {
    pub async fn skytap(address: SocketAddr) -> Self {
        Self::start(address, "skytap", "", &Kept::default()).await
    }

    pub async fn vcenter(address: SocketAddr) -> Self {
        Self::start(address, "vcenter", "", &Kept::default()).await
    }

    /// A gate whose upstream has these lines.
    pub async fn start(address: SocketAddr, dialect: &str, lines: &str, kept: &Kept) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let file = format!("hurried-{dialect}-{}.toml", std::process::id());
        std::fs::write(folder.join(&file), hurried(dialect)).unwrap();
        let profile = match dialect {
            "vcenter" => "vcenter-8.0",
            "redfish" => "generic",
            other => other,
        };
        let text = format!(
            "[[upstream]]\nname = \"up\"\naddress = \"http://{address}\"\nprofile = \"{profile}\"\n\
             dialect_files = [\"./{file}\"]\n{lines}"
        );
        let config = match config::parse(&text, folder) {
            Ok(config) => config,
            Err(faults) => panic!("{faults}\n{text}"),
        };
        let upstream = Upstream::build(&config.upstreams[0], 0, 1).unwrap();
        let bounds = Bounds {
            of_upstream: 10_000,
            of_owner: 10_000,
            retention: LONG,
        };
        let epoch = Instant::now();
        let clock = Arc::new(SystemTime::now);
        let (desk, arriving) = Desk::new(kept.store.clone(), kept.keys.clone(), clock, bounds);
        let desk = Arc::new(desk.minding(&config.upstreams));
        let means = Means {
            desk: desk.clone(),
            upstreams: vec![upstream.clone()],
            roster: Arc::new(Nobody),
            clock: Arc::new(move || moment(epoch)),
            max_blocking: LONG,
            reconcile: LONG,
        };
        let beside = tokio::spawn(upstream.clone().watch_over());
        let (crew, found) = Crew::start(means, arriving).await.unwrap();
        Self {
            desk,
            crew,
            upstream,
            found,
            epoch,
            beside,
        }
    }

    /// Hands in a clone of this name.
    pub async fn clone(&self, name: &str) -> TaskId {
        let call = Call::clone(name);
        self.submit(&call).await
    }

    pub async fn submit(&self, call: &Call) -> TaskId {
        let mut headers = HeaderMap::new();
        for (name, value) in &call.headers {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let parcel = Parcel {
            target: call.requested.target.clone(),
            headers,
            body: Bytes::from(call.body.clone()),
            look: None,
        };
        let submission = Submission {
            requested: call.requested.clone(),
            request: parcel.encode(),
            key: None,
        };
        self.desk.submit(submission).await.unwrap().task.id
    }

    pub async fn task(&self, id: TaskId) -> Arc<Record> {
        match self.desk.find(id).await.unwrap() {
            Found::Task(task) => task,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the task stands there.
    pub async fn reaches(&self, id: TaskId, status: Status) -> Arc<Record> {
        self.until(id, |task| task.status == status).await
    }

    /// Waits until the task is over; holds that its history is one that the machine knows.
    pub async fn over(&self, id: TaskId) -> Arc<Record> {
        let task = self.until(id, |task| task.status.state().is_done()).await;
        assert_eq!(task.replayed(), Ok(task.status), "{task:?}");
        task
    }

    async fn until(&self, id: TaskId, enough: impl Fn(&Record) -> bool) -> Arc<Record> {
        let until = Instant::now() + PATIENCE;
        loop {
            let task = self.task(id).await;
            if enough(&task) {
                return task;
            }
            assert!(Instant::now() < until, "waited in vain: {task:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The answer that is kept: status and body.
    pub async fn said(&self, id: TaskId) -> (u16, String) {
        let answer = self.answer(id).await;
        let body = String::from_utf8(answer.body.to_vec()).unwrap();
        (answer.status, body)
    }

    pub async fn answer(&self, id: TaskId) -> Answer {
        self.desk.answer(id).await.unwrap().expect("an answer")
    }

    /// Seats of blocking calls that are taken.
    pub fn seated(&self) -> u64 {
        let views = self.upstream.stack().views(moment(self.epoch));
        let mut views = views.into_iter();
        views
            .find(|view| &*view.name == "blocking_tasks")
            .unwrap()
            .in_use
    }

    /// Stops; every unit has come back, and every counter says so.
    pub async fn stop(&self) {
        self.crew.stop().await;
        assert_eq!(self.crew.in_flight(), 0);
        for view in self.upstream.stack().views(moment(self.epoch)) {
            if !["requests", "upstream_connections"].contains(&view.counts) {
                assert_eq!((view.in_use, view.waiting), (0, 0), "{view:?}");
            }
        }
        for (name, mismatch) in self.upstream.stack().audit() {
            assert_eq!(mismatch, 0, "{name}");
        }
    }
}

fn moment(epoch: Instant) -> Moment {
    Moment::from_start(epoch.elapsed())
}

/// A call to be made a task of.
pub struct Call {
    pub requested: Requested,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Call {
    pub fn clone(name: &str) -> Self {
        let body = format!("{{\"source\":\"vm-11\",\"name\":\"{name}\"}}");
        Self::new("POST", CLONE, "vm-clone", &body)
    }

    /// A call of the user `a`, by the password that models take.
    pub fn new(method: &str, target: &str, route: &str, body: &str) -> Self {
        let pair = base64::engine::general_purpose::STANDARD.encode("a:pw");
        let headers = [
            ("authorization", format!("Basic {pair}")),
            ("content-type", "application/json".to_owned()),
            ("accept-encoding", "gzip".to_owned()),
        ];
        Self {
            requested: Requested {
                upstream: "up".into(),
                route: route.into(),
                pool: "blocking_tasks".into(),
                method: method.to_owned(),
                target: target.to_owned(),
                operation: None,
                body_sha256: [0; 32],
                owner: Owner("user:a".into()),
                user: Some("a".into()),
                session: None,
                address: "192.0.2.1".parse().unwrap(),
                replay: Replay::AtMostOnce,
                start_deadline: None,
                run_for: LONG,
                callback: None,
                request_id: None,
            },
            headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
            body: body.to_owned(),
        }
    }
}

/// How often this happened to a task.
pub fn times(task: &Record, event: Event) -> usize {
    let moves = task.history.iter();
    moves.filter(|moved| moved.event == event).count()
}

/// Polls until `done` says so.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
