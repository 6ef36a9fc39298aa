//! A blocking call with a key that is held, and becomes no task: it is not done twice at the same time, nor once more
//! after a task has done it. And how keys of calls that go up as they are stay at the gate.

use bytes::Bytes;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::plan::Plan;
use super::{body, parcel, policy, refused};
use crate::config::Route;
use crate::forward::Upstream;
use crate::proxy::judge;
use crate::proxy::said::Stop;
use crate::proxy::stage::Stage;
use crate::task::api::Applied;
use crate::task::{Found, IDEMPOTENCY_KEY, Record, SubmitError, Submitted};

/// Takes the client's key off a call that goes up, whatever its class: it speaks to the gate, and what an upstream that was
/// not made for it does with it nobody knows. It stays where the call's route says that the upstream understands keys, and
/// where keys are not the gate's to read.
pub(in crate::proxy) fn keep_key(
    session: &Session,
    stage: &mut Stage,
    upstream: &Upstream,
    head: &mut RequestHeader,
) {
    if !stage.shared.tasks.honours_keys || !head.headers.contains_key(IDEMPOTENCY_KEY) {
        return;
    }
    let said = std::mem::take(&mut stage.said);
    let asked = judge::asked(session, stage, upstream, &said);
    let goes_up =
        asked.is_ok_and(|asked| policy::sends_key(&asked.routes, &upstream.config().routes));
    stage.said = said;
    if !goes_up {
        head.remove_header(&IDEMPOTENCY_KEY);
    }
}

/// Notes the key while the call is held. One that is known answers the call here.
///
/// # Errors
/// The answer, or that the client is gone.
pub(super) async fn consider(
    session: &mut Session,
    stage: &mut Stage,
    upstream: &Upstream,
    plan: &Plan,
) -> Result<(), Stop> {
    let Some(key) = &plan.key else {
        return Ok(());
    };
    let (tasks, owners) = (&stage.shared.tasks, &plan.person.owners);
    let held = tasks.running.hold(owners, &plan.scope, key);
    // One that is being handed in may be kept by the next moment.
    let arrives = || tasks.arriving.holds(owners, &plan.scope, key);
    let Some(held) = held.filter(|_| !arrives()) else {
        return Err(refused::outstanding(stage));
    };
    stage.key = Some(Box::new(held));
    let route = upstream.config().routes.get(plan.route);
    // Whatever its fingerprint: the body is read only where a task has the key.
    if taken(session, stage, (route, plan), &Bytes::new())
        .await
        .is_none()
    {
        return Ok(());
    }
    let mut share = stage.shared.tasks.bodies.part();
    let whole = body(session, stage, plan, &mut share).await?;
    match taken(session, stage, (route, plan), &whole).await {
        Some(Submitted::Same(id)) => match stage.shared.desk.find(id).await {
            Ok(Found::Task(task)) => Err(known(stage, &task).await),
            Ok(Found::Gone(_) | Found::Nothing) | Err(_) => Err(refused::outstanding(stage)),
        },
        Some(_) => Err(refused::not_taken(stage, &SubmitError::KeyTaken)),
        // It came free while its body was read, which is not at hand any more.
        None => Err(refused::outstanding(stage)),
    }
}

/// Whose the key is, as that of any who may own it. A store that does not say is in nobody's way.
async fn taken(
    session: &Session,
    stage: &Stage,
    (route, plan): (Option<&Route>, &Plan),
    body: &Bytes,
) -> Option<Submitted> {
    let headers = &session.req_header().headers;
    let owners = plan.person.owners.iter();
    let keys: Vec<_> = owners
        .filter_map(|owner| parcel::key(headers, route, plan, owner, body))
        .collect();
    let desk = stage.shared.desk.clone();
    for key in keys {
        if let Ok(Some(taken)) = desk.store().keyed(&key).await {
            return Some(taken);
        }
    }
    None
}

/// The task that has its key: what came of it, or that it is under way.
async fn known(stage: &mut Stage, task: &Record) -> Stop {
    if !task.status.state().is_done() {
        return refused::outstanding(stage);
    }
    let shared = stage.shared.clone();
    Stop::Answer(
        shared
            .tasks
            .api
            .replay(task, &Applied::default(), true)
            .await,
    )
}
