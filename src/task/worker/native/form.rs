//! Which form of its own an upstream has for a task's call, and whether it is to be used.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::time::Instant;

use crate::classify::Forms;
use crate::config::{self, Adapter, Native, Probe};
use crate::dialect::adapter::{
    Origin, Request, before_request, fits_body, poll_request, resource, rewritten, set_headers,
};
use crate::forward::Upstream;
use crate::limit::Mutex;
use crate::task::parcel::Parcel;
use crate::task::record::Requested;

/// How long it is remembered that an upstream does not have a form: it may have been upgraded since.
const FORMLESS: Duration = Duration::from_mins(10);
/// Longest body that is kept while a task is followed, bytes. Polls of what takes more of it cannot be made.
const KEPT: usize = 64 * 1024;
/// Longest that is kept while it waits, bytes.
const KEPT_WAITING: usize = 4 * 1024;

/// An upstream's own forms.
#[derive(Debug)]
pub(in crate::task::worker) struct Own {
    forms: Forms,
    /// In the order of its adapters.
    all: Vec<Option<(Arc<Adapter>, Arc<Native>)>>,
    /// Some of them look at what they change before.
    looks: bool,
    /// Until when it counts as having none, by adapter.
    formless: Mutex<HashMap<usize, Instant>>,
}

/// The upstream's own form of one call.
#[derive(Debug, Clone)]
pub(in crate::task::worker) struct Form {
    pub(super) adapter: Arc<Adapter>,
    pub(super) native: Arc<Native>,
    place: usize,
    /// Path and query as they were before anything was added.
    target: String,
    body: Bytes,
}

impl Own {
    pub(in crate::task::worker) fn new(upstream: &config::Upstream) -> Self {
        let all = upstream.adapters.iter().map(|adapter| {
            let native = adapter.native.clone()?;
            Some((Arc::new(adapter.clone()), Arc::new(native)))
        });
        let mut natives = upstream
            .adapters
            .iter()
            .filter_map(|one| one.native.as_ref());
        Self {
            forms: Forms::new(&upstream.adapters),
            looks: natives.any(|native| native.before.is_some()),
            all: all.collect(),
            formless: Mutex::default(),
        }
    }

    /// The form that is for this call, with its body.
    pub(in crate::task::worker) fn form(
        &self,
        upstream: &Upstream,
        task: &Requested,
        parcel: &Parcel,
    ) -> Option<Form> {
        // What a body names is another operation than its path says.
        if task.operation.is_some() || self.forms.is_empty() {
            return None;
        }
        let method = Method::from_bytes(task.method.as_bytes()).ok()?;
        let asked = upstream.table();
        let asked = asked
            .target(&method, &parcel.target, &parcel.headers)
            .ok()?;
        let fitting = self.forms.find(&asked, &method, &parcel.headers)?;
        let (adapter, native) = self.all.get(fitting.place)?.clone()?;
        Some(Form {
            adapter,
            native,
            place: fitting.place,
            target: parcel.target.clone(),
            body: parcel.body.clone(),
        })
    }

    /// The form by which this call is to go up; none where it goes up as it came.
    pub(in crate::task::worker) fn offer(
        &self,
        upstream: &Upstream,
        task: &Requested,
        parcel: &Parcel,
    ) -> Option<Form> {
        if !upstream.config().native {
            return None;
        }
        let form = self.form(upstream, task, parcel)?;
        // Where the gate gathers such calls, the upstream does not.
        if form.adapter.merge.is_some() && upstream.config().merge_period.is_some() {
            return None;
        }
        let fits = fits_body(&form.adapter, &form.origin());
        (fits && !self.is_formless(form.place)).then(|| form.waiting())
    }

    /// What a call changes that is looked at before, by its head alone; one that is not up must be one to go up by that form.
    pub(in crate::task::worker) fn resource(
        &self,
        upstream: &Upstream,
        task: &Requested,
        is_up: bool,
    ) -> Option<String> {
        if !self.looks || !(is_up || upstream.config().native) {
            return None;
        }
        self.form(upstream, task, &Parcel::bare(&task.target))?
            .resource()
    }

    /// Place and adapter of a call that the gate makes one with others of its kind, if its body allows that. One that shows a proof of
    /// what it says goes up as it came: nothing else may be said by it.
    pub(in crate::task::worker) fn merging(
        &self,
        upstream: &Upstream,
        task: &Requested,
        parcel: &Parcel,
    ) -> Option<(usize, Arc<Adapter>)> {
        upstream.config().merge_period?;
        let form = self.form(upstream, task, parcel)?;
        let merges =
            form.adapter.merge.is_some() && !self.forms.is_sealed(form.place, &parcel.headers);
        merges.then_some((form.place, form.adapter))
    }

    /// The upstream said that it does not have this form.
    pub(super) fn note_formless(&self, form: &Form) {
        let until = Instant::now() + FORMLESS;
        self.formless.lock().insert(form.place, until);
    }

    fn is_formless(&self, place: usize) -> bool {
        let now = Instant::now();
        let formless = self.formless.lock();
        formless.get(&place).is_some_and(|until| now < *until)
    }
}

impl Form {
    /// The request that began the task.
    pub(in crate::task::worker) fn origin(&self) -> Origin<'_> {
        Origin::new(&self.adapter, &self.target, &self.body)
    }

    /// The same request, with this body.
    pub(in crate::task::worker) fn origin_of(&self, body: &[u8]) -> Origin<'_> {
        Origin::new(&self.adapter, &self.target, body)
    }

    /// How the upstream has it.
    pub(in crate::task::worker) fn native(&self) -> &Native {
        &self.native
    }

    /// What is asked before it goes up.
    pub(in crate::task::worker) fn before_request(&self) -> Option<Request> {
        before_request(&self.native, &self.origin())
    }

    /// What it changes; none where that is not looked at before.
    pub(in crate::task::worker) fn resource(&self) -> Option<String> {
        resource(&self.native, &self.origin())
    }

    /// What is asked for where the answer that begins it names nothing: the resource itself.
    pub(super) fn itself(&self) -> Option<Arc<str>> {
        let is_itself = self.native.started.id.is_empty();
        let asked = is_itself.then(|| poll_request(&self.native, &self.origin(), ""));
        Some(asked??.target.into())
    }

    /// Whether the answer that begins it comes at once: the upstream is asked for that, or what it changes is looked at. Else
    /// it is the upstream's to say how long it works before it answers.
    pub(in crate::task::worker) fn begins_at_once(&self) -> bool {
        self.native.rewrite.is_some() || self.native.before.is_some()
    }

    /// How a start whose answer was lost is asked after.
    pub(in crate::task::worker) fn probe(&self) -> Option<&Probe> {
        self.native.probe.as_ref()
    }

    /// What waits in line does not keep its body, but for a short one where questions are asked about it meanwhile.
    fn waiting(self) -> Self {
        if self.native.before.is_some() && self.body.len() <= KEPT_WAITING {
            self
        } else {
            self.without_body()
        }
    }

    /// The same, without its body.
    fn without_body(mut self) -> Self {
        self.body = Bytes::new();
        self
    }

    /// The same, with its body.
    pub(in crate::task::worker) fn with_body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }

    /// The same, as it is kept while the task is followed.
    pub(in crate::task::worker) fn kept(self) -> Self {
        if self.body.len() > KEPT {
            self.without_body()
        } else {
            self
        }
    }

    /// Makes the call one for this form.
    pub(in crate::task::worker) fn rewrite(&self, headers: &mut HeaderMap) -> String {
        self.set(headers);
        rewritten(&self.native, &self.target)
    }

    /// Sets the fields of the form. Its answer has to be read: it comes as it is.
    fn set(&self, headers: &mut HeaderMap) {
        headers.remove(ACCEPT_ENCODING);
        for (name, value) in set_headers(&self.native) {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        }
    }
}
