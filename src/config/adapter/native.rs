//! The keys of an adapter that speak of the upstream's own form.

use std::sync::Arc;
use std::time::Duration;

use super::accept::{MOST_READINGS, acceptors, statuses};
use super::answer::{answer, status_in};
use super::face::parameter;
use super::find::find;
use super::shape::{
    Batch, Before, Cancel, Confirm, ErrorShape, Native, Poll, Progress, ResultShape, Rewrite,
    Signature, StartedBy,
};
use super::spot::{Spot, spot};
use super::target::{target, wanted};
use super::template::Filled;
use crate::config::measure::parse_duration;
use crate::config::net::host;
use crate::config::node::{Node, Value};
use crate::config::pattern::{is_header_name, value};
use crate::config::reader::Reader;
use crate::config::value::{duration, flag, text, whole_u32, word};
use crate::config::work::{REPLAY, probe};

/// Statuses that say by themselves that nothing was done.
const PROOF: [u16; 2] = [423, 429];
/// Most of short lists.
const MOST: usize = 32;
const SECOND: Duration = Duration::from_secs(1);
const LEAST: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_hours(1);

/// Reads them; `stars` is how many stars the path of the call has.
pub(super) fn native(r: &Reader<'_>, stars: usize, batches: &[Arc<Batch>]) -> Option<Native> {
    let accept = acceptors(r, "accept", stars, false);
    let started = started(r);
    let poll = poll(r, stars, batches);
    let native = poll.map(|poll| Native {
        rewrite: rewrite(r),
        before: before(r, stars),
        fallback: fallback(r),
        refusal: refusals(r),
        settled: r.get("settled", spots).unwrap_or_default(),
        confirm: confirm(r),
        gone: r.get("gone", whole_u32(1..=MOST_READINGS)).unwrap_or(3),
        progress: progress(r),
        error: error(r),
        result: result(r, stars),
        cancel: cancel(r, stars),
        replay: r.get("replay", word(&REPLAY)),
        probe: probe(r),
        find: find(r, stars, poll.least),
        started,
        poll,
        accept: accept.clone(),
    });
    if native.is_none() {
        // What follows from a fault is not worth another.
        r.pass_over(&super::one::OF_NATIVE);
    }
    if !r.has("accept") {
        r.fault("accept", "is missing; say what a reading means, as accept = [{ path = \"status\", equals = \"done\", state = \"COMPLETED\" }]");
    } else if !accept.iter().any(|one| one.state.is_final()) && r.sound(&["accept"]) {
        r.fault(
            "accept",
            "never ends: no entry says COMPLETED, FAILED or another end",
        );
    }
    native
}

/// Reads every `[[batch]]` of the file `file`.
pub(super) fn batches(r: &Reader<'_>, file: &str) -> Vec<Arc<Batch>> {
    let all = r.tables("batch");
    all.iter()
        .filter_map(|one| batch(one, file))
        .map(Arc::new)
        .collect()
}

fn batch(r: &Reader<'_>, file: &str) -> Option<Batch> {
    let name = r.get("name", crate::config::route::own_name);
    let path = target(0);
    let get = r.get("get", &path);
    let post = r.get("post", &path);
    let body = r.get("body", |node| {
        let facts = Filled::Facts(&["ids"]);
        super::template::template(&text(node)?, super::template::Escape::Json, facts)
    });
    let at_most = r.get("at_most", whole_u32(1..=10_000)).unwrap_or(1000);
    let entries = r.get("entries", spot);
    let id = r.get("id", spot);
    let whole = r.get("whole", flag).unwrap_or(false);
    r.finish();
    for (key, wanted) in [
        ("name", "a batch needs a name"),
        (
            "entries",
            "say where tasks stand in the answer, as entries = \"json:$\"",
        ),
    ] {
        if !r.has(key) {
            r.fault(key, &format!("is missing; {wanted}"));
        }
    }
    if r.has("get") == r.has("post") {
        r.fault("post", "or get is wanted, one of them");
    }
    if matches!(entries, Some(Spot::Xml(_))) && !r.has("id") {
        r.fault(
            "id",
            "is missing; an XML list says where each task has its name, as id = \"xml:job/jobId\"",
        );
    }
    let (method, target) = post
        .map(|target| ("POST", target))
        .or_else(|| get.map(|target| ("GET", target)))?;
    Some(Batch {
        name: format!("{file}/{}", name?),
        method,
        target: target.to_string(),
        body,
        at_most: usize::try_from(at_most).unwrap_or(1000),
        entries: entries?,
        id,
        whole,
    })
}

fn rewrite(r: &Reader<'_>) -> Option<Rewrite> {
    let w = r.table("rewrite");
    let query = w.get("add_query", |node| parameter(node).and_then(|_| text(node)));
    let h = w.table("set_header");
    let mut headers = Vec::new();
    for (name, node) in h.entries() {
        match value(node) {
            Ok(value) if is_header_name(name) => headers.push((name.to_ascii_lowercase(), value)),
            Ok(_) => h.entry_fault(name, node, "is no name of a header field"),
            Err(problem) => h.entry_fault(name, node, &problem),
        }
    }
    w.finish();
    let is_empty = query.is_none() && headers.is_empty();
    if r.has("rewrite") && is_empty && w.sound(&["add_query"]) && h.raw().is_empty() {
        w.fault(
            "add_query",
            "is missing; write what asks for the asynchronous form, as add_query = \"async=true\"",
        );
    }
    (!is_empty).then_some(Rewrite { query, headers })
}

fn before(r: &Reader<'_>, stars: usize) -> Option<Before> {
    let b = r.table("before");
    let get = b.get("get", target(stars));
    let resource = b.get("resource", wanted(stars));
    let busy = acceptors(&b, "busy", stars, true);
    let every = b
        .get("every", duration(LEAST..=HOUR))
        .unwrap_or(10 * SECOND);
    let fresh = b.get("fresh", duration(LEAST..=HOUR)).unwrap_or(SECOND);
    b.finish();
    let is_there = r.has("before");
    for key in ["get", "busy"] {
        if is_there && !b.has(key) {
            b.fault(key, "is missing; say what to ask for and what means busy");
        }
    }
    Some(Before {
        get: get?,
        resource,
        busy,
        every,
        fresh,
    })
}

fn started(r: &Reader<'_>) -> StartedBy {
    let s = r.table("started");
    let started = StartedBy {
        status: s.get("status", statuses).unwrap_or_else(|| vec![202]),
        id: s.get("id", spots).unwrap_or_default(),
        done_without: s.get("done_without", statuses).unwrap_or_default(),
        hosts: s.list("hosts", host).unwrap_or_default(),
    };
    s.finish();
    if !r.has("started") {
        r.fault("started", "is missing; say how an answer that begins a task looks, as started = { status = 202, id = \"header:Location\" }");
    }
    started
}

fn poll(r: &Reader<'_>, stars: usize, batches: &[Arc<Batch>]) -> Option<Poll> {
    let p = r.table("poll");
    let get = p.get("get", target(stars));
    let every = p.get("every", every);
    let batch = p.get("batch", |node| {
        let name = text(node)?;
        let named = |batch: &&Arc<Batch>| batch.name.rsplit('/').next() == Some(name.as_str());
        let found = batches.iter().find(named).cloned();
        found.ok_or_else(|| "is no [[batch]] of this file".to_owned())
    });
    p.finish();
    for (of, key) in [(r, "poll"), (&p, "get")] {
        if !of.has(key) && (key == "poll" || r.has("poll")) {
            of.fault(
                key,
                "is missing; say how a task is asked for, as poll = { get = \"/tasks/{id}\" }",
            );
        }
    }
    let (least, most) = every.unwrap_or((5 * SECOND, 30 * SECOND));
    Some(Poll {
        get: get?,
        least,
        most,
        batch,
    })
}

/// `"5s"`, or `"5s..30s"`.
fn every(node: &Node) -> Result<(Duration, Duration), String> {
    let text = text(node)?;
    let (least, most) = text.split_once("..").unwrap_or((&text, &text));
    let (least, most) = (parse_duration(least)?, parse_duration(most)?);
    if least < LEAST || most > HOUR || least > most {
        return Err(
            "is out of range; from 100ms to 1h is allowed, the shorter pause first, as \"5s..30s\""
                .to_owned(),
        );
    }
    Ok((least, most))
}

fn fallback(r: &Reader<'_>) -> Option<Signature> {
    let signature = signature(
        &r.table("fallback_to_blocking"),
        r.has("fallback_to_blocking"),
    )?;
    if signature.json.is_empty() && signature.json_id.is_none() && signature.body.is_none() {
        r.fault("fallback_to_blocking", "says a status alone, which proves nothing; say json, json_id or body as well, for the call is sent again then");
    }
    Some(signature)
}

fn refusals(r: &Reader<'_>) -> Vec<Signature> {
    let mut signatures = Vec::new();
    for one in r.tables("refusal").iter().take(MOST) {
        let Some(signature) = signature(one, true) else {
            continue;
        };
        let is_bare =
            signature.json.is_empty() && signature.json_id.is_none() && signature.body.is_none();
        if is_bare && !PROOF.contains(&signature.status) {
            one.fault(
                "status",
                "alone is no proof that nothing was executed; say json, json_id or body as well",
            );
        }
        signatures.push(signature);
    }
    signatures
}

fn signature(s: &Reader<'_>, is_there: bool) -> Option<Signature> {
    let status = s.get("status", status_in(200, 599));
    let within = s.get("within", duration(LEAST..=HOUR));
    let j = s.table("json");
    let mut json = Vec::new();
    for (path, node) in j.entries() {
        match super::spot::parse(path).and_then(|spot| Ok((spot, text(node)?))) {
            Ok(pair) => json.push(pair),
            Err(problem) => j.entry_fault(path, node, &problem),
        }
    }
    let json_id = s.get("json_id", text);
    let body = s.get("body", text);
    s.finish();
    if is_there && !s.has("status") {
        s.fault("status", "is missing; write the status of such an answer");
    }
    Some(Signature {
        status: status?,
        within,
        json,
        json_id,
        body,
    })
}

fn confirm(r: &Reader<'_>) -> Confirm {
    let c = r.table("confirm");
    let confirm = Confirm {
        readings: c.get("readings", whole_u32(1..=MOST_READINGS)).unwrap_or(1),
        apart: c.get("apart", duration(LEAST..=HOUR)).unwrap_or(2 * SECOND),
    };
    c.finish();
    confirm
}

fn progress(r: &Reader<'_>) -> Progress {
    let p = r.table("progress");
    let progress = Progress {
        done: p.get("done", spot),
        of: p.get("of", spot),
        message: p.get("message", spot),
    };
    p.finish();
    progress
}

fn error(r: &Reader<'_>) -> ErrorShape {
    let e = r.table("error");
    let kind = e.get("kind", spot);
    let message = e.get("message", spots).unwrap_or_default();
    let status_from = e.get("status_from", spot);
    let s = e.table("statuses");
    let mut statuses = Vec::new();
    for (kind, node) in s.entries() {
        match status_in(400, 599)(node) {
            Ok(status) => statuses.push((kind.to_owned(), status)),
            Err(problem) => s.entry_fault(kind, node, &problem),
        }
    }
    let answer = answer(&e, 500, Filled::Reading);
    let says_answer = e.has("body") || e.has("status");
    ErrorShape {
        kind,
        message,
        answer: says_answer.then_some(answer),
        status_from,
        statuses,
    }
}

fn result(r: &Reader<'_>, stars: usize) -> ResultShape {
    let t = r.table("result");
    let as_read = t.get("as_read", flag).unwrap_or(false);
    let get = t.get("get", target(stars));
    let made = answer(&t, 200, Filled::Reading);
    if (as_read || t.has("get")) && (t.has("status") || t.has("body") || (as_read && t.has("get")))
    {
        t.fault(
            "as_read",
            "and get say all of a result; status and body beside them, or both, make no sense",
        );
    }
    match get {
        Some(get) => ResultShape::Get(get),
        None if as_read => ResultShape::AsRead,
        None => ResultShape::Made(made),
    }
}

fn cancel(r: &Reader<'_>, stars: usize) -> Option<Cancel> {
    let c = r.table("cancel");
    let post = c.get("post", target(stars));
    let delete = c.get("delete", target(stars));
    let ok = c.get("ok", statuses).unwrap_or_else(|| vec![200, 202, 204]);
    let allowed_if = c.get("allowed_if", spot);
    c.finish();
    if r.has("cancel") && c.has("post") == c.has("delete") {
        c.fault("post", "or delete is wanted, one of them");
    }
    let (method, target) = post
        .map(|target| ("POST", target))
        .or_else(|| delete.map(|target| ("DELETE", target)))?;
    Some(Cancel {
        method,
        target,
        ok,
        allowed_if,
    })
}

/// One place, or several, the first of which that is there holds.
pub(super) fn spots(node: &Node) -> Result<Vec<Spot>, String> {
    match &node.value {
        Value::List(list) if list.len() <= MOST => list.iter().map(spot).collect(),
        _ => spot(node).map(|spot| vec![spot]),
    }
}
