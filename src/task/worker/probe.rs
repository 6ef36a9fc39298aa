//! A question that tells whether a call was executed: how it is made from the call, and how its answer is read.

use http::HeaderMap;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, IF_MATCH, IF_NONE_MATCH, RANGE,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::config::Probe;
use crate::task::parcel::IDEMPOTENCY_KEY;

/// What stands in a target as it is (RFC 3986 section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// Longest target, bytes.
const LONGEST: usize = 8 * 1024;
/// Fields of the call that say nothing of a question, or would change its answer: that has to be read.
const NOT_ASKED_WITH: [HeaderName; 9] = [
    ACCEPT_ENCODING,
    RANGE,
    CONTENT_TYPE,
    CONTENT_ENCODING,
    IF_MATCH,
    IF_NONE_MATCH,
    // A key stands for its own request alone: of another with the same key an upstream that reads keys thinks it knows the answer.
    IDEMPOTENCY_KEY,
    HeaderName::from_static("vapi-operation"),
    HeaderName::from_static("vapi-service"),
];

/// What the answer to a probe tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// What the call was to make is there.
    There,
    /// It is not there: the call may still be at work.
    NotThere,
    /// The answer says nothing.
    NoWord,
}

/// The target to ask for; `None` where the call does not have what the template asks for.
pub(in crate::task) fn target(probe: &Probe, called: &str, body: &[u8]) -> Option<String> {
    let mut target = String::new();
    let mut rest = probe.get.as_str();
    let mut read: Option<Value> = None;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}')?;
        target.push_str(before);
        if name == "path" {
            target.push_str(called.split('?').next().unwrap_or_default());
        } else {
            if read.is_none() {
                read = Some(serde_json::from_slice(body).ok()?);
            }
            let value = word(read.as_ref()?.pointer(name)?)?;
            target.extend(utf8_percent_encode(&value, UNRESERVED));
        }
        rest = after;
    }
    target.push_str(rest);
    (target.len() <= LONGEST).then_some(target)
}

/// A value that stands for itself.
fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The fields to ask with: the same credentials, and nothing that speaks of the call's own body.
pub(in crate::task) fn fields(called: &HeaderMap) -> HeaderMap {
    let fields = called
        .iter()
        .filter(|(name, _)| !NOT_ASKED_WITH.contains(name));
    fields
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Reads an answer.
pub(super) fn sight(probe: &Probe, status: u16, body: &[u8]) -> Sight {
    if status != probe.status {
        // Whatever else is definite says that it is not as it would be, had the call been executed.
        return match status {
            200..=299 | 404 | 410 => Sight::NotThere,
            _ => Sight::NoWord,
        };
    }
    let Some(place) = &probe.json else {
        return Sight::There;
    };
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return Sight::NoWord;
    };
    match answer.pointer(place) {
        None | Some(Value::Null) => Sight::NotThere,
        Some(_) => Sight::There,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn probe(get: &str, status: u16, json: Option<&str>) -> Probe {
        Probe {
            get: get.to_owned(),
            status,
            json: json.map(str::to_owned),
            every: Duration::from_secs(1),
        }
    }

    fn target_of(get: &str, body: &str) -> Option<String> {
        target(
            &probe(get, 200, None),
            "/api/vm/7?action=x",
            body.as_bytes(),
        )
    }

    #[test]
    fn what_the_call_says_stands_in_the_question_and_cannot_become_more_of_it() {
        let body = r#"{"name":"web 02&x=é/..","spec":{"n":7,"on":true,"list":[]},"null":null}"#;
        assert_eq!(
            target_of("/api/vm?names={/name}", body).as_deref(),
            Some("/api/vm?names=web%2002%26x%3D%C3%A9%2F..")
        );
        assert_eq!(target_of("{path}", body).as_deref(), Some("/api/vm/7"));
        assert_eq!(
            target_of("{path}/x/{/spec/n}?on={/spec/on}&end", body).as_deref(),
            Some("/api/vm/7/x/7?on=true&end")
        );
        assert_eq!(target_of("/plain", "no json").as_deref(), Some("/plain"));
        for get in [
            "/a?{/spec}",
            "/a?{/spec/list}",
            "/a?{/null}",
            "/a?{/missing}",
        ] {
            assert_eq!(target_of(get, body), None, "{get}");
        }
        assert_eq!(target_of("/a?{/name}", "no json"), None);
    }

    #[test]
    fn a_question_shows_the_credentials_and_no_key_of_the_call() {
        let mut called = HeaderMap::new();
        for (name, value) in [
            ("vmware-api-session-id", "token"),
            ("idempotency-key", "\"gw-1\""),
            ("content-type", "application/json"),
        ] {
            called.insert(name, value.parse().unwrap());
        }
        let asked = fields(&called);
        assert!(asked.keys().eq(["vmware-api-session-id"]), "{asked:?}");
    }

    #[test]
    fn only_what_is_found_proves_that_it_was_done() {
        let listed = probe("/a", 200, Some("/0/vm"));
        for (status, body, seen) in [
            (200, r#"[{"vm":"vm-7"}]"#, Sight::There),
            (200, r#"[{"vm":null}]"#, Sight::NotThere),
            (200, "[]", Sight::NotThere),
            (200, "<html>", Sight::NoWord),
            (404, "", Sight::NotThere),
            (401, "", Sight::NoWord),
            (429, "", Sight::NoWord),
            (503, "", Sight::NoWord),
            (302, "", Sight::NoWord),
        ] {
            assert_eq!(
                sight(&listed, status, body.as_bytes()),
                seen,
                "{status} {body}"
            );
        }
        // Of a DELETE: it is done when nothing is there any more.
        let gone = probe("{path}", 404, None);
        assert_eq!(sight(&gone, 404, b""), Sight::There);
        assert_eq!(sight(&gone, 200, b""), Sight::NotThere);
        assert_eq!(sight(&gone, 500, b""), Sight::NoWord);
    }
}
