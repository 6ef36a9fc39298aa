//! When to ask again: by what is known of runs like this one, and spread, so that a thousand clients do not come at once.

use std::time::Duration;

use crate::task::record::{Millis, Record};
use crate::task::state::State;

/// Where nothing is known.
const UNKNOWN: Duration = Duration::from_secs(5);
/// Sooner is no use, later is no service.
const SOONEST: f64 = 2.0;
const LATEST: f64 = 60.0;

/// What is known of how a task will do.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outlook {
    /// How long runs of its kind take.
    pub(super) mean: Option<Duration>,
    /// Its place in line: 1 is next.
    pub(super) position: Option<usize>,
    /// How many run at once.
    pub(super) seats: Option<u64>,
}

/// Seconds after which to ask for `task` again: half of what is left, between 2 and 60, and up to a fifth more or less
/// by `die`, which is in 0..1.
pub(super) fn retry_after(task: &Record, outlook: Outlook, now: Millis, die: f64) -> u64 {
    let half = left(task, outlook, now).map_or(UNKNOWN, |left| left / 2);
    spread(half.as_secs_f64().clamp(SOONEST, LATEST), die)
}

/// Seconds after which to come back where nothing is known.
pub(super) fn some_time(die: f64) -> u64 {
    spread(UNKNOWN.as_secs_f64(), die)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 1 and 72"
)]
fn spread(seconds: f64, die: f64) -> u64 {
    let factor = 0.4f64.mul_add(die.clamp(0.0, 1.0), 0.8);
    (seconds * factor).round().max(1.0) as u64
}

fn left(task: &Record, outlook: Outlook, now: Millis) -> Option<Duration> {
    if task.status.state() == State::Scheduled {
        let held_back = task.not_before.map(|then| then.since(now));
        return in_line(outlook).max(held_back);
    }
    let mean = outlook.mean?;
    let runs_for = task
        .started
        .map_or(Duration::ZERO, |started| now.since(started));
    let left = mean.saturating_sub(runs_for);
    // What takes longer than others is likely to take a while yet.
    Some(if left.is_zero() { runs_for / 4 } else { left })
}

fn in_line(outlook: Outlook) -> Option<Duration> {
    let Outlook {
        mean,
        position,
        seats,
    } = outlook;
    let position = u32::try_from(position.unwrap_or(1)).unwrap_or(u32::MAX);
    let seats = u32::try_from(seats.unwrap_or(1)).unwrap_or(u32::MAX).max(1);
    Some(mean?.saturating_mul(position) / seats)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::sample::sample;
    use crate::task::state::Event;

    const MINUTE: Duration = Duration::from_mins(1);

    fn known(mean: Duration) -> Outlook {
        Outlook {
            mean: Some(mean),
            ..Outlook::default()
        }
    }

    #[test]
    fn with_nothing_known_it_is_five_seconds_more_or_less() {
        let task = sample(Millis(0));
        let asked = |die| retry_after(&task, Outlook::default(), Millis(0), die);
        assert_eq!((asked(0.0), asked(0.5), asked(1.0)), (4, 5, 6));
        assert_eq!((some_time(0.0), some_time(1.0)), (4, 6));
    }

    #[test]
    fn in_line_it_goes_by_the_place_and_the_seats() {
        let task = sample(Millis(0));
        let asked = |position, seats| {
            let outlook = Outlook {
                position: Some(position),
                seats: Some(seats),
                ..known(MINUTE)
            };
            retry_after(&task, outlook, Millis(0), 0.5)
        };
        assert_eq!(asked(1, 10), 3);
        assert_eq!(asked(10, 10), 30);
        assert_eq!(asked(1000, 10), 60);
        assert_eq!(asked(1, 1000), 2);
        assert_eq!(asked(usize::MAX, 0), 60);
    }

    #[test]
    fn running_it_goes_by_what_is_left_and_overdue_by_what_is_gone() {
        let task = sample(Millis(0)).after(Event::Dispatch, Millis(0)).unwrap();
        let asked = |now| retry_after(&task, known(MINUTE), Millis(now), 0.5);
        assert_eq!(asked(0), 30);
        assert_eq!(asked(40_000), 10);
        assert_eq!(asked(59_000), 2);
        assert_eq!(asked(80_000), 10);
        assert_eq!(asked(100_000_000), 60);
    }

    #[test]
    fn who_was_refused_is_not_called_back_before_it_is_sent_again() {
        let mut task = sample(Millis(0));
        task.not_before = Some(Millis(40_000));
        assert_eq!(retry_after(&task, Outlook::default(), Millis(0), 0.5), 20);
        assert_eq!(retry_after(&task, known(2 * MINUTE), Millis(0), 0.5), 60);
    }

    #[test]
    fn it_is_never_zero() {
        let task = sample(Millis(0));
        for die in [-1.0, 0.0, 0.3, 1.0, 7.0, f64::NAN] {
            let seconds = retry_after(&task, known(Duration::ZERO), Millis(0), die);
            assert!((1..=72).contains(&seconds), "{die}: {seconds}");
        }
    }
}
