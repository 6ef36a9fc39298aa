//! `match` and `[[upstream.route]]`: which calls are meant, and what they are.

use std::time::Duration;

use super::after;
use super::nearest::nearest;
use super::node::Node;
use super::pattern;
use super::reader::Reader;
use super::types::{Convert, Match, Priority, Route};
use super::value::{duration, text, word};
use super::words::{CONVERT, PRIORITY, classes};
use super::work::{Busy, work};
use crate::call::Class;

/// Most routes of an upstream, the profile's included.
const MOST_ROUTES: usize = 1000;
/// Keys that speak of tasks.
const OF_BLOCKING: [&str; 11] = [
    "async",
    "after",
    "deadline",
    "replay",
    "requeue",
    "probe",
    "json",
    "needs_key",
    "fingerprint",
    "keep_headers",
    "busy",
];
const LEAST: Duration = Duration::from_millis(1);
const WEEK: Duration = Duration::from_hours(7 * 24);

/// Reads the upstream's own routes and then the profile's: the first that matches wins.
pub(super) fn routes(own: &Reader<'_>, profile: &Reader<'_>) -> Vec<Route> {
    let mut routes = section(own);
    routes.extend(section(profile));
    if routes.len() > MOST_ROUTES {
        own.fault(
            "route",
            &format!(
                "makes {} routes with the profile's; at most {MOST_ROUTES} are allowed",
                routes.len()
            ),
        );
    }
    routes
}

/// Reads the `match` of a limit: classes and routes by name, beside what a route may match.
pub(super) fn limit_match(limit: &Reader<'_>, routes: &[Route]) -> Match {
    let r = limit.table("match");
    let class = r.list("class", word(&classes()));
    let route = r.list("route", route_name(routes));
    for (key, is_empty) in [
        ("class", is_none_of(class.as_deref())),
        ("route", is_none_of(route.as_deref())),
    ] {
        if is_empty && r.sound(&[key]) {
            r.fault(
                key,
                "is empty, which would match nothing; leave it out to match everything",
            );
        }
    }
    let rest = call_match(&r);
    r.finish();
    Match {
        class: class.unwrap_or_default(),
        route: route.unwrap_or_default(),
        ..rest
    }
}

fn is_none_of<T>(list: Option<&[T]>) -> bool {
    list.is_some_and(<[T]>::is_empty)
}

/// A name of one of `routes`.
fn route_name(routes: &[Route]) -> impl Fn(&Node) -> Result<String, String> {
    move |node| {
        let name = text(node)?;
        if routes.iter().any(|route| route.name == name) {
            return Ok(name);
        }
        Err(
            match nearest(&name, routes.iter().map(|route| route.name.as_str())) {
                Some(near) => {
                    format!("is no route of this upstream or its profile; did you mean {near:?}?")
                }
                None => "is no route of this upstream or its profile".to_owned(),
            },
        )
    }
}

/// Reads what both limits and routes may match: one call as it stands on the wire.
pub(super) fn call_match(r: &Reader<'_>) -> Match {
    Match {
        class: Vec::new(),
        route: Vec::new(),
        method: r.get("method", pattern::method),
        path: r.get("path", pattern::path),
        query: pairs(&r.table("query")),
        header: headers(&r.table("header")),
        service: r.get("service", pattern::service),
        operation: r.get("operation", pattern::operation),
    }
}

/// Names and values the operator chooses.
fn pairs(r: &Reader<'_>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (name, node) in r.entries() {
        match pattern::value(node) {
            Ok(value) => pairs.push((name.to_owned(), value)),
            Err(problem) => r.entry_fault(name, node, &problem),
        }
    }
    pairs
}

/// The same, where names are names of header fields, kept in lower case.
fn headers(r: &Reader<'_>) -> Vec<(String, String)> {
    for (name, node) in r.entries() {
        if !pattern::is_header_name(name) {
            r.entry_fault(name, node, "is no name of a header field");
        }
    }
    pairs(r)
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect()
}

fn section(r: &Reader<'_>) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::new();
    for one in r.tables("route") {
        let Some(route) = route(&one) else { continue };
        if routes.iter().any(|other| other.name == route.name) {
            one.fault(
                "name",
                "is taken by another route; every route needs a name of its own",
            );
        }
        routes.push(route);
    }
    routes
}

fn route(r: &Reader<'_>) -> Option<Route> {
    let name = r.get("name", own_name);
    let class = r.get("class", word(&classes()));
    let convert = r.get("async", word(&CONVERT));
    let deadline = r.get("deadline", duration(LEAST..=WEEK));
    let priority = r.get("priority", word(&PRIORITY));
    let work = work(r);
    let m = r.table("match");
    let matches = call_match(&m);
    m.finish();
    let after = after::rules(r, &work, &matches);
    r.finish();
    for (key, wanted) in [
        ("name", "a route needs a name"),
        (
            "class",
            "a route says what its calls are, as class = \"blocking\"",
        ),
    ] {
        if !r.has(key) {
            r.fault(key, &format!("is missing; {wanted}"));
        }
    }
    if !r.has("match") || (matches == Match::default() && m.raw().is_empty()) {
        r.fault(
            "match",
            "is missing or empty; a route that matches everything would hide all behind it",
        );
    }
    of_tasks(r, class, (convert, work.busy));
    let class = class?;
    let default = if class == Class::Blocking {
        Convert::Prefer
    } else {
        Convert::Never
    };
    Some(Route {
        name: name?,
        matches,
        class,
        convert: convert.unwrap_or(default),
        deadline,
        priority: priority.unwrap_or(Priority::Interactive),
        work,
        after,
    })
}

/// What is said of tasks goes with the class, and with each other.
fn of_tasks(r: &Reader<'_>, class: Option<Class>, (convert, busy): (Option<Convert>, Busy)) {
    if class.is_some_and(|class| class != Class::Blocking) {
        for key in OF_BLOCKING {
            if r.has(key) {
                r.fault(key, "makes sense for class = \"blocking\" alone");
            }
        }
    } else if busy == Busy::Refuse && convert == Some(Convert::Always) {
        r.fault(
            "busy",
            "contradicts async = \"always\": what becomes a task is not refused, it waits",
        );
    }
}

/// The name of a route, client or signature.
pub(super) fn own_name(node: &Node) -> Result<String, String> {
    let name = text(node)?;
    if pattern::is_plain_name(&name, b"-") {
        Ok(name)
    } else {
        Err("is no name; 1 to 64 of a-z, 0-9, _ and - are wanted".to_owned())
    }
}
