//! What an answer, or its absence, means for a task: section 4.1 of the contract as a table.
//!
//! | what came | meaning |
//! |---|---|
//! | an answer that a signature knows; 423; 429 | refused, and not executed |
//! | 401; a session that is over, by the dialect's words | not executed |
//! | any other 502, 503, 504; nothing | in doubt |
//! | any other answer | what it says |

use http::HeaderMap;

use crate::call::Spoken;
use crate::config;
use crate::dialect::effect::{Effect, effect};
use crate::task::record::{Fault, Replay};
use crate::task::state::Event;

/// Most times that a task is sent again after its answer was lost, where again does no harm. Answers that were lost because
/// the gate died count as all others: nothing tells a request that brings the gate down from one that was up when it died of
/// something else, and the first must not be sent for ever.
pub(super) const MOST_RESENT: usize = 5;
/// Most refusals before the last is taken for the answer: with their pauses, most of an hour.
pub(super) const MOST_REFUSED: u32 = 50;

/// An answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) spoken: Spoken,
    pub(super) status: u16,
    pub(super) headers: &'a HeaderMap,
    /// Empty where it was too long to be kept.
    pub(super) body: &'a [u8],
}

/// What it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The upstream has spoken: the task ends by this event.
    Over(Event, Option<Fault>),
    /// It was refused without being executed; a signature says so, or its status alone.
    Refused,
    /// Whoever asks is not logged in: it was not executed.
    Unauthenticated(Fault),
    /// Nobody knows whether it was executed.
    InDoubt,
}

/// Reads an answer of `upstream`.
pub(super) fn verdict(upstream: &config::Upstream, said: &Said<'_>) -> Verdict {
    let field = |name: &str| said.headers.get(name).map(http::HeaderValue::as_bytes);
    let mut signs = upstream.refusals.iter();
    if matches!(said.status, 423 | 429)
        || signs.any(|sign| sign.matches(said.status, field, said.body))
    {
        return Verdict::Refused;
    }
    let dialect = upstream.speech.dialect;
    match effect(dialect, said.spoken, said.status, said.headers, said.body) {
        Effect::Unauthenticated => Verdict::Unauthenticated(Fault {
            kind: "credentials-expired",
            status: said.status,
            detail: "the upstream does not know the credentials any more: nothing was executed"
                .to_owned(),
        }),
        Effect::Failed(_) if matches!(said.status, 502..=504) => Verdict::InDoubt,
        Effect::Failed(word) => Verdict::Over(Event::Fail, Some(refusal(said.status, word))),
        Effect::Done => Verdict::Over(Event::Complete, None),
        Effect::Partly => Verdict::Over(Event::PartlyDone, None),
    }
}

/// The fault of an answer that says that it failed.
pub(super) fn refusal(status: u16, word: Option<String>) -> Fault {
    Fault {
        kind: "upstream-error",
        status,
        detail: word.unwrap_or_else(|| format!("the upstream answered {status}")),
    }
}

/// What is done about a task whose answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterLoss {
    /// It is sent once more.
    Resend,
    /// The upstream is asked what became of it.
    Ask,
    /// Nobody will ever know.
    Unknown,
}

/// What is done about a task whose answer is lost for the `lost`th time.
pub(super) const fn after_loss(replay: Replay, lost: usize, has_probe: bool) -> AfterLoss {
    match replay {
        Replay::AtLeastOnce if lost <= MOST_RESENT => AfterLoss::Resend,
        _ if has_probe => AfterLoss::Ask,
        _ => AfterLoss::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn upstream(lines: &str) -> config::Upstream {
        let text = format!("[[upstream]]\naddress = \"http://a\"\n{lines}");
        config::parse(&text, Path::new("."))
            .unwrap()
            .upstreams
            .remove(0)
    }

    fn of(lines: &str, status: u16, body: &str) -> Verdict {
        let said = Said {
            spoken: Spoken::Plain,
            status,
            headers: &HeaderMap::new(),
            body: body.as_bytes(),
        };
        verdict(&upstream(lines), &said)
    }

    #[test]
    fn every_row_of_the_table() {
        let signed = "[[upstream.refused]]\nname = \"busy\"\nstatus = 503\nbody = \"come back\"\n";
        for (lines, status, body, meaning) in [
            ("", 200, "", Verdict::Over(Event::Complete, None)),
            ("", 204, "", Verdict::Over(Event::Complete, None)),
            ("", 207, "", Verdict::Over(Event::PartlyDone, None)),
            ("", 423, "", Verdict::Refused),
            ("", 429, "", Verdict::Refused),
            (signed, 503, "please come back", Verdict::Refused),
            (signed, 503, "broken", Verdict::InDoubt),
            ("", 502, "", Verdict::InDoubt),
            ("", 503, "", Verdict::InDoubt),
            ("", 504, "", Verdict::InDoubt),
        ] {
            assert_eq!(of(lines, status, body), meaning, "{status} {body}");
        }
        for status in [400, 404, 409, 422, 500, 501, 505] {
            let Verdict::Over(Event::Fail, Some(fault)) = of("", status, "") else {
                panic!("{status}");
            };
            assert_eq!((fault.kind, fault.status), ("upstream-error", status));
        }
        let Verdict::Unauthenticated(fault) = of("", 401, "") else {
            panic!("401");
        };
        assert_eq!(fault.kind, "credentials-expired");
    }

    #[test]
    fn the_api_s_own_word_is_passed_on() {
        let Verdict::Over(_, Some(fault)) = of("", 400, r#"{"error_type":"ALREADY_EXISTS"}"#)
        else {
            panic!();
        };
        assert_eq!(fault.detail, "ALREADY_EXISTS");
    }

    #[test]
    fn what_may_be_done_once_is_never_sent_again() {
        use Replay::{AtLeastOnce, AtMostOnce};
        for lost in [1, 2, 6, 99] {
            assert_eq!(after_loss(AtMostOnce, lost, true), AfterLoss::Ask);
            assert_eq!(after_loss(AtMostOnce, lost, false), AfterLoss::Unknown);
        }
        for lost in 1..=5 {
            assert_eq!(after_loss(AtLeastOnce, lost, false), AfterLoss::Resend);
        }
        assert_eq!(after_loss(AtLeastOnce, 6, false), AfterLoss::Unknown);
        assert_eq!(after_loss(AtLeastOnce, 6, true), AfterLoss::Ask);
    }
}
