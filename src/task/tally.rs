//! What became of tasks, counted: told by the desk at every step that was committed.

mod merges;
mod polls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use self::merges::{Merged, Merges};
pub use self::polls::{Poll, Polls};
use super::record::{Bond, Outcome, Record};
use super::state::{Event, State, Status};
use crate::limit::Mutex;

/// Upper bounds of the buckets of [`Times`], seconds: 0.1 s to 6 h.
pub const TIME_BOUNDS: [f64; 16] = [
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0,
    21600.0,
];

/// How long things took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// How many took no longer than the bound of the same place and longer than the one before; the last: longer than all.
    pub counts: [u64; TIME_BOUNDS.len() + 1],
    /// All of them together.
    pub sum: Duration,
}

impl Times {
    fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        let place = TIME_BOUNDS.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(place) {
            *count += 1;
        }
        self.sum = self.sum.saturating_add(time);
    }
}

/// What came of sending a task up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispatched {
    /// The upstream answered.
    Known,
    /// It was refused, and provably not executed.
    Refused,
    /// The answer was lost.
    Unknown,
}

impl Dispatched {
    /// Each.
    pub const ALL: [Self; 3] = [Self::Known, Self::Refused, Self::Unknown];

    /// As it stands in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// What was found out of a task whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciled {
    /// It was done, or is being done.
    Applied,
    /// It was not, and ended so.
    NotApplied,
    /// It is sent again.
    Again,
    /// Nothing.
    Unknown,
}

impl Reconciled {
    /// Each.
    pub const ALL: [Self; 4] = [Self::Applied, Self::NotApplied, Self::Again, Self::Unknown];

    /// As it stands in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::NotApplied => "not_applied",
            Self::Again => "again",
            Self::Unknown => "unknown",
        }
    }
}

/// What came of a try to tell of the end of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It was heard.
    Delivered,
    /// It was not, and is tried again.
    Failed,
    /// It was not, for the last time.
    GivenUp,
    /// The receiver is gone.
    Disabled,
    /// The configuration does not allow the receiver any more.
    NotAllowed,
}

impl Delivery {
    /// Each.
    pub const ALL: [Self; 5] = [
        Self::Delivered,
        Self::Failed,
        Self::GivenUp,
        Self::Disabled,
        Self::NotAllowed,
    ];

    /// As it stands in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
            Self::Disabled => "disabled",
            Self::NotAllowed => "not_allowed",
        }
    }
}

/// Tasks of one upstream, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Those that are over, in the order of [`State::ALL`].
    pub finished: [u64; State::ALL.len()],
    /// Of these, those of which nobody knows whether they were done.
    pub in_doubt: u64,
    /// What came of sending them up, in the order of [`Dispatched::ALL`].
    pub dispatched: [u64; Dispatched::ALL.len()],
    /// What was found out of those whose answer was lost, in the order of [`Reconciled::ALL`].
    pub reconciled: [u64; Reconciled::ALL.len()],
    /// Tries beyond the first that the policies of routes had made.
    pub retries: u64,
    /// Those that ended so that their operator is to know, in the order of [`State::ALL`].
    pub alerts: [u64; State::ALL.len()],
    /// Those that another task makes up for.
    pub compensated: u64,
    /// From acceptance to the first dispatch.
    pub queued: Times,
    /// From the first dispatch to the end.
    pub ran: Times,
}

/// Messages of the outbox, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// Tries, in the order of [`Delivery::ALL`].
    pub deliveries: [u64; Delivery::ALL.len()],
    /// From the end of a task until it was heard of.
    pub lag: Times,
}

/// The counts. Steps of tasks are rare beside calls: one lock does.
#[derive(Debug, Default)]
pub struct Tally {
    work: Mutex<BTreeMap<Arc<str>, Work>>,
    polls: Mutex<BTreeMap<Arc<str>, Polls>>,
    merges: Mutex<BTreeMap<Arc<str>, Merges>>,
    told: Mutex<Told>,
}

impl Tally {
    /// What became of the tasks of an upstream.
    #[must_use]
    pub fn work(&self, upstream: &str) -> Work {
        self.work.lock().get(upstream).copied().unwrap_or_default()
    }

    /// Who asked how the tasks of an upstream fare.
    #[must_use]
    pub fn polls(&self, upstream: &str) -> Polls {
        self.polls.lock().get(upstream).copied().unwrap_or_default()
    }

    /// A client was told how a task of this upstream fares.
    pub(super) fn answered(&self, upstream: &Arc<str>) {
        self.note(upstream, |polls| polls.answered += 1);
    }

    /// The upstream was asked; whether that told anything.
    pub(super) fn asked(&self, upstream: &Arc<str>, what: Poll, told: bool) {
        self.note(upstream, |polls| {
            count(&mut polls.upstream, &Poll::ALL, what);
            polls.failed += u64::from(!told);
        });
    }

    fn note(&self, upstream: &Arc<str>, note: impl FnOnce(&mut Polls)) {
        let mut all = self.polls.lock();
        match all.get_mut(upstream) {
            Some(polls) => note(polls),
            None => note(all.entry(upstream.clone()).or_default()),
        }
    }

    /// What became of messages.
    #[must_use]
    pub fn told(&self) -> Told {
        *self.told.lock()
    }

    /// A step was committed.
    pub(super) fn step(&self, before: &Record, event: Event, after: &Record) {
        let mut all = self.work.lock();
        let work = all.entry(after.requested.upstream.clone()).or_default();
        if let (None, Some(started)) = (before.started, after.started) {
            work.queued.add(started.since(after.created));
        }
        if let Some(came_of) = dispatched(before.status, event, after) {
            count(&mut work.dispatched, &Dispatched::ALL, came_of);
        }
        if let Some(found) = reconciled(before.status, event, after) {
            count(&mut work.reconciled, &Reconciled::ALL, found);
        }
        work.retries += u64::from(event == Event::Retry);
        let state = after.status.state();
        if state.is_done() {
            let is_made_up_for = matches!(after.bond, Some(Bond::CompensatedBy(_)));
            work.compensated += u64::from(is_made_up_for);
            count(&mut work.finished, &State::ALL, state);
            work.in_doubt += u64::from(after.outcome == Some(Outcome::Unknown));
            if let (Some(started), Some(ended)) = (after.started, after.ended) {
                work.ran.add(ended.since(started));
            }
        }
    }

    /// A task ended so that its operator is to know.
    pub(super) fn alert(&self, task: &Record) {
        let mut all = self.work.lock();
        let work = all.entry(task.requested.upstream.clone()).or_default();
        count(&mut work.alerts, &State::ALL, task.status.state());
    }

    /// A message was tried.
    pub(super) fn delivery(&self, came_of: Delivery) {
        count(&mut self.told.lock().deliveries, &Delivery::ALL, came_of);
    }

    /// A message was heard, so long after the end of its task.
    pub(super) fn heard_after(&self, lag: Duration) {
        self.told.lock().lag.add(lag);
    }
}

fn count<T: PartialEq + Copy>(counts: &mut [u64], all: &[T], one: T) {
    let place = all.iter().position(|other| *other == one);
    if let Some(count) = place.and_then(|place| counts.get_mut(place)) {
        *count += 1;
    }
}

fn dispatched(from: Status, event: Event, after: &Record) -> Option<Dispatched> {
    let is_out = matches!(from, Status::Dispatching | Status::InFlight);
    match event {
        Event::Lost => Some(Dispatched::Unknown),
        Event::Refused => Some(Dispatched::Refused),
        Event::Started => Some(Dispatched::Known),
        // The upstream said something that its route has tried again, or was silent for too long.
        Event::Retry if is_out => Some(Dispatched::Known),
        _ if !is_out || !after.status.state().is_done() => None,
        _ if after.outcome == Some(Outcome::Unknown) => Some(Dispatched::Unknown),
        _ if after.outcome == Some(Outcome::NotApplied) => Some(Dispatched::Refused),
        _ => Some(Dispatched::Known),
    }
}

fn reconciled(from: Status, event: Event, after: &Record) -> Option<Reconciled> {
    if from != Status::Reconciling {
        return None;
    }
    match event {
        Event::Again | Event::Retry => Some(Reconciled::Again),
        Event::Found => Some(Reconciled::Applied),
        _ if !after.status.state().is_done() => None,
        _ => Some(match after.outcome {
            Some(Outcome::Unknown) => Reconciled::Unknown,
            Some(Outcome::NotApplied) => Reconciled::NotApplied,
            Some(Outcome::Known) | None => Reconciled::Applied,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::Millis;
    use crate::task::sample::sample;

    /// Goes through `steps`, a second apart, and ends with `outcome`.
    fn gone_through(steps: &[Event], outcome: Option<Outcome>) -> Work {
        let tally = Tally::default();
        let mut now = Millis(1000);
        let mut task = sample(now);
        for event in steps {
            now = now.after(Duration::from_secs(1));
            let mut next = task.after(*event, now).unwrap();
            if next.status.state().is_done() {
                next.outcome = outcome;
            }
            tally.step(&task, *event, &next);
            task = next;
        }
        tally.work("vc1")
    }

    #[test]
    fn a_task_that_is_done_waited_and_ran() {
        use Event as E;
        let work = gone_through(&[E::Dispatch, E::Sent, E::Complete], Some(Outcome::Known));
        assert_eq!(work.finished, [0, 0, 1, 0, 0, 0, 0]);
        assert_eq!((work.queued.sum.as_secs(), work.ran.sum.as_secs()), (1, 2));
        assert_eq!(work.queued.counts.iter().sum::<u64>(), 1);
        assert_eq!(work.queued.counts[3], 1, "no longer than 1 s");
        assert_eq!((work.dispatched, work.in_doubt), ([1, 0, 0], 0));
        assert_eq!(work.reconciled, [0; 4]);
    }

    #[test]
    fn what_was_lost_is_counted_and_so_is_what_was_found_out() {
        use Event as E;
        let lost = [E::Dispatch, E::Sent, E::Lost];
        for (last, outcome, place) in [
            (E::Complete, Outcome::Known, 0),
            (E::Fail, Outcome::NotApplied, 1),
            (E::Fail, Outcome::Unknown, 3),
            (E::Expire, Outcome::Unknown, 3),
        ] {
            let work = gone_through(&[&lost[..], &[last]].concat(), Some(outcome));
            let mut wanted = [0; 4];
            wanted[place] = 1;
            assert_eq!(work.reconciled, wanted, "{last:?} {outcome:?}");
            assert_eq!(work.dispatched, [0, 0, 1]);
            assert_eq!(work.in_doubt, u64::from(outcome == Outcome::Unknown));
        }
        let work = gone_through(&[&lost[..], &[E::Again]].concat(), None);
        assert_eq!((work.reconciled, work.finished), ([0, 0, 1, 0], [0; 7]));
    }

    #[test]
    fn a_refusal_and_a_run_cut_short_are_told_apart() {
        use Event as E;
        let steps = [E::Dispatch, E::Refused, E::Dispatch, E::Sent, E::Expire];
        let work = gone_through(&steps, Some(Outcome::Unknown));
        assert_eq!((work.dispatched, work.in_doubt), ([0, 1, 1], 1));
        assert_eq!(work.queued.counts.iter().sum::<u64>(), 1, "it waited once");
        let work = gone_through(&[E::Abort], None);
        assert_eq!(work.finished, [0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(
            (work.queued, work.ran),
            (Times::default(), Times::default())
        );
    }

    #[test]
    fn polls_are_counted_by_upstream_and_by_what_was_asked() {
        let tally = Tally::default();
        let (one, other): (Arc<str>, Arc<str>) = ("vc1".into(), "vc2".into());
        for _ in 0..5 {
            tally.answered(&one);
        }
        tally.asked(&one, Poll::List, true);
        tally.asked(&one, Poll::Find, false);
        tally.asked(&other, Poll::Single, true);
        let wanted = Polls {
            answered: 5,
            upstream: [1, 0, 1],
            failed: 1,
        };
        assert_eq!(tally.polls("vc1"), wanted);
        assert_eq!(tally.polls("vc2").upstream, [0, 1, 0]);
        assert_eq!(tally.polls("vc3"), Polls::default());
    }

    #[test]
    fn times_longer_than_all_bounds_are_counted_last() {
        let mut times = Times::default();
        times.add(Duration::from_hours(7));
        times.add(Duration::from_hours(6));
        assert_eq!((times.counts[15], times.counts[16]), (1, 1));
    }
}
