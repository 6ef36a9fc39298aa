//! One task that is followed, as those see it who ask the upstream for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::form::Form;
use crate::config::{Became, Beside, Poll};
use crate::dialect::adapter::{Earlier, Failure, Reading, Streak, Told, Verdict};
use crate::forward::OwnAnswer;
use crate::task::id::TaskId;
use crate::task::worker::asking::Asking;
use crate::task::worker::pause::back_off;

/// The first poll comes this soon, or as soon as the dialect allows.
const SOON: Duration = Duration::from_secs(1);

/// A task that the upstream's own task does.
#[derive(Debug)]
pub(super) struct Followed {
    pub(super) id: TaskId,
    pub(super) form: Form,
    /// The upstream's name for it.
    pub(super) handle: Arc<str>,
    /// What it is asked for by itself: those that ask for the same share the answer.
    pub(super) target: Option<Arc<str>>,
    /// What it changes, as that was before.
    pub(super) earlier: Option<Earlier>,
    /// Its call, with the credentials to ask with.
    pub(super) asking: Asking,
}

/// What is heard of it.
#[derive(Debug)]
pub(super) enum Word {
    /// It is at work, or yet to begin.
    Runs(Option<Beside>),
    /// It is over.
    Over(Box<End>),
    /// There is no such task any more.
    Gone,
}

/// How it ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) became: Became,
    pub(super) error: Option<Failure>,
    pub(super) told: Told,
    /// The reading itself, as it came; none of a list that is no JSON.
    pub(super) read: Option<OwnAnswer>,
    /// The change was taken and not made.
    pub(super) unmade: bool,
    /// It tells of a change whose answer was lost, too.
    pub(super) proves: bool,
}

impl End {
    /// An end of which nothing was read.
    pub(super) const fn of(became: Became) -> Self {
        Self {
            became,
            error: None,
            told: Told::Nothing,
            read: None,
            unmade: false,
            proves: false,
        }
    }
}

/// Its place in a round.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) followed: Arc<Followed>,
    pub(super) tell: mpsc::Sender<Word>,
    streak: Streak,
    joined: Instant,
    /// No list was asked for it yet.
    pub(super) is_fresh: bool,
    /// Its end was told: no list is asked for it any more.
    pub(super) is_told: bool,
    /// When it is asked for by itself.
    pub(super) alone: Option<Instant>,
    failed: u32,
    /// When a reading last counted.
    counted: Option<Instant>,
}

/// When a member is asked for next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) now: Instant,
    /// A list tells of it again by itself.
    pub(super) has_list: bool,
    /// Between 0 and 1.
    pub(super) spread: f64,
}

impl Member {
    pub(super) fn new(followed: Arc<Followed>, tell: mpsc::Sender<Word>, times: Times) -> Self {
        let first = first(&followed.form.native.poll).mul_f64(0.5 + times.spread / 2.0);
        Self {
            followed,
            tell,
            streak: Streak::default(),
            joined: times.now,
            is_fresh: true,
            is_told: false,
            alone: (!times.has_list).then(|| times.now + first),
            failed: 0,
            counted: None,
        }
    }

    /// When a list is first to be asked for it.
    pub(super) fn first_list(&self) -> Instant {
        self.joined + first(&self.followed.form.native.poll)
    }

    /// The pause until its next poll: a quarter of its age, in the bounds of its dialect, and up to a fifth more or less. Where
    /// the dialect says one pause alone, up to a fifth more: what began together is not asked for together for ever.
    pub(super) fn pause(&self, now: Instant, spread: f64) -> Duration {
        let Poll { least, most, .. } = self.followed.form.native.poll;
        let most = most.max(least.mul_f64(1.2));
        let age = now.saturating_duration_since(self.joined);
        let pause = (age / 4).clamp(least, most).mul_f64(0.8 + 0.4 * spread);
        pause.clamp(least, most)
    }

    /// Takes what a poll said, nothing where it failed; what holds by now. Says when it is asked for next.
    pub(super) fn heard(&mut self, reading: Option<&Reading>, times: Times) -> Option<Verdict> {
        let clear = reading.filter(|reading| reading.verdict != Verdict::Unclear);
        self.failed = clear.map_or(self.failed.saturating_add(1), |_| 0);
        let holds = clear.and_then(|reading| self.noted(reading, times.now));
        let native = &self.followed.form.native;
        let pause = self.pause(times.now, times.spread);
        let by_list = (!times.has_list).then(|| times.now + pause);
        let ends = |verdict: Verdict| verdict == Verdict::Gone || verdict.is_final();
        self.is_told = holds.is_some_and(ends);
        self.alone = match clear.map(|reading| reading.verdict) {
            // Should that not have been heard, it is said again.
            Some(_) if self.is_told => Some(times.now + native.poll.most),
            // It is not to be believed yet.
            Some(verdict) if holds.is_none() && verdict.is_final() => {
                Some(times.now + native.confirm.apart)
            }
            Some(Verdict::Gone) if holds.is_none() => Some(times.now + native.poll.least),
            Some(_) => by_list,
            None => {
                let rest = back_off(self.failed, times.spread).min(native.poll.most);
                by_list.map(|next| next.max(times.now + rest))
            }
        };
        holds
    }

    /// Counts a reading. One that came too soon after another like it, because somebody else asked, tells nothing new.
    fn noted(&mut self, reading: &Reading, now: Instant) -> Option<Verdict> {
        let native = &self.followed.form.native;
        let apart = match reading.verdict {
            verdict if verdict.is_final() => native.confirm.apart,
            Verdict::Gone => native.poll.least,
            _ => Duration::ZERO,
        };
        let is_soon = self.counted.is_some_and(|last| now < last + apart);
        if is_soon && self.streak.goes_on(reading) && reading.confirm > 1 {
            return None;
        }
        self.counted = Some(now);
        self.streak.note(reading)
    }
}

fn first(poll: &Poll) -> Duration {
    poll.least.min(SOON)
}

#[cfg(test)]
mod tests {
    use super::super::round::tests::{VCENTER, followed};
    use super::*;

    fn reading(verdict: Verdict, confirm: u32, saw: u64) -> Reading {
        Reading {
            verdict,
            confirm,
            percent: None,
            message: None,
            error: None,
            cancelable: None,
            unmade: false,
            proves: false,
            saw,
        }
    }

    /// After how many readings in a row, each so long after the last, the end is believed.
    fn believed(pause: Duration, saw: impl Fn(u32) -> u64) -> Option<u32> {
        let (tell, _words) = mpsc::channel(1);
        let mut times = Times {
            now: Instant::now(),
            has_list: false,
            spread: 0.5,
        };
        let mut member = Member::new(Arc::new(followed(VCENTER)), tell, times);
        let done = Verdict::State(Became::Completed, None);
        (1..=20).find(|nth| {
            times.now += pause;
            member
                .heard(Some(&reading(done, 3, saw(*nth))), times)
                .is_some()
        })
    }

    #[tokio::test]
    async fn equal_readings_count_where_they_are_far_enough_apart() {
        let apart = followed(VCENTER).form.native.confirm.apart;
        assert_eq!(believed(apart, |_| 0), Some(3));
        // Others ask for the same four times as often.
        assert_eq!(believed(apart / 4, |_| 0), Some(9));
        // Each says something else, or only from the fifth on the same.
        assert_eq!(believed(apart, u64::from), None);
        assert_eq!(believed(apart, |nth| u64::from(nth.min(5))), Some(7));
    }
}
