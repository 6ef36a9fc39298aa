//! A crew at its desk, in front of one upstream: what the rigs of tests/worker and tests/native are made of.

use std::any::Any;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tidegate::admit::LimitView;
use tidegate::call::Caller;
use tidegate::config;
use tidegate::forward::Upstream;
use tidegate::limit::Moment;
use tidegate::session::Keys;
use tidegate::task::{
    Bounds, Crew, Desk, Found, Means, Owner, Parcel, Record, Recovered, Replay, Requested, Roster,
    Submission, SubmitError, TaskId, TaskStore,
};
use tokio::task::JoinHandle;

/// Longest that any test waits for something to happen. Nothing is judged by how long it took.
const PATIENCE: Duration = Duration::from_secs(30);
/// A bound that no test meets.
pub const LONG: Duration = Duration::from_secs(3600);

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

/// What a crew stands on.
pub struct Ground {
    pub store: Arc<dyn TaskStore>,
    pub keys: Arc<Keys>,
    pub roster: Arc<dyn Roster>,
    pub max_blocking: Duration,
    pub reconcile: Duration,
}

pub struct Standing {
    pub desk: Arc<Desk>,
    pub crew: Crew,
    pub upstream: Arc<Upstream>,
    pub found: Recovered,
    epoch: Instant,
    beside: JoinHandle<()>,
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.beside.abort();
    }
}

impl Standing {
    /// In front of the one upstream of this configuration.
    pub async fn start(text: &str, ground: Ground) -> Self {
        let config = match config::parse(text, Path::new(".")) {
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
        let (desk, arriving) = Desk::new(ground.store, ground.keys, clock, bounds);
        let desk = Arc::new(desk.minding(&config.upstreams));
        let means = Means {
            desk: desk.clone(),
            upstreams: vec![upstream.clone()],
            roster: ground.roster,
            clock: Arc::new(move || moment(epoch)),
            max_blocking: ground.max_blocking,
            reconcile: ground.reconcile,
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

    /// Hands in a task that goes up as this.
    pub async fn hand_in(
        &self,
        requested: Requested,
        parcel: &Parcel,
    ) -> Result<TaskId, SubmitError> {
        let submission = Submission {
            requested,
            request: parcel.encode(),
            key: None,
        };
        Ok(self.desk.submit(submission).await?.task.id)
    }

    pub async fn task(&self, id: TaskId) -> Arc<Record> {
        match self.desk.find(id).await.unwrap() {
            Found::Task(task) => task,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the task is over; holds that its history is one that the machine knows.
    pub async fn over(&self, id: TaskId) -> Arc<Record> {
        let task = self.until(id, |task| task.status.state().is_done()).await;
        assert_eq!(task.replayed(), Ok(task.status), "{task:?}");
        let kind = task.error.as_ref().map(|fault| fault.kind);
        let is_told = kind.is_none_or(|kind| tidegate::task::api::kind(kind).is_some());
        assert!(is_told, "{kind:?} is explained nowhere");
        task
    }

    /// Waits until a task is as it is to be.
    pub async fn until(&self, id: TaskId, enough: impl Fn(&Record) -> bool) -> Arc<Record> {
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

    pub fn view(&self, limit: &str) -> LimitView {
        let mut views = self.upstream.stack().views(self.now()).into_iter();
        views.find(|view| &*view.name == limit).unwrap()
    }

    pub fn now(&self) -> Moment {
        moment(self.epoch)
    }

    /// Seats of blocking calls that are taken.
    pub fn seated(&self) -> u64 {
        self.view("blocking_tasks").in_use
    }

    /// Stops; every unit has come back, and every counter says so.
    pub async fn stop(&self) {
        self.crew.stop().await;
        assert_eq!(self.crew.in_flight(), 0);
        for view in self.upstream.stack().views(self.now()) {
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

/// A call of the user `a`, to be done once at most.
pub fn requested(method: &str, target: &str, route: &str) -> Requested {
    Requested {
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
    }
}

/// Polls until `done` says so.
pub async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
