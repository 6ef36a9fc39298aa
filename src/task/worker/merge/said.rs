//! What the upstream said of several requests that went up as one, and what of that is kept for each.

use bytes::Bytes;
use http::HeaderMap;

use crate::forward::OwnAnswer;
use crate::forward::headers::Rewriter;
use crate::task::port::Answer;
use crate::task::worker::fields;

/// Most bytes of the bodies of an answer that is kept once for each request.
const MOST_KEPT: usize = 16 * 1024 * 1024;
/// Statuses that speak of the resource, the way it is asked for, or who asks. All that went up share these: asking for fewer
/// changes nothing.
const OF_ALL: [u16; 8] = [401, 403, 404, 405, 406, 407, 410, 415];

/// Whether an answer may be the fault of some of the requests alone: a definite rejection, with which nothing was executed. What
/// says of itself that it failed on the way (5xx) is none: it may have been executed.
pub(super) fn may_be_of_some(status: u16) -> bool {
    (400..500).contains(&status) && !OF_ALL.contains(&status)
}

/// The answer as it is kept for one of `count` requests, which had the fields `asked`. What would be kept of bodies that are
/// too much together is not: then the client is pointed at the resource.
pub(super) fn kept(
    answer: &OwnAnswer,
    (asked, rewriter): (&HeaderMap, &Rewriter),
    (count, path): (usize, &str),
) -> Answer {
    let is_too_much = answer.body.len().saturating_mul(count) > MOST_KEPT;
    let own = OwnAnswer {
        status: answer.status,
        headers: answer.headers.clone(),
        body: if is_too_much {
            Bytes::new()
        } else {
            answer.body.clone()
        },
    };
    // What hands out credentials is for one alone, whatever its route lists.
    let mut kept = fields::kept(own, asked, rewriter, &[]);
    if is_too_much {
        kept.headers
            .retain(|(name, _)| !name.starts_with("content-") && name != "etag");
        let path = Bytes::copy_from_slice(path.as_bytes());
        kept.headers.push(("content-location".to_owned(), path));
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_definitely_rejected_may_be_the_fault_of_one() {
        for status in [400, 409, 412, 413, 422] {
            assert!(may_be_of_some(status), "{status}");
        }
        for status in [200, 301, 401, 403, 404, 405, 500, 502, 503, 504] {
            assert!(!may_be_of_some(status), "{status}");
        }
    }
}
