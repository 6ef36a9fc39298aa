//! Whose turn it is: a unit that came free, handed to the next in line.

use std::sync::Arc;

use super::live::{Place, Rules};
use super::rule::{Count, Rule, RuleLine};
use super::stack::Stack;
use super::who::Who;
use crate::limit::{Denied, Moment};

/// Who waits, and since when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guest {
    pub(super) who: Who,
    pub(super) since: Moment,
    /// Every limit that speaks of its call.
    pub(super) rules: Rules,
    /// Limits whose units it was handed and put down, as it had to wait for another first. Should it go
    /// away, somebody else is to be called for them.
    pub(super) put_down: Rules,
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

    pub(super) fn guest(&self) -> Guest {
        self.guest
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

    /// Gives its unit back and calls nobody yet; the limit it was of.
    pub(super) fn put_down(mut self) -> Rules {
        self.give_back();
        1 << self.at
    }

    /// Whether there was anything to give back.
    fn give_back(&mut self) -> bool {
        let (Some(grant), Some(rule)) = (self.grant.take(), self.stack.rule(self.at)) else {
            return false;
        };
        let who = &self.guest.who;
        match grant {
            Grant::Held(place) => self.stack.live().leave(place, || rule.give_back(who)),
            Grant::Stamp(stamp) => rule.take_back(stamp, who),
        }
        true
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.give_back() {
            let free = 1 << self.at | self.guest.put_down;
            self.stack.pass_on(free, &self.guest.who);
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

    /// Has whoever is next in line called for what is free of these rules: of what is held at once, of rates by
    /// whoever runs the gate.
    pub(super) fn pass_on(&self, free: Rules, who: &Who) {
        self.call_next(free, who);
        if free & self.lined() & self.rates() != 0 {
            self.bell().notify_one();
        }
    }

    /// Goes on with what `guest` has put down to wait for rule `at` instead.
    ///
    /// Going down the stack, the unit is the next one's. Going up, it is only if the next can use it now;
    /// else it rests, in nobody's hand, until `guest` has had its turn further up, or goes away. Were units
    /// passed on both ways, calls that need two full limits would hand a unit of each round and round, and
    /// none would ever meet the other.
    pub(super) fn pass_on_moving(&self, free: Rules, at: usize, guest: &Guest, now: Moment) {
        let above = (1 << at) - 1;
        self.pass_on(free & above, &guest.who);
        for (other, rule) in self.each(free & !above & self.lined()) {
            let Some(line) = rule.line.as_ref().filter(|line| line.is_wanted()) else {
                continue;
            };
            line.call(&rule.lane(&guest.who), |next| {
                let fits = self.has_all_but(other, next, now);
                fits.then(|| self.room(other, rule, next, now)).flatten()
            });
        }
    }

    /// Whether `guest` could pass, had it a unit of rule `at`. Locks no line: one is locked already.
    fn has_all_but(&self, at: usize, guest: &Guest, now: Moment) -> bool {
        let others = guest.rules & self.enforced() & !(1 << at);
        self.each(others).all(|(_, rule)| {
            rule.line.as_ref().is_none_or(RuleLine::is_empty) && rule.has_room(&guest.who, now)
        })
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
