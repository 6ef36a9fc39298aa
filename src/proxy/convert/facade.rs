//! The façade: a call that blocks goes on as a task behind its client's back, which gets the answer when it is there, as if
//! it had called the upstream itself.
//!
//! ```text
//!   body, kept to be sent again ─▶ Desk ─▶ wait: in line as long as the client's patience, then as the route gives it
//!     too long? no room?                     └─ client gone: the task goes on, and its key finds it
//!     store lost? owner unsure?
//!        └─▶ held, as any call
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use pingora_proxy::Session;
use tokio::time::sleep;

use super::plan::{Kind, Plan};
use super::{held, interim, refused, submit, whole};
use crate::answer::{self, Answer};
use crate::dialect::adapter::{Origin, fits_body};
use crate::forward::Upstream;
use crate::limit::Part;
use crate::observe::{Phase, Who};
use crate::proxy::person::Standing;
use crate::proxy::said::Stop;
use crate::proxy::shared::Shared;
use crate::proxy::stage::Stage;
use crate::proxy::{judge, line, patience};
use crate::task::api::Lost;
use crate::task::{AdvanceError, CancelError, Receipt, Record, State};

/// How long a store that fails is left alone.
const STORE_AGAIN: Duration = Duration::from_secs(1);

/// Answers a call by a task that its client does not see. What cannot be done so is held.
///
/// # Errors
/// The answer, or that the client is gone.
pub(super) async fn consider(
    session: &mut Session,
    stage: &mut Stage,
    upstream: &Upstream,
    mut plan: Plan,
) -> Result<(), Stop> {
    let shared = stage.shared.clone();
    plan.person = plan.person.verified(&shared, plan.inquiry.take()).await;
    match plan.person.standing {
        // The upstream says so in its own words.
        Standing::Gone => return Ok(()),
        // Known by another name the next time, it would be another's key.
        Standing::Doubtful | Standing::Unasked if plan.key.is_some() => {
            return Err(refused::in_doubt(stage));
        }
        Standing::Doubtful | Standing::Unasked => {
            return held::consider(session, stage, upstream, &plan).await;
        }
        Standing::Sure => {}
    }
    let is_well = !shared.is_draining() && shared.desk.store_lost().is_none();
    if !is_well || announced(session).is_some_and(|length| length > shared.tasks.max_body) {
        return held::consider(session, stage, upstream, &plan).await;
    }
    let mut share = shared.tasks.bodies.part();
    let Some(body) = body(session, stage, &mut share).await? else {
        return held::consider(session, stage, upstream, &plan).await;
    };
    let goes_back = body.goes_back;
    if goes_back && !fits(upstream, &plan, &body.bytes) {
        return held::consider(session, stage, upstream, &plan).await;
    }
    let receipt = match submit(session, stage, upstream, &plan, (body.bytes, share)).await {
        Ok(receipt) => receipt,
        Err(not_in) if goes_back && not_in.is_full() => {
            return held::consider(session, stage, upstream, &plan).await;
        }
        Err(not_in) => return Err(not_in.stop(stage)),
    };
    let answer = answer(session, stage, upstream, receipt).await?;
    Err(Stop::Answer(answer))
}

/// The length of a body that says it.
fn announced(session: &Session) -> Option<u64> {
    let announced = session.req_header().headers.get(CONTENT_LENGTH);
    announced.and_then(|length| length.to_str().ok()?.trim().parse().ok())
}

/// A body, whole.
struct Body {
    bytes: Bytes,
    /// It can be sent up after all, as that of a call that is held.
    goes_back: bool,
}

/// The body; none where it is too long, which it does not say: what was read of it can be sent up again.
async fn body(
    session: &mut Session,
    stage: &mut Stage,
    share: &mut Part,
) -> Result<Option<Body>, Stop> {
    let announced = announced(session);
    if announced.is_some_and(|length| length > line::READ_IN) {
        let most = (stage.shared.tasks.max_body, "a task (tasks.max_body)");
        let bytes = whole::read(session, stage, BytesMut::new(), most, share).await?;
        return Ok(Some(Body {
            bytes,
            goes_back: false,
        }));
    }
    let bytes = line::read_in(session, stage).await?;
    Ok(bytes.map(|bytes| Body {
        bytes,
        goes_back: true,
    }))
}

/// Whether the upstream's form takes a request with this body.
fn fits(upstream: &Upstream, plan: &Plan, body: &[u8]) -> bool {
    let Kind::Behind(place) = plan.kind else {
        return false;
    };
    let adapter = upstream.config().adapters.get(place);
    adapter.is_some_and(|adapter| fits_body(adapter, &Origin::new(adapter, &plan.target, body)))
}

/// What the client hears. Whether or not it waits for that, the task goes on.
///
/// # Errors
/// When the client is gone.
pub(super) async fn answer(
    session: &mut Session,
    stage: &mut Stage,
    upstream: &Upstream,
    receipt: Receipt,
) -> Result<Answer, Stop> {
    let shared = stage.shared.clone();
    let headers = &session.req_header().headers;
    let patience = patience::of_client(headers, &upstream.config().clients);
    let ended = ended(shared.clone(), receipt.clone(), patience);
    let ended = interim::watched(session, stage, &receipt.task, ended).await?;
    stage.phase = Phase::Finished;
    let task = ended.unwrap_or(receipt.task);
    if !receipt.replayed {
        stage.waited += task.started.unwrap_or(task.updated).since(task.created);
    }
    if task.status.state() == State::Scheduled || was_taken_back(&task) {
        return Ok(left(stage, upstream, &task));
    }
    let api = &shared.tasks.api;
    let answer = api.as_if_called(&task).await;
    let mut answer = answer.unwrap_or_else(|lost| said(stage, upstream, &lost));
    api.name(&mut answer, &task, receipt.replayed);
    Ok(answer)
}

/// It stands in line, or was taken back there. Only of what never went up is it said that nothing was done: one that may be done
/// twice stands there, too, after an answer was lost.
fn left(stage: &mut Stage, upstream: &Upstream, task: &Record) -> Answer {
    if !task.dispatched {
        return refused::too_late(stage, upstream, task);
    }
    let lost = Lost {
        status: 504,
        detail: WENT_UP.to_owned(),
    };
    said(stage, upstream, &lost)
}

/// There is no answer, in the words of the API.
fn said(stage: &mut Stage, upstream: &Upstream, lost: &Lost) -> Answer {
    stage.who = Some(if lost.status == 504 {
        Who::UpstreamTimeout
    } else {
        Who::Upstream
    });
    let voice = judge::voice(stage, upstream.index());
    answer::lost(lost.status, &lost.detail, voice.as_ref())
}

/// What is known of a call that went up once, and whose client will not wait for the next time.
const WENT_UP: &str = "The answer of the upstream was lost, and there is no other yet: what was asked for may have been done.";
/// Why a task is taken back whose client will not wait any more.
const TOO_LATE: &str = "Its client would not wait any longer for it to begin.";

/// Its client would not wait, and was told so, or is to be.
fn was_taken_back(task: &Record) -> bool {
    let fault = task.error.as_ref();
    task.status.state() == State::Aborted
        && fault.is_some_and(|fault| fault.detail.starts_with(TOO_LATE))
}

/// The task once it is over; or as it stands in line when its client's patience is, or the gate is about to stop: then it is
/// taken back, unless it is another's.
async fn ended(shared: Arc<Shared>, receipt: Receipt, patience: Duration) -> Arc<Record> {
    let api = &shared.tasks.api;
    let mut task = receipt.task;
    tokio::select! {
        biased;
        now = api.until_done(task.clone(), patience) => task = now,
        () = shared.leaves() => {}
    }
    loop {
        task = api.until_back(task).await;
        if task.status.state().is_done() || receipt.replayed {
            return task;
        }
        match shared.desk.recall(task.id, TOO_LATE).await {
            Ok(now) if now.status.state().is_done() => return now,
            // It has just gone up, and the upstream is asked to take it back: what it says of that is the answer.
            Ok(now) => task = now,
            // Who was told that it did not begin may send it again: it has to be true.
            Err(CancelError::Advance(AdvanceError::Store(_) | AdvanceError::Unknown)) => {
                sleep(STORE_AGAIN).await;
            }
            // It has gone up, or is over.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}
