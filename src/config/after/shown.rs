//! A rule as `GET /config` shows it: by the keys of the file.

use serde_json::{Map, Value, json};

use super::{After, Compensate, ENDINGS, FATES, Retry};
use crate::config::measure::show_duration;
use crate::config::words::of;
use crate::config::work::{REPLAY, shown_probe};

/// The rules of a route.
pub(in crate::config) fn shown(rules: &[After]) -> Vec<Value> {
    rules.iter().map(rule).collect()
}

fn rule(rule: &After) -> Value {
    let when = &rule.when;
    let states = rule.states.iter().map(|state| of(&ENDINGS, state));
    let mut table = Map::new();
    let mut put = |key: &str, value: Value| {
        let is_said = match &value {
            Value::Null | Value::Bool(false) => false,
            Value::Array(list) => !list.is_empty(),
            _ => true,
        };
        if is_said {
            table.insert(key.to_owned(), value);
        }
    };
    put("state", states.collect());
    put(
        "outcome",
        json!(when.outcome.as_ref().map(|outcome| of(&FATES, outcome))),
    );
    put("status", json!(when.status));
    put("error", json!(when.error));
    put("body", json!(when.body));
    put("refusal", json!(when.refusal));
    put("retry", json!(rule.retry.as_ref().map(retry)));
    put("alert", json!(rule.alert));
    put("webhook", json!(rule.webhook));
    put("compensate", json!(rule.compensate.as_ref().map(undo)));
    Value::Object(table)
}

fn retry(retry: &Retry) -> Value {
    json!({
        "times": retry.times,
        "first": show_duration(retry.first),
        "factor": retry.factor,
        "cap": show_duration(retry.cap),
        "jitter": f64::from(retry.jitter_ppm) / 1e6,
        "within": show_duration(retry.within),
    })
}

fn undo(undo: &Compensate) -> Value {
    let mut table = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            table.insert(key.to_owned(), value);
        }
    };
    put("method", json!(undo.method));
    put("target", json!(undo.target.to_string()));
    put("body", json!(undo.body.as_ref().map(ToString::to_string)));
    put("done", json!(undo.done));
    put("deadline", json!(undo.deadline.map(show_duration)));
    put(
        "replay",
        json!(undo.replay.as_ref().map(|one| of(&REPLAY, one))),
    );
    put("find", json!(undo.find.as_ref().map(shown_probe)));
    Value::Object(table)
}
