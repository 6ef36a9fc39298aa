//! Whether a request can be begun as a task, and what the answer to it says.

use std::time::Duration;

use memchr::memmem;
use serde_json::Value;

use super::LONGEST_HANDLE;
use super::fill::{self, is_target};
use super::origin::{Origin, from_root};
use super::reading::holds;
use super::seen::{Answered, Body, Seen, below, scalar};
use crate::config::{Adapter, Native, Signature, Spot};

/// How much of a body is searched for text, bytes.
const SEARCHED: usize = 64 * 1024;

/// What the answer to a start says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Started {
    /// It has begun; this is its name.
    Handle(String),
    /// It has begun, and nothing says what it is called: what becomes of it cannot be known.
    NoHandle,
    /// It was refused and not executed.
    Refused,
    /// There is no such form, and nothing was executed: the call may be sent as it was.
    NoSuchForm,
    /// It is the answer to the call itself.
    Answered,
}

/// Whether the request's body is one that the asynchronous form takes.
#[must_use]
pub fn fits_body(adapter: &Adapter, origin: &Origin<'_>) -> bool {
    let Some(wanted) = &adapter.body else {
        return true;
    };
    let Some(body) = &origin.body else {
        return false;
    };
    let has_more = |paths: &[Vec<String>]| !is_only(body, paths, &mut Vec::new());
    if has_more(&wanted.only) {
        return false;
    }
    let lists = wanted.only.iter().filter_map(|path| below(body, path));
    lists
        .flat_map(|list| list.as_array().into_iter().flatten())
        .all(|entry| {
            let says = |(path, text): &(Vec<String>, String)| {
                below(entry, path).and_then(scalar).as_deref() == Some(text.as_str())
            };
            wanted.each.iter().all(says)
        })
}

/// Whether `value`, which stands at `at`, has nothing but what stands at `paths`.
fn is_only(value: &Value, paths: &[Vec<String>], at: &mut Vec<String>) -> bool {
    if paths.iter().any(|path| path == at) {
        return true;
    }
    let is_on_the_way = paths.iter().any(|path| path.starts_with(at));
    let Some(map) = value
        .as_object()
        .filter(|map| is_on_the_way && !map.is_empty())
    else {
        return false;
    };
    map.iter().all(|(key, value)| {
        at.push(key.clone());
        let is_only = is_only(value, paths, at);
        at.pop();
        is_only
    })
}

/// Whether the answer to [`super::before_request`] says that the resource is busy. An answer that is no success says nothing.
#[must_use]
pub fn is_busy(native: &Native, origin: &Origin<'_>, answered: &Answered<'_>) -> Option<bool> {
    let before = native.before.as_ref()?;
    let seen = Seen::new(answered);
    let understood = (200..300).contains(&seen.status) && !matches!(seen.body, Body::Other);
    understood.then(|| {
        before
            .busy
            .iter()
            .any(|one| holds(one, origin, &seen, None))
    })
}

/// What the answer to a start says. `took` is the time since the request was sent, `hosts` the names by which the upstream was
/// asked: a task that is told of elsewhere is none that can be followed.
#[must_use]
pub fn started(
    native: &Native,
    origin: &Origin<'_>,
    answered: &Answered<'_>,
    took: Duration,
    hosts: &[&str],
) -> Started {
    let seen = Seen::new(answered);
    let fits = |signature: &Signature| matches(signature, &seen, answered.body, took);
    if native.fallback.as_ref().is_some_and(fits) {
        return Started::NoSuchForm;
    }
    if native.refusal.iter().any(fits) {
        return Started::Refused;
    }
    if !native.started.status.contains(&answered.status) {
        return Started::Answered;
    }
    match handle(native, origin, &seen, hosts) {
        Some(handle) => Started::Handle(handle),
        None if native.started.done_without.contains(&answered.status) => Started::Answered,
        None => Started::NoHandle,
    }
}

fn handle(native: &Native, origin: &Origin<'_>, seen: &Seen<'_>, hosts: &[&str]) -> Option<String> {
    let started = &native.started;
    if started.id.is_empty() {
        return fill::target(&native.poll.get, origin, "");
    }
    let named = seen.first(&started.id)?;
    let named = named.trim();
    if !native.poll.get.is_of_url() {
        let fits = named.len() <= LONGEST_HANDLE && !named.chars().any(char::is_control);
        return fits.then(|| named.to_owned());
    }
    let is_ours = authority(named).is_none_or(|authority| {
        let declared = started.hosts.iter().map(String::as_str);
        let mut ours = declared.chain(hosts.iter().copied());
        ours.any(|ours| bare(ours).eq_ignore_ascii_case(bare(authority)))
    });
    let target = from_root(named).split('#').next().unwrap_or_default();
    (is_ours && target.len() <= LONGEST_HANDLE && is_target(target)).then(|| target.to_owned())
}

/// The authority of a URL that has one.
fn authority(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://").filter(|_| !url.starts_with('/'))?;
    rest.split(['/', '?', '#']).next()
}

/// A host without its port.
fn bare(authority: &str) -> &str {
    let behind = authority.rsplit_once(':');
    behind.map_or(authority, |(host, port)| {
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
        if is_port && (!host.contains(':') || host.ends_with(']')) {
            host
        } else {
            authority
        }
    })
}

fn matches(signature: &Signature, seen: &Seen<'_>, body: &[u8], took: Duration) -> bool {
    let says = |(spot, text): &(Spot, String)| {
        seen.at(spot).and_then(|found| found.text()).as_deref() == Some(text.as_str())
    };
    let named = |id: &String| first_message(seen).as_ref() == Some(id);
    let searched = body.get(..SEARCHED).unwrap_or(body);
    signature.status == seen.status
        && signature.within.is_none_or(|within| took <= within)
        && signature.json.iter().all(says)
        && signature.json_id.as_ref().is_none_or(named)
        && signature
            .body
            .as_ref()
            .is_none_or(|text| memmem::find(searched, text.as_bytes()).is_some())
}

/// The id of the first message of vCenter's errors, in either form.
fn first_message(seen: &Seen<'_>) -> Option<String> {
    let Body::Json(body) = &seen.body else {
        return None;
    };
    let error = body.get("value").unwrap_or(body);
    scalar(error.get("messages")?.get(0)?.get("id")?)
}
