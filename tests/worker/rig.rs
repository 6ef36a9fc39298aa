//! A crew at its desk, in front of a model upstream.

use std::any::Any;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use tidegate::admit::LimitView;
use tidegate::call::Caller;
use tidegate::config;
use tidegate::forward::Upstream;
use tidegate::limit::Moment;
use tidegate::session::Keys;
use tidegate::store::Memory;
use tidegate::task::{
    Bounds, Crew, Desk, Found, Means, Millis, Owner, Parcel, Record, Recovered, Replay, Requested,
    Roster, Submission, SubmitError, TaskId, TaskStore,
};
use tokio::task::JoinHandle;

/// Longest that any test waits for something to happen. Nothing is judged by how long it took.
const PATIENCE: Duration = Duration::from_secs(30);
/// A bound that no test meets.
pub const LONG: Duration = Duration::from_secs(3600);

/// What tests vary.
pub struct Set {
    /// Lines below `[[upstream]]`.
    pub lines: String,
    pub max_blocking: Duration,
    pub reconcile: Duration,
    pub store: Arc<dyn TaskStore>,
    pub keys: Arc<Keys>,
    pub roster: Arc<dyn Roster>,
}

impl Default for Set {
    fn default() -> Self {
        Self {
            lines: seats(10),
            max_blocking: LONG,
            reconcile: LONG,
            store: Arc::new(Memory::default()),
            keys: Arc::new(Keys::random().unwrap()),
            roster: Arc::new(Nobody),
        }
    }
}

/// A limit of so many blocking calls, with a line of one.
pub fn seats(limit: u64) -> String {
    format!(
        "[upstream.limits.blocking_tasks]\ncounts = \"requests_in_flight\"\nmatch = {{ class = [\"blocking\"] }}\n\
         limit = {limit}\nwait = {{ line = 500, per_user = 500, at_most = \"300s\" }}\n\
         [[upstream.route]]\nname = \"clone\"\nmatch = {{ path = \"/api/clone\" }}\nclass = \"blocking\"\n"
    )
}

/// No user is known.
pub struct Nobody;

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
    beside: Vec<JoinHandle<()>>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.beside.iter().for_each(JoinHandle::abort);
    }
}

impl Rig {
    pub async fn start(address: std::net::SocketAddr, set: Set) -> Self {
        let text = format!(
            "[[upstream]]\nname = \"up\"\naddress = \"http://{address}\"\nprofile = \"generic\"\n{}",
            set.lines
        );
        let config = match config::parse(&text, Path::new(".")) {
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
        let (desk, arriving) = Desk::new(set.store, set.keys, clock, bounds);
        let desk = Arc::new(desk.minding(&config.upstreams));
        let means = Means {
            desk: desk.clone(),
            upstreams: vec![upstream.clone()],
            roster: set.roster,
            clock: Arc::new(move || moment(epoch)),
            max_blocking: set.max_blocking,
            reconcile: set.reconcile,
        };
        let beside = vec![tokio::spawn(upstream.clone().watch_over())];
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

    /// Hands a task in.
    pub async fn submit(&self, requested: Requested) -> TaskId {
        self.try_submit(requested).await.unwrap()
    }

    /// The same, where it may be refused.
    pub async fn try_submit(&self, requested: Requested) -> Result<TaskId, SubmitError> {
        self.hand_in(requested, "{\"name\":\"web 02\"}").await
    }

    /// The same, with this body.
    pub async fn hand_in(
        &self,
        requested: Requested,
        body: impl Into<Bytes>,
    ) -> Result<TaskId, SubmitError> {
        self.hand_in_as("token", requested, body).await
    }

    /// The same, in the session of this token.
    pub async fn hand_in_as(
        &self,
        token: &'static str,
        requested: Requested,
        body: impl Into<Bytes>,
    ) -> Result<TaskId, SubmitError> {
        let mut headers = HeaderMap::new();
        let token = HeaderValue::from_static(token);
        headers.insert("vmware-api-session-id", token);
        let target = requested.target.clone();
        let parcel = Parcel {
            target,
            headers,
            body: body.into(),
            look: None,
        };
        let request = parcel.encode();
        let submission = Submission {
            requested,
            request,
            key: None,
        };
        let receipt = self.desk.submit(submission).await?;
        Ok(receipt.task.id)
    }

    pub async fn task(&self, id: TaskId) -> Arc<Record> {
        match self.desk.find(id).await.unwrap() {
            Found::Task(task) => task,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the task is over; holds that its history is one that the machine knows.
    pub async fn over(&self, id: TaskId) -> Arc<Record> {
        let until = Instant::now() + PATIENCE;
        loop {
            let task = self.task(id).await;
            assert_eq!(task.replayed(), Ok(task.status), "{task:?}");
            if task.status.state().is_done() {
                let kind = task.error.as_ref().map(|fault| fault.kind);
                let is_told = kind.is_none_or(|kind| tidegate::task::api::kind(kind).is_some());
                assert!(is_told, "{kind:?} is explained nowhere");
                return task;
            }
            assert!(Instant::now() < until, "not over: {task:?}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub fn view(&self, limit: &str) -> LimitView {
        let mut views = self.upstream.stack().views(moment(self.epoch)).into_iter();
        views.find(|view| &*view.name == limit).unwrap()
    }

    pub fn now(&self) -> Moment {
        moment(self.epoch)
    }

    /// Seats that are taken.
    pub fn seated(&self) -> u64 {
        self.view("blocking_tasks").in_use
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

/// A clone, to be done once at most.
pub fn clone() -> Requested {
    Requested {
        upstream: "up".into(),
        route: "clone".into(),
        pool: "blocking_tasks".into(),
        method: "POST".to_owned(),
        target: "/api/clone".to_owned(),
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
    }
}

/// This long from now.
pub fn shortly(wait: Duration) -> Millis {
    Millis::from(SystemTime::now()).after(wait)
}

/// Polls until `done` says so.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
