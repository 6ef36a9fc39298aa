//! On what terms a call waits: before whom, and as long as its client does.

use std::num::NonZeroU32;
use std::time::Duration;

use http::header::USER_AGENT;
use http::{HeaderMap, HeaderName};

use crate::admit::{Terms, rank};
use crate::call::Call;
use crate::config::{self, Client};
use crate::task::api::Prefer;

/// RFC 7240.
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// Seconds that the client gives the whole request.
const REQUEST_TIMEOUT: HeaderName = HeaderName::from_static("request-timeout");

/// Where nothing is known of the client, the longest wait of each limit alone counts.
const UNKNOWN: Duration = Duration::from_hours(1);
/// Longest number of seconds that a field is believed.
const LONGEST: u64 = 24 * 3600;
/// The share of its own deadline that a call may spend in line: the rest is for the work.
const SHARE: u32 = 4;

/// The terms of `call`, whose fields are `headers`, of a user with this weight.
#[must_use]
pub fn terms(
    call: &Call<'_>,
    headers: &HeaderMap,
    config: &config::Upstream,
    weight: NonZeroU32,
) -> Terms {
    Terms {
        rank: rank(call, &config.routes),
        weight,
        patience: of_client(headers, &config.clients),
    }
}

/// How long a request waits at most, by what its client says and is.
pub(super) fn of_client(headers: &HeaderMap, clients: &[Client]) -> Duration {
    let stated = stated(headers).into_iter();
    stated
        .chain(usual(headers, clients))
        .min()
        .unwrap_or(UNKNOWN)
}

/// How long clients of this kind wait.
fn usual(headers: &HeaderMap, clients: &[Client]) -> Option<Duration> {
    let agent = headers.get(USER_AGENT)?.as_bytes();
    let client = clients
        .iter()
        .find(|client| client.user_agent.matches(agent))?;
    Some(client.patience)
}

/// How long the request itself says that it may wait.
fn stated(headers: &HeaderMap) -> Option<Duration> {
    let deadline = headers.get(REQUEST_TIMEOUT);
    let deadline = deadline.and_then(|value| seconds(value.to_str().ok()?));
    let share = deadline.map(|deadline| deadline / SHARE);
    preferred(headers).into_iter().chain(share).min()
}

/// `Prefer: wait=N` (RFC 7240 section 4.3). Beside `respond-async` it says when to turn the call into a
/// task instead.
fn preferred(headers: &HeaderMap) -> Option<Duration> {
    if !headers.contains_key(PREFER) {
        return None;
    }
    let said = Prefer::of(headers);
    let wait = said.wait.filter(|_| !said.respond_async)?;
    Some(Duration::from_secs(wait.min(LONGEST)))
}

fn seconds(text: &str) -> Option<Duration> {
    let seconds: u64 = text.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(LONGEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fields: &[(&'static str, &'static str)]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        stated(&headers)
    }

    #[test]
    fn the_request_says_how_long_it_may_wait() {
        let secs = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("prefer", "wait=10")]), secs(10));
        assert_eq!(
            of(&[("prefer", "handling=lenient, Wait = \"7\"; x=1")]),
            secs(7)
        );
        assert_eq!(of(&[("prefer", "wait=3"), ("prefer", "wait=9")]), secs(3));
        assert_eq!(of(&[("prefer", "respond-async, wait=10")]), None);
        assert_eq!(of(&[("prefer", "wait=soon")]), None);
        assert_eq!(of(&[("request-timeout", "100")]), secs(25));
        assert_eq!(
            of(&[("request-timeout", "100"), ("prefer", "wait=60")]),
            secs(25)
        );
        assert_eq!(of(&[("request-timeout", "9999999999")]), secs(6 * 3600));
    }
}
