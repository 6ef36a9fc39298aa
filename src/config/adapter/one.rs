//! `[[adapter]]`: one operation, laid over the one that it is like.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::face::{Face, parameter};
use super::laid;
use super::merge::merge;
use super::native::native;
use super::shape::{Adapter, Batch, BodyOf};
use super::shown::raw;
use super::spot::{Spot, parse, spot};
use crate::config::nearest::nearest;
use crate::config::node::{Node, Table, Value};
use crate::config::policy::Match;
use crate::config::reader::Reader;
use crate::config::route::{call_match, own_name};
use crate::config::value::{flag, text};

/// Schemes whose proof covers the request line, or may. SIGN: VMware's holder-of-key tokens; Digest: RFC 7616 (`uri`).
const SIGNED: [&str; 4] = ["SIGN", "Digest", "Signature", "AWS4-HMAC-SHA256"];
/// Most adapters of a file.
const MOST: usize = 256;
/// Keys that mean nothing where the upstream has no such form.
pub(super) const OF_NATIVE: [&str; 18] = [
    "merge",
    "rewrite",
    "before",
    "started",
    "fallback_to_blocking",
    "refusal",
    "poll",
    "accept",
    "settled",
    "confirm",
    "gone",
    "progress",
    "error",
    "result",
    "cancel",
    "replay",
    "probe",
    "find",
];

/// What the adapters of a file share.
pub(super) struct Shared<'a> {
    pub(super) file: &'a str,
    pub(super) batches: Vec<Arc<Batch>>,
    pub(super) faces: Vec<Arc<Face>>,
}

/// Reads every `[[adapter]]`, in order.
pub(super) fn adapters(r: &Reader<'_>, shared: &Shared<'_>) -> Vec<Adapter> {
    let all = r.tables("adapter");
    if all.len() > MOST {
        r.fault(
            "adapter",
            &format!("stands {} times; at most {MOST} are allowed", all.len()),
        );
    }
    let mut earlier: BTreeMap<String, Table> = BTreeMap::new();
    let mut adapters = Vec::new();
    for own in all.iter().take(MOST) {
        let written = own.raw();
        let merged = like(own, &written, &earlier);
        let whole = own.over(&merged);
        let Some(name) = whole.get("name", own_name) else {
            whole.fault("name", "is missing or no name; every adapter needs one");
            continue;
        };
        if earlier.contains_key(&name) {
            whole.fault("name", "is taken by another adapter of this file");
        }
        adapters.extend(adapter(&whole, &name, &merged, shared));
        earlier.insert(name, merged);
    }
    adapters
}

/// The keys of `written`, and those of the adapter that it is like.
fn like(r: &Reader<'_>, written: &Table, earlier: &BTreeMap<String, Table>) -> Table {
    let found = r.get("like", |node| {
        let name = text(node)?;
        earlier.get(&name).ok_or_else(|| {
            let near = nearest(&name, earlier.keys().map(String::as_str));
            let meant = near.map_or_else(String::new, |near| format!("; did you mean {near:?}?"));
            format!("is no adapter above this one in this file{meant}")
        })
    });
    match found {
        Some(base) => {
            let mut base = base.clone();
            // Each has a name, a match and words of its own.
            base.remove("match");
            base.remove("name");
            laid(&base, written)
        }
        None => written.clone(),
    }
}

fn adapter(r: &Reader<'_>, name: &str, table: &Table, shared: &Shared<'_>) -> Option<Adapter> {
    r.pass_over(&["name", "like"]);
    let matches = matches(r);
    let stars = stars(&matches);
    let emulated = r.get("emulated", flag).unwrap_or(false);
    let face = r.get("face", |node| face(node, shared));
    let schemes = r.list("never_rewrite", text);
    let words = words(&r.table("words"));
    let body = body(r);
    let merge = if emulated { None } else { merge(r) };
    let native = if emulated {
        r.pass_over(&OF_NATIVE);
        None
    } else {
        native(r, stars, &shared.batches)
    };
    let parameter = parameters(
        r,
        native
            .as_ref()
            .and_then(|native| native.rewrite.as_ref()?.query.as_deref()),
    );
    r.finish();
    if emulated && (face.is_none() || parameter.is_empty()) && r.sound(&["face", "parameter"]) {
        r.fault(
            "emulated",
            "needs a face and a parameter: how a client asks for it, and what it is answered",
        );
    }
    if merge.is_some()
        && (face.is_none() || parameter.is_empty())
        && r.sound(&["face", "parameter"])
    {
        r.fault(
            "merge",
            "needs a face and a parameter: how a client asks for it, and what it is answered",
        );
    }
    Some(Adapter {
        name: format!("{}/{name}", shared.file),
        matches,
        body,
        merge,
        parameter,
        never_rewrite: schemes.unwrap_or_else(|| SIGNED.map(str::to_owned).into()),
        native: if emulated { None } else { Some(native?) },
        face,
        words,
        shown: raw(table),
    })
}

fn matches(r: &Reader<'_>) -> Match {
    let m = r.table("match");
    let matches = call_match(&m);
    m.finish();
    for key in ["service", "operation"] {
        if m.has(key) {
            m.fault(
                key,
                "stands in bodies, which are never rewritten: an adapter matches heads alone",
            );
        }
    }
    for key in ["method", "path"] {
        if !m.has(key) {
            m.fault(key, "is missing; an adapter is for one method and one path, as match = { method = \"POST\", path = \"/api/vcenter/vm\" }");
        }
    }
    if matches.path.as_deref().is_some_and(|path| path == "/**") && matches.query.is_empty() {
        m.fault(
            "path",
            "takes every call; an adapter is for operations that are known",
        );
    }
    matches
}

/// `body`: what the request's JSON body has to be.
fn body(r: &Reader<'_>) -> Option<BodyOf> {
    let b = r.table("body");
    let steps = |node: &Node| match spot(node)? {
        Spot::Json(steps) if !steps.is_empty() => Ok(steps),
        _ => Err("is no place in a JSON body; one as \"add.servers\" is wanted".to_owned()),
    };
    let only = b.list("only", steps).unwrap_or_default();
    let e = b.table("each");
    let mut each = Vec::new();
    for (path, node) in e.entries() {
        match (parse(path), text(node)) {
            (Ok(Spot::Json(steps)), Ok(said)) => each.push((steps, said)),
            (Err(problem), _) | (_, Err(problem)) => e.entry_fault(path, node, &problem),
            _ => e.entry_fault(path, node, "is no place in a JSON body"),
        }
    }
    b.finish();
    if r.has("body") && only.is_empty() && b.sound(&["only"]) {
        b.fault(
            "only",
            "is missing or empty; write what such a body has, as only = [\"add.servers\"]",
        );
    }
    (!only.is_empty()).then_some(BodyOf { only, each })
}

/// How many stars the path has that stand for one segment.
fn stars(matches: &Match) -> usize {
    let path = matches.path.as_deref().unwrap_or_default();
    path.split('/').filter(|segment| *segment == "*").count()
}

fn face(node: &Node, shared: &Shared<'_>) -> Result<Arc<Face>, String> {
    let name = text(node)?;
    let named = |face: &&Arc<Face>| face.name.rsplit('/').next() == Some(name.as_str());
    let found = shared.faces.iter().find(named).cloned();
    found.ok_or_else(|| "is no [[face]] of this file, or one with faults".to_owned())
}

fn words(r: &Reader<'_>) -> Vec<(String, String)> {
    let mut words = Vec::new();
    for (name, node) in r.entries() {
        match text(node) {
            Ok(value) => words.push((name.to_owned(), value)),
            Err(problem) => r.entry_fault(name, node, &problem),
        }
    }
    words
}

/// `parameter`, one or several; what is added to the query when it is not said.
fn parameters(r: &Reader<'_>, added: Option<&str>) -> Vec<(String, String)> {
    let said = r.get("parameter", |node| match &node.value {
        Value::List(list) => list.iter().map(parameter).collect::<Result<Vec<_>, _>>(),
        _ => parameter(node).map(|one| vec![one]),
    });
    said.unwrap_or_else(|| added.map(super::face::pair).into_iter().collect())
}
