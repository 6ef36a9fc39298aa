//! Why a call does not become a task. These are the gate's own words: problems of RFC 9457.

use std::time::Duration;

use http::header::RETRY_AFTER;

use crate::answer::{self, Answer};
use crate::call::{Reason, Refusal};
use crate::forward::Upstream;
use crate::observe::Who;
use crate::proxy::judge;
use crate::proxy::said::Stop;
use crate::proxy::stage::Stage;
use crate::task::{Record, SubmitError};

/// Limits of the queue, by their names in answers and in the access log.
const QUEUE: &str = "task_queue";
const QUEUE_PER_USER: &str = "task_queue_per_user";
/// When to come back to a full queue: blocking work takes its time.
const QUEUE_AGAIN: Duration = Duration::from_secs(10);

fn problem(stage: &mut Stage, kind: &'static str, status: u16, detail: &str) -> Answer {
    stage.who = Some(Who::Gate);
    stage.shared.tasks.api.problem(kind, status, detail)
}

/// The gate is about to stop.
pub(super) fn leaving(stage: &mut Stage) -> Stop {
    stage.who = Some(Who::Gate);
    let why =
        "the gate is about to stop and takes no new tasks; those that it has go on when it is back";
    Stop::Answer(answer::not_now(why, 5))
}

/// Other bodies take all the room there is for them.
pub(super) fn crowded(stage: &mut Stage) -> Stop {
    stage.who = Some(Who::Gate);
    let why = "so many bodies come in at this moment that there is no room for this one: nothing was accepted";
    Stop::Answer(answer::not_now(why, 2))
}

/// A call did not begin as long as its client waits: it was taken back.
pub(super) fn too_late(stage: &mut Stage, upstream: &Upstream, task: &Record) -> Answer {
    let shared = stage.shared.clone();
    if shared.is_draining()
        && let Stop::Answer(answer) = leaving(stage)
    {
        return answer;
    }
    let pool = &task.requested.pool;
    let seats = (shared.tasks.api.settings().pools)(upstream.name(), pool);
    let (ceiling, free) = seats.map_or((0, 0), |pool| (pool.seats, pool.free));
    let refusal = Refusal {
        limit: seats.map_or_else(|| QUEUE.into(), |_| pool.clone()),
        status: 503,
        reason: Reason::Timeout,
        in_use: ceiling.saturating_sub(free),
        ceiling,
        window: Duration::ZERO,
        retry_after: QUEUE_AGAIN,
    };
    judge::refused_by(stage, upstream.index(), &refusal)
}

/// Nobody can say whose the session is.
pub(super) fn in_doubt(stage: &mut Stage) -> Stop {
    stage.who = Some(Who::Upstream);
    let why = "the upstream does not say whose this session is, and so whose the Idempotency-Key; come back";
    Stop::Answer(answer::not_now(why, 2))
}

/// A call with its key is under way.
pub(super) fn outstanding(stage: &mut Stage) -> Stop {
    let why = "a call with this key is under way; send the same again when it is over";
    let mut answer = problem(stage, "idempotency-key-outstanding", 409, why);
    answer.headers.push((RETRY_AFTER, 1.into()));
    Stop::Answer(answer)
}

/// The key is none.
pub(super) fn no_key(stage: &mut Stage) -> Answer {
    let why = "a key is one field of 1 to 255 visible ASCII characters, in quotes or without";
    problem(stage, "idempotency-key-invalid", 400, why)
}

/// A key is needed.
pub(super) fn without_key(stage: &mut Stage) -> Answer {
    let why = "this operation is taken only with an Idempotency-Key";
    problem(stage, "idempotency-key-missing", 400, why)
}

/// `Task-Start-Deadline` is no number of seconds.
pub(super) fn bad_deadline(stage: &mut Stage) -> Answer {
    let why = "Task-Start-Deadline is one whole number of seconds, 1 at least";
    problem(stage, "bad-deadline", 400, why)
}

/// The route takes JSON alone.
pub(super) fn not_json(stage: &mut Stage) -> Stop {
    let why = "this operation takes JSON, not compressed";
    Stop::Answer(problem(stage, "body-not-json", 400, why))
}

/// The desk did not take it.
pub(super) fn not_taken(stage: &mut Stage, error: &SubmitError) -> Stop {
    Stop::Answer(match error {
        SubmitError::OwnerFull(open) => full(stage, (QUEUE_PER_USER, 429), *open),
        SubmitError::Full(open) => full(stage, (QUEUE, 503), *open),
        SubmitError::KeyTaken => {
            let why = "this key came before with another request; use a new key for each operation";
            problem(stage, "idempotency-key-used", 422, why)
        }
        SubmitError::Seal(_) | SubmitError::Store(_) => {
            tracing::error!(%error, "a task was not taken in");
            stage.who = Some(Who::Internal);
            answer::not_now(
                "the gate cannot keep tasks at this moment: nothing was accepted",
                5,
            )
        }
    })
}

fn full(stage: &mut Stage, (limit, status): (&'static str, u16), open: usize) -> Answer {
    stage.who = Some(Who::Limit);
    stage.limit = Some(limit.into());
    let open = u64::try_from(open).unwrap_or(u64::MAX);
    let refusal = Refusal {
        limit: limit.into(),
        status,
        reason: Reason::Full,
        in_use: open,
        ceiling: open,
        window: Duration::ZERO,
        retry_after: QUEUE_AGAIN,
    };
    answer::refusal(&refusal, None, stage.shared.settings.ratelimit)
}
