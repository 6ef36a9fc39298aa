//! `[upstream.limits.NAME]`: what is counted, for whom, how many, and what happens when it is full.

use std::sync::Arc;
use std::time::Duration;

use super::enforced::not_enforced;
use super::nearest::nearest;
use super::node::{Node, Value};
use super::overload::ADAPTIVE_LIMIT;
use super::pattern::is_plain_name;
use super::reader::Reader;
use super::route::limit_match;
use super::types::{Counts, Key, Limit, Mode, Route, Wait};
use super::value::{duration, size, whole, word};
use super::words::{COUNTS, KEY, MODE, of};

/// Most limits of an upstream, the profile's included: with the one that `adaptive` adds they are 64, a bit
/// of a word each.
const MOST_LIMITS: usize = 63;
/// Largest ceiling: an exact rate keeps one stamp for each of them.
const MOST: u64 = 1_000_000;
/// Largest ceiling of `response_bytes`.
const MOST_BYTES: u64 = 1 << 40;
const LEAST: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_hours(24);
const HOUR: Duration = Duration::from_hours(1);
/// Status of a full `response_bytes`: the answer of the upstream was at fault, not the caller.
const BAD_GATEWAY: u16 = 502;

/// What the limits of one upstream are read against.
pub(super) struct Scene<'a> {
    /// Its profile, by name.
    pub profile: &'a str,
    /// The names of the profile's limits; `None` when the profile could not be read.
    pub known: Option<&'a [String]>,
    /// Its routes.
    pub routes: &'a [Route],
}

/// Reads every limit of an upstream, profile and own words merged, in the order of their names.
pub(super) fn limits(upstream: &Reader<'_>, scene: &Scene<'_>) -> Vec<Limit> {
    let r = upstream.table("limits");
    let entries = r.entries();
    if entries.len() > MOST_LIMITS {
        upstream.fault(
            "limits",
            &format!(
                "makes {} limits with the profile's; at most {MOST_LIMITS} are allowed",
                entries.len()
            ),
        );
    }
    let mut limits = Vec::with_capacity(entries.len());
    for (name, node) in entries {
        if !is_plain_name(name, b"") {
            r.entry_fault(
                name,
                node,
                "is no name of a limit; 1 to 64 of a-z, 0-9 and _ are wanted",
            );
        }
        if matches!(name, "connections_http" | "connections_https") {
            r.entry_fault(
                name,
                node,
                "is a limit of the gate itself; set listen.max_connections",
            );
        }
        if name == ADAPTIVE_LIMIT {
            r.entry_fault(
                name,
                node,
                "is made by the gate; switch it on with adaptive = \"gradient\"",
            );
        }
        limits.extend(r.entry(name, node).and_then(|r| limit(name, &r, scene)));
    }
    limits
}

/// Reads one limit; `None` when it is off or at fault.
fn limit(name: &str, r: &Reader<'_>, scene: &Scene<'_>) -> Option<Limit> {
    let counts = r.get("counts", word(&COUNTS));
    let key = r.get("key", word(&KEY)).unwrap_or(Key::All);
    let matches = limit_match(r, scene.routes);
    let mode = r.get("mode", word(&MODE)).unwrap_or(Some(Mode::Enforce));
    let ceiling = match counts {
        Some(Counts::ResponseBytes) => r.get("limit", size(0..=MOST_BYTES)),
        _ => r.get("limit", whole(0..=MOST)),
    };
    let (window, burst) = rate(r, ceiling.unwrap_or(MOST));
    let full = full_status(r);
    let wait = wait(r);
    r.finish();
    need_what_a_limit_is(name, r, scene);
    let counts = counts?;
    check_sense(r, counts, key, &wait);
    let limit = ceiling?;
    let is_rate = counts == Counts::Requests;
    Some(Limit {
        name: Arc::from(name),
        counts,
        key,
        not_enforced: not_enforced(counts, &matches),
        matches,
        limit,
        window: if is_rate { window } else { Duration::ZERO },
        burst: if is_rate { burst.min(limit) } else { 0 },
        mode: mode?,
        full_status: match counts {
            Counts::ResponseBytes => BAD_GATEWAY,
            Counts::Requests => full.unwrap_or(429),
            _ => full.unwrap_or(503),
        },
        wait,
    })
}

/// A limit needs `counts` and `limit`. One that has neither is more likely a mistyped name of the profile's.
fn need_what_a_limit_is(name: &str, r: &Reader<'_>, scene: &Scene<'_>) {
    let Some(known) = scene.known else { return };
    let near = nearest(name, known.iter().map(String::as_str)).filter(|near| *near != name);
    let new = match near {
        Some(near) => format!(
            "the profile {} has no limit of this name; did you mean `{near}`? A new limit needs",
            scene.profile
        ),
        None => format!(
            "the profile {} has no limit of this name, and a new limit needs",
            scene.profile
        ),
    };
    if !r.has("counts") {
        let words: Vec<_> = COUNTS.into_iter().map(|(word, _)| word).collect();
        r.fault(
            "counts",
            &format!("is missing; {new} what it counts: {}", words.join(", ")),
        );
    }
    if !r.has("limit") {
        r.fault(
            "limit",
            &format!("is missing; {new} how many, as limit = 100"),
        );
    }
}

/// `window` and `burst`, with their defaults.
fn rate(r: &Reader<'_>, ceiling: u64) -> (Duration, u64) {
    let window = r
        .get("window", duration(LEAST..=DAY))
        .unwrap_or(Duration::from_secs(1));
    let burst = r.get("burst", whole(1..=MOST)).unwrap_or(ceiling);
    // A limit of 0 blocks, whatever burst the profile has.
    if burst > ceiling && ceiling > 0 && r.sound(&["limit"]) {
        r.fault("burst", &format!("is more than limit = {ceiling}, and both hold; write {ceiling} or less, or leave it out"));
    }
    (window, burst)
}

fn full_status(r: &Reader<'_>) -> Option<u16> {
    let full = r.table("full");
    let status = full.get("status", |node: &Node| match node.value {
        Value::Whole(429) => Ok(429),
        Value::Whole(503) => Ok(503),
        _ => Err("is no status of a refusal; 429 or 503 is wanted, whichever the clients of this upstream retry".to_owned()),
    });
    full.finish();
    status
}

fn wait(r: &Reader<'_>) -> Wait {
    let w = r.table("wait");
    let line = w.get("line", whole(0..=MOST));
    let per_user = w.get("per_user", whole(1..=MOST));
    let at_most = w.get("at_most", duration(LEAST..=HOUR));
    w.finish();
    if !w.has("line") && (w.has("per_user") || w.has("at_most")) {
        w.fault(
            "line",
            "is missing; without it nobody waits, write how many may, as line = 1000",
        );
    }
    let line = line.unwrap_or(0);
    Wait {
        line,
        per_user: per_user.unwrap_or(line).min(line),
        at_most: at_most.unwrap_or(Duration::from_secs(30)),
    }
}

/// Keys that make no sense for what is counted.
fn check_sense(r: &Reader<'_>, counts: Counts, key: Key, wait: &Wait) {
    let word = of(&COUNTS, &counts);
    if counts != Counts::Requests {
        for rate_key in ["window", "burst"] {
            if r.has(rate_key) {
                r.fault(rate_key, &format!("belongs to rates (counts = \"requests\"); this limit counts {word}, which are held"));
            }
        }
    }
    if counts == Counts::ResponseBytes {
        for held_key in ["full", "wait"] {
            if r.has(held_key) {
                r.fault(held_key, "makes no sense for response_bytes; too large an answer is a 502, and waiting makes it no smaller");
            }
        }
    }
    if counts == Counts::Sessions && wait.line > 0 {
        r.fault("wait", "makes no sense for sessions: a session lasts for hours, and waiting for one to end helps nobody; leave it out, or let logins wait (counts = \"session_creations\")");
    }
    let senseless = match (counts, key) {
        (_, Key::All) => None,
        (Counts::UpstreamConnections, _) => {
            Some("an open socket to the upstream is shared, it belongs to no caller")
        }
        (Counts::ResponseBytes, _) => Some("it is the size of one answer, whoever asked"),
        (Counts::Sessions | Counts::SessionCreations, Key::Session) => {
            Some("a session holds one session")
        }
        _ => None,
    };
    if let Some(why) = senseless {
        r.fault(
            "key",
            &format!("makes no sense for {word}: {why}; write \"all\" or leave it out"),
        );
    }
}
