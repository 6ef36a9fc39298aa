//! The gate's own answers as problem details (RFC 9457).

use bytes::Bytes;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde::Serialize;

use super::Answer;

#[derive(Debug, Serialize)]
pub(super) struct Problem<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    pub(super) title: &'a str,
    pub(super) status: u16,
    pub(super) detail: &'a str,
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    pub(super) violated_policies: Option<[&'a str; 1]>,
}

impl Problem<'_> {
    pub(super) fn answer(&self) -> Answer {
        // Plain strings and a number: there is nothing in it that could fail to serialize.
        let body = serde_json::to_vec(self).unwrap_or_default();
        Answer {
            status: self.status,
            headers: vec![
                (
                    CONTENT_TYPE,
                    HeaderValue::from_static("application/problem+json"),
                ),
                (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ],
            body: Bytes::from(body),
        }
    }
}

/// An answer of `status` that says why in `detail`.
#[must_use]
pub fn problem(status: u16, detail: &str) -> Answer {
    let title = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Error");
    Problem {
        kind: "about:blank",
        title,
        status,
        detail,
        violated_policies: None,
    }
    .answer()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_its_status_and_why_and_names_no_policy() {
        let answer = problem(413, "the body is larger than 64 MiB");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer.status, 413);
        assert_eq!(body["status"], 413);
        assert_eq!(body["title"], "Payload Too Large");
        assert_eq!(body["detail"], "the body is larger than 64 MiB");
        assert!(body.get("violated-policies").is_none());
    }
}
