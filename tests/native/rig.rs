//! A crew at its desk, in front of a vendor's model, with a dialect that polls ten times a second.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use tidegate::session::Keys;
use tidegate::store::Memory;
use tidegate::task::{Answer, Event, Parcel, Record, Requested, Status, TaskId, TaskStore};

use crate::crew::{Ground, Nobody, Standing, requested};
pub use crate::crew::{LONG, until};
use crate::support::hurried::hurried;

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

pub struct Rig(Standing);

impl Deref for Rig {
    type Target = Standing;

    fn deref(&self) -> &Standing {
        &self.0
    }
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
        let profile = match dialect {
            "vcenter" => "vcenter-8.0",
            "redfish" => "generic",
            other => other,
        };
        let text = format!(
            "[[upstream]]\nname = \"up\"\naddress = \"http://{address}\"\nprofile = \"{profile}\"\n\
             dialect_files = [\"{}\"]\n{lines}",
            hurried(dialect).display()
        );
        let ground = Ground {
            store: kept.store.clone(),
            keys: kept.keys.clone(),
            roster: Arc::new(Nobody),
            max_blocking: LONG,
            reconcile: LONG,
        };
        Self(Standing::start(&text, ground).await)
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
        let requested = call.requested.clone();
        self.hand_in(requested, &parcel).await.unwrap()
    }

    /// Waits until the task stands there.
    pub async fn reaches(&self, id: TaskId, status: Status) -> Arc<Record> {
        self.until(id, |task| task.status == status).await
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
            requested: requested(method, target, route),
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
