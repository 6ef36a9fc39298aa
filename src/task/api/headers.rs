//! Header fields of answers, and what is read of those of requests.

use std::fmt::Write;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, RETRY_AFTER,
};

use super::prefer::apart;
use crate::answer::Answer;

pub(super) const ASYNC_RESULT: HeaderName = HeaderName::from_static("asyncresult");
pub(super) const TASK_STATE: HeaderName = HeaderName::from_static("task-state");
pub(super) const TASK_ID: HeaderName = HeaderName::from_static("task-id");
pub(super) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
pub(super) const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
pub(super) const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub(super) const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(super) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub(super) const JSON: &str = "application/json";
pub(super) const PROBLEM: &str = "application/problem+json";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
pub(super) const MESSAGE: &str = "application/http; msgtype=response";
const HTTP: &str = "application/http";

/// An answer that no cache keeps.
pub(super) fn of(status: u16, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = bare(status);
    answer
        .headers
        .push((CONTENT_TYPE, HeaderValue::from_static(kind)));
    answer.body = body.into();
    answer
}

/// An answer without a body, which no cache keeps.
pub(super) fn bare(status: u16) -> Answer {
    let mut headers = Vec::with_capacity(8);
    headers.push((CACHE_CONTROL, HeaderValue::from_static("no-store")));
    Answer {
        status,
        headers,
        body: Bytes::new(),
    }
}

/// Adds a field. What no field may hold is left out: it would be a line of its own.
pub(super) fn put(answer: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers.push((name, value));
    }
}

/// Adds a field with a value known beforehand.
pub(super) fn put_static(answer: &mut Answer, name: HeaderName, value: &'static str) {
    answer.headers.push((name, HeaderValue::from_static(value)));
}

/// Adds `Retry-After`.
pub(super) fn put_retry_after(answer: &mut Answer, seconds: u64) {
    answer
        .headers
        .push((RETRY_AFTER, HeaderValue::from(seconds)));
}

/// Adds the `ETag` of a version.
pub(super) fn put_etag(answer: &mut Answer, version: u64) {
    let mut tag = String::with_capacity(8);
    // Writing to a String does not fail.
    write!(tag, "\"{version}\"").unwrap_or_default();
    put(answer, ETAG, &tag);
}

/// Whether the client has this version: `If-None-Match`, by the weak comparison (RFC 9110 section 13.1.2).
pub(super) fn has(headers: &HeaderMap, version: u64) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| apart(value, ','))
        .any(|tag| tag == "*" || is_version(tag, version))
}

fn is_version(tag: &str, version: u64) -> bool {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let digits = tag
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let digits = digits.filter(|digits| !digits.starts_with(['+', '0']));
    digits.and_then(|digits| digits.parse().ok()) == Some(version)
}

/// Whether the client has some version, and asks for another.
pub(super) fn has_some(headers: &HeaderMap) -> bool {
    headers.contains_key(IF_NONE_MATCH)
}

/// Whether the client takes a whole message, enclosed (`Accept: application/http`).
pub(super) fn takes_messages(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values.flat_map(|value| apart(value, ',')).any(is_message)
}

fn is_message(range: &str) -> bool {
    let mut parts = apart(range, ';');
    let is_http = parts
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case(HTTP));
    let refused = parts.any(|part| {
        let (name, weight) = part.split_once('=').unwrap_or((part, ""));
        name.trim().eq_ignore_ascii_case("q") && weight.trim().parse::<f32>() == Ok(0.0)
    });
    is_http && !refused
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_version_is_known_by_each_form_of_its_tag() {
        for known in ["\"4\"", "W/\"4\"", "*", "\"1\", W/\"x,y\" , \"4\""] {
            assert!(has(&with(IF_NONE_MATCH, known), 4), "{known}");
        }
        for other in [
            "",
            "4",
            "\"5\"",
            "\"04\"",
            "\"+4\"",
            "w/\"4\"",
            "\"4",
            "\"1, \\\"4\"",
        ] {
            assert!(!has(&with(IF_NONE_MATCH, other), 4), "{other}");
        }
        assert!(!has(&HeaderMap::new(), 4));
    }

    #[test]
    fn a_message_is_taken_by_who_says_so() {
        for taken in [
            "application/http",
            "text/html, Application/HTTP;q=0.5",
            "application/http;msgtype=response",
        ] {
            assert!(takes_messages(&with(ACCEPT, taken)), "{taken}");
        }
        for not in [
            "*/*",
            "application/*",
            "application/json",
            "application/http;q=0",
            "application/http; q=0.000",
        ] {
            assert!(!takes_messages(&with(ACCEPT, not)), "{not}");
        }
    }
}
