//! The requests that a task needs: its start, polls, a poll of many, the way to take it back.

use serde_json::{Value, json};

use super::fill;
use super::origin::{Origin, from_root};
use crate::config::{Batch, Native};

/// A request to an upstream, but for the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its method.
    pub method: &'static str,
    /// Path and query.
    pub target: String,
    /// Its body, which is JSON.
    pub body: Option<Vec<u8>>,
}

impl Request {
    pub(super) fn get(target: String) -> Self {
        Self {
            method: "GET",
            target,
            body: None,
        }
    }
}

/// The target that asks for the asynchronous form: the same, with a parameter more. It is not added twice.
#[must_use]
pub fn rewritten(native: &Native, target: &str) -> String {
    let target = from_root(target);
    let Some(added) = native
        .rewrite
        .as_ref()
        .and_then(|rewrite| rewrite.query.as_deref())
    else {
        return target.to_owned();
    };
    match target.split_once('?') {
        None => format!("{target}?{added}"),
        Some((_, query)) if query.split('&').any(|pair| pair == added) => target.to_owned(),
        Some((_, query)) if query.is_empty() || query.ends_with('&') => format!("{target}{added}"),
        Some(_) => format!("{target}&{added}"),
    }
}

/// Fields that are set for it beside; names in lower case.
pub fn set_headers(native: &Native) -> impl Iterator<Item = (&str, &str)> {
    let headers = native.rewrite.iter().flat_map(|rewrite| &rewrite.headers);
    headers.map(|(name, value)| (name.as_str(), value.as_str()))
}

/// The question whether the resource is busy, before the request is sent.
#[must_use]
pub fn before_request(native: &Native, origin: &Origin<'_>) -> Option<Request> {
    fill::target(&native.before.as_ref()?.get, origin, "").map(Request::get)
}

/// What stands for the resource that is to be changed, among all of its upstream. `None` where nothing is asked before.
#[must_use]
pub fn resource(native: &Native, origin: &Origin<'_>) -> Option<String> {
    let before = native.before.as_ref()?;
    match &before.resource {
        Some(resource) => fill::text(resource, origin),
        None => fill::target(&before.get, origin, ""),
    }
}

/// The question how one task fares. `None` where the handle or the request cannot make one.
#[must_use]
pub fn poll_request(native: &Native, origin: &Origin<'_>, handle: &str) -> Option<Request> {
    fill::target(&native.poll.get, origin, handle).map(Request::get)
}

/// The question how many tasks fare: of the first `batch.at_most`.
#[must_use]
pub fn batch_request(batch: &Batch, handles: &[&str]) -> Request {
    let handles: Vec<&str> = handles.iter().copied().take(batch.at_most).collect();
    let ids: Value = json!(handles);
    let body = batch.body.as_ref();
    Request {
        method: batch.method,
        target: batch.target.clone(),
        body: body.map(|body| fill::template(body, |_| Some(ids.clone())).into_bytes()),
    }
}

/// The request that takes a task back; `None` where the API has none.
#[must_use]
pub fn cancel_request(native: &Native, origin: &Origin<'_>, handle: &str) -> Option<Request> {
    let cancel = native.cancel.as_ref()?;
    let target = fill::target(&cancel.target, origin, handle)?;
    Some(Request {
        method: cancel.method,
        target,
        body: None,
    })
}

/// Whether taking a task back deletes the very thing that is asked for: not to be found any more, it has been taken back.
#[must_use]
pub fn cancel_deletes(native: &Native) -> bool {
    let cancel = native.cancel.as_ref();
    cancel.is_some_and(|cancel| cancel.method == "DELETE" && cancel.target == native.poll.get)
}

/// Whether its answer says that it was heard. What became of the task, its polls say.
#[must_use]
pub fn is_canceled(native: &Native, status: u16) -> bool {
    native
        .cancel
        .as_ref()
        .is_some_and(|cancel| cancel.ok.contains(&status))
}
