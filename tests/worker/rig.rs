//! A crew at its desk, in front of a model upstream.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use tidegate::session::Keys;
use tidegate::store::Memory;
use tidegate::task::{Millis, Parcel, Requested, Roster, SubmitError, TaskId, TaskStore};

use crate::crew::{Ground, Standing, requested};
pub use crate::crew::{LONG, Nobody, until};

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

pub struct Rig(Standing);

impl Deref for Rig {
    type Target = Standing;

    fn deref(&self) -> &Standing {
        &self.0
    }
}

impl Rig {
    pub async fn start(address: SocketAddr, set: Set) -> Self {
        Self::named("up", address, set).await
    }

    /// With this name of the upstream.
    pub async fn named(name: &str, address: SocketAddr, set: Set) -> Self {
        let text = format!(
            "[[upstream]]\nname = \"{name}\"\naddress = \"http://{address}\"\nprofile = \"generic\"\n{}",
            set.lines
        );
        let ground = Ground {
            store: set.store,
            keys: set.keys,
            roster: set.roster,
            max_blocking: set.max_blocking,
            reconcile: set.reconcile,
        };
        Self(Standing::start(&text, ground).await)
    }

    /// Hands a task in.
    pub async fn submit(&self, requested: Requested) -> TaskId {
        self.try_submit(requested).await.unwrap()
    }

    /// The same, where it may be refused.
    pub async fn try_submit(&self, requested: Requested) -> Result<TaskId, SubmitError> {
        self.submit_with(requested, shown("token"), BODY).await
    }

    /// Hands in one that goes up with this key.
    pub async fn submit_keyed(&self, requested: Requested, key: &'static str) -> TaskId {
        let mut fields = shown("token");
        fields.insert("idempotency-key", HeaderValue::from_static(key));
        self.submit_with(requested, fields, BODY).await.unwrap()
    }

    /// Hands in one with this body, which may be refused.
    pub async fn submit_of(
        &self,
        requested: Requested,
        body: impl Into<Bytes>,
    ) -> Result<TaskId, SubmitError> {
        self.submit_as("token", requested, body).await
    }

    /// The same, in the session of this token.
    pub async fn submit_as(
        &self,
        token: &'static str,
        requested: Requested,
        body: impl Into<Bytes>,
    ) -> Result<TaskId, SubmitError> {
        self.submit_with(requested, shown(token), body).await
    }

    async fn submit_with(
        &self,
        requested: Requested,
        headers: HeaderMap,
        body: impl Into<Bytes>,
    ) -> Result<TaskId, SubmitError> {
        let parcel = Parcel {
            target: requested.target.clone(),
            headers,
            body: body.into(),
            look: None,
        };
        self.hand_in(requested, &parcel).await
    }
}

const BODY: &str = "{\"name\":\"web 02\"}";

/// The fields of a request in the session of this token.
fn shown(token: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("vmware-api-session-id", HeaderValue::from_static(token));
    headers
}

/// A clone, to be done once at most.
pub fn clone() -> Requested {
    requested("POST", "/api/clone", "clone")
}

/// This long from now.
pub fn shortly(wait: Duration) -> Millis {
    Millis::from(SystemTime::now()).after(wait)
}
