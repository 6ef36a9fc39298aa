//! A desk with an API over it, a clock and a die that the test holds, and who asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use tidegate::answer::Answer;
use tidegate::session::Keys;
use tidegate::task::api::{Api, Applied, Asked, Events, Pool, Reply, Settings};
use tidegate::task::{
    self, Bounds, Change, Desk, Event, Fault, Outcome, Owner, Receipt, Record, Replay, Requested,
    ResultHead, Source, Submission, TaskId, Viewer,
};

use crate::document;
use crate::shaky::Shaky;

pub const RETENTION: Duration = Duration::from_secs(24 * 3600);
/// No task has this name.
pub const NEVER_WAS: &str = "01JQ7Z6V3M8Q4T9B2K5N7R1C0D";
/// When the tests begin.
const START: u64 = 1_772_360_100_120;

pub struct Rig {
    pub api: Arc<Api>,
    pub desk: Arc<Desk>,
    pub store: Arc<Shaky>,
    clock: Arc<AtomicU64>,
    pub pool: Arc<Mutex<Option<Pool>>>,
}

pub fn viewer(user: &str) -> Viewer {
    Viewer {
        upstream: "vc1".into(),
        owners: vec![
            Owner(format!("user:{user}").into()),
            Owner("session:0a".into()),
        ],
    }
}

pub fn requested() -> Requested {
    Requested {
        upstream: "vc1".into(),
        route: "vcenter-vm-clone".into(),
        pool: "blocking_tasks".into(),
        method: "POST".to_owned(),
        target: "/api/vcenter/vm?action=clone&token=hunter2".to_owned(),
        operation: None,
        body_sha256: [0x9f; 32],
        owner: Owner("user:anna".into()),
        user: Some("anna".into()),
        session: None,
        address: "192.0.2.7".parse().unwrap(),
        replay: Replay::AtMostOnce,
        start_deadline: None,
        run_for: Duration::from_secs(3600),
        callback: None,
        request_id: None,
    }
}

/// A request, in the making.
pub struct Ask<'a> {
    rig: &'a Rig,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Bytes,
    viewer: Option<Viewer>,
    base: Option<&'static str>,
}

impl Rig {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let clock = Arc::new(AtomicU64::new(START));
        let store = Arc::new(Shaky::default());
        let hand = clock.clone();
        let bounds = Bounds {
            of_upstream: 5000,
            of_owner: 1250,
            retention: RETENTION,
        };
        let told =
            move || SystemTime::UNIX_EPOCH + Duration::from_millis(hand.load(Ordering::SeqCst));
        let keys = Arc::new(Keys::random().unwrap());
        let (desk, _) = Desk::new(store.clone(), keys, Arc::new(told), bounds);
        let desk = Arc::new(desk);
        let pool = Arc::new(Mutex::new(Some(Pool { seats: 10, free: 0 })));
        let shown = pool.clone();
        let mut settings = Settings {
            prefix: "/-/tasks".to_owned(),
            absolute_urls: false,
            wait_max: Duration::from_secs(60),
            max_body: 4 << 20,
            ratelimit: true,
            polls_per_second: 20,
            pools: Arc::new(move |_, name| {
                (name == "blocking_tasks")
                    .then(|| *shown.lock().unwrap())
                    .flatten()
            }),
            dice: Arc::new(|| 0.5),
        };
        change(&mut settings);
        Self {
            api: Arc::new(Api::new(desk.clone(), settings)),
            desk,
            store,
            clock,
            pool,
        }
    }

    pub fn pass(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.clock.fetch_add(millis, Ordering::SeqCst);
    }

    pub async fn submit(&self) -> TaskId {
        self.submit_as(requested()).await
    }

    pub async fn submit_as(&self, requested: Requested) -> TaskId {
        self.receipt(requested).await.task.id
    }

    pub async fn receipt(&self, requested: Requested) -> Receipt {
        // Ids are in order of time: each has a millisecond of its own.
        self.pass(Duration::from_millis(1));
        let submission = Submission {
            requested,
            request: Bytes::from_static(b"secret head and body"),
            key: None,
        };
        self.desk.submit(submission).await.unwrap()
    }

    pub async fn step(&self, id: TaskId, event: Event) -> Arc<Record> {
        self.change(id, event, Change::default()).await
    }

    pub async fn change(&self, id: TaskId, event: Event, change: Change) -> Arc<Record> {
        self.desk.advance(id, event, change).await.unwrap()
    }

    /// Sends it up.
    pub async fn run(&self, id: TaskId) -> Arc<Record> {
        self.step(id, Event::Dispatch).await;
        self.step(id, Event::Sent).await
    }

    /// Ends it with what the upstream answered.
    pub async fn end(&self, id: TaskId, event: Event, answer: task::Answer) -> Arc<Record> {
        let result = ResultHead {
            status: answer.status,
            content_type: Some("application/json".to_owned()),
            bytes: answer.body.len() as u64,
            source: Source::Answer,
        };
        let change = Change {
            answer: Some(answer),
            result: Some(result),
            outcome: Some(Outcome::Known),
            ..Change::default()
        };
        self.change(id, event, change).await
    }

    pub async fn complete(&self, id: TaskId) -> Arc<Record> {
        self.run(id).await;
        self.end(id, Event::Complete, answered(200, b"\"vm-1042\""))
            .await
    }

    /// Fails it without an answer.
    pub async fn fail(&self, id: TaskId, fault: Fault, outcome: Outcome) -> Arc<Record> {
        let change = Change {
            error: Some(fault),
            outcome: Some(outcome),
            ..Change::default()
        };
        self.change(id, Event::Fail, change).await
    }

    pub fn get(&self, target: impl Into<String>) -> Ask<'_> {
        self.ask(Method::GET, target)
    }

    pub fn ask(&self, method: Method, target: impl Into<String>) -> Ask<'_> {
        Ask {
            rig: self,
            method,
            target: target.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            viewer: Some(viewer("anna")),
            base: Some("https://vc1.gw.example"),
        }
    }

    pub fn ticket(&self, receipt: &Receipt, applied: &Applied) -> Answer {
        let answer = self
            .api
            .ticket(receipt, applied, Some("https://vc1.gw.example"));
        document::check_ticket(&answer);
        answer
    }
}

/// An answer of the upstream.
pub fn answered(status: u16, body: &'static [u8]) -> task::Answer {
    let field = |name: &str, value: &'static [u8]| (name.to_owned(), Bytes::from_static(value));
    task::Answer {
        status,
        headers: vec![
            field("content-type", b"application/json"),
            field("x-vendor", b"one"),
            field("x-vendor", b"two"),
        ],
        body: Bytes::from_static(body),
    }
}

impl Ask<'_> {
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        let value = HeaderValue::from_str(value).unwrap();
        self.headers.append(HeaderName::from_static(name), value);
        self
    }

    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub fn by(mut self, viewer: Option<Viewer>) -> Self {
        self.viewer = viewer;
        self
    }

    pub async fn reply(&self) -> Reply {
        let (path, query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.target.as_str(), None),
        };
        let asked = Asked {
            method: &self.method,
            path,
            query,
            headers: &self.headers,
            body: self.body.clone(),
            base: self.base,
        };
        self.rig.api.answer(&asked, self.viewer.as_ref()).await
    }

    /// The answer, which is as the document has it.
    pub async fn answer(&self) -> Answer {
        match self.reply().await {
            Reply::Whole(answer) => {
                document::check(&self.method, &self.target, &answer);
                answer
            }
            Reply::Events(events) => panic!("a stream: {events:?}"),
        }
    }

    /// The answer under another prefix, of which the document does not speak.
    pub async fn answer_elsewhere(&self) -> Answer {
        match self.reply().await {
            Reply::Whole(answer) => answer,
            Reply::Events(events) => panic!("a stream: {events:?}"),
        }
    }

    pub async fn events(&self) -> Events {
        match self.reply().await {
            Reply::Events(events) => {
                document::check(&self.method, &self.target, events.head());
                events
            }
            Reply::Whole(answer) => panic!("no stream: {answer:?}"),
        }
    }
}

pub fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    let found = answer.headers.iter().find(|(n, _)| n == name)?;
    found.1.to_str().ok()
}

pub fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// Last part of a problem's type, after its answer was seen to be one.
pub fn problem(answer: &Answer) -> String {
    assert_eq!(
        header(answer, "content-type"),
        Some("application/problem+json")
    );
    let body = json(answer);
    assert_eq!(body["status"], answer.status);
    let kind = body["type"].as_str().unwrap();
    kind.strip_prefix("/-/problems/").unwrap().to_owned()
}
