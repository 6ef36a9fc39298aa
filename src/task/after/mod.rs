//! What is done about a task that would end badly, by the rules of its route: tried again, told of, made up for.
//!
//! ```text
//!   end that is not COMPLETED ─▶ rules that are for it
//!      a try is left, and again does no harm ──▶ WAITING_RETRY in place of the end: what is over never changes
//!      else ──▶ the end, and in the same transaction: alerts into the outbox,
//!               and once at most a task that makes up for it, where something was left behind
//! ```
//!
//! Nothing here touches the store or a clock.

mod key;
mod undo;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
use memchr::memmem;

pub(super) use key::{is_key_spent, keyed};
pub(super) use undo::{Undo, undo};

use super::port::Answer;
use super::record::{Millis, Outcome, Record, Replay, Requested};
use super::state::{Event, State};
use crate::config::{self, After, Compensate, Ending, Fate, Probe, Retry};
use crate::dialect::come_back;

/// How much of a body is searched for the text of a condition, bytes.
const LOOKED_AT: usize = 4096;
/// Kinds of faults after which another try may fare better. Credentials that are over stay so, and what cannot be read.
const MAY_PASS: [&str; 6] = [
    "upstream-error",
    "outcome-unknown",
    "not-applied",
    "upstream-timeout",
    "expired",
    "aborted",
];
/// Longest pause; one that an upstream wants longer is not waited for.
const LONGEST: Duration = Duration::from_hours(1);
/// Nothing was found that a compensation would have to undo: no bad end of it.
pub(super) const NOTHING_TO_UNDO: &str = "nothing-to-undo";

/// The rules of every route that has some.
#[derive(Debug, Default)]
pub(super) struct Rules(HashMap<Arc<str>, HashMap<String, Arc<config::Route>>>);

impl Rules {
    pub(super) fn new(upstreams: &[config::Upstream]) -> Self {
        let of = |upstream: &config::Upstream| {
            let routes = upstream.routes.iter().filter(|one| !one.after.is_empty());
            let named = routes.map(|route| (route.name.clone(), Arc::new(route.clone())));
            (upstream.name.clone(), named.collect())
        };
        Self(upstreams.iter().map(of).collect())
    }

    /// What is asked before anything of a task can have been executed, so that what stood there is not taken for its work; none
    /// where nothing would be looked for.
    pub(super) fn look_before(&self, task: &Record) -> Option<Probe> {
        // What was refused is as if it had never gone up.
        if task.is_compensation() || task.dispatched {
            return None;
        }
        let route = self.of(&task.requested)?;
        let mut undone = route
            .after
            .iter()
            .filter_map(|rule| rule.compensate.as_ref());
        let undo = undone.find(|undo| undo.needs_find())?;
        undo.find.clone().or_else(|| route.work.probe.clone())
    }

    pub(super) fn of(&self, requested: &Requested) -> Option<Arc<config::Route>> {
        self.0
            .get(&requested.upstream)?
            .get(&*requested.route)
            .cloned()
    }
}

/// A task as it would end.
#[derive(Debug, Clone, Copy)]
pub(super) struct End<'a> {
    /// As it was.
    pub(super) before: &'a Record,
    /// As it would be.
    pub(super) task: &'a Record,
    /// What the upstream answered.
    pub(super) answer: Option<&'a Answer>,
}

impl End<'_> {
    /// The rules that are for this end.
    pub(super) fn rules(self, route: &config::Route) -> impl Iterator<Item = &After> {
        route.after.iter().filter(move |rule| self.is_for(rule))
    }

    fn is_for(self, rule: &After) -> bool {
        let when = &rule.when;
        let fate = if when.refusal {
            Some(Fate::NotApplied)
        } else {
            when.outcome
        };
        self.is_said(rule) && fate.is_none_or(|fate| self.fate() == Some(fate))
    }

    /// Whether the rule is for it, whatever is known of what became of it.
    fn is_said(self, rule: &After) -> bool {
        let when = &rule.when;
        let status = self.status();
        ending(self.task).is_some_and(|ending| rule.states.contains(&ending))
            && (when.status.is_empty() || status.is_some_and(|one| when.status.contains(&one)))
            && (when.error.is_empty() || when.error.iter().any(|word| self.says(word)))
            && when.body.as_ref().is_none_or(|text| self.contains(text))
    }

    /// Whether a rule has it that this answer proves that nothing was executed.
    pub(super) fn is_refusal(self, route: &config::Route) -> bool {
        let mut rules = route.after.iter();
        self.task.outcome == Some(Outcome::Known)
            && rules.any(|rule| rule.when.refusal && self.is_said(rule))
    }

    fn fate(self) -> Option<Fate> {
        match self.task.outcome {
            Some(Outcome::Known) => Some(Fate::Known),
            Some(Outcome::Unknown) => Some(Fate::Unknown),
            Some(Outcome::NotApplied) => Some(Fate::NotApplied),
            None => (!self.task.dispatched).then_some(Fate::NotApplied),
        }
    }

    fn status(self) -> Option<u16> {
        let said = self.answer.map(|answer| answer.status);
        said.or_else(|| self.task.result.as_ref().map(|result| result.status))
    }

    /// Whether the upstream's word for the error is this one, in whatever space of names.
    fn says(self, word: &str) -> bool {
        let fault = self.task.error.as_ref();
        let fault = fault.filter(|fault| fault.kind == "upstream-error");
        let kind = self.task.error_type.as_deref();
        let is_kind = kind.is_some_and(|kind| kind.eq_ignore_ascii_case(word));
        fault.is_some_and(|fault| {
            let last = fault.detail.rsplit('.').next().unwrap_or_default();
            is_kind || fault.detail.eq_ignore_ascii_case(word) || last.eq_ignore_ascii_case(word)
        })
    }

    fn contains(self, text: &str) -> bool {
        let body = self.answer.map_or(&[][..], |answer| &answer.body);
        let body = body.get(..LOOKED_AT).unwrap_or(body);
        memmem::find(body, text.as_bytes()).is_some()
    }

    /// When it is tried again in place of ending; none where it ends.
    pub(super) fn again(self, route: &config::Route, now: Millis) -> Option<Millis> {
        if !self.may_be_done_again() {
            return None;
        }
        let mut retries = self.rules(route).filter_map(|rule| rule.retry.as_ref());
        retries.find_map(|retry| self.next_try(retry, now))
    }

    /// Whether another try does no harm, and may fare better: nothing was executed, or again is as good as once.
    fn may_be_done_again(self) -> bool {
        let fault = self.task.error.as_ref();
        let may_pass = fault.is_none_or(|fault| MAY_PASS.contains(&fault.kind));
        let is_harmless = self.task.outcome == Some(Outcome::NotApplied)
            || self.task.requested.replay == Replay::AtLeastOnce;
        let mut moves = self.task.history.iter();
        let is_wanted = !moves.any(|moved| moved.event == Event::CancelSent);
        self.before.status.state() == State::Running
            && !self.task.is_compensation()
            && may_pass
            && is_harmless
            && is_wanted
    }

    fn next_try(self, retry: &Retry, now: Millis) -> Option<Millis> {
        let nth = self.before.retries() + 1;
        if nth > retry.times {
            return None;
        }
        let asked = self.answer.and_then(|answer| come_back(answer, now));
        let pause = pause(retry, nth, self.task).max(asked.unwrap_or_default());
        let next = now.after(pause);
        let first = self.task.started.unwrap_or(self.task.created);
        let start_by = self.task.requested.start_deadline;
        let is_bearable = pause <= LONGEST;
        let is_in_time = next <= first.after(retry.within) && start_by.is_none_or(|by| next < by);
        (is_bearable && is_in_time).then_some(next)
    }

    /// What makes up for it; none where nothing was left behind, as far as is known, or nobody could tell what.
    pub(super) fn compensation(self, route: &config::Route) -> Option<&Compensate> {
        let is_left = self.task.dispatched && self.task.outcome != Some(Outcome::NotApplied);
        if !is_left || self.task.is_compensation() {
            return None;
        }
        let is_known = self.task.outcome == Some(Outcome::Known);
        let mut undone = self
            .rules(route)
            .filter_map(|rule| rule.compensate.as_ref());
        undone.find(|undo| is_known || undo.target.needs_find())
    }

    /// Whether what the question of `undo` finds can be the task's own work alone: nothing of that kind was there before.
    pub(super) fn is_its_own(self, undo: &Compensate) -> bool {
        !undo.needs_find() || self.task.stood == Some(false)
    }

    /// Whether a compensation is done after all: what it was to take away is not there.
    pub(super) fn is_done(self, route: &config::Route) -> bool {
        let mut undone = route
            .after
            .iter()
            .filter_map(|rule| rule.compensate.as_ref());
        let method = &self.task.requested.method;
        self.task.is_compensation()
            && self.task.outcome == Some(Outcome::Known)
            && self.status().is_some_and(|status| {
                undone.any(|undo| undo.method == *method && undo.done.contains(&status))
            })
    }

    /// Whom it is told to; none where it is no alert.
    pub(super) fn alert(self, route: &config::Route) -> Option<Vec<Arc<str>>> {
        let rules: Vec<&After> = if self.task.is_compensation() {
            if has_nothing_to_undo(self.task) {
                return None;
            }
            // Whatever becomes of one that was to set things right is to be known.
            let rules = route.after.iter();
            rules.filter(|rule| rule.compensate.is_some()).collect()
        } else {
            let rules = self.rules(route);
            let rules = rules.filter(|rule| rule.alert || rule.webhook.is_some());
            rules.collect()
        };
        if rules.is_empty() && !self.task.is_compensation() {
            return None;
        }
        let mut urls: Vec<Arc<str>> = Vec::new();
        for url in rules.iter().filter_map(|rule| rule.webhook.as_deref()) {
            if !urls.iter().any(|one| **one == *url) {
                urls.push(Arc::from(url));
            }
        }
        Some(urls)
    }
}

/// Whether it is a compensation that found nothing to do.
pub(super) fn has_nothing_to_undo(task: &Record) -> bool {
    let fault = task.error.as_ref();
    fault.is_some_and(|fault| fault.kind == NOTHING_TO_UNDO)
}

const fn ending(task: &Record) -> Option<Ending> {
    match task.status.state() {
        State::Failed => Some(Ending::Failed),
        State::Aborted => Some(Ending::Aborted),
        State::PartialSuccess => Some(Ending::PartialSuccess),
        State::Expired => Some(Ending::Expired),
        State::Scheduled | State::Running | State::Completed => None,
    }
}

/// When the upstream wants to be asked again.
fn come_back(answer: &Answer, now: Millis) -> Option<Duration> {
    let mut fields = answer.headers.iter();
    let (_, value) = fields.find(|(name, _)| *name == *RETRY_AFTER.as_str())?;
    let value = HeaderValue::from_bytes(value).ok()?;
    let headers = HeaderMap::from_iter([(RETRY_AFTER, value)]);
    come_back::retry_after(&headers, SystemTime::from(now))
}

/// The pause before the `nth` try after the first. Tasks that failed together do not come back together: the random part of
/// their names sees to that.
fn pause(retry: &Retry, nth: u32, task: &Record) -> Duration {
    let grown = retry.factor.saturating_pow(nth.saturating_sub(1));
    let pause = retry.first.saturating_mul(grown).min(retry.cap);
    let place = 6 + usize::try_from(nth % 10).unwrap_or(0);
    let roll = task.id.bytes().get(place).copied().unwrap_or(128);
    let share = f64::from(retry.jitter_ppm) / 1e6;
    pause.mul_f64((1.0 + share * (f64::from(roll) / 127.5 - 1.0)).max(0.0))
}

#[cfg(test)]
mod tests;
