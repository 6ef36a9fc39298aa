//! `merge`: how the gate makes one request of many that change entries of one list of the same resource.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::shape::Adapter;
use super::spot::{Spot, parse};
use crate::config::measure::show_duration;
use crate::config::node::Node;
use crate::config::reader::Reader;
use crate::config::value::{duration, flag, size, text, whole_u32};
use crate::config::work::field;

/// Bounds of the body of a merged request, bytes.
const SIZES: RangeInclusive<u64> = 1024..=16 * 1024 * 1024;
/// A body that an API is sure to take, unless the dialect says otherwise, bytes.
const USUAL_SIZE: u64 = 1024 * 1024;
/// Most requests in one.
const MOST: RangeInclusive<u32> = 1..=100_000;
const USUAL_MOST: u32 = 10_000;
/// Most fields of the head that have to agree.
const MOST_FIELDS: usize = 16;
/// Most places of a key.
const MOST_PARTS: usize = 8;
/// Bounds of a period. Avi's own is 30 to 120 seconds; who waits less has more calls.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_mins(10);

/// How requests of one operation on one resource are made one by the gate.
///
/// Their bodies say `{ADD: {LIST: […]}, DELETE: {LIST: […]}}`, either or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// The list whose entries they change.
    pub list: String,
    /// The action that puts entries in, each in the place of the one with its key.
    pub add: String,
    /// The action that takes them away.
    pub delete: String,
    /// What tells an entry from the others.
    pub key: Vec<KeyPart>,
    /// Fields of the head (names in lower case) in which those agree that go up as one.
    pub same: Vec<String>,
    /// Fields in which all of one period agree: the others wait for the next.
    pub period: Vec<String>,
    /// Largest body of a merged request, bytes.
    pub largest: usize,
    /// Most requests in one.
    pub at_most: usize,
    /// A body has one action alone.
    pub one_action: bool,
}

/// One place of an entry's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPart {
    /// Where it stands in the entry.
    pub at: Vec<String>,
    /// What stands there.
    pub is: KeyKind,
    /// It need not be there; then that is what tells the entry from others.
    pub optional: bool,
}

/// What may stand at a place of a key. Anything else is not merged: how it would be compared is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// An IPv4 address in its one usual form, as `"192.0.2.1"`.
    Ipv4,
    /// A whole number that is not negative.
    Whole,
    /// Text.
    Text,
}

/// Reads `merge`.
pub(super) fn merge(r: &Reader<'_>) -> Option<Merge> {
    let m = r.table("merge");
    let list = m.get("list", member);
    let add = m.get("add", member);
    let delete = m.get("delete", member);
    let key = key(&m);
    let same = m.list("same", field).unwrap_or_default();
    let period = m.list("period", field).unwrap_or_default();
    let largest = m.get("largest", size(SIZES)).unwrap_or(USUAL_SIZE);
    let at_most = m.get("at_most", whole_u32(MOST)).unwrap_or(USUAL_MOST);
    let one_action = m.get("one_action", flag).unwrap_or(false);
    m.finish();
    if !r.has("merge") {
        return None;
    }
    if !m.has("list") {
        m.fault(
            "list",
            "is missing; write the list whose entries are changed, as list = \"servers\"",
        );
    }
    if !m.has("key") {
        m.fault(
            "key",
            "is missing; write what tells entries apart, as key = { \"ip.addr\" = \"ipv4\" }",
        );
    }
    for (name, fields) in [("same", &same), ("period", &period)] {
        if fields.len() > MOST_FIELDS {
            let problem = format!("has more than {MOST_FIELDS} names");
            m.fault(name, &problem);
        }
    }
    Some(Merge {
        list: list?,
        add: add.unwrap_or_else(|| "add".to_owned()),
        delete: delete.unwrap_or_else(|| "delete".to_owned()),
        key,
        same,
        period,
        largest: usize::try_from(largest).unwrap_or(usize::MAX),
        at_most: usize::try_from(at_most).unwrap_or(usize::MAX),
        one_action,
    })
}

/// `async_patch_merge_period` of an upstream; `None` when it is off.
pub(in crate::config) fn merge_period(r: &Reader<'_>, adapters: &[Adapter]) -> Option<Duration> {
    let period = r.get("async_patch_merge_period", or_off).flatten();
    let merges = adapters.iter().any(|adapter| adapter.merge.is_some());
    if period.is_some() && !merges && r.sound(&["adapters", "dialect_files"]) {
        r.fault(
            "async_patch_merge_period",
            "is for APIs of which a dialect says how requests are merged; of those inside the program, avi does: adapters = [\"avi\"]",
        );
    }
    period
}

fn or_off(node: &Node) -> Result<Option<Duration>, String> {
    if text(node).is_ok_and(|text| text == "off") {
        return Ok(None);
    }
    let period = duration(Duration::ZERO..=LONGEST)(node)
        .map_err(|problem| format!("{problem}; or write \"off\""))?;
    if !period.is_zero() && period < SHORTEST {
        let shortest = show_duration(SHORTEST);
        return Err(format!(
            "is too short; \"0s\" or at least {shortest} is wanted"
        ));
    }
    Ok(Some(period))
}

fn key(m: &Reader<'_>) -> Vec<KeyPart> {
    let k = m.table("key");
    let mut parts = Vec::new();
    for (path, node) in k.entries() {
        match part(path, node) {
            Ok(part) => parts.push(part),
            Err(problem) => k.entry_fault(path, node, &problem),
        }
    }
    if parts.len() > MOST_PARTS {
        m.fault("key", &format!("has more than {MOST_PARTS} places"));
    }
    let all_may_be_missing = parts.iter().all(|part| part.optional);
    if m.has("key") && all_may_be_missing && m.sound(&["key"]) {
        m.fault("key", "has no place that every entry has to have");
    }
    parts
}

fn part(path: &str, node: &Node) -> Result<KeyPart, String> {
    let Ok(Spot::Json(at)) = parse(path) else {
        return Err("is no place in a JSON entry; one as \"ip.addr\" is wanted".to_owned());
    };
    if at.is_empty() {
        return Err("is the whole entry; one place of it is wanted".to_owned());
    }
    let word = text(node)?;
    let (kind, optional) = word
        .strip_suffix('?')
        .map_or((word.as_str(), false), |kind| (kind, true));
    let is = match kind {
        "ipv4" => KeyKind::Ipv4,
        "whole" => KeyKind::Whole,
        "text" => KeyKind::Text,
        _ => {
            return Err(format!(
                "is {word:?}; \"ipv4\", \"whole\" or \"text\" is wanted, with ? behind it where it may be missing"
            ));
        }
    };
    Ok(KeyPart { at, is, optional })
}

/// The name of a member of a JSON object.
fn member(node: &Node) -> Result<String, String> {
    let name = text(node)?;
    if name.is_empty() {
        return Err("is empty; the name of a member of the JSON body is wanted".to_owned());
    }
    Ok(name)
}
