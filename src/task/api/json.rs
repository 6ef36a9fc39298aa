//! A task as JSON: what its client may know. Nothing of the header or the body of its request.

use std::fmt;
use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::problems;
use crate::observe::redacted;
use crate::task::desk::Live;
use crate::task::id::TaskId;
use crate::task::record::{Bond, Millis, Mode, Outcome, Record, Source};
use crate::task::state::{State, Substate};

/// Where a task stands in line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Queue {
    pub(super) position: usize,
    pub(super) seats: Option<u64>,
}

/// What is known of a task beside its record.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Aside<'a> {
    /// Its place in line.
    pub(super) queue: Option<Queue>,
    /// What polls of the upstream told of it.
    pub(super) live: Option<&'a Live>,
    /// It can be taken back now.
    pub(super) cancelable: bool,
}

/// Where its URLs begin: scheme and host, where they are written, and the prefix.
#[derive(Debug, Clone, Copy)]
pub(in crate::task) struct Root<'a> {
    pub(in crate::task) base: &'a str,
    pub(in crate::task) prefix: &'a str,
}

/// The URL of a task, or of a part of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link<'a> {
    pub(super) root: Root<'a>,
    pub(super) id: TaskId,
    pub(super) tail: &'static str,
}

impl fmt::Display for Link<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { root, id, tail } = self;
        write!(f, "{}{}/{id}{tail}", root.base, root.prefix)
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(serialize_with = "as_text")]
    id: TaskId,
    state: &'static str,
    done: bool,
    cancelable: bool,
    version: u64,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    substate: Option<&'static str>,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    retries: Option<u32>,
    dispatched: bool,
    upstream: &'a str,
    route: &'a str,
    request: Request<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<Line<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_task: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Progress<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    poll_errors: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_unreachable_since: Option<Stamp>,
    created_at: Stamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Stamp>,
    updated_at: Stamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_deadline: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<Stamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_applied: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<problems::Problem<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Answered<'a>>,
    links: Links<'a>,
}

#[derive(Serialize)]
struct Request<'a> {
    method: &'a str,
    target: String,
    #[serde(serialize_with = "as_text")]
    body_sha256: Hex<'a>,
    #[serde(rename = "request_id", skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

/// How far the upstream's own task is.
#[derive(Serialize)]
struct Progress<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

#[derive(Serialize)]
struct Line<'a> {
    pool: &'a str,
    position: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
}

#[derive(Serialize)]
struct Answered<'a> {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    available_until: Option<Stamp>,
}

/// Where a task, and what belongs to it, is asked for.
#[derive(Serialize)]
pub(in crate::task) struct Links<'a> {
    #[serde(rename = "self", serialize_with = "as_text")]
    own: Link<'a>,
    #[serde(serialize_with = "as_text")]
    result: Link<'a>,
    #[serde(serialize_with = "as_text")]
    cancel: Link<'a>,
    #[serde(serialize_with = "as_text")]
    events: Link<'a>,
    /// The task that makes up for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    compensated_by: Option<Linked<'a>>,
    /// The task that it makes up for.
    #[serde(skip_serializing_if = "Option::is_none")]
    compensates: Option<Linked<'a>>,
}

/// The URL of another task.
struct Linked<'a>(Link<'a>);

impl Serialize for Linked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        as_text(&self.0, serializer)
    }
}

/// The task, and what its operator may know beyond that.
#[derive(Serialize)]
struct Overseen<'a> {
    #[serde(flatten)]
    shown: Shown<'a>,
    owner: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    client: IpAddr,
}

/// Appends the task as JSON, on one line, and whose it is.
pub(super) fn write_overseen(task: &Record, aside: Aside<'_>, root: Root<'_>, out: &mut Vec<u8>) {
    let overseen = Overseen {
        shown: shown(task, aside, root),
        owner: &task.requested.owner.0,
        user: task.requested.user.as_deref(),
        client: task.requested.address,
    };
    serde_json::to_writer(out, &overseen).unwrap_or_default();
}

/// Appends the task as JSON, on one line.
pub(super) fn write(task: &Record, aside: Aside<'_>, root: Root<'_>, out: &mut Vec<u8>) {
    // Strings, numbers and maps of these: nothing in it could fail to serialize.
    serde_json::to_writer(out, &shown(task, aside, root)).unwrap_or_default();
}

fn shown<'a>(task: &'a Record, aside: Aside<'a>, root: Root<'a>) -> Shown<'a> {
    let requested = &task.requested;
    let state = task.status.state();
    let is_open = !state.is_done();
    let is_followed = task.mode == Mode::Native && state == State::Running;
    let live = aside.live.filter(|_| is_followed);
    Shown {
        id: task.id,
        state: state.as_str(),
        done: !is_open,
        cancelable: aside.cancelable,
        version: task.version,
        mode: mode(task.mode),
        substate: task.status.substate().map(Substate::as_str),
        attempts: task.attempts,
        retries: Some(task.retries()).filter(|retries| *retries > 0),
        dispatched: task.dispatched,
        upstream: &requested.upstream,
        route: &requested.route,
        request: Request {
            method: &requested.method,
            target: redacted(requested.target.as_bytes()),
            body_sha256: Hex(&requested.body_sha256),
            name: requested.request_id.as_deref(),
        },
        queue: aside.queue.map(|queue| Line {
            pool: &requested.pool,
            position: queue.position,
            limit: queue.seats,
        }),
        upstream_task: task.upstream_task.as_deref(),
        progress: aside.live.filter(|_| is_open).and_then(progress),
        poll_errors: is_followed.then(|| live.map_or(0, |live| live.poll_errors)),
        upstream_unreachable_since: live.and_then(|live| live.unreachable_since).map(Stamp),
        created_at: Stamp(task.created),
        started_at: task.started.map(Stamp),
        updated_at: Stamp(task.updated),
        ended_at: task.ended.map(Stamp),
        expires_at: task.expires.map(Stamp),
        not_before: task.not_before.filter(|_| is_open).map(Stamp),
        start_deadline: requested.start_deadline.map(Stamp),
        deadline: task.deadline.filter(|_| is_open).map(Stamp),
        outcome: task.outcome.map(outcome),
        not_applied: (task.outcome == Some(Outcome::NotApplied)).then_some(true),
        result_source: task.result.as_ref().map(|result| source(result.source)),
        error: problems::of_task(task, root),
        result: answered(task),
        links: links(root, task),
    }
}

/// What a probe saw is no answer to the call: its status would be taken for one.
fn answered(task: &Record) -> Option<Answered<'_>> {
    let result = task.result.as_ref();
    let result = result.filter(|result| result.source == Source::Answer)?;
    Some(Answered {
        status: result.status,
        content_type: result.content_type.as_deref(),
        bytes: result.bytes,
        available_until: task.expires.map(Stamp),
    })
}

fn progress(live: &Live) -> Option<Progress<'_>> {
    let progress = Progress {
        percent: live.percent,
        message: live.message.as_deref(),
    };
    (progress.percent.is_some() || progress.message.is_some()).then_some(progress)
}

/// The URLs of a task.
pub(in crate::task) const fn links<'a>(root: Root<'a>, task: &Record) -> Links<'a> {
    let id = task.id;
    let (by, of) = match task.bond {
        Some(Bond::CompensatedBy(id)) => (Some(id), None),
        Some(Bond::Compensates(id)) => (None, Some(id)),
        None => (None, None),
    };
    Links {
        compensated_by: linked(root, by),
        compensates: linked(root, of),
        own: Link { root, id, tail: "" },
        result: Link {
            root,
            id,
            tail: "/result",
        },
        cancel: Link {
            root,
            id,
            tail: "/cancel",
        },
        events: Link {
            root,
            id,
            tail: "/events",
        },
    }
}

const fn linked(root: Root<'_>, id: Option<TaskId>) -> Option<Linked<'_>> {
    match id {
        Some(id) => Some(Linked(Link { root, id, tail: "" })),
        None => None,
    }
}

const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Queued => "queued",
        Mode::Native => "native",
        Mode::Merged => "merged",
    }
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        // That it was not applied is known, too; a member of its own says it.
        Outcome::Known | Outcome::NotApplied => "known",
        Outcome::Unknown => "unknown",
    }
}

const fn source(source: Source) -> &'static str {
    match source {
        Source::Answer => "answer",
        Source::Probe => "probe",
    }
}

fn as_text<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

struct Hex<'a>(&'a [u8; 32]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A time of day by RFC 3339, to the millisecond.
pub(in crate::task) struct Stamp(pub(in crate::task) Millis);

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What lies behind the year 9999 has no form there.
        const LAST: u64 = 253_402_300_799_999;
        let at = Millis(self.0.0.min(LAST));
        let at = time::OffsetDateTime::from(std::time::SystemTime::from(at));
        let (date, clock) = (at.date(), at.time());
        let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
        let (hour, minute, second, milli) = clock.as_hms_milli();
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_has_milliseconds_and_four_digits_of_a_year() {
        assert_eq!(Stamp(Millis(0)).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            Stamp(Millis(1_772_360_100_120)).to_string(),
            "2026-03-01T10:15:00.120Z"
        );
        assert_eq!(
            Stamp(Millis(u64::MAX)).to_string(),
            "9999-12-31T23:59:59.999Z"
        );
    }
}
