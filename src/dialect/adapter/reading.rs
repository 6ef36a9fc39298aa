//! What a poll says of a task.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde_json::Value;

use super::earlier::Earlier;
use super::fill;
use super::origin::Origin;
use super::seen::{Answered, Body, Found, Seen, scalar};
use crate::config::{Acceptor, Batch, Became, Beside, Hole, Native, Piece, Says, Spot, Test};

/// Longest message that is taken over, characters.
const LONGEST: usize = 512;

/// What a poll says of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// What it means.
    pub verdict: Verdict,
    /// How often it has to come in a row before it holds.
    pub confirm: u32,
    /// How much is done, of 100.
    pub percent: Option<u8>,
    /// What is being done.
    pub message: Option<String>,
    /// What went wrong.
    pub error: Option<Failure>,
    /// Whether it can be taken back; `None`: it does not say.
    pub cancelable: Option<bool>,
    /// The change was taken and not made.
    pub unmade: bool,
    /// It says so by comparing with what the request asks for: then it tells of a change whose answer was lost, too.
    pub proves: bool,
    /// What stands at every place that tells states apart, in short: readings are equal where this is.
    pub saw: u64,
}

/// What a poll means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The task is in this state.
    State(Became, Option<Beside>),
    /// There is no such task.
    Gone,
    /// It says nothing of the task: an error of the poll itself, or an answer that no word of the dialect is for.
    Unclear,
}

impl Verdict {
    /// Whether the task is over by it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::State(state, _) if state.is_final())
    }
}

/// What went wrong, in the upstream's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its kind, as `ALREADY_EXISTS`.
    pub kind: Option<String>,
    /// What happened.
    pub message: Option<String>,
}

/// Reads one answer, or one entry of a batch. `before` is what the resource was before the request was sent.
#[must_use]
pub fn read(
    native: &Native,
    origin: &Origin<'_>,
    seen: &Seen<'_>,
    before: Option<&Earlier>,
) -> Reading {
    let holding = native
        .accept
        .iter()
        .find(|one| holds(one, origin, seen, before));
    let (verdict, confirm) = match holding {
        Some(one) => (
            Verdict::State(one.state, one.substate),
            confirmations(native, one, seen),
        ),
        None if matches!(seen.status, 404 | 410) => (Verdict::Gone, native.gone),
        None => (Verdict::Unclear, 1),
    };
    let failed = matches!(verdict, Verdict::State(state, _) if state.is_final() && state != Became::Completed);
    let allowed = native
        .cancel
        .as_ref()
        .and_then(|cancel| cancel.allowed_if.as_ref());
    Reading {
        verdict,
        confirm,
        percent: percent(native, seen),
        message: native
            .progress
            .message
            .as_ref()
            .and_then(|spot| said(seen, spot)),
        error: failed.then(|| failure(native, seen)),
        cancelable: allowed.and_then(|spot| Some(seen.at(spot)?.text()? == "true")),
        unmade: holding.is_some_and(|one| one.unmade),
        proves: holding.is_some_and(proves),
        saw: saw(native, seen),
    }
}

/// Whether an acceptor compares with what the request asks for.
fn proves(acceptor: &Acceptor) -> bool {
    let is_asked = |piece: &Piece| {
        matches!(
            piece,
            Piece::Hole(Hole::Body(_) | Hole::Query(_) | Hole::Star(_))
        )
    };
    acceptor.tests.iter().any(|test| match test {
        Test::Echoes => true,
        Test::At(_, Says::OneOf(wanted)) => wanted.iter().any(|one| one.0.iter().any(is_asked)),
        _ => false,
    })
}

/// What stands at all places that acceptors look at. It is compared within one process alone.
fn saw(native: &Native, seen: &Seen<'_>) -> u64 {
    let mut hash = DefaultHasher::new();
    for test in native.accept.iter().flat_map(|one| &one.tests) {
        if let Test::At(spot, _) = test {
            let found = seen.at(spot).map(|found| found.json());
            found.map(|found| found.to_string()).hash(&mut hash);
        }
    }
    hash.finish()
}

fn confirmations(native: &Native, acceptor: &Acceptor, seen: &Seen<'_>) -> u32 {
    if !acceptor.state.is_final() {
        return 1;
    }
    let wanted = acceptor.confirm.unwrap_or(native.confirm.readings);
    let is_settled = native
        .settled
        .iter()
        .all(|spot| seen.at(spot).is_some_and(|found| found.is_something()));
    // An end that does not yet say all is read once more, whatever it says then.
    if is_settled { wanted } else { wanted.max(2) }
}

fn failure(native: &Native, seen: &Seen<'_>) -> Failure {
    Failure {
        kind: native.error.kind.as_ref().and_then(|spot| said(seen, spot)),
        message: native
            .error
            .message
            .iter()
            .find_map(|spot| said(seen, spot)),
    }
}

fn said(seen: &Seen<'_>, spot: &Spot) -> Option<String> {
    let text = seen.at(spot)?.text()?;
    let text: String = text
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(LONGEST)
        .collect();
    (!text.is_empty()).then_some(text)
}

fn percent(native: &Native, seen: &Seen<'_>) -> Option<u8> {
    let number = |spot: &Spot| {
        let text = seen.at(spot)?.text()?;
        let number: f64 = text.trim().trim_end_matches('%').parse().ok()?;
        number.is_finite().then_some(number)
    };
    let done = number(native.progress.done.as_ref()?)?;
    let of = native.progress.of.as_ref().map_or(Some(100.0), number)?;
    let percent = (done / of * 100.0).floor();
    if !(0.0..=100.0).contains(&percent) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 100, as just checked"
    )]
    let percent = percent as u8;
    Some(percent)
}

/// Whether all tests of an acceptor hold. Without a word on the status, a success is meant.
pub(super) fn holds(
    acceptor: &Acceptor,
    origin: &Origin<'_>,
    seen: &Seen<'_>,
    before: Option<&Earlier>,
) -> bool {
    let says_status = acceptor
        .tests
        .iter()
        .any(|test| matches!(test, Test::Status(_)));
    (says_status || (200..300).contains(&seen.status))
        && acceptor.tests.iter().all(|test| match test {
            Test::Status(statuses) => statuses.contains(&seen.status),
            Test::Asked(hole, wanted) => origin
                .says(hole)
                .is_some_and(|said| wanted.is_empty() || wanted.iter().any(|one| *one == said)),
            Test::Echoes => echoes(origin, seen),
            Test::At(spot, says) => at_spot(spot, says, origin, (seen, before)),
        })
}

fn at_spot(
    spot: &Spot,
    says: &Says,
    origin: &Origin<'_>,
    seen: (&Seen<'_>, Option<&Earlier>),
) -> bool {
    let (seen, before) = seen;
    let found = seen.at(spot);
    let text = || found.as_ref().and_then(Found::text);
    match says {
        Says::OneOf(wanted) => text().is_some_and(|text| {
            wanted
                .iter()
                .any(|one| fill::text(one, origin).as_ref() == Some(&text))
        }),
        Says::Exists(wanted) => {
            let is_null = matches!(found, Some(Found::Json(Value::Null)));
            (found.is_some() && !is_null) == *wanted
        }
        Says::InPath(wanted) => text().is_some_and(|text| origin.has_segment(&text)) == *wanted,
        Says::NonEmpty(wanted) => found.as_ref().is_some_and(Found::is_something) == *wanted,
        // Without a reading from before there is nothing to tell a change by.
        Says::Changed => before.is_some_and(|before| before.differs(spot, found.as_ref())),
    }
}

/// Whether the answer says what the request's body said, as far as it has the same members.
fn echoes(origin: &Origin<'_>, seen: &Seen<'_>) -> bool {
    let (Some(Value::Object(asked)), Body::Json(Value::Object(have))) = (&origin.body, &seen.body)
    else {
        return true;
    };
    asked
        .iter()
        .all(|(name, value)| match (scalar(value), have.get(name)) {
            (Some(asked), Some(have)) => scalar(have).is_none_or(|have| have == asked),
            _ => true,
        })
}

/// Readings in a row that say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Streak {
    last: Option<(Verdict, u64)>,
    times: u32,
}

impl Streak {
    /// Whether a reading is like the last one that counted.
    #[must_use]
    pub fn goes_on(&self, reading: &Reading) -> bool {
        self.last == Some((reading.verdict, reading.saw))
    }

    /// Takes one more reading; its verdict, once it holds. One that is unclear neither counts nor starts anew.
    pub fn note(&mut self, reading: &Reading) -> Option<Verdict> {
        if reading.verdict == Verdict::Unclear {
            return None;
        }
        if !self.goes_on(reading) {
            *self = Self {
                last: Some((reading.verdict, reading.saw)),
                times: 0,
            };
        }
        self.times = self.times.saturating_add(1);
        (self.times >= reading.confirm).then_some(reading.verdict)
    }
}

/// Tasks of an answer that told of many, by their names.
#[derive(Debug, Clone)]
pub struct Entries(BTreeMap<String, Body>);

impl Entries {
    /// What it says of one task; `None`: nothing, which is not to say that there is none.
    #[must_use]
    pub fn get(&self, handle: &str) -> Option<Seen<'static>> {
        self.0.get(handle).cloned().map(Seen::entry)
    }

    /// The names of those that it tells of.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How many it tells of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it tells of none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether an end that a batch tells of needs no poll of its own.
#[must_use]
pub fn is_whole(batch: &Batch, reading: &Reading) -> bool {
    batch.whole || !reading.verdict.is_final()
}

/// Reads an answer that tells of many tasks; `None` where it is none.
#[must_use]
pub fn batch_read(batch: &Batch, answered: &Answered<'_>) -> Option<Entries> {
    if !(200..300).contains(&answered.status) {
        return None;
    }
    let seen = Seen::new(answered);
    let entries = match (&batch.entries, &seen.body) {
        (Spot::Xml(path), Body::Xml(tree)) => {
            let entries = tree.at(path).into_iter().cloned().map(Body::Xml);
            entries.filter_map(|entry| named(batch, entry)).collect()
        }
        (Spot::Json(_), Body::Json(_)) => match seen.at(&batch.entries)? {
            Found::Json(Value::Object(map)) if batch.id.is_none() => {
                let pairs = map
                    .iter()
                    .map(|(id, entry)| (id.clone(), Body::Json(entry.clone())));
                pairs.collect()
            }
            Found::Json(Value::Array(list)) => {
                let entries = list.iter().cloned().map(Body::Json);
                entries.filter_map(|entry| named(batch, entry)).collect()
            }
            _ => return None,
        },
        _ => return None,
    };
    Some(Entries(entries))
}

/// An entry of a list, by the name that it says.
fn named(batch: &Batch, entry: Body) -> Option<(String, Body)> {
    let seen = Seen::entry(entry);
    let id = seen.at(batch.id.as_ref()?)?.text()?;
    Some((id, seen.body))
}
