//! Whose turn it is: a unit that came free, handed to the next in line.

use std::sync::Arc;

use super::live::{Place, Rules};
use super::rule::{Count, Rule};
use super::stack::Stack;
use super::who::Who;
use crate::limit::{Denied, Moment};

/// Who waits, and since when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guest {
    pub(super) who: Who,
    pub(super) since: Moment,
}

/// What a call in line is handed when it is its turn: a unit, taken in its name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Grant {
    /// Of what is given back; entered among the live holders here.
    Held(Place),
    /// Of a rate: this stamp.
    Stamp(Moment),
}

/// A unit of one limit, handed to a call that waited for it; all that is left to claim is the rest.
/// Dropped unused, it goes to the next in line.
#[derive(Debug)]
#[must_use = "a turn that is not used goes to the next in line"]
pub struct Turn {
    stack: Arc<Stack>,
    at: usize,
    guest: Guest,
    grant: Option<Grant>,
}

impl Turn {
    pub(super) fn new(stack: Arc<Stack>, at: usize, guest: Guest, grant: Grant) -> Self {
        Self {
            stack,
            at,
            guest,
            grant: Some(grant),
        }
    }

    /// Since when its call has waited, in this line and in those before.
    #[must_use]
    pub fn since(&self) -> Moment {
        self.guest.since
    }

    pub(super) fn rule(&self) -> Rules {
        1 << self.at
    }

    pub(super) fn place(&self) -> Option<Place> {
        match self.grant? {
            Grant::Held(place) => Some(place),
            Grant::Stamp(_) => None,
        }
    }

    pub(super) fn stamp(&self) -> Option<(usize, Moment)> {
        match self.grant? {
            Grant::Held(_) => None,
            Grant::Stamp(stamp) => Some((self.at, stamp)),
        }
    }

    /// A claim holds it now.
    pub(super) fn used(mut self) {
        self.grant = None;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (Some(grant), Some(rule)) = (self.grant.take(), self.stack.rule(self.at)) else {
            return;
        };
        let who = &self.guest.who;
        match grant {
            Grant::Held(place) => {
                self.stack.live().leave(place, || rule.give_back(who));
                self.stack.call_next(1 << self.at, who);
            }
            Grant::Stamp(stamp) => {
                rule.take_back(stamp, who);
                self.stack.bell().notify_one();
            }
        }
    }
}

impl Stack {
    /// Hands what `who` has just given back, of each rule of `freed`, to the next in its line.
    pub(super) fn call_next(&self, freed: Rules, who: &Who) {
        for (at, rule) in self.each(freed & self.lined() & self.held()) {
            if let Some(line) = rule.line.as_ref().filter(|line| line.is_wanted()) {
                line.call(&rule.lane(who), |guest| self.seat(at, rule, guest));
            }
        }
    }

    /// Hands out what time has freed: calls that wait for a rate which has room for them at `now`, or for
    /// a limit that grows back. When to ask again; `None` when nobody waits for a rate and nothing grows.
    ///
    /// Whoever runs the gate asks at that moment, and whenever [`Stack::stirred`] is done.
    pub fn call_due(&self, now: Moment) -> Option<Moment> {
        let mut next = self.grow(now);
        for (_, rule) in self.each(self.lined() & self.rates()) {
            let Some(line) = rule.line.as_ref() else {
                continue;
            };
            for lane in line.lanes() {
                line.call(&lane, |guest| {
                    let stamp = rule.stamp(&guest.who, now);
                    let denied = |denied: Denied| {
                        next = Some(next.map_or(denied.retry_at, |at| at.min(denied.retry_at)));
                    };
                    stamp.map_err(denied).ok().map(Grant::Stamp)
                });
            }
        }
        next
    }

    /// Done when somebody came to wait for a rate, room came back in one, or a limit shrank, since it was last done.
    pub async fn stirred(&self) {
        self.bell().notified().await;
    }

    /// Takes a unit for who waits or would, if there is room at `now`.
    pub(super) fn room(&self, at: usize, rule: &Rule, guest: &Guest, now: Moment) -> Option<Grant> {
        if rule.is_held() {
            self.seat(at, rule, guest)
        } else {
            rule.stamp(&guest.who, now).ok().map(Grant::Stamp)
        }
    }

    fn seat(&self, at: usize, rule: &Rule, guest: &Guest) -> Option<Grant> {
        let page = self.live().open();
        rule.take(&guest.who).ok()?;
        Some(Grant::Held(page.enter(
            1 << at,
            guest.who.shown(),
            guest.since,
        )))
    }
}

impl Rule {
    /// Counts a call of `who` in a rate at `now`, and says with which stamp.
    fn stamp(&self, who: &Who, now: Moment) -> Result<Moment, Denied> {
        match &self.count {
            Count::Rate(rate) => {
                let offer = rate.offer(now)?;
                let stamp = offer.stamp();
                offer.take();
                Ok(stamp)
            }
            Count::KeyedRate(keyed, pace) => {
                keyed.try_take(self.key(who), pace, now)?;
                Ok(now)
            }
            _ => Ok(now),
        }
    }

    /// Takes back what [`Rule::stamp`] counted, for a call that never left.
    fn take_back(&self, stamp: Moment, who: &Who) {
        match &self.count {
            Count::Rate(rate) => rate.take_back(stamp),
            Count::KeyedRate(keyed, pace) => keyed.take_back(self.key(who), pace),
            _ => {}
        }
    }
}
