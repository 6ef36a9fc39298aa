//! Station `convert`: a blocking call becomes a task.
//!
//! ```text
//!   classify ─▶ policy: never? ─▶ who: nobody to own it? ─▶ key, deadline ─▶ body, whole ─▶ Desk ─▶ 202, or as
//!                │  not asked for?  │  no such session?       refused: 4xx     413, 400      │       the vendor has it
//!                │                  │                                          429, 503      └─▶ wait=N, façade: the
//!                ▼                  ▼                                                            answer itself
//!               held as any call, its key noted meanwhile
//! ```
//!
//! The façade: a client that blocks on what the upstream has a task for is given the answer of such a task. Whatever is in
//! the way of that leaves the call as it is.
//!
//! Where what a call changes may be busy, its route says whether it is held as such a client is, or refused while it is (`busy`).
//! What the gate gathers (`async_patch_merge_period`) is a task whatever its class, if its body is one that can be merged; it
//! is read in first, so that any other goes up as it came.
//!
//! Nothing is kept of a request before its body is whole, and nothing is said of a task before it is kept.

mod accepted;
mod busy;
mod facade;
mod fingerprint;
mod form;
mod held;
mod interim;
mod key;
mod looks;
mod parcel;
mod plan;
mod policy;
mod refused;
pub(super) mod whole;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use pingora_proxy::Session;

pub(super) use self::form::may_stand_in;
pub(super) use self::held::keep_key;
pub(super) use self::key::{Held, Running};
pub(super) use self::looks::Looks;
use self::plan::{Kind, Plan};
use super::arrive::refuse;
use super::line;
use super::person::Standing;
use super::said::{Said, Stop};
use super::stage::Stage;
use crate::dialect::adapter::Patch;
use crate::forward::Upstream;
use crate::limit::Part;
use crate::task::{Receipt, SubmitError};

/// Makes a task of a blocking call that is to be one: then it is answered here. Any other passes.
///
/// # Errors
/// The answer, or that the client is gone.
pub(super) async fn consider(
    session: &mut Session,
    stage: &mut Stage,
    upstream: &Upstream,
    said: &Said,
) -> Result<(), Stop> {
    let plan = plan::of(session, stage, upstream, said).map_err(Stop::Answer)?;
    let Some(mut plan) = plan else {
        return Ok(());
    };
    if let Some(place) = plan.merges
        && !may_merge(session, stage, upstream, (&plan, place)).await?
    {
        let alone = plan::unmerged(session, stage, upstream, said).map_err(Stop::Answer)?;
        match alone {
            Some(alone) => plan = alone,
            None => return Ok(()),
        }
    }
    if let Kind::Looked(place) = plan.kind {
        Box::pin(busy::consider(session, stage, upstream, (&plan, place))).await?;
        plan.kind = Kind::Held;
    }
    let is_held = plan.kind == Kind::Held;
    match plan.kind {
        Kind::Held if plan.key.is_none() => return Ok(()),
        Kind::Behind(_) => return Box::pin(facade::consider(session, stage, upstream, plan)).await,
        Kind::Held | Kind::Looked(_) => {}
        Kind::Task | Kind::Faced(_) => stays(session, stage)?,
    }
    let shared = stage.shared.clone();
    plan.person = plan.person.verified(&shared, plan.inquiry.take()).await;
    match plan.person.standing {
        // The upstream says so in its own words.
        Standing::Gone => return Ok(()),
        // Known by another name the next time, it would be another's key.
        Standing::Doubtful | Standing::Unasked if plan.key.is_some() => {
            return Err(refused::in_doubt(stage));
        }
        Standing::Doubtful | Standing::Unasked | Standing::Sure => {}
    }
    if is_held {
        return held::consider(session, stage, upstream, &plan).await;
    }
    let mut share = shared.tasks.bodies.part();
    let body = body(session, stage, &plan, &mut share).await?;
    // A body takes its time.
    stays(session, stage)?;
    let receipt = submit(session, stage, upstream, &plan, (body, share)).await;
    let receipt = receipt.map_err(|not_in| not_in.stop(stage))?;
    let answer = if is_at_once(upstream, &plan) {
        facade::answer(session, stage, upstream, receipt).await?
    } else {
        accepted::answer(session, stage, upstream, (receipt, &plan)).await?
    };
    Err(Stop::Answer(answer))
}

/// Its vendor executes it at once, and answers as if it had not been asked for more.
fn is_at_once(upstream: &Upstream, plan: &Plan) -> bool {
    let period = upstream.config().merge_period;
    plan.merges.is_some()
        && matches!(plan.kind, Kind::Faced(_))
        && period.is_some_and(|period| period.is_zero())
}

/// Whether the body is one that can be made one with others. It is read in so that it can go up after all.
async fn may_merge(
    session: &mut Session,
    stage: &mut Stage,
    upstream: &Upstream,
    (plan, place): (&Plan, usize),
) -> Result<bool, Stop> {
    let Some(body) = line::read_in(session, stage).await? else {
        return Ok(false);
    };
    let adapter = upstream.config().adapters.get(place);
    Ok(adapter.is_some_and(|adapter| Patch::read(adapter, &plan.target, &body).is_some()))
}

/// A gate that is about to stop takes no new tasks.
fn stays(session: &mut Session, stage: &mut Stage) -> Result<(), Stop> {
    if !stage.shared.is_draining() {
        return Ok(());
    }
    session.set_keepalive(None);
    Err(refused::leaving(stage))
}

/// The whole body: what was read of it already, and the rest, checked as on its way up.
async fn body(
    session: &mut Session,
    stage: &mut Stage,
    plan: &Plan,
    share: &mut Part,
) -> Result<Bytes, Stop> {
    let begun = if stage.read_ahead == 0 {
        Bytes::new()
    } else {
        session.as_ref().get_retry_buffer().unwrap_or_default()
    };
    if begun.len() < stage.read_ahead {
        return Err(Stop::Answer(refuse(
            stage,
            413,
            "the body began with too much",
        )));
    }
    let most = (stage.shared.tasks.max_body, "a task (tasks.max_body)");
    let body = whole::read(session, stage, BytesMut::from(&*begun), most, share).await?;
    if let Some(mut scan) = stage.scan.take() {
        let passed = scan.pass(&body);
        let fault = passed.err().map(|bad| bad.to_string());
        let fault = fault.or_else(|| (!scan.is_complete()).then(|| "ends too early".to_owned()));
        if let Some(why) = fault {
            return Err(Stop::Answer(refuse(
                stage,
                400,
                &format!("the body: {why}"),
            )));
        }
    }
    if plan.wants_json && !is_json(&session.req_header().headers, &body) {
        return Err(refused::not_json(stage));
    }
    Ok(body)
}

fn is_json(headers: &HeaderMap, body: &[u8]) -> bool {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    codings.all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"))
        && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

/// Why a request is not a task.
enum NotIn {
    /// Another with its key is being handed in, or held.
    Outstanding,
    /// The desk did not take it.
    Refused(SubmitError),
}

impl NotIn {
    /// Whether there was no room for it.
    const fn is_full(&self) -> bool {
        matches!(
            self,
            Self::Refused(SubmitError::OwnerFull(_) | SubmitError::Full(_))
        )
    }

    fn stop(self, stage: &mut Stage) -> Stop {
        match self {
            Self::Outstanding => refused::outstanding(stage),
            Self::Refused(error) => refused::not_taken(stage, &error),
        }
    }
}

async fn submit(
    session: &Session,
    stage: &Stage,
    upstream: &Upstream,
    plan: &Plan,
    (body, share): (Bytes, Part),
) -> Result<Receipt, NotIn> {
    let shared = stage.shared.clone();
    let (tasks, desk, owners) = (&shared.tasks, &shared.desk, &plan.person.owners);
    let key = plan.key.as_ref();
    let arrives = key.map(|key| tasks.arriving.join(owners, &plan.scope, key));
    // It is noted by now: a call with its key that is held from here on finds it, or finds it kept.
    if key.is_some_and(|key| tasks.running.holds(owners, &plan.scope, key)) {
        return Err(NotIn::Outstanding);
    }
    let is_second = matches!(arrives, Some((_, false)));
    let id = desk.new_id();
    let submission = parcel::submission(session, stage, upstream, plan, (id, body));
    let receipt = desk.submit_as(id, submission, (arrives, share)).await;
    receipt.map_err(|error| match error {
        // It is the first with its key that takes the room.
        SubmitError::OwnerFull(_) | SubmitError::Full(_) if is_second => NotIn::Outstanding,
        error => NotIn::Refused(error),
    })
}
