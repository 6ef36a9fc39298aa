//! What the operator sees of a stack, and the audit of its counters.

use std::sync::Arc;

use super::rule::{Count, Rule};
use super::stack::Stack;
use crate::call::{Principal, Reason};
use crate::config::{Counts, Key};
use crate::limit::Moment;

/// Heaviest holders of a keyed limit that are shown.
const TOP: usize = 10;

/// One limit at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitView {
    /// Its name.
    pub name: Arc<str>,
    /// What it counts, in the word of the configuration.
    pub counts: &'static str,
    /// For whom, in the word of the configuration.
    pub key: &'static str,
    /// The ceiling.
    pub limit: u64,
    /// What is in force of it while the upstream refuses by itself; `None` when all of it is.
    pub effective: Option<u64>,
    /// Units held: sockets open, calls in flight, calls in the last window; of the fullest key.
    pub in_use: u64,
    /// Calls in its line.
    pub waiting: u64,
    /// Calls it let pass.
    pub admitted: u64,
    /// Calls it refused, in the order of [`Reason::ALL`].
    pub refused: [u64; Reason::ALL.len()],
    /// Calls it would have refused.
    pub shadow_refused: u64,
    /// `enforce` or `shadow`.
    pub mode: &'static str,
    /// The heaviest holders of a keyed limit: who, units, calls in line.
    pub top: Vec<(Principal, u64, u64)>,
}

impl Stack {
    /// Every limit at `now`, by name.
    #[must_use]
    pub fn views(&self, now: Moment) -> Vec<LimitView> {
        let mut views: Vec<LimitView> = self.rules().iter().map(|rule| view(rule, now)).collect();
        views.sort_by(|one, other| one.name.cmp(&other.name));
        views
    }

    /// Of the limit of this name, whose units everybody holds together: how many there are, and how many are held.
    #[must_use]
    pub fn seats(&self, name: &str) -> Option<(u64, u64)> {
        let rule = self.rules().iter().find(|rule| *rule.name == *name)?;
        Some((rule.ceiling, counter(rule)))
    }

    /// For each limit whose units are held: the claims that hold one, counted one by one, less its
    /// counter. Anything but 0 is a bug.
    ///
    /// Claims and releases wait while it counts, some microseconds for thousands of claims.
    #[must_use]
    pub fn audit(&self) -> Vec<(Arc<str>, i64)> {
        let halted = self.live().halt();
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let rules = self.rules().iter().enumerate();
        rules
            .filter(|(_, rule)| rule.is_held())
            .map(|(at, rule)| {
                let mismatch = signed(halted.holders(at)) - signed(counter(rule));
                (rule.name.clone(), mismatch)
            })
            .collect()
    }
}

/// Units that calls hold, by the counter.
fn counter(rule: &Rule) -> u64 {
    match &rule.count {
        Count::Sockets { calls: seats, .. } | Count::Seats(seats) => seats.in_use(),
        Count::KeyedSeats(keyed) => keyed.heaviest(0, crate::limit::Cell::held).0,
        Count::Rate(_) | Count::KeyedRate(..) | Count::Bytes => 0,
    }
}

fn view(rule: &Rule, now: Moment) -> LimitView {
    let (in_use, top) = usage(rule, now);
    LimitView {
        name: rule.name.clone(),
        counts: counts_word(rule.counts),
        key: key_word(rule.key),
        limit: rule.ceiling,
        effective: rule.effective(now),
        in_use,
        waiting: rule.line.as_ref().map_or(0, |line| line.len() as u64),
        admitted: rule.tally.admitted(),
        refused: rule.tally.refused(),
        shadow_refused: rule.tally.shadow_refused(),
        mode: if rule.enforced { "enforce" } else { "shadow" },
        top: with_waiting(rule, top),
    }
}

/// The heaviest holders of a keyed limit, and whoever else has the most calls in line.
fn with_waiting(rule: &Rule, top: Vec<(Principal, u64)>) -> Vec<(Principal, u64, u64)> {
    let mut top: Vec<(Principal, u64, u64)> = top
        .into_iter()
        .map(|(who, units)| (who, units, 0))
        .collect();
    let standing = rule.line.as_ref().map(|line| line.standing(None));
    for one in standing.unwrap_or_default() {
        if let Some((.., waiting)) = top.iter_mut().find(|(who, ..)| *who == one.user) {
            *waiting = one.calls;
        } else if top.len() < TOP {
            top.push((one.user, 0, one.calls));
        }
    }
    top
}

fn usage(rule: &Rule, now: Moment) -> (u64, Vec<(Principal, u64)>) {
    let top = match &rule.count {
        Count::Sockets { open, .. } => return (open.in_use(), Vec::new()),
        Count::Seats(seats) => return (seats.in_use(), Vec::new()),
        Count::Rate(rate) => return (rate.in_use(now), Vec::new()),
        Count::Bytes => return (0, Vec::new()),
        Count::KeyedSeats(keyed) => keyed.heaviest(TOP, crate::limit::Cell::held).1,
        Count::KeyedRate(keyed, pace) => keyed.heaviest(TOP, |cell| cell.tokens(pace, now)).1,
    };
    (top.first().map_or(0, |(_, units)| *units), top)
}

const fn counts_word(counts: Counts) -> &'static str {
    match counts {
        Counts::UpstreamConnections => "upstream_connections",
        Counts::RequestsInFlight => "requests_in_flight",
        Counts::Requests => "requests",
        Counts::Sessions => "sessions",
        Counts::SessionCreations => "session_creations",
        Counts::ResponseBytes => "response_bytes",
    }
}

const fn key_word(key: Key) -> &'static str {
    match key {
        Key::All => "all",
        Key::User => "user",
        Key::Address => "address",
        Key::Session => "session",
    }
}
