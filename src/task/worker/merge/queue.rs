//! What is gathered for one resource, and when its period is over. Time is an argument.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::plan::{Item, plan};
use crate::config::Merge;
use crate::dialect::adapter::{EntryKey, Patch, Shows};
use crate::task::id::TaskId;

/// How often a resource is looked at for what was lost.
const ASKED_EVERY: Duration = Duration::from_secs(2);

/// Told, with nothing, when the queue is done with a task: its record says what became of it.
pub(super) type Done = oneshot::Sender<()>;

/// A task that waits to go up with others.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) item: Item,
    /// It is on its way: its job may not leave.
    is_taken: bool,
    /// It was put off by itself until then: who changes its entries waits for it, and nobody else.
    not_before: Option<Instant>,
    done: Done,
}

/// A task whose call was lost: nobody may change the same entries before its call can be at work no more, and it is known what
/// became of it.
#[derive(Debug)]
struct Doubt {
    keys: Arc<[EntryKey]>,
    /// From when on its call can be at work no more.
    over: Instant,
    /// What it asked for, and where that is to be told; none before its job has come, and after it was told.
    asks: Option<Asks>,
}

#[derive(Debug)]
pub(super) struct Asks {
    patch: Arc<Patch>,
    share: Arc<str>,
    /// From when on it can be at work no more.
    over: Instant,
    /// Until when the upstream may say nothing of use.
    speechless: Instant,
    /// It showed others of its group, and not this one.
    is_mixed: bool,
    /// It did not show this one, once.
    was_absent: bool,
    done: Done,
}

impl Asks {
    pub(super) fn new(
        (patch, share): (Arc<Patch>, Arc<str>),
        (over, speechless): (Instant, Instant),
        done: Done,
    ) -> Self {
        Self {
            patch,
            share,
            over,
            speechless,
            is_mixed: false,
            was_absent: false,
            done,
        }
    }
}

/// The requests for one resource.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) wake: Arc<Notify>,
    pub(super) driver: AbortHandle,
    /// No other queue of the same resource has it.
    pub(super) number: u64,
    merge: Arc<Merge>,
    period: Duration,
    members: BTreeMap<TaskId, Member>,
    doubts: BTreeMap<TaskId, Doubt>,
    /// When the period is over that has begun.
    due: Option<Instant>,
    /// The last that belongs to a period that is over.
    cutoff: Option<TaskId>,
    /// When it is next asked what became of what was lost.
    ask: Option<Instant>,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing, until then, or until something happens.
    Rest(Option<Instant>),
    /// These calls, one after the other.
    Merge(Vec<Vec<TaskId>>),
    /// The upstream is asked what became of these.
    Ask(Vec<TaskId>),
}

impl Queue {
    pub(super) fn new(
        number: u64,
        (merge, period): (Arc<Merge>, Duration),
        wake: Arc<Notify>,
        driver: AbortHandle,
    ) -> Self {
        Self {
            wake,
            driver,
            number,
            merge,
            period,
            members: BTreeMap::new(),
            doubts: BTreeMap::new(),
            due: None,
            cutoff: None,
            ask: None,
        }
    }

    /// A task joins that was accepted so long ago.
    pub(super) fn join(
        &mut self,
        id: TaskId,
        item: Item,
        done: Done,
        (now, age): (Instant, Duration),
    ) {
        self.due
            .get_or_insert(now + self.period.saturating_sub(age));
        let member = Member {
            item,
            is_taken: false,
            not_before: None,
            done,
        };
        self.members.insert(id, member);
        self.wake.notify_one();
    }

    /// These are not to go up before then.
    pub(super) fn put_off(&mut self, ids: &[TaskId], until: Instant) {
        for id in ids {
            if let Some(member) = self.members.get_mut(id) {
                member.not_before = Some(until);
            }
        }
    }

    /// A task leaves. False where it is on its way, or done with.
    pub(super) fn leave(&mut self, id: TaskId) -> bool {
        let may = self.members.get(&id).is_some_and(|one| !one.is_taken);
        if may {
            self.members.remove(&id);
            self.wake.notify_one();
        }
        may
    }

    /// A task whose call was lost is to be asked after.
    pub(super) fn doubt(&mut self, id: TaskId, asks: Asks, now: Instant) {
        let doubt = Doubt {
            keys: asks.patch.keys().cloned().collect(),
            over: asks.over,
            asks: Some(asks),
        };
        self.doubts.insert(id, doubt);
        self.ask = Some(now);
        self.wake.notify_one();
    }

    /// Its job asks after it no more. Its call may be at work all the same.
    pub(super) fn give_up(&mut self, id: TaskId) {
        if let Some(doubt) = self.doubts.get_mut(&id) {
            doubt.asks = None;
        }
        self.wake.notify_one();
    }

    /// It is known what became of it. Who changes the same entries waits until its call can be at work no more, which is proven
    /// to be from `over` on; and if it is to go up again, until it is back.
    pub(super) fn known(&mut self, id: TaskId, over: Instant) {
        if let Some(doubt) = self.doubts.get_mut(&id) {
            doubt.over = over;
            if let Some(asks) = doubt.asks.take() {
                // A job that is gone need not hear it.
                let _: Result<(), ()> = asks.done.send(());
            }
        }
        self.wake.notify_one();
    }

    /// Whether there is nothing left to do.
    pub(super) fn is_idle(&self) -> bool {
        self.members.is_empty() && self.doubts.is_empty()
    }

    /// What is to be done now. Of `expected`, tasks for this resource that are known of and have not come yet, none is
    /// overtaken.
    pub(super) fn turn(&mut self, now: Instant, expected: &BTreeSet<TaskId>) -> Turn {
        let (asked, next) = self.asks(now);
        if !asked.is_empty() {
            return Turn::Ask(asked);
        }
        let ask = (!self.doubts.is_empty()).then_some(next);
        if let Some(wait) = self.wait(now) {
            let next = [wait, ask].into_iter().flatten().min();
            return Turn::Rest(next);
        }
        let last = self.members.last_key_value().map(|(id, _)| *id);
        let Some(cutoff) = self.cutoff.or(last) else {
            return Turn::Rest(ask);
        };
        self.cutoff = Some(cutoff);
        if expected.first().is_some_and(|first| *first <= cutoff) {
            return Turn::Rest(ask);
        }
        self.cutoff = None;
        let calls = self.calls(cutoff, now);
        if calls.is_empty() {
            let back = self.members.values().filter_map(|one| one.not_before);
            let back = back.filter(|at| *at > now).min();
            return Turn::Rest([ask, back].into_iter().flatten().min());
        }
        self.due = Some(now + self.period);
        Turn::Merge(calls)
    }

    /// Who is to be asked after now, and when the next may be.
    pub(super) fn asks(&mut self, now: Instant) -> (Vec<TaskId>, Instant) {
        if let Some(next) = self.ask.filter(|at| *at > now) {
            return (Vec::new(), next);
        }
        let next = now + ASKED_EVERY;
        self.ask = Some(next);
        let asked = self.doubts.iter().filter(|(_, one)| one.asks.is_some());
        (asked.map(|(id, _)| *id).collect(), next)
    }

    /// The calls of those that came by `cutoff` and are not put off.
    fn calls(&self, cutoff: TaskId, now: Instant) -> Vec<Vec<TaskId>> {
        let rests = |one: &Member| one.not_before.is_some_and(|at| at > now);
        let lost = self.doubts.values().flat_map(|one| one.keys.iter());
        let resting = self.members.values().filter(|one| rests(one));
        let resting = resting.flat_map(|one| one.item.keys.iter());
        let items = self.members.range(..=cutoff);
        let items = items.filter(|(_, one)| !rests(one));
        let items = items.map(|(id, one)| (*id, &one.item));
        plan(&self.merge, items, lost.chain(resting))
    }

    /// Until when nothing goes up; `Some(None)`: until something comes.
    #[expect(
        clippy::option_option,
        reason = "whether to wait, and whether that has an end"
    )]
    fn wait(&mut self, now: Instant) -> Option<Option<Instant>> {
        if self.members.is_empty() {
            (self.due, self.cutoff) = (None, None);
            return Some(None);
        }
        self.due.filter(|at| *at > now).map(Some)
    }

    /// Takes those of a call that are still there: they are on their way.
    pub(super) fn take(&mut self, call: &[TaskId]) -> Vec<TaskId> {
        let there = call.iter().copied().filter(|id| {
            let member = self.members.get_mut(id);
            member.is_some_and(|one| {
                one.is_taken = true;
                true
            })
        });
        there.collect()
    }

    /// The queue is done with these.
    pub(super) fn finish(&mut self, ids: &[TaskId]) {
        for id in ids {
            if let Some(member) = self.members.remove(id) {
                // A job that is gone need not hear it.
                let _: Result<(), ()> = member.done.send(());
            }
        }
    }

    /// These wait again, and go up as soon as they may, from `from` on. Who has come meanwhile waits for a period, unless one of
    /// these does not.
    pub(super) fn release(&mut self, ids: &[TaskId], from: Instant) {
        let mut is_any_left = false;
        for id in ids {
            // One whose job is gone was over while its call was up.
            if self.members.get(id).is_some_and(|one| one.done.is_closed()) {
                self.members.remove(id);
            }
            if let Some(member) = self.members.get_mut(id) {
                member.is_taken = false;
                is_any_left = true;
            }
        }
        if is_any_left {
            self.due = Some(from);
        }
    }

    /// The call of these was lost, which can be at work no more from `over` on: from here on nobody changes what they change,
    /// until then, and until their jobs have come and it is known what became of them.
    pub(super) fn lose(&mut self, ids: &[TaskId], over: Instant) {
        for id in ids {
            if let Some(member) = self.members.remove(id) {
                let doubt = Doubt {
                    keys: member.item.keys,
                    over,
                    asks: None,
                };
                self.doubts.insert(*id, doubt);
                let _: Result<(), ()> = member.done.send(());
            }
        }
    }

    /// Drops those whose calls can be at work no more and whose jobs are not to come, or are back in line: `is_open` says which
    /// are still on the desk.
    pub(super) fn prune(&mut self, now: Instant, is_open: impl Fn(TaskId) -> bool) {
        let members = &self.members;
        self.doubts.retain(|id, one| {
            let is_to_come = || is_open(*id) && !members.contains_key(id);
            one.asks.is_some() || one.over > now || is_to_come()
        });
    }

    /// The tasks in doubt that may be asked after together.
    pub(super) fn doubts_of(&self, ids: &[TaskId]) -> BTreeMap<Arc<str>, Vec<Asked>> {
        let mut groups: BTreeMap<Arc<str>, Vec<Asked>> = BTreeMap::new();
        for id in ids {
            let doubt = self.doubts.get(id).and_then(|one| one.asks.as_ref());
            if let Some(asks) = doubt {
                let group = groups.entry(asks.share.clone()).or_default();
                group.push(Asked {
                    id: *id,
                    patch: asks.patch.clone(),
                    over: asks.over,
                    speechless: asks.speechless,
                    is_mixed: asks.is_mixed,
                    was_absent: asks.was_absent,
                });
            }
        }
        groups
    }

    /// The upstream showed this of these, for now: it may be silent until then.
    pub(super) fn heard(&mut self, shown: &[(TaskId, Shows)], speechless: Instant) {
        let is_mixed = shown.iter().any(|(_, shows)| *shows == Shows::Done);
        for (id, shows) in shown {
            if let Some(asks) = self.doubts.get_mut(id).and_then(|one| one.asks.as_mut()) {
                asks.speechless = speechless;
                asks.is_mixed |= is_mixed;
                asks.was_absent |= *shows == Shows::NotDone;
            }
        }
    }
}

/// A task in doubt, to be asked after.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) id: TaskId,
    pub(super) patch: Arc<Patch>,
    pub(super) over: Instant,
    pub(super) speechless: Instant,
    pub(super) is_mixed: bool,
    pub(super) was_absent: bool,
}
