//! The gate in a vendor's clothes: what a client that speaks the vendor's asynchronous form is answered of the gate's own tasks.

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::LARGEST;
use super::seen::{Body, Seen};
use super::told::{Made, made};
use crate::config::{Adapter, AnswerShape, FACE_STATES, Face, FaceRoute, Fill, Part, What};

/// Most letters of what an upstream said went wrong.
const LONGEST_SAID: usize = 1024;

/// What a client asks of the gate's own tasks, by the vendor's paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    /// How this one fares.
    Status(String),
    /// To take this one back.
    Cancel(String),
    /// Which there are, the upstream's own too.
    List {
        /// Only those that are not over.
        active: bool,
    },
}

/// A task of the gate, as far as a face shows it. Times are written by RFC 3339.
#[derive(Debug, Clone, Default)]
pub struct Shown<'a> {
    /// Its name, with the prefix of the face: see [`name_of`].
    pub id: &'a str,
    /// Its state, one of the seven.
    pub state: &'a str,
    /// How much is done, of 100.
    pub percent: Option<u8>,
    /// What is being done.
    pub message: Option<&'a str>,
    /// When it was accepted.
    pub created: &'a str,
    /// When it first went up.
    pub started: Option<&'a str>,
    /// When it was over.
    pub ended: Option<&'a str>,
    /// Method of the call.
    pub method: &'a str,
    /// Path and query of the call.
    pub target: &'a str,
    /// Whether it can be taken back.
    pub cancelable: bool,
    /// What the upstream answered: status, `Location`, body; where that was not read, its status alone.
    pub result: Option<(u16, Option<&'a str>, &'a [u8])>,
    /// Status that stands for the failure, where the upstream answered none.
    pub error_status: Option<u16>,
    /// Kind of the failure.
    pub error_kind: Option<&'a str>,
    /// What happened.
    pub error_message: Option<&'a str>,
}

/// The name of a task as clients of this face know it.
#[must_use]
pub fn name_of(face: &Face, id: &str) -> String {
    format!("{}{id}", face.prefix)
}

/// What a call asks of the gate's own tasks; `None`: it is the upstream's affair.
#[must_use]
pub fn asked(face: &Face, method: &str, target: &str) -> Option<Asks> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let own = |id: String| id.starts_with(&face.prefix).then_some(id);
    if let Some(cancel) = &face.cancel {
        let id = on(&cancel.at, method, path, query).and_then(own);
        if let Some(id) = id {
            return Some(Asks::Cancel(id));
        }
    }
    if let Some(id) = on(&face.at, method, path, query).and_then(own) {
        return Some(Asks::Status(id));
    }
    let list = face
        .list
        .as_ref()
        .filter(|list| on(&list.at, method, path, query).is_some())?;
    let active = list.active.as_ref().is_some_and(|pair| has(query, pair));
    Some(Asks::List { active })
}

/// Whether a call is on this route: the name in its path, which is empty where the route has none.
fn on(route: &FaceRoute, method: &str, path: &str, query: &str) -> Option<String> {
    if route.method != method || !route.query.iter().all(|pair| has(query, pair)) {
        return None;
    }
    let (mut wanted, mut have) = (route.path.split('/'), path.split('/'));
    let mut id = String::new();
    loop {
        match (wanted.next(), have.next()) {
            (None, None) => return Some(id),
            (Some("{id}"), Some(segment)) => {
                let decoded = percent_decode_str(segment).decode_utf8().ok()?;
                id = decoded.into_owned();
            }
            (Some(wanted), Some(have)) if wanted == have => {}
            _ => return None,
        }
    }
}

fn has(query: &str, (name, value): &(String, String)) -> bool {
    query
        .split('&')
        .any(|pair| pair.split_once('=').unwrap_or((pair, "")) == (name, value))
}

/// The answer to a start.
#[must_use]
pub fn started(face: &Face, adapter: &Adapter, task: &Shown<'_>) -> Made {
    made(&face.started, |fill| fact(face, adapter, task, fill))
}

/// How a task fares.
#[must_use]
pub fn shown(face: &Face, adapter: &Adapter, task: &Shown<'_>) -> Made {
    made(&face.status, |fill| fact(face, adapter, task, fill))
}

/// Whether [`shown`] tells of a task in this state what only the upstream's answer says; `in_short`: its result is not told.
#[must_use]
pub fn tells_answer(face: &Face, state: &str, in_short: bool) -> bool {
    let is_bad = ended_badly(state);
    facts(&face.status).any(|name| match name {
        "result" => !in_short && ended_well(state),
        "result_location" => is_bad || ended_well(state),
        "error" => is_bad,
        "error_message" => is_bad && !face.message.is_empty(),
        _ => false,
    })
}

fn facts(shape: &AnswerShape) -> impl Iterator<Item = &str> {
    let fields = shape.headers.iter().map(|(_, value)| value);
    let parts = shape.body.iter().chain(fields);
    let parts = parts.flat_map(|template| template.lines.iter().flatten());
    parts.filter_map(|part| match part {
        Part::Fill(Fill {
            what: What::Fact(name),
            ..
        }) => Some(name.as_str()),
        _ => None,
    })
}

/// The answer where there is no such task, or where it is another's.
#[must_use]
pub fn unknown(face: &Face, id: &str) -> Made {
    made(&face.unknown, |fill| match &fill.what {
        What::Fact(name) if name == "id" => Some(json!(id)),
        _ => None,
    })
}

/// The answer to one who takes a task back: whether it was heard.
#[must_use]
pub fn canceled(face: &Face, adapter: &Adapter, task: &Shown<'_>, heard: bool) -> Option<Made> {
    let cancel = face.cancel.as_ref()?;
    let shape = if heard { &cancel.done } else { &cancel.refused };
    Some(made(shape, |fill| fact(face, adapter, task, fill)))
}

fn fact(face: &Face, adapter: &Adapter, task: &Shown<'_>, fill: &Fill) -> Option<Value> {
    let What::Fact(name) = &fill.what else {
        return None;
    };
    let text = |text: Option<&str>| text.map(|text| json!(text));
    if let Some(name) = name.strip_prefix("words.") {
        let found = adapter.words.iter().find(|(word, _)| word == name);
        return text(found.map(|(_, said)| said.as_str()));
    }
    match name.as_str() {
        "id" => text(Some(task.id)),
        "state" => text(Some(task.state)),
        "status" => by_state(&face.states, task.state).map(|word| json!(word)),
        "percent" => task.percent.map(|percent| json!(percent)),
        "message" => text(task.message),
        "created" => text(Some(task.created)),
        "started" => text(task.started),
        "ended" => text(task.ended),
        "method" => text(Some(task.method)),
        "target" => text(Some(task.target)),
        "path" => text(task.target.split('?').next()),
        "1" | "2" => star(adapter, task.target, name),
        "cancelable" => Some(json!(task.cancelable)),
        "result" => result(task).filter(|_| ended_well(task.state)),
        "result_location" => text(task.result.and_then(|(_, location, _)| location)),
        "result_status" => task.result.map(|(status, _, _)| json!(status)),
        "status_code" => {
            let answered = task.result.map(|(status, _, _)| status);
            Some(json!(answered.or(task.error_status).unwrap_or(0)))
        }
        "error" => error(face, task),
        "error_kind" => text(task.error_kind),
        "error_message" => said(face, task).or_else(|| text(task.error_message)),
        _ => None,
    }
}

fn by_state<'w>(words: &'w [String], state: &str) -> Option<&'w str> {
    let at = FACE_STATES.iter().position(|one| *one == state)?;
    words
        .get(at)
        .map(String::as_str)
        .filter(|word| !word.is_empty())
}

fn star(adapter: &Adapter, target: &str, star: &str) -> Option<Value> {
    let origin = super::Origin::new(adapter, target, &[]);
    origin.star(star.parse().ok()?).map(|taken| json!(taken))
}

/// The body of the upstream's answer, as JSON where it is some.
fn result(task: &Shown<'_>) -> Option<Value> {
    let (_, _, body) = task
        .result
        .filter(|(_, _, body)| !body.is_empty() && body.len() <= LARGEST)?;
    let parsed = serde_json::from_slice(body).ok();
    parsed.or_else(|| std::str::from_utf8(body).ok().map(|text| json!(text)))
}

/// What the upstream itself said went wrong.
fn said(face: &Face, task: &Shown<'_>) -> Option<Value> {
    if face.message.is_empty() || !ended_badly(task.state) {
        return None;
    }
    let (_, _, body) = task.result?;
    let said = Seen::entry(Body::read(body)).first(&face.message)?;
    Some(json!(said.chars().take(LONGEST_SAID).collect::<String>()))
}

fn ended_well(state: &str) -> bool {
    matches!(state, "COMPLETED" | "PARTIAL_SUCCESS")
}

fn ended_badly(state: &str) -> bool {
    matches!(state, "FAILED" | "ABORTED" | "EXPIRED")
}

/// The error of a task that ended badly: the upstream's own, where it is JSON, or what the face says of such an end.
fn error(face: &Face, task: &Shown<'_>) -> Option<Value> {
    if !ended_badly(task.state) {
        return None;
    }
    let own = result(task).filter(Value::is_object);
    own.or_else(|| serde_json::from_str(by_state(&face.errors, task.state)?).ok())
}
