//! A rule in plain words.

use super::{After, Compensate, ENDINGS, Fate, Retry};
use crate::config::measure::say_duration;
use crate::config::policy::Route;
use crate::config::words::of;

/// What is done about tasks of a route that would end badly, a line a rule.
pub(in crate::config) fn lines(route: &Route) -> Vec<String> {
    let rules = route.after.iter();
    rules.map(|rule| said(rule, route)).collect()
}

fn said(rule: &After, route: &Route) -> String {
    let states: Vec<&str> = rule.states.iter().map(|one| of(&ENDINGS, one)).collect();
    let mut done = Vec::new();
    done.extend(rule.retry.as_ref().map(retry));
    if rule.alert || rule.webhook.is_some() {
        let to = rule.webhook.as_ref();
        let to = to.map_or_else(String::new, |url| format!(", {url} is told"));
        done.push(format!("counted and logged as an alert{to}"));
    }
    let undo = rule.compensate.as_ref();
    done.extend(undo.map(|undo| self::undo(undo, route)));
    format!(
        "a task that would end {}{}: {}",
        states.join(" or "),
        conditions(rule),
        done.join("; ")
    )
}

fn conditions(rule: &After) -> String {
    let when = &rule.when;
    let mut said = vec![
        match when.outcome {
            None => "",
            Some(Fate::Known) => ", as the upstream itself said",
            Some(Fate::Unknown) => ", its answer lost",
            Some(Fate::NotApplied) => ", provably not done",
        }
        .to_owned(),
    ];
    if !when.status.is_empty() {
        let statuses: Vec<String> = when.status.iter().map(ToString::to_string).collect();
        said.push(format!(", answered {}", statuses.join(" or ")));
    }
    if !when.error.is_empty() {
        said.push(format!(", with the error {}", when.error.join(" or ")));
    }
    if let Some(body) = &when.body {
        said.push(format!(", with {body:?} in the body"));
    }
    if when.refusal {
        said.push(" (which proves that nothing was executed)".to_owned());
    }
    said.concat()
}

fn retry(retry: &Retry) -> String {
    format!(
        "tried again up to {} times, after {} and then {} times as long each time, {} at most, none later than {} after the first try; never where it may have been done and must not be twice",
        retry.times,
        say_duration(retry.first),
        retry.factor,
        say_duration(retry.cap),
        say_duration(retry.within)
    )
}

fn undo(undo: &Compensate, route: &Route) -> String {
    let find = undo.find.as_ref().or(route.work.probe.as_ref());
    let find = find.filter(|_| undo.target.needs_find());
    let first = find.map_or_else(String::new, |find| {
        format!("GET {} is asked, and if it finds something ", find.get)
    });
    format!(
        "made up for once, by a task of its own: {first}{} {}",
        undo.method, undo.target
    )
}
