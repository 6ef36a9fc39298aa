//! What a task asks for, as the limits see it: the same call as if its client stood in line itself.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};

use super::job::{Job, gone};
use super::native::Form;
use super::probe;
use crate::admit::{Terms, rank};
use crate::call::{self, Call, Caller, Spoken};
use crate::dialect::adapter::Request;
use crate::forward::{Freight, Upstream};
use crate::limit::Rank;
use crate::task::parcel::Parcel;
use crate::task::record::{Fault, Operation, Record, Requested};

/// A call that is made in the name of a task.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) upstream: Arc<Upstream>,
    pub(super) method: Method,
    pub(super) target: String,
    /// What routes and limits may match on; they hold credentials.
    pub(super) headers: HeaderMap,
    /// The upstream's own form, by which it goes up.
    pub(super) form: Option<Box<Form>>,
    operation: Option<Operation>,
    address: std::net::IpAddr,
    caller: Caller,
    weight: NonZeroU32,
}

/// The request is none that a client could make now: the routes or their reading have changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the request cannot be sent any more: {0}")]
pub(super) struct Unaskable(String);

impl Asking {
    /// What `task` asks of `upstream`, by this target and with these fields.
    ///
    /// # Errors
    /// [`Unaskable`].
    pub(super) fn new(
        upstream: Arc<Upstream>,
        task: &Requested,
        (target, headers): (String, HeaderMap),
        (caller, weight): (Caller, NonZeroU32),
    ) -> Result<Self, Unaskable> {
        let method = Method::from_bytes(task.method.as_bytes());
        let method = method.map_err(|error| Unaskable(error.to_string()))?;
        let asking = Self {
            upstream,
            method,
            target,
            headers,
            form: None,
            operation: task.operation.clone(),
            address: task.address,
            caller,
            weight,
        };
        asking.with(|_, _| ())?;
        Ok(asking)
    }

    /// What goes up, with this body.
    pub(super) fn freight(&self, body: Bytes) -> Freight {
        Freight {
            method: self.method.clone(),
            target: self.target.clone(),
            headers: self.headers.clone(),
            body,
        }
    }

    /// The same asker's question for `target`, which only reads.
    pub(super) fn question(&self, target: String) -> Self {
        Self {
            upstream: self.upstream.clone(),
            method: Method::GET,
            target,
            headers: self.headers.clone(),
            form: None,
            operation: None,
            address: self.address,
            caller: self.caller,
            weight: self.weight,
        }
    }

    /// A request of the gate's own in the asker's name; `None` where it is none that a client could make.
    pub(super) fn request(&self, request: &Request) -> Option<Self> {
        let mut asking = self.question(request.target.clone());
        asking.method = Method::from_bytes(request.method.as_bytes()).ok()?;
        asking.headers = probe::fields(&self.headers);
        if request.body.is_some() {
            let json = HeaderValue::from_static("application/json");
            asking.headers.insert(CONTENT_TYPE, json);
        }
        asking.with(|_, _| ()).ok()?;
        Some(asking)
    }

    /// Whether its upstream cannot be reached.
    pub(super) fn is_down(&self) -> bool {
        let health = self.upstream.health();
        !health.is_steady() && health.down_for(std::time::Instant::now()).is_some()
    }

    /// Looks at the call, and at the form of the API it speaks.
    ///
    /// # Errors
    /// [`Unaskable`].
    pub(super) fn with<T>(
        &self,
        look: impl FnOnce(&Call<'_>, Spoken) -> T,
    ) -> Result<T, Unaskable> {
        let unaskable = |error: &dyn std::fmt::Display| Unaskable(error.to_string());
        let table = self.upstream.table();
        let asked = table
            .target(&self.method, &self.target, &self.headers)
            .map_err(|error| unaskable(&error))?;
        let operation = self.operation.as_ref().map(|operation| call::Operation {
            service: operation.service.as_deref(),
            name: &operation.name,
        });
        let asked = match operation {
            None => asked,
            Some(operation) => table
                .operation(asked, &self.method, &self.headers, operation)
                .map_err(|error| unaskable(&error))?,
        };
        let mut call = asked.call(&self.method, &self.headers, operation, self.address);
        call.caller = self.caller;
        Ok(look(&call, asked.spoken))
    }

    /// On what terms it waits. What the upstream sent back goes before newcomers, as calls do.
    pub(super) fn terms(&self, call: &Call<'_>, sent_back: bool, patience: Duration) -> Terms {
        let rank = rank(call, &self.upstream.config().routes);
        Terms {
            rank: if sent_back {
                rank.min(Rank::Promised)
            } else {
                rank
            },
            weight: self.weight,
            patience,
        }
    }
}

impl Job {
    /// What it asks for.
    pub(super) async fn asking(&self, record: &Record) -> Result<Asking, Fault> {
        let (upstream, parcel) = self.sent(record).await?;
        self.asks(record, upstream, (parcel.target, parcel.headers))
    }

    /// What it asks for as it goes up: by a form of the upstream's own, where there is one that is for it.
    pub(super) async fn starting(&self, record: &Record) -> Result<Asking, Fault> {
        let (upstream, parcel) = self.sent(record).await?;
        let own = self.works.own.get(upstream.index());
        let form = own.and_then(|own| own.offer(&upstream, &record.requested, &parcel));
        let mut headers = parcel.headers;
        let Some(form) = form else {
            return self.asks(record, upstream, (parcel.target, headers));
        };
        let target = form.rewrite(&mut headers);
        let mut asking = self.asks(record, upstream, (target, headers))?;
        asking.form = Some(Box::new(form));
        Ok(asking)
    }

    /// What it asked for, and the form by which it went up.
    pub(super) async fn following(&self, record: &Record) -> Option<(Asking, Form)> {
        let (upstream, parcel) = self.sent(record).await.ok()?;
        let own = self.works.own.get(upstream.index())?;
        let form = own.form(&upstream, &record.requested, &parcel)?.kept();
        let sent = (parcel.target, parcel.headers);
        let asking = self.asks(record, upstream, sent).ok()?;
        Some((asking, form))
    }

    /// Its request, and where that goes.
    async fn sent(&self, record: &Record) -> Result<(Arc<Upstream>, Parcel), Fault> {
        let name = &record.requested.upstream;
        let Some(upstream) = self.works.upstream(name).cloned() else {
            let detail = format!("the configuration has no upstream {name} any more");
            return Err(gone("upstream-gone", detail));
        };
        Ok((upstream, self.parcel().await?))
    }

    fn asks(
        &self,
        record: &Record,
        upstream: Arc<Upstream>,
        sent: (String, HeaderMap),
    ) -> Result<Asking, Fault> {
        let requested = &record.requested;
        let caller = self.works.roster.caller(upstream.index(), requested);
        let asking = Asking::new(upstream, requested, sent, caller);
        asking.map_err(|error| gone("request-refused", error.to_string()))
    }
}
