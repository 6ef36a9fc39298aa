//! The key that a try goes up with, where the upstream reads keys: whoever shows one again is told what became of it the first
//! time (draft-ietf-httpapi-idempotency-key-header-07, section 2.6), a failure included.

use http::header::HeaderValue;

use crate::config::{self, UpstreamKey};
use crate::task::parcel::{IDEMPOTENCY_KEY, Parcel};
use crate::task::record::{Outcome, Record};

/// Whether the next try of a task needs another key than the last, of which the upstream `said` what became of it.
///
/// While that is not known the same key is what keeps it from being done twice; and where nothing else does, as long as an
/// attempt may have done anything.
pub(in crate::task) fn is_key_spent(
    task: &Record,
    said: Option<Outcome>,
    route: &config::Route,
) -> bool {
    let is_over = match said {
        Some(Outcome::Known) => bears_repeating(route, &task.requested.method),
        Some(Outcome::NotApplied) => {
            !task.may_be_done() || bears_repeating(route, &task.requested.method)
        }
        Some(Outcome::Unknown) | None => false,
    };
    is_over && route.work.upstream_key != UpstreamKey::No
}

/// Whether again does no harm though the upstream does not know that it is the same (RFC 9110 section 9.2.2).
fn bears_repeating(route: &config::Route, method: &str) -> bool {
    match route.work.replay {
        Some(said) => said == config::Replay::AtLeastOnce,
        None => matches!(method, "PUT" | "DELETE"),
    }
}

/// The request with a key of this name in place of its own; none where it has none.
pub(in crate::task) fn keyed(mut request: Parcel, name: &str) -> Option<Parcel> {
    request.headers.remove(IDEMPOTENCY_KEY)?;
    request.headers.insert(IDEMPOTENCY_KEY, own_key(name)?);
    Some(request)
}

/// A key of the gate's own, as a string of RFC 9651.
pub(super) fn own_key(name: &str) -> Option<HeaderValue> {
    let mut key = HeaderValue::from_str(&format!("\"gw-{name}\"")).ok()?;
    key.set_sensitive(true);
    Some(key)
}
