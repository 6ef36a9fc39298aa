//! The call that makes up for a task, as a task of its own: made of the request and the answer of that one.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use super::End;
use super::key::own_key;
use crate::config::{self, Compensate, Probe, UpstreamKey};
use crate::dialect::adapter::{Answered, Left, Origin, Seen, Stands, filled, whole};
use crate::observe::redacted;
use crate::task::id::TaskId;
use crate::task::parcel::{IDEMPOTENCY_KEY, Look, Parcel};
use crate::task::port::Answer;
use crate::task::record::{Outcome, Replay, Requested};
use crate::task::state::Event;
use crate::task::worker::probe;

const PREFER: HeaderName = HeaderName::from_static("prefer");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is asked for, and what goes up.
pub(in crate::task) struct Undo {
    pub(in crate::task) requested: Requested,
    pub(in crate::task) parcel: Parcel,
}

/// The call, named `id`, that makes up for the task which ends so and went up as `sent`. `None` where it cannot be made of what
/// is known.
pub(in crate::task) fn undo(
    end: End<'_>,
    route: &config::Route,
    undo: &Compensate,
    (id, sent): (TaskId, Parcel),
) -> Option<Undo> {
    let origin = Origin::along(route.matches.path.as_deref(), &sent.target, &sent.body);
    let headers = end.answer.map(fields);
    let seen = end.answer.zip(headers.as_ref());
    let seen = seen.map(|(answer, headers)| {
        Seen::new(&Answered {
            status: answer.status,
            headers,
            body: &answer.body,
        })
    });
    let target = filled(&undo.target, Stands::Target, &origin, seen.as_ref())?;
    let body = match &undo.body {
        Some(body) => filled(body, Stands::Json, &origin, seen.as_ref())?,
        None => Vec::new(),
    };
    let headers = own_fields(&sent.headers, route, undo, id);
    let parcel = if undo.needs_find() {
        let find = undo.find.as_ref().or(route.work.probe.as_ref())?;
        Parcel {
            target: probe::target(find, &sent.target, &sent.body)?,
            headers,
            body: Bytes::new(),
            look: Some(Box::new(look(end, find, target, body))),
        }
    } else {
        Parcel {
            target: whole(&target, Stands::Target, None)?,
            headers,
            body: whole(&body, Stands::Json, None)?.into(),
            look: None,
        }
    };
    let requested = requested(end, undo, &parcel);
    Some(Undo { requested, parcel })
}

/// What is asked first. While the call may still be at work that is to be undone, that nothing is there proves nothing.
fn look(end: End<'_>, find: &Probe, target: Vec<Left>, body: Vec<Left>) -> Look {
    let is_over = end.task.outcome == Some(Outcome::Known);
    let mut moves = end.task.history.iter().rev();
    let sent = moves.find(|moved| moved.event == Event::Dispatch);
    let sent = sent.map_or(end.task.updated, |moved| moved.at);
    Look {
        status: find.status,
        json: find.json.clone(),
        every: millis(find.every),
        since: (!is_over).then_some(sent.0),
        run_for: Some(millis(end.task.requested.run_for)),
        target,
        body,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn requested(end: End<'_>, undo: &Compensate, parcel: &Parcel) -> Requested {
    let first = &end.task.requested;
    let shown = match &parcel.look {
        Some(_) => undo.target.to_string(),
        None => parcel.target.clone(),
    };
    Requested {
        method: undo.method.clone(),
        target: redacted(shown.as_bytes()),
        operation: None,
        body_sha256: Sha256::digest(&parcel.body).into(),
        replay: replay(undo),
        start_deadline: None,
        run_for: undo.deadline.unwrap_or(first.run_for),
        callback: None,
        ..first.clone()
    }
}

/// How often it may be executed (RFC 9110 section 9.2.2).
fn replay(undo: &Compensate) -> Replay {
    let again = match undo.replay {
        Some(said) => said == config::Replay::AtLeastOnce,
        None => matches!(undo.method.as_str(), "PUT" | "DELETE"),
    };
    if again {
        Replay::AtLeastOnce
    } else {
        Replay::AtMostOnce
    }
}

/// The credentials, and what else is not of the first call alone.
fn own_fields(sent: &HeaderMap, route: &config::Route, undo: &Compensate, id: TaskId) -> HeaderMap {
    let mut headers = probe::fields(sent);
    headers.remove(PREFER);
    headers.remove(IDEMPOTENCY_KEY);
    if headers.contains_key(REQUEST_ID)
        && let Ok(id) = HeaderValue::from_str(&id.to_string())
    {
        headers.insert(REQUEST_ID, id);
    }
    if route.work.upstream_key == UpstreamKey::Derive
        && let Some(key) = own_key(&id.to_string())
    {
        headers.insert(IDEMPOTENCY_KEY, key);
    }
    if undo.body.is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers
}

fn fields(answer: &Answer) -> HeaderMap {
    let fields = answer.headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(value).ok()?))
    });
    fields.collect()
}
