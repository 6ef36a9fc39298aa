//! When a message is tried again: the schedule of the Standard Webhooks specification.

use std::time::Duration;

use crate::task::port::{Hook, HookOutcome};
use crate::task::record::Millis;

/// Waits behind the first try, the second, and so on; the first is made at once.
const WAITS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];
/// Longest that a receiver may put a message off by `Retry-After`.
const LONGEST: Duration = Duration::from_hours(24);

/// What came of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tried {
    /// The receiver answered.
    Answered {
        /// Its status.
        status: u16,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// There was no answer, and why.
    Unanswered(String),
}

/// What becomes of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was heard.
    Delivered,
    /// The receiver wants no more of them.
    Disabled,
    /// It is tried again then.
    Again(Millis),
    /// That was the last try.
    GivenUp,
}

impl Verdict {
    /// What the store notes.
    pub(super) const fn outcome(self, now: Millis) -> HookOutcome {
        match self {
            Self::Delivered | Self::GivenUp => HookOutcome::Settled,
            Self::Disabled => HookOutcome::Disabled(now),
            Self::Again(next) => HookOutcome::Again(next),
        }
    }
}

/// What becomes of `hook` after one more try.
#[must_use]
pub fn verdict(hook: &Hook, tried: &Tried, now: Millis) -> Verdict {
    let asked = match tried {
        Tried::Answered {
            status: 200..=299, ..
        } => return Verdict::Delivered,
        Tried::Answered { status: 410, .. } => return Verdict::Disabled,
        Tried::Answered { retry_after, .. } => retry_after.unwrap_or_default().min(LONGEST),
        Tried::Unanswered(_) => Duration::ZERO,
    };
    let place = usize::try_from(hook.tries).unwrap_or(usize::MAX);
    let Some(wait) = WAITS.get(place) else {
        return Verdict::GivenUp;
    };
    let wait = wait.saturating_add(jitter(hook, *wait)).max(asked);
    Verdict::Again(now.after(wait))
}

/// Up to a tenth more, by the random part of the message's name: those that failed together do not come back together.
fn jitter(hook: &Hook, wait: Duration) -> Duration {
    let random = hook.id.bytes();
    let place = 6 + usize::try_from(hook.tries % 10).unwrap_or(0);
    let roll = u32::from(random.get(place).copied().unwrap_or(0));
    wait.saturating_mul(roll) / 2550
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::task::TaskId;

    fn hook(tries: u32) -> Hook {
        Hook {
            id: TaskId::from_bytes([0xff; 16]),
            task: TaskId::from_bytes([1; 16]),
            url: "https://cmdb.example/hooks/a".into(),
            body: Bytes::from_static(b"{}"),
            next: Millis(0),
            tries,
        }
    }

    fn answered(status: u16) -> Tried {
        Tried::Answered {
            status,
            retry_after: None,
        }
    }

    #[test]
    fn ten_tries_are_made_by_the_schedule_and_no_more() {
        let mut now = Millis(0);
        let mut seconds = Vec::new();
        for tries in 0..9 {
            let Verdict::Again(next) = verdict(&hook(tries), &answered(500), now) else {
                panic!("given up after {tries}");
            };
            seconds.push(next.since(now).as_secs_f64() / 1.1);
            now = next;
        }
        let wanted = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
        for (have, wanted) in seconds.iter().zip(wanted) {
            assert!((have - f64::from(wanted)).abs() < 0.01, "{seconds:?}");
        }
        assert_eq!(verdict(&hook(9), &answered(500), now), Verdict::GivenUp);
        assert_eq!(
            verdict(&hook(u32::MAX), &answered(500), now),
            Verdict::GivenUp
        );
    }

    #[test]
    fn jitter_comes_from_the_name_and_stays_within_a_tenth() {
        let mut one = hook(0);
        one.id = TaskId::from_bytes([0; 16]);
        let at = |hook: &Hook| verdict(hook, &answered(503), Millis(1000));
        assert_eq!(at(&one), Verdict::Again(Millis(6000)));
        assert_eq!(at(&hook(0)), Verdict::Again(Millis(6500)));
    }

    #[test]
    fn what_is_answered_decides() {
        let after = |tried: &Tried| verdict(&hook(0), tried, Millis(0));
        for status in [200, 204, 299] {
            assert_eq!(after(&answered(status)), Verdict::Delivered);
        }
        assert_eq!(after(&answered(410)), Verdict::Disabled);
        for status in [100, 301, 400, 404, 429, 500, 503] {
            assert!(
                matches!(after(&answered(status)), Verdict::Again(_)),
                "{status}"
            );
        }
        let silent = Tried::Unanswered("refused".to_owned());
        assert_eq!(after(&silent), Verdict::Again(Millis(5500)));
        let later = |seconds| Tried::Answered {
            status: 503,
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(after(&later(60)), Verdict::Again(Millis(60_000)));
        assert_eq!(
            after(&later(1)),
            Verdict::Again(Millis(5500)),
            "never sooner"
        );
        assert_eq!(after(&later(u64::MAX)), Verdict::Again(Millis(86_400_000)));
    }
}
