//! The request as the desk takes it: what was asked for, and what goes up.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora_proxy::Session;
use sha2::{Digest, Sha256};

use super::plan::{Plan, START_DEADLINE};
use super::{fingerprint, policy};
use crate::config::{Route, UpstreamKey};
use crate::forward::Upstream;
use crate::observe::redacted;
use crate::proxy::onward::hop;
use crate::proxy::stage::Stage;
use crate::task::api::Prefer;
use crate::task::{IDEMPOTENCY_KEY, Key, Owner, Parcel, Replay, Requested, Submission, TaskId};

/// `Prefer`.
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Everything that the desk needs.
pub(super) fn submission(
    session: &Session,
    stage: &Stage,
    upstream: &Upstream,
    plan: &Plan,
    (id, body): (TaskId, Bytes),
) -> Submission {
    let head = session.req_header();
    let route = upstream.config().routes.get(plan.route);
    let owner = plan.person.owners.first().cloned();
    let owner = owner.unwrap_or_else(|| Owner("".into()));
    let key = key(&head.headers, route, plan, &owner, &body);
    let requested = requested(stage, upstream, plan, (route, owner), &body);
    let headers = fields(session, stage, upstream, plan, (route, id));
    let parcel = Parcel {
        target: plan.target.clone(),
        headers,
        body,
        look: None,
    };
    Submission {
        requested,
        request: parcel.encode(),
        key,
    }
}

/// The key of a request, where it has one, as `owner`'s.
pub(super) fn key(
    headers: &HeaderMap,
    route: Option<&Route>,
    plan: &Plan,
    owner: &Owner,
    body: &[u8],
) -> Option<Key> {
    let of_route = route.map_or(&[][..], |route| &route.work.fingerprint);
    let named = [of_route, &plan.named].concat();
    let key = plan.key.as_ref()?;
    Some(Key {
        owner: owner.clone(),
        scope: plan.scope.clone(),
        key: key.as_str().into(),
        fingerprint: fingerprint::of((&plan.method, &plan.scope), headers, &named, body),
    })
}

fn requested(
    stage: &Stage,
    upstream: &Upstream,
    plan: &Plan,
    (route, owner): (Option<&Route>, Owner),
    body: &[u8],
) -> Requested {
    let desk = &stage.shared.desk;
    let most = stage.shared.tasks.max_blocking;
    Requested {
        upstream: upstream.name().clone(),
        route: route.map_or("", |route| &route.name).into(),
        pool: policy::pool(upstream.config()).into(),
        method: plan.method.clone(),
        target: redacted(plan.written.as_bytes()),
        operation: plan.operation.clone(),
        body_sha256: Sha256::digest(body).into(),
        owner,
        user: plan.person.user.clone(),
        session: plan.person.session,
        address: stage.client,
        replay: route.map_or(Replay::AtMostOnce, |route| {
            policy::replay(route, &stage.method, plan.key.is_some())
        }),
        start_deadline: plan.start_within.map(|within| desk.now().after(within)),
        run_for: route.and_then(|route| route.deadline).unwrap_or(most),
        callback: plan.callback.as_deref().map(Into::into),
        request_id: request_id(stage),
    }
}

/// The name that the client gave its request, by which it may ask for the task.
fn request_id(stage: &Stage) -> Option<Arc<str>> {
    let named = stage.request_id.as_ref().filter(|_| stage.named)?;
    named.to_str().ok().map(Arc::from)
}

/// The fields that go up, word for word.
fn fields(
    session: &Session,
    stage: &Stage,
    upstream: &Upstream,
    plan: &Plan,
    (route, id): (Option<&Route>, TaskId),
) -> HeaderMap {
    let head = session.req_header();
    let id = id.to_string();
    let request_id = HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("-"));
    let kept = upstream
        .rewriter()
        .kept_request(head, hop(session, stage), &request_id);
    // A head that was read is one that can be written.
    let mut fields = kept.unwrap_or_default();
    fields.remove(START_DEADLINE);
    prefer(&mut fields);
    if !stage.shared.tasks.honours_keys {
        return fields;
    }
    let client_key = fields.remove(IDEMPOTENCY_KEY);
    let client_key = client_key.filter(|_| plan.key.is_some());
    let sent = match route.map_or(UpstreamKey::No, |route| route.work.upstream_key) {
        UpstreamKey::No => None,
        UpstreamKey::Forward => client_key,
        UpstreamKey::Derive => {
            let own = || HeaderValue::from_str(&format!("\"gw-{id}\"")).ok();
            client_key.or_else(own)
        }
    };
    fields.extend(sent.map(|value| (IDEMPOTENCY_KEY, value)));
    fields
}

/// Takes the gate's own preferences away.
fn prefer(fields: &mut HeaderMap) {
    let said: Vec<HeaderValue> = fields.get_all(PREFER).iter().cloned().collect();
    fields.remove(PREFER);
    for value in said {
        let left = value.to_str().ok().map(Prefer::left);
        let left = match left {
            Some(left) => left.and_then(|left| HeaderValue::from_str(&left).ok()),
            None => Some(value),
        };
        if let Some(left) = left {
            fields.append(PREFER, left);
        }
    }
}
