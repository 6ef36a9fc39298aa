//! Calls that nobody listens to any more and that the upstream may still be at work on: each keeps its seats.
//!
//! What carried the call is closed, and rates counted it when it went up. What is left is the work itself: a unit of every
//! limit on calls in flight that speaks of it, above the ceiling if need be, for it is there whether or not there is room.

use std::sync::Arc;

use super::claim::Claim;
use super::live::Rules;
use super::rule::Rule;
use super::stack::Stack;
use super::units::Units;
use super::who::Who;
use crate::call::{Call, Class};
use crate::config::Counts;
use crate::limit::Moment;

/// The seats of a call that may still be at work. Dropping it gives each back, once, to whoever is next in line.
#[derive(Debug)]
#[must_use = "seats that are not kept are given back at once"]
pub struct LeftBehind(Units);

impl LeftBehind {
    /// How many limits it holds a unit of.
    #[must_use]
    pub const fn seats(&self) -> u32 {
        self.0.held.count_ones()
    }

    /// The names of these limits.
    #[must_use]
    pub fn limits(&self) -> Vec<Arc<str>> {
        self.0.stack.names(self.0.held)
    }
}

impl Claim {
    /// Nobody listens to the call any more from `now` on: its seats stay, and everything else is given back.
    pub fn leave_behind(mut self, now: Moment) -> LeftBehind {
        let seats = self.units.stack.seats_of(self.units.held);
        LeftBehind(self.units.split(seats, now))
    }

    /// The limits on calls in flight that it holds a unit of, by their names, where one of them is on blocking calls; else
    /// none.
    #[must_use]
    pub fn blocking_seats(&self) -> Vec<Arc<str>> {
        let stack = &self.units.stack;
        let seats = stack.seats_of(self.units.held);
        if stack
            .each(seats)
            .any(|(_, rule)| rule.is_for(Class::Blocking))
        {
            stack.names(seats)
        } else {
            Vec::new()
        }
    }
}

impl Stack {
    /// The seats of `call`, which another process sent up. They count even above the ceiling: then nothing new goes up.
    pub fn hold_left(self: &Arc<Self>, call: &Call<'_>, now: Moment) -> LeftBehind {
        self.hold(call, self.rules_for(call), now)
    }

    /// The seats of `call`, of which no more is known than the limits that it held a unit of, by their names; where not even
    /// that is known, every limit on calls in flight that is on blocking calls. One that is not there any more is held by
    /// nobody.
    pub fn hold_named(
        self: &Arc<Self>,
        call: &Call<'_>,
        limits: &[Arc<str>],
        now: Moment,
    ) -> LeftBehind {
        let is_one = |rule: &Rule| match limits {
            [] => rule.is_for(Class::Blocking),
            limits => limits.contains(&rule.name),
        };
        let rules = self.each(self.held()).filter(|(_, rule)| is_one(rule));
        let rules = rules.fold(0, |rules, (at, _)| rules | 1 << at);
        self.hold(call, rules, now)
    }

    fn hold(self: &Arc<Self>, call: &Call<'_>, rules: Rules, now: Moment) -> LeftBehind {
        let who = Who::of(call, self.hasher());
        let held = self.seats_of(rules & self.held());
        let page = self.live().open();
        for (_, rule) in self.each(held) {
            rule.take_unchecked(&who);
        }
        let place = page.enter(held, who.shown(), now);
        LeftBehind(Units::new(Arc::clone(self), held, who, place))
    }

    fn names(&self, rules: Rules) -> Vec<Arc<str>> {
        self.each(rules)
            .map(|(_, rule)| rule.name.clone())
            .collect()
    }

    fn seats_of(&self, rules: Rules) -> Rules {
        let seats = self.each(rules);
        let seats = seats.filter(|(_, rule)| rule.counts == Counts::RequestsInFlight);
        seats.fold(0, |seats, (at, _)| seats | 1 << at)
    }
}

impl Rule {
    /// Whether it is on this class by its name, and not on all.
    fn is_for(&self, class: Class) -> bool {
        self.classes.contains(&class)
    }
}
