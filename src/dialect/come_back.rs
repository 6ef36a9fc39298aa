//! When an answer says to come back: `Retry-After`, and `RateLimit` with nothing left.

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName};

use super::stamp;

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// Longest value of a field that is read, bytes.
const LONGEST: usize = 1024;

/// `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date, which is held against `wall`. A date that
/// is past is now.
#[must_use]
pub fn retry_after(headers: &HeaderMap, wall: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Some(seconds) = digits(text) {
        return Some(Duration::from_secs(seconds));
    }
    let then = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(stamp::http_date(text)?))?;
    Some(then.duration_since(wall).unwrap_or_default())
}

/// A policy with nothing left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted<'a> {
    /// Its name.
    pub policy: &'a str,
    /// In how long there is something again; `None` where the field does not say.
    pub until: Option<Duration>,
}

/// The first policy of `RateLimit` with `r=0` (draft-ietf-httpapi-ratelimit-headers-11 section 4). As the
/// draft asks, a field that is not well formed says nothing.
#[must_use]
pub fn exhausted(headers: &HeaderMap) -> Option<Exhausted<'_>> {
    let mut found = None;
    for value in headers.get_all(RATELIMIT) {
        let mut text = value.to_str().ok().filter(|text| text.len() <= LONGEST)?;
        loop {
            let (policy, rest) = name(text.trim_start())?;
            let (left, until, rest) = parameters(rest)?;
            if left == 0 && found.is_none() {
                let until = until.map(Duration::from_secs);
                found = Some(Exhausted { policy, until });
            }
            match rest.trim_start().strip_prefix(',') {
                Some(more) => text = more,
                None if rest.trim().is_empty() => break,
                None => return None,
            }
        }
    }
    found
}

/// A string, and what follows it. One with an escape in it is no name of a limit here.
fn name(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.strip_prefix('"')?.split_once('"')?;
    (!name.contains('\\')).then_some((name, rest))
}

/// `r` and `t` of one item, and what follows it.
fn parameters(mut text: &str) -> Option<(u64, Option<u64>, &str)> {
    let (mut left, mut until) = (None, None);
    while let Some(rest) = text.strip_prefix(';') {
        let rest = rest.trim_start_matches(' ');
        let end = rest.find([';', ',']).unwrap_or(rest.len());
        let (parameter, rest) = rest.split_at(end);
        match parameter.trim_end().split_once('=') {
            Some(("r", value)) => left = Some(digits(value)?),
            Some(("t", value)) => until = Some(digits(value)?),
            _ => {}
        }
        text = rest;
    }
    Some((left?, until, text))
}

/// A whole number that is not negative; one that is too large is as good as for ever.
fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| {
        text.parse()
            .unwrap_or(u64::from(u32::MAX))
            .min(u64::from(u32::MAX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let said = |value: &str| retry_after(&fields(&[("retry-after", value)]), wall);
        let secs = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(said("30"), secs(30));
        assert_eq!(said("0"), secs(0));
        assert_eq!(said("99999999999999999999"), secs(u64::from(u32::MAX)));
        assert_eq!(said("Sun, 06 Nov 1994 08:49:47 GMT"), secs(10));
        assert_eq!(
            said("Sun, 06 Nov 1994 08:49:00 GMT"),
            secs(0),
            "past is now"
        );
        assert_eq!(said("Thu, 29 Feb 1996 08:49:37 GMT"), secs(480 * 86_400));
        for bad in [
            "",
            "-1",
            "1.5",
            "soon",
            "Sun, 06 Nov 1994 08:49:47 CET",
            "Sun, 32 Nov 1994 08:49:47 GMT",
        ] {
            assert_eq!(said(bad), None, "{bad}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), wall), None);
    }

    #[test]
    fn the_policy_that_has_nothing_left_is_named() {
        let said = |values: &[&str]| {
            let values: Vec<_> = values.iter().map(|value| ("ratelimit", *value)).collect();
            exhausted(&fields(&values)).map(|one| (one.policy.to_owned(), one.until))
        };
        let some =
            |name: &str, seconds| Some((name.to_owned(), Some(Duration::from_secs(seconds))));
        assert_eq!(said(&["\"default\";r=0;t=5"]), some("default", 5));
        assert_eq!(
            said(&["\"a\";r=3;t=9, \"b\"; t=7 ;r=0;pk=:YWI=:"]),
            some("b", 7)
        );
        assert_eq!(said(&["\"a\";r=3;t=9", "\"b\";r=0;t=1"]), some("b", 1));
        assert_eq!(said(&["\"seats\";r=0"]), Some(("seats".to_owned(), None)));
        assert_eq!(said(&["\"a\";r=3;t=9"]), None);
        for bad in [
            "a;r=0",
            "\"a;r=0",
            "\"a\"",
            "\"a\";r=-1",
            "\"a\";r=0;t=x",
            "\"a\";r=0 \"b\"",
            "\"a\";r=0,",
        ] {
            assert_eq!(said(&[bad]), None, "{bad}");
        }
    }
}
