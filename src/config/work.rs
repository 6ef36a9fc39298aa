//! What a route says of its blocking calls as tasks: how often one may be executed, and how the gate finds out what
//! became of one whose answer is lost.

use std::time::Duration;

use serde_json::{Map, json};

use super::measure::show_duration;
use super::node::{Node, Value};
use super::pattern::is_header_name;
use super::reader::Reader;
use super::value::{duration, flag, text, whole_u32, word};

/// Most fields that a fingerprint takes in.
const MOST_FIELDS: usize = 16;
/// Longest target of a probe, bytes.
const LONGEST: usize = 2048;
const LEAST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_hours(1);

/// `replay`.
pub(super) const REPLAY: [(&str, Replay); 2] = [
    ("at-most-once", Replay::AtMostOnce),
    ("at-least-once", Replay::AtLeastOnce),
];

/// `busy`.
pub(super) const BUSY: [(&str, Busy); 2] = [("hold", Busy::Hold), ("refuse", Busy::Refuse)];

/// What becomes of a call whose client waits while what it is to change is busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Busy {
    /// It is held until the change is made.
    #[default]
    Hold,
    /// It is refused, in the words of the API.
    Refuse,
}

/// How often a request may be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replay {
    /// Once at most.
    AtMostOnce,
    /// Again does no harm.
    AtLeastOnce,
}

/// `upstream_key`, where it is no.
pub(super) const UPSTREAM_KEY: [(&str, UpstreamKey); 2] = [
    ("forward", UpstreamKey::Forward),
    ("derive", UpstreamKey::Derive),
];

/// Whether the upstream of a route understands `Idempotency-Key`, and which one it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UpstreamKey {
    /// Nobody knows: none goes up.
    #[default]
    No,
    /// Its client's, where it sent one.
    Forward,
    /// Its client's; where it sent none, a task gets one of its own, made of its name.
    Derive,
}

/// What a route says of its calls as tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Work {
    /// How often one may be executed; `None`: PUT, DELETE, GET and HEAD again, all others once (RFC 9110 section 9.2.2).
    pub replay: Option<Replay>,
    /// One that the probe proves not to have been executed is sent again.
    pub requeue: bool,
    /// How the gate finds out what became of one whose answer is lost.
    pub probe: Option<Probe>,
    /// Its body has to be JSON, or it is refused before it is taken.
    pub json: bool,
    /// It is refused without an `Idempotency-Key`.
    pub needs_key: bool,
    /// Fields that make it another request, names in lower case.
    pub fingerprint: Vec<String>,
    /// The key that the upstream gets: with one, again does no harm unless `replay` says so.
    pub upstream_key: UpstreamKey,
    /// Fields that are kept with its answer though they hand out credentials, names in lower case.
    pub keep_headers: Vec<String>,
    /// What becomes of it while what it is to change is busy, where the upstream's dialect looks at that.
    pub busy: Busy,
}

/// A question that only reads, and the answer that says that the work was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Path and query. `{path}` stands for the path of the call, `{/a/b}` for what its JSON body has at that place
    /// (RFC 6901), percent-encoded.
    pub get: String,
    /// Status of the answer that says that it was done.
    pub status: u16,
    /// A place (RFC 6901) that the JSON body of that answer has to have.
    pub json: Option<String>,
    /// How often it is asked.
    pub every: Duration,
}

/// Reads what stands beside `async` and `deadline`.
pub(super) fn work(r: &Reader<'_>) -> Work {
    let fingerprint = r.list("fingerprint", field);
    if fingerprint
        .as_ref()
        .is_some_and(|list| list.len() > MOST_FIELDS)
    {
        r.fault(
            "fingerprint",
            &format!("has more than {MOST_FIELDS} fields"),
        );
    }
    let keep_headers = r.list("keep_headers", kept_field);
    if keep_headers
        .as_ref()
        .is_some_and(|list| list.len() > MOST_FIELDS)
    {
        r.fault(
            "keep_headers",
            &format!("has more than {MOST_FIELDS} fields"),
        );
    }
    let work = Work {
        replay: r.get("replay", word(&REPLAY)),
        requeue: r.get("requeue", flag).unwrap_or_default(),
        probe: probe(r),
        json: r.get("json", flag).unwrap_or_default(),
        needs_key: r.get("needs_key", flag).unwrap_or_default(),
        fingerprint: fingerprint.unwrap_or_default(),
        upstream_key: r.get("upstream_key", upstream_key).unwrap_or_default(),
        keep_headers: keep_headers.unwrap_or_default(),
        busy: r.get("busy", word(&BUSY)).unwrap_or_default(),
    };
    if work.requeue && work.probe.is_none() && r.sound(&["requeue", "probe"]) {
        r.fault(
            "requeue",
            "needs a probe: without one nothing proves that the call was not executed",
        );
    }
    work
}

/// Reads `probe`.
pub(super) fn probe(r: &Reader<'_>) -> Option<Probe> {
    probe_at(r, "probe")
}

/// Reads a question at `key`.
pub(super) fn probe_at(r: &Reader<'_>, key: &'static str) -> Option<Probe> {
    let p = r.table(key);
    let get = p.get("get", target);
    let status = p.get("status", whole_u32(200..=499));
    let json = p.get("json", pointer);
    let every = p.get("every", duration(LEAST..=MOST));
    p.finish();
    if !r.has(key) || !r.sound(&[key]) {
        return None;
    }
    if !p.has("get") {
        p.fault(
            "get",
            "is missing; write what to ask for, as get = \"/api/vcenter/vm?names={/name}\"",
        );
    }
    Some(Probe {
        get: get?,
        status: status
            .and_then(|status| u16::try_from(status).ok())
            .unwrap_or(200),
        json,
        every: every.unwrap_or(Duration::from_secs(5)),
    })
}

/// `true` is the older word for "derive".
fn upstream_key(node: &Node) -> Result<UpstreamKey, String> {
    match node.value {
        Value::Flag(false) => Ok(UpstreamKey::No),
        Value::Flag(true) => Ok(UpstreamKey::Derive),
        _ => word(&UPSTREAM_KEY)(node).map_err(|problem| format!("{problem}, or false")),
    }
}

/// A question as `GET /config` shows it.
pub(super) fn shown_probe(probe: &Probe) -> serde_json::Value {
    let mut table = Map::new();
    table.insert("get".to_owned(), json!(probe.get));
    table.insert("status".to_owned(), json!(probe.status));
    table.insert("every".to_owned(), json!(show_duration(probe.every)));
    if let Some(place) = &probe.json {
        table.insert("json".to_owned(), json!(place));
    }
    serde_json::Value::Object(table)
}

/// The name of a header field, in lower case.
pub(super) fn field(node: &Node) -> Result<String, String> {
    let name = text(node)?;
    if is_header_name(&name) {
        Ok(name.to_ascii_lowercase())
    } else {
        Err("is no name of a header field".to_owned())
    }
}

/// A field that can be kept: one of a single connection cannot.
fn kept_field(node: &Node) -> Result<String, String> {
    let name = field(node)?;
    let is_made_anew = http::HeaderName::from_bytes(name.as_bytes())
        .is_ok_and(|name| crate::call::field::is_made_anew(&name));
    if is_made_anew {
        Err("belongs to one connection: it is not kept, and said anew".to_owned())
    } else {
        Ok(name)
    }
}

fn pointer(node: &Node) -> Result<String, String> {
    let place = text(node)?;
    if place.starts_with('/') && place.len() <= LONGEST {
        Ok(place)
    } else {
        Err("is no place in JSON; one by RFC 6901 is wanted, as \"/0/vm\"".to_owned())
    }
}

fn target(node: &Node) -> Result<String, String> {
    let target = text(node)?;
    let wanted = "a path from the root is wanted, in which {path} stands for the path of the call and {/place} for what its JSON body has there";
    if !(target.starts_with('/') || target.starts_with("{path}")) || target.len() > LONGEST {
        return Err(format!("is no target; {wanted}"));
    }
    let mut rest = target.as_str();
    while let Some((before, behind)) = rest.split_once('{') {
        let Some((name, after)) = behind.split_once('}') else {
            return Err(format!("has a {{ that nothing closes; {wanted}"));
        };
        if before.contains('}') || !(name == "path" || name.starts_with('/')) {
            return Err(format!(
                "has {{{name}}}, which stands for nothing; {wanted}"
            ));
        }
        rest = after;
    }
    let is_plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    if rest.contains('}') || !target.bytes().all(is_plain) {
        return Err(format!("has characters that no target has; {wanted}"));
    }
    Ok(target)
}
