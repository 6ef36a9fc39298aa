//! `[[upstream.route.after]]`: what is done about a task of a route that would end badly: tried again, told of, made up for.
//!
//! ```text
//!   text ─▶ rule ─▶ when    which ends it is for      ─▶ After, plain data
//!                 ─▶ then   retry, alert, compensate
//!                 ─▶ sound  what would be dangerous is a fault
//! ```
//!
//! Nothing here may send a call twice that was executed, or undo what was not done: what a rule allows is checked again when it
//! is used, against what is known of the task.

mod blanks;
mod merged;
mod say;
mod shown;
mod sound;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use blanks::{Bit, Blanks};
pub(super) use merged::merged;
pub(super) use say::lines;
pub(super) use shown::shown;

use super::node::Node;
use super::reader::Reader;
use super::types::Match;
use super::value::{duration, flag, share, text, whole_u32, word};
use super::work::{Probe, REPLAY, Replay, Work, probe_at};

/// Most rules of a route.
const MOST_RULES: usize = 16;
/// Most entries of a list of conditions.
const MOST_CONDITIONS: usize = 32;
/// Longest text of a condition, bytes.
const LONGEST: usize = 256;
const LEAST: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);
const WEEK: Duration = Duration::from_hours(7 * 24);

/// `state`.
const ENDINGS: [(&str, Ending); 4] = [
    ("FAILED", Ending::Failed),
    ("ABORTED", Ending::Aborted),
    ("PARTIAL_SUCCESS", Ending::PartialSuccess),
    ("EXPIRED", Ending::Expired),
];

/// `outcome`.
const FATES: [(&str, Fate); 3] = [
    ("known", Fate::Known),
    ("unknown", Fate::Unknown),
    ("not-applied", Fate::NotApplied),
];

/// An end that is not COMPLETED.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// FAILED.
    Failed,
    /// ABORTED.
    Aborted,
    /// `PARTIAL_SUCCESS`.
    PartialSuccess,
    /// EXPIRED.
    Expired,
}

/// What is known of what became of a task that ended so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The upstream said.
    Known,
    /// The answer was lost: it may have been done.
    Unknown,
    /// It was provably not done.
    NotApplied,
}

/// One rule: for which ends of a task, and what is done then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After {
    /// For which ends.
    pub states: Vec<Ending>,
    /// Of these, which.
    pub when: When,
    /// It is tried again in place of ending.
    pub retry: Option<Retry>,
    /// The operator hears of it: by metric and log.
    pub alert: bool,
    /// The operator's own receiver hears of it too.
    pub webhook: Option<String>,
    /// What makes up for it.
    pub compensate: Option<Compensate>,
}

/// Conditions; what is not said leaves that side open.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct When {
    /// What is known of what became of it.
    pub outcome: Option<Fate>,
    /// Status of the upstream's answer, any of these.
    pub status: Vec<u16>,
    /// The API's own word for the error, any of these.
    pub error: Vec<String>,
    /// Text that the beginning of the answer's body contains, letter for letter.
    pub body: Option<String>,
    /// An answer like this proves that nothing was executed.
    pub refusal: bool,
}

impl When {
    /// Whether it says which answers it is for.
    const fn names_an_answer(&self) -> bool {
        !self.status.is_empty() || !self.error.is_empty() || self.body.is_some()
    }
}

/// How often and when it is tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Most times, first try aside.
    pub times: u32,
    /// First pause.
    pub first: Duration,
    /// Each later pause is so many times as long.
    pub factor: u32,
    /// Longest pause, but for what the upstream itself asks for.
    pub cap: Duration,
    /// Pauses differ by this share of themselves, in millionths, up and down.
    pub jitter_ppm: u32,
    /// None begins later than this after the task first went up.
    pub within: Duration,
}

/// The call that makes up for a task that ended badly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compensate {
    /// Its method; it is none that only reads.
    pub method: String,
    /// Its path and query.
    pub target: Blanks,
    /// Its body, JSON.
    pub body: Option<Blanks>,
    /// Statuses of answers that say that it is done too, beside 2xx: what is not there any more needs no deletion.
    pub done: Vec<u16>,
    /// Longest that it may take.
    pub deadline: Option<Duration>,
    /// How often it may be executed; `None`: by its method.
    pub replay: Option<Replay>,
    /// What is asked first: only what it finds is undone.
    pub find: Option<Probe>,
}

impl Compensate {
    /// Whether it depends on what is found.
    #[must_use]
    pub fn needs_find(&self) -> bool {
        self.target.needs_find() || self.body.as_ref().is_some_and(Blanks::needs_find)
    }
}

/// Reads the rules of a route.
pub(super) fn rules(r: &Reader<'_>, work: &Work, matches: &Match) -> Vec<After> {
    let readers = r.tables("after");
    if readers.len() > MOST_RULES {
        r.fault("after", &format!("has more than {MOST_RULES} rules"));
    }
    let route = sound::Route::new(work, matches);
    readers.iter().filter_map(|one| rule(one, &route)).collect()
}

fn rule(r: &Reader<'_>, route: &sound::Route<'_>) -> Option<After> {
    let states = r.list("state", word(&ENDINGS));
    let when = When {
        outcome: r.get("outcome", word(&FATES)),
        status: few(r, "status", status),
        error: few(r, "error", short),
        body: r.get("body", short),
        refusal: r.get("refusal", flag).unwrap_or_default(),
    };
    let webhook = r.get("webhook", text);
    if let Some(url) = &webhook {
        r.only_to_allowed("webhook", url);
    }
    let rule = After {
        states: states.unwrap_or_default(),
        when,
        retry: retry(r),
        alert: r.get("alert", flag).unwrap_or_default(),
        webhook,
        compensate: compensate(r, route.stars()),
    };
    r.finish();
    sound::check(r, &rule, route);
    r.sound(&["state", "compensate", "retry"]).then_some(rule)
}

fn few<T>(r: &Reader<'_>, key: &'static str, parse: impl Fn(&Node) -> Result<T, String>) -> Vec<T> {
    let list = r.list(key, parse);
    if list.as_ref().is_some_and(Vec::is_empty) && r.sound(&[key]) {
        r.fault(
            key,
            "is empty, which would match nothing; leave it out to match everything",
        );
    }
    let list = list.unwrap_or_default();
    if list.len() > MOST_CONDITIONS {
        r.fault(key, &format!("has more than {MOST_CONDITIONS} entries"));
    }
    list
}

fn retry(r: &Reader<'_>) -> Option<Retry> {
    let t = r.table("retry");
    let times = t.get("times", whole_u32(1..=100));
    let first = t.get("first", duration(LEAST..=HOUR));
    let factor = t.get("factor", whole_u32(1..=10));
    let cap = t.get("cap", duration(LEAST..=HOUR));
    let jitter = t.get("jitter", share);
    let within = t.get("within", duration(LEAST..=WEEK));
    t.finish();
    if !r.has("retry") {
        return None;
    }
    if !t.has("times") {
        t.fault("times", "is missing; write how often at most, as times = 3");
    }
    let first = first.unwrap_or(Duration::from_secs(2));
    let retry = Retry {
        times: times?,
        first,
        factor: factor.unwrap_or(2),
        cap: cap.unwrap_or_else(|| Duration::from_mins(1).max(first)),
        jitter_ppm: jitter.unwrap_or(200_000),
        within: within.unwrap_or(Duration::from_hours(1)),
    };
    if retry.cap < retry.first {
        t.fault("cap", "is shorter than the first pause");
    }
    if retry.within < retry.first {
        t.fault(
            "within",
            "ends before the first pause does: nothing would be tried again",
        );
    }
    Some(retry)
}

fn compensate(r: &Reader<'_>, stars: usize) -> Option<Compensate> {
    let t = r.table("compensate");
    let method = t.get("method", changes);
    let target = t.get("target", blanks::target(stars));
    let body = t.get("body", blanks::body(stars));
    let done = t.list("done", status);
    let deadline = t.get("deadline", duration(LEAST..=WEEK));
    let replay = t.get("replay", word(&REPLAY));
    let find = probe_at(&t, "find");
    t.finish();
    if !r.has("compensate") || !r.sound(&["compensate"]) {
        return None;
    }
    for (key, wanted) in [
        ("method", "method = \"DELETE\""),
        ("target", "target = \"/api/vcenter/vm/{found:0.vm}\""),
    ] {
        if !t.has(key) {
            t.fault(key, &format!("is missing; write what is sent, as {wanted}"));
        }
    }
    let gone = method.as_deref() == Some("DELETE");
    Some(Compensate {
        method: method?,
        target: target?,
        body,
        done: done.unwrap_or_else(|| if gone { vec![404, 410] } else { Vec::new() }),
        deadline,
        replay,
        find,
    })
}

/// A method that changes something.
fn changes(node: &Node) -> Result<String, String> {
    let method = super::pattern::method(node)?;
    match method.as_str() {
        "POST" | "PUT" | "PATCH" | "DELETE" => Ok(method),
        _ => Err("undoes nothing; POST, PUT, PATCH or DELETE is wanted".to_owned()),
    }
}

fn status(node: &Node) -> Result<u16, String> {
    let status = whole_u32(200..=599)(node)?;
    Ok(u16::try_from(status).unwrap_or_default())
}

fn short(node: &Node) -> Result<String, String> {
    let said = text(node)?;
    if (1..=LONGEST).contains(&said.len()) {
        Ok(said)
    } else {
        Err(format!(
            "has {} bytes; 1 to {LONGEST} are wanted",
            said.len()
        ))
    }
}
