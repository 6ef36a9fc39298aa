//! Adapters: how an API is asynchronous in its own words, read from `config/dialects/*.toml` and from files of the operator's.
//!
//! ```text
//!   file ─▶ batch, face ─▶ adapter (laid over the one it is like) ─▶ native, face ─▶ Adapter, plain data
//! ```
//!
//! What every key means stands in `config/dialect.toml`. What is done with an adapter is `dialect::adapter`'s affair.

mod accept;
mod answer;
mod face;
mod find;
#[cfg(test)]
mod hurt;
mod merge;
mod native;
mod one;
mod say;
mod shape;
mod shown;
mod spot;
mod target;
mod template;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

pub use face::{Face, List, Route as FaceRoute, STATES as FACE_STATES, TakenBack};
pub use merge::{KeyKind, KeyPart, Merge};
pub use shape::*;
pub use spot::{Element, Spot};
pub use target::{Hole, Piece, Pieces};
pub use template::{Escape, Fill, Form, Part, Template, What};

pub(super) use merge::merge_period;
pub(super) use say::say;
pub(super) use shown::shown;
pub(super) use target::hole;

use super::fault::{Fault, Origin};
use super::files;
use super::findings::Findings;
use super::nearest::nearest;
use super::node::{self, Node, Table};
use super::reader::Reader;
use super::value::text;

/// Most adapters of an upstream.
const MOST_ADAPTERS: usize = 256;
/// Most files of an upstream.
const MOST_FILES: usize = 16;

/// The dialects inside the program, by name.
pub(super) const BUILT_IN: [(&str, &str); 7] = [
    ("avi", include_str!("../../../config/dialects/avi.toml")),
    ("azure", include_str!("../../../config/dialects/azure.toml")),
    ("nsx-v", include_str!("../../../config/dialects/nsx-v.toml")),
    (
        "openstack",
        include_str!("../../../config/dialects/openstack.toml"),
    ),
    (
        "redfish",
        include_str!("../../../config/dialects/redfish.toml"),
    ),
    (
        "skytap",
        include_str!("../../../config/dialects/skytap.toml"),
    ),
    (
        "vcenter",
        include_str!("../../../config/dialects/vcenter.toml"),
    ),
];

/// Reads `dialect_files` and `adapters` of an upstream: the first adapter that matches a call holds, and the operator's own
/// come before those inside the program.
pub(super) fn adapters(r: &Reader<'_>, upstream: &Arc<str>) -> Taken {
    let mut names = BTreeSet::new();
    let mut taken = Taken::default();
    let sources = [("dialect_files", own as Source), ("adapters", built_in)];
    for (key, source) in sources {
        let texts = r
            .list(key, |node| source(node, r.base()))
            .unwrap_or_default();
        if texts.len() > MOST_FILES {
            let problem = format!(
                "has {} files; at most {MOST_FILES} are allowed",
                texts.len()
            );
            r.fault(key, &problem);
        }
        for (index, (label, content)) in texts.into_iter().take(MOST_FILES).enumerate() {
            let (name, adapters) = file(&label, &content, (r, upstream));
            if !names.insert(name.clone()) {
                let problem = format!("is the dialect {name:?}, which this upstream has already");
                r.element_fault(key, index, &problem);
            }
            taken.adapters.extend(adapters);
            let of = if key == "adapters" {
                &mut taken.built_in
            } else {
                &mut taken.files
            };
            of.push(label);
        }
    }
    let count = taken.adapters.len();
    if count > MOST_ADAPTERS {
        let problem = format!("make {count} adapters; at most {MOST_ADAPTERS} are allowed");
        r.fault("adapters", &problem);
    }
    taken
}

/// What an upstream takes in.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) adapters: Vec<Adapter>,
    /// Names of dialects inside the program.
    pub(super) built_in: Vec<String>,
    /// Files of the operator's, as they are written.
    pub(super) files: Vec<String>,
}

/// What a dialect is called in faults, and its text.
type Source = fn(&Node, &Path) -> Result<(String, String), String>;

fn own(node: &Node, base: &Path) -> Result<(String, String), String> {
    let name = text(node)?;
    if name.is_empty() || name.contains('\0') {
        return Err("is no path; a file of your own is written as \"./NAME.toml\"".to_owned());
    }
    let content = files::read(&base.join(&name))?;
    Ok((name, content))
}

fn built_in(node: &Node, _: &Path) -> Result<(String, String), String> {
    let name = text(node)?;
    let names = || BUILT_IN.iter().map(|(name, _)| *name);
    if let Some((_, content)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) {
        return Ok((name, (*content).to_owned()));
    }
    let meant =
        nearest(&name, names()).map_or_else(String::new, |near| format!("did you mean {near:?}? "));
    let names: Vec<_> = names().collect();
    let names = names.join(", ");
    Err(format!(
        "is no dialect; {meant}built in are {names}; files of your own go into dialect_files"
    ))
}

/// The adapters of one file, and its name. What is wrong with it is reported at the upstream `of`, each fault once, however many
/// adapters took it from another.
fn file(label: &str, content: &str, of: (&Reader<'_>, &Arc<str>)) -> (String, Vec<Adapter>) {
    let (r, upstream) = of;
    let origin = Origin::dialect(label);
    let table = match node::parse(content, Some(&origin)) {
        Ok(table) => table,
        Err(fault) => {
            let key = format!("dialect.{}", fault.key);
            let place = fault.place.clone();
            r.findings()
                .report(Fault { key, ..fault }.at(place, Some(Arc::clone(upstream))));
            return (label.to_owned(), Vec::new());
        }
    };
    let findings = Findings::new(r.base());
    let read = tables(&Reader::file(&findings, &table, upstream, "dialect"));
    let (asked, faults) = findings.into_parts();
    for key in asked {
        r.findings().ask(key);
    }
    let mut seen = BTreeSet::new();
    for fault in faults {
        let last = fault.key.rsplit('.').next().unwrap_or_default().to_owned();
        if seen.insert((fault.place.line, last, fault.problem.clone())) {
            r.findings().report(fault);
        }
    }
    (read.0.unwrap_or_else(|| label.to_owned()), read.1)
}

fn tables(r: &Reader<'_>) -> (Option<String>, Vec<Adapter>) {
    let name = r.get("name", super::route::own_name);
    if !r.has("name") {
        r.fault("name", "is missing; a dialect says its name");
    }
    r.get("about", text);
    let file = name.clone().unwrap_or_default();
    let shared = one::Shared {
        file: &file,
        batches: native::batches(r, &file),
        faces: face::faces(r, &file),
    };
    let adapters = one::adapters(r, &shared);
    if adapters.is_empty() && r.sound(&["adapter"]) && !r.has("adapter") {
        r.fault(
            "adapter",
            "is missing; a dialect has one [[adapter]] or more",
        );
    }
    r.finish();
    (name, adapters)
}

/// A table laid over another, whole keys: what is said here stands, what is not is taken from `base`.
fn laid(base: &Table, over: &Table) -> Table {
    let mut laid = base.clone();
    laid.extend(over.iter().map(|(key, node)| (key.clone(), node.clone())));
    laid
}
