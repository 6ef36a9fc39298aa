//! What a rule must not say: what would be done twice, undone blindly, or never.

use super::{After, Compensate, Ending, Fate};
use crate::config::reader::Reader;
use crate::config::types::Match;
use crate::config::work::{Replay, UpstreamKey, Work};

/// What a rule has to know of its route.
pub(super) struct Route<'a> {
    work: &'a Work,
    matches: &'a Match,
}

impl<'a> Route<'a> {
    pub(super) const fn new(work: &'a Work, matches: &'a Match) -> Self {
        Self { work, matches }
    }

    /// How many stars its path has that stand for one segment.
    pub(super) fn stars(&self) -> usize {
        let path = self.matches.path.as_deref().unwrap_or_default();
        path.split('/').filter(|segment| *segment == "*").count()
    }

    /// Whether all its calls may be executed once at most. Where the method says and the route does not, nobody knows before
    /// the call is there.
    fn is_once(&self) -> bool {
        match self.work.replay {
            Some(replay) => replay == Replay::AtMostOnce,
            None if self.work.upstream_key != UpstreamKey::No => false,
            None => {
                let method = self.matches.method.as_deref();
                method.is_some_and(|method| !matches!(method, "PUT" | "DELETE" | "GET" | "HEAD"))
            }
        }
    }
}

/// Notes what is wrong with a rule whose values can be read.
pub(super) fn check(r: &Reader<'_>, rule: &After, route: &Route<'_>) {
    if rule.states.is_empty() && r.sound(&["state"]) {
        r.fault("state", "is missing or empty; write for which ends the rule is, as state = [\"FAILED\", \"EXPIRED\"]");
    }
    let does = ["retry", "alert", "webhook", "compensate"];
    if !does.iter().any(|key| r.has(key)) {
        r.fault(
            "state",
            "leads to nothing; say retry, alert, webhook or compensate",
        );
    }
    refusal(r, rule);
    if rule.retry.is_some() {
        retry(r, rule, route);
    }
    if let Some(compensate) = &rule.compensate {
        undone(r, rule, compensate, route);
    }
}

fn refusal(r: &Reader<'_>, rule: &After) {
    if !rule.when.refusal {
        return;
    }
    let when = &rule.when;
    if when.status.is_empty() || (when.error.is_empty() && when.body.is_none()) {
        r.fault("refusal", "needs a status, and error or body beside it: less is no proof that nothing was executed, and a call that was must not be sent again");
    }
    if when.status.iter().any(|status| *status < 400) {
        r.fault(
            "refusal",
            "is for answers that refuse: their status is 400 or above",
        );
    }
    if rule.states.iter().any(|state| *state != Ending::Failed) {
        r.fault(
            "refusal",
            "is for state = [\"FAILED\"] alone: other ends are no refusals",
        );
    }
    if when
        .outcome
        .is_some_and(|outcome| outcome != Fate::NotApplied)
    {
        r.fault(
            "outcome",
            "contradicts refusal, which says that nothing was executed; leave one of them out",
        );
    }
    if rule.compensate.is_some() {
        r.fault(
            "compensate",
            "has nothing to make up for: refusal says that nothing was executed",
        );
    }
}

fn retry(r: &Reader<'_>, rule: &After, route: &Route<'_>) {
    let is_proven = rule.when.refusal || rule.when.outcome == Some(Fate::NotApplied);
    if route.is_once() && !is_proven {
        r.fault("retry", "could execute a call twice that may be executed once at most; say outcome = \"not-applied\", or refusal = true with the status and the error or body of answers that prove that nothing was executed, or replay = \"at-least-once\" for the route");
    }
    let expires = rule.states.contains(&Ending::Expired);
    if expires && (is_proven || route.is_once()) {
        r.fault("retry", "makes no sense for EXPIRED without anything sent: the time in which the task may begin is over; only a call whose answer is overdue can be sent again, where replay = \"at-least-once\"");
    }
    if route.is_once() && rule.states.contains(&Ending::PartialSuccess) {
        r.fault("retry", "makes no sense for PARTIAL_SUCCESS of a call that may be executed once at most: some of it was done");
    }
}

fn undone(r: &Reader<'_>, rule: &After, undo: &Compensate, route: &Route<'_>) {
    let body = undo.body.as_ref();
    let finds = undo.needs_find();
    let answers = undo.target.needs_answer() || body.is_some_and(super::Blanks::needs_answer);
    let is_known = rule.when.outcome == Some(Fate::Known);
    if rule.when.outcome == Some(Fate::NotApplied) {
        r.fault(
            "compensate",
            "has nothing to make up for: outcome = \"not-applied\" says that nothing was done",
        );
    } else if !is_known && !undo.target.needs_find() {
        r.fault("compensate", "would undo blindly what may not have been done, or be another's; say outcome = \"known\", or have the target name what a question found, as {found:0.vm}");
    }
    if !is_known && answers {
        r.fault("compensate", "takes from an answer what is not there where the answer was lost; say outcome = \"known\", or take it from {found:…}");
    }
    if finds && undo.find.is_none() && route.work.probe.is_none() {
        r.fault("compensate", "has {found:…}, but nothing is asked; write find = { get = \"/api/vcenter/vm?names={/name}\", json = \"/0/vm\" }, or give the route a probe");
    }
    if !finds && undo.find.is_some() {
        r.fault("compensate", "asks for what it does not use; have the target name what was found, as {found:0.vm}, or leave find out");
    }
    let may_fail =
        rule.states.contains(&Ending::Failed) && rule.when.outcome != Some(Fate::Unknown);
    if may_fail && !rule.when.names_an_answer() {
        r.fault("compensate", "would follow on every refusal, that of what is there already included; say with status, error or body after which answers something was left half-made, or outcome = \"unknown\"");
    }
}
