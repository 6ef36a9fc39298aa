//! How a task stands in its row: columns for what is asked for, JSON for the rest, each with names of its own, so that
//! the record may change and old rows can still be read.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::words;
use crate::call::SessionKey;
use crate::task::{
    Bond, Event, Fault, Millis, Moved, Operation, Owner, Record, Requested, ResultHead, State,
    Status, Substate, TaskId,
};

/// The form of what is written now. A row of a later form is not read.
pub(super) const FORM: i64 = 1;
/// The columns that [`record`] reads.
pub(super) const COLUMNS: &str = "id, owner, upstream, state, substate, version, fence, expires, form, requested, progress, history, \
     idem IS NOT NULL AS keyed";
/// Bytes of a step in a history: the code of its event, and its time, little endian.
const STEP: usize = 9;

#[derive(Serialize, Deserialize)]
struct Asked {
    route: String,
    pool: String,
    method: String,
    target: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    body_sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    address: IpAddr,
    replay: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_deadline: Option<u64>,
    run_for: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    callback: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Progress {
    mode: String,
    #[serde(default)]
    dispatched: bool,
    #[serde(default)]
    attempts: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deadline: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upstream_task: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    earlier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<(String, u16, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<Head>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compensated_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compensates: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stood: Option<bool>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unproven: bool,
    created: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    started: Option<u64>,
    updated: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    bytes: u64,
    source: String,
}

/// What was asked for, as it is kept.
pub(super) fn requested(of: &Requested) -> Result<String, sqlx::Error> {
    let operation = of.operation.as_ref();
    let asked = Asked {
        route: of.route.to_string(),
        pool: of.pool.to_string(),
        method: of.method.clone(),
        target: of.target.clone(),
        service: operation.and_then(|operation| operation.service.clone()),
        operation: operation.map(|operation| operation.name.clone()),
        body_sha256: BASE64_STANDARD_NO_PAD.encode(of.body_sha256),
        user: of.user.as_deref().map(str::to_owned),
        session: of
            .session
            .as_ref()
            .map(|key| BASE64_STANDARD_NO_PAD.encode(key.bytes())),
        address: of.address,
        replay: words::of_replay(of.replay).to_owned(),
        start_deadline: of.start_deadline.map(|at| at.0),
        run_for: u64::try_from(of.run_for.as_millis()).unwrap_or(u64::MAX),
        callback: of.callback.as_deref().map(str::to_owned),
        request_id: of.request_id.as_deref().map(str::to_owned),
    };
    json(&asked)
}

/// How a task does, as it is kept.
pub(super) fn progress(of: &Record) -> Result<String, sqlx::Error> {
    let error = of.error.as_ref();
    let (compensated_by, compensates) = match of.bond {
        Some(Bond::CompensatedBy(id)) => (Some(id.to_string()), None),
        Some(Bond::Compensates(id)) => (None, Some(id.to_string())),
        None => (None, None),
    };
    let progress = Progress {
        mode: words::of_mode(of.mode).to_owned(),
        dispatched: of.dispatched,
        attempts: of.attempts,
        not_before: of.not_before.map(|at| at.0),
        deadline: of.deadline.map(|at| at.0),
        upstream_task: of.upstream_task.as_deref().map(str::to_owned),
        earlier: of.earlier.as_deref().map(str::to_owned),
        outcome: of.outcome.map(|how| words::of_outcome(how).to_owned()),
        error: error.map(|fault| (fault.kind.to_owned(), fault.status, fault.detail.clone())),
        error_type: of.error_type.as_deref().map(str::to_owned),
        result: of.result.as_ref().map(|head| Head {
            status: head.status,
            content_type: head.content_type.clone(),
            bytes: head.bytes,
            source: words::of_source(head.source).to_owned(),
        }),
        compensated_by,
        compensates,
        stood: of.stood,
        unproven: of.unproven,
        created: of.created.0,
        started: of.started.map(|at| at.0),
        updated: of.updated.0,
        ended: of.ended.map(|at| at.0),
    };
    json(&progress)
}

/// Everything that happened, as it is kept.
pub(super) fn history(of: &Record) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(of.history.len() * STEP);
    for moved in &of.history {
        bytes.push(moved.event.code());
        bytes.extend(moved.at.0.to_le_bytes());
    }
    bytes
}

fn json(value: &impl Serialize) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// A task from its row.
pub(super) fn record(row: &SqliteRow) -> Result<Record, sqlx::Error> {
    let id = id(row.try_get("id")?)?;
    read(row, id).map_err(|error| unreadable(format!("task {id} cannot be read: {error}")))
}

fn read(row: &SqliteRow, id: TaskId) -> Result<Record, sqlx::Error> {
    let form: i64 = row.try_get("form")?;
    if form > FORM {
        return Err(unreadable("a newer version of the gate wrote it"));
    }
    let progress: Progress = parsed(row.try_get("progress")?)?;
    let asked: Asked = parsed(row.try_get("requested")?)?;
    let expires: Option<i64> = row.try_get("expires")?;
    let state = status(row.try_get("state")?, row.try_get("substate")?);
    Ok(Record {
        id,
        requested: read_requested(asked, row)?,
        status: state.ok_or_else(|| unreadable("no such state"))?,
        version: row.try_get::<i64, _>("version")?.cast_unsigned(),
        fence: row.try_get::<i64, _>("fence")?.cast_unsigned(),
        mode: words::mode(&progress.mode).ok_or_else(|| unreadable("no such mode"))?,
        history: read_history(row.try_get("history")?)?,
        dispatched: progress.dispatched,
        attempts: progress.attempts,
        not_before: progress.not_before.map(Millis),
        deadline: progress.deadline.map(Millis),
        upstream_task: progress.upstream_task.map(Arc::from),
        earlier: progress.earlier.map(Arc::from),
        outcome: read_word(progress.outcome, words::outcome)?,
        error: progress.error.map(|(kind, status, detail)| Fault {
            kind: words::kind(&kind),
            status,
            detail,
        }),
        error_type: progress.error_type.map(Arc::from),
        result: progress.result.map(read_head).transpose()?,
        keyed: row.try_get("keyed")?,
        bond: bond(progress.compensated_by, progress.compensates)?,
        stood: progress.stood,
        unproven: progress.unproven,
        created: Millis(progress.created),
        started: progress.started.map(Millis),
        updated: Millis(progress.updated),
        ended: progress.ended.map(Millis),
        expires: expires.map(super::time),
    })
}

fn read_requested(asked: Asked, row: &SqliteRow) -> Result<Requested, sqlx::Error> {
    let owner: &str = row.try_get("owner")?;
    let upstream: &str = row.try_get("upstream")?;
    let session = asked.session.as_deref().map(array).transpose()?;
    Ok(Requested {
        upstream: Arc::from(upstream),
        route: Arc::from(asked.route),
        pool: Arc::from(asked.pool),
        method: asked.method,
        target: asked.target,
        operation: asked.operation.map(|name| Operation {
            service: asked.service,
            name,
        }),
        body_sha256: array(&asked.body_sha256)?,
        owner: Owner(Arc::from(owner)),
        user: asked.user.map(Arc::from),
        session: session.map(SessionKey::new),
        address: asked.address,
        replay: words::replay(&asked.replay).ok_or_else(|| unreadable("no such replay"))?,
        start_deadline: asked.start_deadline.map(Millis),
        run_for: Duration::from_millis(asked.run_for),
        callback: asked.callback.map(Arc::from),
        request_id: asked.request_id.map(Arc::from),
    })
}

fn read_head(head: Head) -> Result<ResultHead, sqlx::Error> {
    Ok(ResultHead {
        status: head.status,
        content_type: head.content_type,
        bytes: head.bytes,
        source: words::source(&head.source).ok_or_else(|| unreadable("no such source"))?,
    })
}

fn bond(by: Option<String>, of: Option<String>) -> Result<Option<Bond>, sqlx::Error> {
    let id = |text: String| text.parse().map_err(|_| unreadable("no task id"));
    Ok(match (by, of) {
        (Some(by), _) => Some(Bond::CompensatedBy(id(by)?)),
        (None, Some(of)) => Some(Bond::Compensates(id(of)?)),
        (None, None) => None,
    })
}

fn read_word<T>(
    word: Option<String>,
    read: fn(&str) -> Option<T>,
) -> Result<Option<T>, sqlx::Error> {
    let known = |word: String| read(&word).ok_or_else(|| unreadable(format!("no word {word:?}")));
    word.map(known).transpose()
}

fn read_history(bytes: &[u8]) -> Result<Vec<Moved>, sqlx::Error> {
    let (steps, rest) = bytes.as_chunks::<STEP>();
    let moved = |[code, at @ ..]: &[u8; STEP]| {
        Some(Moved {
            event: Event::of(*code)?,
            at: Millis(u64::from_le_bytes(*at)),
        })
    };
    let steps: Option<Vec<Moved>> = steps.iter().map(moved).collect();
    let steps = steps.filter(|_| rest.is_empty());
    steps.ok_or_else(|| unreadable("its history is none"))
}

/// Name and substate of a status: together they say which.
pub(super) fn status_words(status: Status) -> (&'static str, Option<&'static str>) {
    let substate = status.substate();
    (status.state().as_str(), substate.map(Substate::as_str))
}

fn status(state: &str, substate: Option<&str>) -> Option<Status> {
    let words = (state, substate);
    let mut all = Status::ALL.into_iter();
    all.find(|status| status_words(*status) == words)
}

/// Every state that is not over.
pub(super) fn open_states() -> impl Iterator<Item = &'static str> {
    let open = State::ALL.into_iter().filter(|state| !state.is_done());
    open.map(State::as_str)
}

/// A name from its bytes.
pub(super) fn id(bytes: &[u8]) -> Result<TaskId, sqlx::Error> {
    let bytes = bytes.try_into().map_err(|_| unreadable("no task id"))?;
    Ok(TaskId::from_bytes(bytes))
}

pub(super) fn array<const N: usize>(text: &str) -> Result<[u8; N], sqlx::Error> {
    let bytes = BASE64_STANDARD_NO_PAD.decode(text).ok();
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| unreadable("no base64 of the right length"))
}

fn parsed<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, sqlx::Error> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// Nobody but the gate writes rows, and it reads what it writes: somebody else was there.
pub(super) fn unreadable(what: impl Into<String>) -> sqlx::Error {
    sqlx::Error::Decode(what.into().into())
}
