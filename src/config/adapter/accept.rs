//! `accept`: what a reading means, by the first entry of which all holds.

use super::answer::status_in;
use super::shape::{Acceptor, Became, Beside, Says, Test};
use super::spot::{Spot, spot};
use super::target::{asked, wanted};
use crate::config::node::{Node, Value};
use crate::config::reader::Reader;
use crate::config::value::{flag, text, whole_u32, word};

/// Most entries of one list.
const MOST: usize = 64;
/// Most readings that may have to come in a row.
pub(super) const MOST_READINGS: u32 = 20;
const STATES: [(&str, Became); 6] = [
    ("RUNNING", Became::Running),
    ("COMPLETED", Became::Completed),
    ("FAILED", Became::Failed),
    ("ABORTED", Became::Aborted),
    ("PARTIAL_SUCCESS", Became::PartialSuccess),
    ("EXPIRED", Became::Expired),
];
const SUBSTATES: [(&str, Beside); 3] = [
    ("QUEUED", Beside::Queued),
    ("BLOCKED", Beside::Blocked),
    ("CANCELING", Beside::Canceling),
];

/// What stands at `path`.
const AT_PATH: [&str; 6] = ["equals", "in", "exists", "non_empty", "changed", "in_path"];

/// Reads a list of acceptors; with `bare`, they say no state.
pub(super) fn acceptors(
    r: &Reader<'_>,
    key: &'static str,
    stars: usize,
    bare: bool,
) -> Vec<Acceptor> {
    let all = r.tables(key);
    if all.len() > MOST {
        r.fault(
            key,
            &format!("has {} entries; at most {MOST} are allowed", all.len()),
        );
    }
    all.iter()
        .filter_map(|one| acceptor(one, stars, bare))
        .collect()
}

fn acceptor(r: &Reader<'_>, stars: usize, bare: bool) -> Option<Acceptor> {
    let mut tests = tests(r, stars);
    for one in r.tables("and") {
        let more = self::tests(&one, stars);
        one.finish();
        tests.extend(more);
    }
    if bare {
        r.finish();
        let acceptor = Acceptor {
            tests,
            state: Became::Running,
            substate: None,
            confirm: None,
            unmade: false,
        };
        return Some(acceptor).filter(|one| !one.tests.is_empty());
    }
    let state = r.get("state", word(&STATES));
    let substate = r.get("substate", word(&SUBSTATES));
    let confirm = r.get("confirm", whole_u32(1..=MOST_READINGS));
    let unmade = r.get("unmade", flag).unwrap_or(false);
    r.finish();
    if unmade && state.is_some_and(|state| state != Became::Failed) {
        r.fault("unmade", "makes sense for state = \"FAILED\" alone");
    }
    if !r.has("state") {
        r.fault(
            "state",
            "is missing; write what the task is then, as state = \"COMPLETED\"",
        );
    }
    if substate.is_some() && state.is_some_and(Became::is_final) {
        r.fault("substate", "makes sense for state = \"RUNNING\" alone");
    }
    Some(Acceptor {
        tests,
        state: state?,
        substate,
        confirm,
        unmade,
    })
}

fn tests(r: &Reader<'_>, stars: usize) -> Vec<Test> {
    let mut tests = Vec::new();
    tests.extend(r.get("status", statuses).map(Test::Status));
    tests.extend(self::said(r, stars));
    if r.get("echoes", flag) == Some(true) {
        tests.push(Test::Echoes);
    }
    let path = r.get("path", spot);
    tests.extend(at_path(r, path, stars));
    let sound = r.sound(&["status", "asked", "says", "echoes", "path"]) && r.sound(&AT_PATH);
    if tests.is_empty() && sound && !r.has("and") {
        r.fault("path", "is missing; say what has to hold, as path = \"status\", equals = \"SUCCEEDED\", or status = 404");
    }
    tests
}

/// `asked`, and what it is to say.
fn said(r: &Reader<'_>, stars: usize) -> Option<Test> {
    let hole = r.get("asked", asked(stars));
    let says = r.list("says", text);
    if r.has("says") && !r.has("asked") {
        r.fault(
            "says",
            "needs asked beside it: what of the request says that, as asked = \"{/state}\"",
        );
    }
    if says.as_ref().is_some_and(Vec::is_empty) && r.sound(&["says"]) {
        r.fault("says", "is empty, which nothing could say");
    }
    Some(Test::Asked(hole?, says.unwrap_or_default()))
}

fn at_path(r: &Reader<'_>, path: Option<Spot>, stars: usize) -> Option<Test> {
    let equals = r
        .get("equals", wanted(stars))
        .map(|one| Says::OneOf(vec![one]));
    let one_of = r.list("in", wanted(stars)).map(Says::OneOf);
    let exists = r.get("exists", flag).map(Says::Exists);
    let non_empty = r.get("non_empty", flag).map(Says::NonEmpty);
    let changed = r.get("changed", flag).map(|_| Says::Changed);
    let in_path = r.get("in_path", flag).map(Says::InPath);
    let said = AT_PATH.iter().filter(|key| r.has(key)).count();
    if r.has("path") && said != 1 {
        r.fault(
            "path",
            &format!(
                "needs one of {} beside it, and one alone",
                AT_PATH.join(", ")
            ),
        );
    }
    if !r.has("path") && said > 0 {
        r.fault(
            "path",
            "is missing; say where that stands, as path = \"status\"",
        );
    }
    let listed = equals.or(one_of).or(in_path);
    let says = listed.or(exists).or(non_empty).or(changed)?;
    Some(Test::At(path?, says))
}

/// One status, or several.
pub(super) fn statuses(node: &Node) -> Result<Vec<u16>, String> {
    let one = status_in(200, 599);
    match &node.value {
        Value::List(list) if !list.is_empty() && list.len() <= MOST => {
            list.iter().map(one).collect()
        }
        Value::List(_) => {
            Err("is empty or too long; statuses are wanted, as [200, 202]".to_owned())
        }
        _ => one(node).map(|status| vec![status]),
    }
}
