//! A refusal by a limit, in words that name the limit, how full it is and when to come back.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};

use super::problem::{Problem, problem};
use super::{Answer, TIDEGATE_LIMIT};
use crate::call::{Dialect, Reason, Refusal, Spoken};
use crate::dialect;
use crate::dialect::refusal::{Refused, Statuses, Worded, unavailable, words};

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

// The problem types that draft-ietf-httpapi-ratelimit-headers-11 registers, section 7.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const REDUCED_CAPACITY: &str =
    "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";

/// In whose words a refusal is said.
#[derive(Debug, Clone, Copy)]
pub struct Voice<'a> {
    /// The API of the upstream.
    pub dialect: Dialect,
    /// The form of it that was spoken.
    pub spoken: Spoken,
    /// Statuses of the forms that carry their error inside.
    pub statuses: Statuses,
    /// The user the call is counted for.
    pub user: Option<&'a str>,
    /// The `id` of a JSON-RPC call, as raw JSON.
    pub rpc_id: Option<&'a str>,
}

impl Voice<'_> {
    /// `answer`, which names the limit in general words, in the words of the API.
    fn say(&self, refusal: &Refusal, detail: &str, answer: &mut Answer) {
        let refused = Refused {
            limit: &refusal.limit,
            status: refusal.status,
            message: detail,
            user: self.user,
            rate: (!refusal.window.is_zero()).then_some((refusal.ceiling, refusal.window)),
            rpc_id: self.rpc_id,
        };
        put(
            words(self.dialect, self.spoken, &refused, self.statuses),
            answer,
        );
    }
}

/// Says `said`, where there are such words, in place of what `answer` says.
fn put(said: Option<Worded>, answer: &mut Answer) {
    let Some(said) = said else {
        return;
    };
    answer.status = said.status;
    answer.body = said.body;
    for (name, value) in &mut answer.headers {
        if *name == CONTENT_TYPE {
            *value = HeaderValue::from_static(said.content_type);
        }
    }
}

/// The answer to a refused call, in the words of `voice` or else as a problem (RFC 9457). `ratelimit`
/// adds the fields of draft-11.
#[must_use]
pub fn refusal(refusal: &Refusal, voice: Option<&Voice<'_>>, ratelimit: bool) -> Answer {
    let seconds = refusal.retry_after_seconds();
    let Refusal {
        limit,
        in_use,
        ceiling,
        ..
    } = refusal;
    let unit = if refusal.window.is_zero() {
        "in use"
    } else {
        "used"
    };
    let detail = format!("{limit}: {in_use} of {ceiling} {unit}; come back in {seconds} s");
    let (kind, title) = if refusal.status == 429 {
        (QUOTA_EXCEEDED, "Too Many Requests")
    } else {
        (REDUCED_CAPACITY, "Service Unavailable")
    };
    let mut answer = Problem {
        kind,
        title,
        status: refusal.status,
        detail: &detail,
        violated_policies: Some([limit.as_ref()]),
    }
    .answer();
    if let Some(voice) = voice {
        voice.say(refusal, &detail, &mut answer);
    }
    name_limit(&mut answer, limit);
    answer
        .headers
        .push((RETRY_AFTER, HeaderValue::from(seconds)));
    if ratelimit {
        ratelimit_fields(&mut answer, refusal, seconds);
    }
    answer
}

/// The answer to a call whose upstream is down, with the time after which to come back.
#[must_use]
pub fn upstream_down(retry_after: Duration, voice: Option<&Voice<'_>>) -> Answer {
    let seconds = whole_seconds(retry_after).max(1);
    let detail = format!("the upstream cannot be reached; come back in {seconds} s");
    let mut answer = problem(503, &detail);
    if let Some(voice) = voice {
        let (dialect, spoken) = (voice.dialect, voice.spoken);
        let said = unavailable(dialect, spoken, &detail, voice.rpc_id, voice.statuses);
        put(said, &mut answer);
    }
    answer
        .headers
        .push((RETRY_AFTER, HeaderValue::from(seconds)));
    answer
}

/// The answer to a call that was done, or not, by a task that has no answer of the upstream's: `status` and `detail` say why.
#[must_use]
pub fn lost(status: u16, detail: &str, voice: Option<&Voice<'_>>) -> Answer {
    let mut answer = problem(status, detail);
    if let Some(voice) = voice {
        let said = dialect::lost::words(voice.dialect, voice.spoken, status, detail);
        put(said, &mut answer);
    }
    answer
}

/// The answer where the gate itself cannot do what is asked at this moment, and no limit is in the way.
#[must_use]
pub fn not_now(detail: &str, retry_after: u32) -> Answer {
    let mut answer = Problem {
        kind: REDUCED_CAPACITY,
        title: "Service Unavailable",
        status: 503,
        detail,
        violated_policies: None,
    }
    .answer();
    answer
        .headers
        .push((RETRY_AFTER, HeaderValue::from(retry_after)));
    answer
}

/// The answer on a socket over a connection limit.
#[must_use]
pub fn connections_refusal(limit: &str, ceiling: u64, ratelimit: bool) -> Answer {
    let full = Refusal {
        limit: limit.into(),
        status: 503,
        reason: Reason::Full,
        in_use: ceiling,
        ceiling,
        window: Duration::ZERO,
        retry_after: Duration::from_secs(1),
    };
    refusal(&full, None, ratelimit)
}

/// The answer instead of a response that is larger than limit `limit` allows. Coming back would not
/// help, so nothing is said of when.
#[must_use]
pub fn too_large(limit: &str, ceiling: u64) -> Answer {
    let detail = format!("{limit}: the upstream's response is larger than {ceiling} bytes");
    let mut answer = Problem {
        kind: "about:blank",
        title: "Bad Gateway",
        status: 502,
        detail: &detail,
        violated_policies: Some([limit]),
    }
    .answer();
    name_limit(&mut answer, limit);
    answer
}

fn name_limit(answer: &mut Answer, limit: &str) {
    // Names of limits are [a-z0-9_]+.
    if let Ok(value) = HeaderValue::from_str(limit) {
        answer.headers.push((TIDEGATE_LIMIT, value));
    }
}

fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// `RateLimit-Policy` and `RateLimit` of the limit that refused, sections 3 and 4 of the draft.
fn ratelimit_fields(answer: &mut Answer, refusal: &Refusal, seconds: u64) {
    let Refusal {
        limit,
        ceiling,
        window,
        ..
    } = refusal;
    let policy = if window.is_zero() {
        format!("\"{limit}\";q={ceiling};qu=\"concurrent-requests\"")
    } else {
        // The window is a whole number of seconds there.
        let window = whole_seconds(*window);
        format!("\"{limit}\";q={ceiling};w={window}")
    };
    let state = format!("\"{limit}\";r=0;t={seconds}");
    for (name, text) in [(RATELIMIT_POLICY, policy), (RATELIMIT, state)] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            answer.headers.push((name, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, window: Duration, retry_after: Duration) -> Refusal {
        Refusal {
            limit: "request_rate".into(),
            status,
            reason: Reason::Full,
            in_use: 1500,
            ceiling: 1500,
            window,
            retry_after,
        }
    }

    fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
        let found = answer.headers.iter().find(|(n, _)| n == name)?;
        found.1.to_str().ok()
    }

    #[test]
    fn a_refusal_names_its_limit_in_header_body_and_ratelimit_fields() {
        let full = refused(429, Duration::from_secs(1), Duration::from_millis(1200));
        let answer = refusal(&full, None, true);
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(answer.status, 429);
        assert_eq!(header(&answer, "tidegate-limit"), Some("request_rate"));
        assert_eq!(header(&answer, "retry-after"), Some("2"));
        assert_eq!(
            header(&answer, "ratelimit-policy"),
            Some("\"request_rate\";q=1500;w=1")
        );
        assert_eq!(
            header(&answer, "ratelimit"),
            Some("\"request_rate\";r=0;t=2")
        );
        assert_eq!(body["violated-policies"][0], "request_rate");
        assert_eq!(
            body["detail"],
            "request_rate: 1500 of 1500 used; come back in 2 s"
        );
    }

    #[test]
    fn retry_after_is_never_zero() {
        for wait in [
            Duration::ZERO,
            Duration::from_nanos(1),
            Duration::from_millis(999),
        ] {
            let answer = refusal(&refused(503, Duration::ZERO, wait), None, false);
            assert_eq!(header(&answer, "retry-after"), Some("1"), "{wait:?}");
        }
    }

    #[test]
    fn seats_are_concurrent_requests_and_switched_off_fields_are_absent() {
        let full = refused(503, Duration::ZERO, Duration::from_secs(7));
        let policy = "\"request_rate\";q=1500;qu=\"concurrent-requests\"";
        assert_eq!(
            header(&refusal(&full, None, true), "ratelimit-policy"),
            Some(policy)
        );
        assert_eq!(
            header(&refusal(&full, None, false), "ratelimit-policy"),
            None
        );
        assert_eq!(header(&refusal(&full, None, false), "ratelimit"), None);
    }

    #[test]
    fn a_response_that_is_too_large_names_its_limit_and_invites_nobody_back() {
        let answer = too_large("response_bytes", 7_340_032);
        assert_eq!(answer.status, 502);
        assert_eq!(header(&answer, "tidegate-limit"), Some("response_bytes"));
        assert_eq!(header(&answer, "retry-after"), None);
    }
}
