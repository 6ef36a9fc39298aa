//! How a vendor's asynchronous form looks to a client: what the gate answers where it stands in for it.

use std::sync::Arc;

use super::answer::answer;
use super::shape::AnswerShape;
use super::spot::{Spot, parse, spot};
use super::template::Filled;
use crate::config::node::Node;
use crate::config::reader::Reader;
use crate::config::route::own_name;
use crate::config::value::text;

/// What a template of a face may say of a task.
pub(super) const FACTS: [&str; 21] = [
    "id",
    "state",
    "status",
    "cancelable",
    "percent",
    "message",
    "created",
    "started",
    "ended",
    "method",
    "path",
    "target",
    "1",
    "2",
    "result",
    "result_location",
    "result_status",
    "status_code",
    "error",
    "error_kind",
    "error_message",
];
/// The states of a task, as clients of the gate are told them.
pub const STATES: [&str; 7] = [
    "SCHEDULED",
    "RUNNING",
    "COMPLETED",
    "FAILED",
    "ABORTED",
    "PARTIAL_SUCCESS",
    "EXPIRED",
];
/// Longest text, bytes.
const LONGEST: usize = 512;

/// How a vendor's asynchronous form looks to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Face {
    /// Its name, the file's before it.
    pub name: String,
    /// What the names of the gate's own tasks begin with, so that none is taken for the upstream's.
    pub prefix: String,
    /// The vendor's words, in the order of [`STATES`].
    pub states: Vec<String>,
    /// What is said of an end that the upstream said nothing of, in the order of [`STATES`]: JSON, empty where there is nothing.
    pub errors: Vec<String>,
    /// The answer that says "started".
    pub started: AnswerShape,
    /// Where a client asks for a task: a path with `{id}`.
    pub at: Route,
    /// The answer to that.
    pub status: AnswerShape,
    /// The answer where there is no such task.
    pub unknown: AnswerShape,
    /// Where tasks are listed.
    pub list: Option<List>,
    /// How a client takes a task back.
    pub cancel: Option<TakenBack>,
}

/// A method and a path in which one segment may be a task's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: &'static str,
    /// The path; `{id}` is a task's name.
    pub path: String,
    /// Parameters that have to be there.
    pub query: Vec<(String, String)>,
}

/// Where tasks are listed, the upstream's own among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Where.
    pub at: Route,
    /// Where a request names those that it asks for; `None`: it asks for all.
    pub ids: Option<Spot>,
    /// The parameter by which it asks for those alone that are not over.
    pub active: Option<(String, String)>,
    /// The map, list or element of the upstream's answer in which they stand.
    pub into: Spot,
    /// What the upstream would answer that has none.
    pub empty: String,
    /// Lists of a request that say which are meant, and where a task says the same: its own has to be among them.
    pub only: Vec<(Vec<String>, Vec<String>)>,
    /// Flags of a request that something is not to be told, and where a task tells it.
    pub without: Vec<(Vec<String>, Vec<String>)>,
}

/// How a client takes a task back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    /// Where.
    pub at: Route,
    /// The answer when it was heard.
    pub done: AnswerShape,
    /// The answer when it is too late.
    pub refused: AnswerShape,
}

/// Reads every `[[face]]` of the file `file`.
pub(super) fn faces(r: &Reader<'_>, file: &str) -> Vec<Arc<Face>> {
    let all = r.tables("face");
    let faces: Vec<Arc<Face>> = all
        .iter()
        .filter_map(|one| face(one, file))
        .map(Arc::new)
        .collect();
    for (one, face) in all.iter().zip(&faces) {
        if faces.iter().filter(|other| other.name == face.name).count() > 1 {
            one.fault("name", "is taken by another face of this file");
        }
    }
    faces
}

fn face(r: &Reader<'_>, file: &str) -> Option<Face> {
    let facts = Filled::Facts(&FACTS);
    let name = r.get("name", own_name);
    let prefix = r.get("prefix", prefix).unwrap_or_else(|| "gw-".to_owned());
    let states = states(&r.table("states"));
    let errors = errors(&r.table("errors"));
    let started = answer(&r.table("started"), 202, facts);
    let asked_for = r.table("status");
    let at = route(&asked_for, "get", "GET");
    let shown = answer(&asked_for, 200, facts);
    let unknown = answer(&r.table("unknown"), 404, facts);
    let list = list(r);
    let cancel = cancel(r);
    r.finish();
    for (key, is_there) in [
        ("name", r.has("name")),
        ("started", r.has("started")),
        ("status", r.has("status")),
    ] {
        if !is_there {
            r.fault(key, "is missing; a face says its name, how a start is answered, and how a task is shown");
        }
    }
    Some(Face {
        name: format!("{file}/{}", name?),
        prefix,
        states,
        errors,
        started,
        at: at?,
        status: shown,
        unknown,
        list,
        cancel,
    })
}

fn states(r: &Reader<'_>) -> Vec<String> {
    let states = STATES.map(|state| r.get(state, word).unwrap_or_else(|| state.to_owned()));
    r.finish();
    states.into()
}

fn errors(r: &Reader<'_>) -> Vec<String> {
    let json = |node: &Node| {
        let said = text(node)?;
        let fits = said.len() <= 4096 && serde_json::from_str::<serde_json::Value>(&said).is_ok();
        if fits {
            Ok(said)
        } else {
            Err("is no JSON, or too long".to_owned())
        }
    };
    let errors = STATES.map(|state| r.get(state, json).unwrap_or_default());
    r.finish();
    errors.into()
}

fn list(r: &Reader<'_>) -> Option<List> {
    let l = r.table("list");
    let at = either(&l, ("get", "GET"), ("post", "POST"));
    let only = places(&l.table("only"));
    let without = places(&l.table("without"));
    let list = at.and_then(|at| {
        Some(List {
            only,
            without,
            at,
            ids: l.get("ids", spot),
            active: l.get("active", parameter),
            into: l.get("into", spot)?,
            empty: l.get("empty", text).unwrap_or_default(),
        })
    });
    for key in ["ids", "active", "into", "empty"] {
        l.get(key, |_| Ok(()));
    }
    let says_of_body = l.has("ids") || l.has("only") || l.has("without");
    if says_of_body && l.has("get") && l.sound(&["get", "post"]) {
        l.fault(
            "ids",
            "and only and without speak of a request's body, which a GET has not",
        );
    }
    l.finish();
    if r.has("list") && list.is_none() && l.sound(&["get", "post", "into"]) {
        l.fault("into", "is missing, or get and post are; a list says where it is asked for and where tasks stand in it");
    }
    list
}

/// Places in a request's JSON body, each with one in a task as it is shown.
fn places(r: &Reader<'_>) -> Vec<(Vec<String>, Vec<String>)> {
    let steps = |text: &str| match parse(text)? {
        Spot::Json(steps) if !steps.is_empty() => Ok(steps),
        _ => Err("is no place in JSON; one as \"filter_spec.services\" is wanted".to_owned()),
    };
    let mut places = Vec::new();
    for (of_request, node) in r.entries() {
        let of_task = text(node).and_then(|text| steps(&text));
        match (steps(of_request), of_task) {
            (Ok(of_request), Ok(of_task)) => places.push((of_request, of_task)),
            (Err(problem), _) | (_, Err(problem)) => r.entry_fault(of_request, node, &problem),
        }
    }
    places
}

fn cancel(r: &Reader<'_>) -> Option<TakenBack> {
    let c = r.table("cancel");
    let at = either(&c, ("post", "POST"), ("delete", "DELETE"));
    let facts = Filled::Facts(&FACTS);
    let refused = answer(&c.table("refused"), 400, facts);
    let done = answer(&c, 204, facts);
    if r.has("cancel") && at.is_none() && c.sound(&["post", "delete"]) {
        c.fault("post", "is missing; write where a task is taken back, as post = \"/api/cis/tasks/{id}?action=cancel\"");
    }
    at.map(|at| TakenBack { at, done, refused })
}

/// The route under one of two keys, each with its method.
fn either(
    r: &Reader<'_>,
    one: (&'static str, &'static str),
    other: (&'static str, &'static str),
) -> Option<Route> {
    let (first, second) = (route(r, one.0, one.1), route(r, other.0, other.1));
    first.or(second)
}

/// A path with `{id}` and a query, under the key that is the method.
fn route(r: &Reader<'_>, key: &'static str, method: &'static str) -> Option<Route> {
    r.get(key, move |node: &Node| {
        let target = text(node)?;
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\';
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let holes_fit = path.replacen("{id}", "", 1).contains(['{', '}']);
        if !path.starts_with('/')
            || target.len() > LONGEST
            || !target.bytes().all(plain)
            || holes_fit
        {
            return Err(
                "is no path; one from the root is wanted, in which {id} stands for the task's name"
                    .to_owned(),
            );
        }
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        Ok(Route {
            method,
            path: path.to_owned(),
            query: pairs.map(pair).collect(),
        })
    })
}

/// `name=value`, or a name alone.
pub(super) fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (name.to_owned(), value.to_owned())
}

/// A parameter of a query, as `vmw-task=true`.
pub(super) fn parameter(node: &Node) -> Result<(String, String), String> {
    let text = text(node)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~=".contains(&byte);
    let fits = !text.is_empty()
        && !text.starts_with('=')
        && text.len() <= LONGEST
        && text.bytes().all(plain);
    if fits && text.matches('=').count() <= 1 {
        Ok(pair(&text))
    } else {
        Err("is no parameter; one as \"async=true\" is wanted".to_owned())
    }
}

fn word(node: &Node) -> Result<String, String> {
    let word = text(node)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_. ".contains(&byte);
    if !word.is_empty() && word.len() <= LONGEST && word.bytes().all(plain) {
        Ok(word)
    } else {
        Err("is no word for a state".to_owned())
    }
}

fn prefix(node: &Node) -> Result<String, String> {
    let prefix = text(node)?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=16).contains(&prefix.len()) && prefix.bytes().all(plain) {
        Ok(prefix)
    } else {
        Err("is no prefix; 1 to 16 letters, digits and - _ . are wanted, as \"gw-\"".to_owned())
    }
}
