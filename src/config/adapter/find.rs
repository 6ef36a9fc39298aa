//! `find`: how a start whose answer was lost is looked for among the upstream's tasks.

use std::time::Duration;

use super::accept::acceptors;
use super::shape::{Batch, Find};
use super::spot::{Spot, spot};
use super::target::target;
use super::template::{Escape, Filled, template};
use crate::config::reader::Reader;
use crate::config::value::{duration, flag, text};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

/// Reads it; `every` is how often the list is asked for where nothing else is said.
pub(super) fn find(r: &Reader<'_>, stars: usize, every: Duration) -> Option<Find> {
    let f = r.table("find");
    let list = list(&f, stars);
    let started = f.get("started", spot);
    let unseen = f.get("unseen", flag).unwrap_or(false);
    let user = f.get("user", spot);
    let fits = acceptors(&f, "fits", stars, true);
    let slack = f.get("slack", duration(Duration::ZERO..=HOUR));
    let every = f
        .get("every", duration(Duration::from_millis(100)..=HOUR))
        .unwrap_or(every);
    let within = f.get("within", duration(Duration::from_millis(100)..=HOUR));
    f.finish();
    if !r.has("find") {
        return None;
    }
    for (key, wanted) in [
        (
            "entries",
            "say where tasks stand in the answer, as entries = \"json:$\"",
        ),
        (
            "get",
            "say where the upstream's tasks are listed, as get = \"/tasks\"",
        ),
    ] {
        let is_there = f.has(key) || (key == "get" && f.has("post"));
        if !is_there && f.sound(&["get", "post", "entries"]) {
            f.fault(key, &format!("is missing; {wanted}"));
        }
    }
    if !f.has("started") && !unseen && f.sound(&["started", "unseen"]) {
        f.fault("started", "or unseen = true is wanted: without either, an older task could be taken for the one that is looked for");
    }
    Some(Find {
        list: list?,
        fits,
        user,
        started,
        slack: slack.unwrap_or(5 * SECOND),
        unseen,
        every,
        within: within.unwrap_or(30 * SECOND),
    })
}

fn list(f: &Reader<'_>, stars: usize) -> Option<Batch> {
    let path = target(0);
    let get = f.get("get", &path);
    let post = f.get("post", &path);
    let body = f.get("body", |node| {
        template(&text(node)?, Escape::Json, Filled::Request(stars))
    });
    let entries = f.get("entries", spot);
    let id = f.get("id", spot);
    if f.has("get") && f.has("post") {
        f.fault("post", "or get is wanted, one of them");
    }
    if matches!(entries, Some(Spot::Xml(_))) && !f.has("id") {
        f.fault(
            "id",
            "is missing; an XML list says where each task has its name, as id = \"xml:job/jobId\"",
        );
    }
    let post = post.map(|target| ("POST", target));
    let (method, target) = post.or_else(|| get.map(|target| ("GET", target)))?;
    Some(Batch {
        name: "find".to_owned(),
        method,
        target: target.to_string(),
        body,
        at_most: usize::MAX,
        entries: entries?,
        id,
        whole: false,
    })
}
