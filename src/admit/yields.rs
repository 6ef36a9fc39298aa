//! The upstream refused a call by itself: which of the call's limits shrinks, and how it grows back.
//!
//! | the upstream refused | what shrinks | how |
//! |---|---|---|
//! | for its rate | the enforced rate that it names, else the first of the call: gate-wide before keyed | gate-wide: fewer in a window, none before the moment it named; keyed: none of that key before |
//! | as it is full | of the enforced seats and sockets that the call holds for everybody, the fewest | fewer at a time; of a login, logins in flight alone |
//!
//! Sessions never shrink: who has too many of them is told so, and the others have theirs. Nothing here
//! lets more pass than the configuration does.

use std::sync::Arc;
use std::time::Duration;

use super::claim::Claim;
use super::live::Rules;
use super::rule::{Count, Rule};
use super::stack::Stack;
use crate::call::{Call, Class};
use crate::config::{Counts, Key};
use crate::limit::{AtomicU64, Moment, Mutex, Ordering, Seat, Seats, Share};

/// A key that was refused without a word of when to come back is left alone this long.
const UNSAID: Duration = Duration::from_secs(1);

/// What an upstream says as it refuses a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushback<'a> {
    /// Why.
    pub why: Why,
    /// When it wants to be asked again, where it says so; whoever reads it bounds it.
    pub come_back: Option<Duration>,
    /// The policy that it names (`RateLimit`).
    pub policy: Option<&'a str>,
}

/// Why an upstream refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Too many calls in too short a time.
    Rate,
    /// Too many calls at a time.
    Full,
}

/// How much of one limit is in force.
#[derive(Debug)]
pub(super) struct Yields {
    share: Mutex<Share>,
    /// Units that are not: what every call looks at.
    withheld: AtomicU64,
    /// Units that others use.
    pub(super) outside: AtomicU64,
}

impl Yields {
    pub(super) fn new(ceiling: u64) -> Self {
        Self {
            share: Mutex::new(Share::new(ceiling)),
            withheld: AtomicU64::new(0),
            outside: AtomicU64::new(0),
        }
    }

    pub(super) fn withheld(&self) -> u64 {
        let outside = self.outside.load(Ordering::Relaxed);
        self.withheld.load(Ordering::Relaxed).max(outside)
    }
}

/// Which limits of a stack have shrunk, and the calls that wait for another attempt.
#[derive(Debug)]
pub(super) struct Pushed {
    shrunk: AtomicU64,
    back: Arc<Seats>,
}

impl Pushed {
    /// As many calls may wait for another attempt as in the longest line.
    pub(super) fn new(most: u64) -> Self {
        Self {
            shrunk: AtomicU64::new(0),
            back: Arc::new(Seats::new(most)),
        }
    }
}

impl Claim {
    /// The upstream refused the call at `now`. The limit that shrinks for it; `None` where none does.
    #[must_use]
    pub fn pushed_back(&self, said: &Pushback<'_>, now: Moment) -> Option<Arc<str>> {
        let stack = &self.units.stack;
        let at = match said.why {
            Why::Rate => stack.yielding_rate(self.rules, said.policy),
            Why::Full => stack.yielding_seats(self.units.held, self.class),
        }?;
        let rule = stack.rule(at)?;
        match &rule.count {
            Count::KeyedRate(keyed, pace) => {
                let until = now.after(said.come_back.unwrap_or_default().max(UNSAID));
                keyed.shut(rule.key(&self.units.who), pace, until);
            }
            Count::Rate(rate) => {
                stack.shrink(at, rule, now);
                if let Some(come_back) = said.come_back {
                    rate.shut(now.after(come_back));
                }
            }
            _ => stack.shrink(at, rule, now),
        }
        // Whoever calls those who wait has another moment to do it at.
        stack.bell().notify_one();
        Some(rule.name.clone())
    }
}

impl Stack {
    fn yielding_rate(&self, rules: Rules, policy: Option<&str>) -> Option<usize> {
        let rates = || self.each(rules & self.enforced() & self.rates());
        let named = rates().find(|(_, rule)| policy == Some(&*rule.name));
        named.or_else(|| rates().next()).map(|(at, _)| at)
    }

    fn yielding_seats(&self, held: Rules, class: Class) -> Option<usize> {
        let counts_calls = |rule: &Rule| match rule.counts {
            Counts::SessionCreations => class == Class::Login,
            Counts::UpstreamConnections | Counts::RequestsInFlight => class != Class::Login,
            Counts::Sessions | Counts::Requests | Counts::ResponseBytes => false,
        };
        let seats = self.each(held & self.enforced());
        let seats = seats.filter(|(_, rule)| rule.key == Key::All && counts_calls(rule));
        seats.min_by_key(|(_, rule)| rule.ceiling).map(|(at, _)| at)
    }

    fn shrink(&self, at: usize, rule: &Rule, now: Moment) {
        let mut share = rule.yields.share.lock();
        share.refuse(now);
        rule.in_force(&share);
        self.pushed().shrunk.fetch_or(1 << at, Ordering::AcqRel);
    }

    /// Lets limits that have shrunk grow by what the time until `now` allows, and calls those who wait
    /// for what has come back. When the next one grows; `None` when all of them are whole.
    pub(super) fn grow(&self, now: Moment) -> Option<Moment> {
        let shrunk = self.pushed().shrunk.load(Ordering::Acquire);
        let mut next: Option<Moment> = None;
        for (at, rule) in self.each(shrunk) {
            {
                let mut share = rule.yields.share.lock();
                share.grow(now);
                rule.in_force(&share);
                match share.grows_at() {
                    Some(grows) => next = Some(next.map_or(grows, |next| next.min(grows))),
                    None => {
                        self.pushed().shrunk.fetch_and(!(1 << at), Ordering::AcqRel);
                    }
                }
            }
            self.call_waiting(at, rule, now);
        }
        next
    }

    /// Calls those who wait for rule `at`, of what is held, as far as there is room: more of it may be in force now.
    pub(super) fn call_waiting(&self, at: usize, rule: &Rule, now: Moment) {
        let line = rule.line.as_ref().filter(|_| rule.is_held());
        if let Some(line) = line.filter(|line| line.is_wanted()) {
            for lane in line.lanes() {
                line.call(&lane, |guest| self.room(at, rule, guest, now));
            }
        }
    }

    /// The longest time that `call` may stand in any line of its limits; `None` where it has none.
    #[must_use]
    pub fn longest_wait(&self, call: &Call<'_>) -> Option<Duration> {
        let lined = self.each(self.rules_for(call) & self.lined());
        lined.map(|(_, rule)| rule.at_most).max()
    }

    /// A place among the calls that wait for another attempt; `None` when as many wait as may.
    #[must_use]
    pub fn hold_back(&self) -> Option<Seat> {
        self.pushed().back.seat()
    }
}

impl Rule {
    /// Puts `share` in force; called with its lock held.
    fn in_force(&self, share: &Share) {
        self.yields
            .withheld
            .store(share.withheld(), Ordering::Relaxed);
        if let Count::Rate(rate) = &self.count {
            rate.narrow(share.units());
        }
    }

    /// The ceiling in force at `now`, where it is below the configured one.
    pub(super) fn effective(&self, now: Moment) -> Option<u64> {
        let effective = match &self.count {
            Count::Rate(rate) => rate.allowed(now),
            _ => self.ceiling.saturating_sub(self.withheld()),
        };
        (effective < self.ceiling).then_some(effective)
    }
}
