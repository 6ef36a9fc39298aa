//! The limit that follows the upstream (`adaptive = "gradient"`): fewer calls at a time as it gets slower.

use std::sync::Arc;
use std::time::Duration;

use super::claim::Claim;
use super::rule::Rule;
use crate::call::Class;
use crate::config::{ADAPTIVE_LIMIT, Adaptive, Counts, Key, Limit, Match, Mode, Upstream, Wait};
use crate::limit::{Gradient, KeyHasher, Moment};

/// Its ceiling where no limit on connections gives one.
const MOST: u64 = 1000;
/// Its line, where no limit on connections has one.
const LINE: Wait = Wait {
    line: 2000,
    per_user: 500,
    at_most: Duration::from_secs(30),
};
/// Request bodies above this are still on their way when the answer could begin: such calls say nothing.
const LARGE: u64 = 64 * 1024;

/// What it counts: calls that are short by nature. Long polls last as long as nothing happens, blocking
/// calls and transfers as long as their work: they stay out of its count and of its estimate.
const CLASSES: [Class; 5] = [
    Class::Rest,
    Class::Rpc,
    Class::Soap,
    Class::Login,
    Class::Task,
];

/// The limit as if it had been configured, where the upstream asks for it.
pub(super) fn limit(upstream: &Upstream) -> Option<Limit> {
    if upstream.adaptive != Adaptive::Gradient {
        return None;
    }
    let of_calls = upstream
        .limits
        .iter()
        .filter(|limit| limit.counts == Counts::UpstreamConnections && limit.mode == Mode::Enforce);
    let tightest = of_calls.min_by_key(|limit| limit.limit);
    let wait = tightest.map(|limit| limit.wait.clone());
    Some(Limit {
        name: Arc::from(ADAPTIVE_LIMIT),
        counts: Counts::RequestsInFlight,
        key: Key::All,
        matches: Match {
            class: CLASSES.into(),
            ..Match::default()
        },
        limit: tightest.map_or(MOST, |limit| limit.limit),
        window: Duration::ZERO,
        burst: 0,
        mode: Mode::Enforce,
        full_status: 503,
        wait: wait.filter(|wait| wait.line > 0).unwrap_or(LINE),
        not_enforced: None,
    })
}

/// The rule for it.
pub(super) fn rule(upstream: &Upstream, hasher: &KeyHasher) -> Option<(Rule, Limit)> {
    let limit = limit(upstream)?;
    let mut rule = Rule::new(&limit, &upstream.routes, hasher, &mut 0)?;
    rule.gradient = Some(Gradient::new(limit.limit));
    Some((rule, limit))
}

impl Claim {
    /// Whether a limit follows how long it takes.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.units.held & self.units.stack.adaptive() != 0
    }

    /// The head of the upstream's answer came at `now`; `received` bytes of body went up before it. What
    /// follows it streams at the client's pace, and so says nothing of the upstream.
    pub fn answer_began(&mut self, status: u16, received: u64, now: Moment) {
        if matches!(status, 503 | 504) {
            self.upstream_failed();
        } else if received <= LARGE {
            self.answered_after = Some(now.since(self.left));
        }
    }

    /// The upstream failed the call under its load.
    pub fn upstream_failed(&self) {
        for (_, rule) in self.units.stack.each(self.units.held) {
            if let Some(gradient) = &rule.gradient {
                gradient.note_failure();
            }
        }
    }

    /// Lets the limit that follows the upstream know how long it took.
    pub(super) fn teach(&self, now: Moment) {
        let Some(took) = self.answered_after else {
            return;
        };
        let stack = &self.units.stack;
        for (at, rule) in stack.each(self.units.held & stack.adaptive()) {
            if let Some(gradient) = &rule.gradient
                && gradient.learn(took, rule.in_use(&self.units.who, now), now)
            {
                stack.call_next(1 << at, &self.units.who);
            }
        }
    }
}
