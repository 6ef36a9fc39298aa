//! What would become of a call, limit by limit, without anything being claimed (`/explain`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::rule::{Count, Rule};
use super::stack::Stack;
use super::terms::Terms;
use super::who::Who;
use crate::call::{Call, Principal, Reason};
use crate::limit::{Ahead, Moment};

/// Heaviest holders that are named.
const MOST_HOLDERS: usize = 10;

/// One limit that a call would claim, at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The limit's name.
    pub limit: Arc<str>,
    /// Whether it refuses, or only counts.
    pub enforced: bool,
    /// Units in use: of a keyed limit, by whom the call is counted for.
    pub in_use: u64,
    /// The ceiling.
    pub ceiling: u64,
    /// What is in force of it while the upstream refuses by itself; `None` when all of it is.
    pub effective: Option<u64>,
    /// How long until it is expected to have room; `None` when it has.
    pub room_in: Option<Duration>,
    /// Who holds its units, heaviest first; of rates nobody does.
    pub holders: Vec<Holder>,
    /// What it would do with the call.
    pub outlook: Outlook,
    /// Who waits for what the call would wait for, most calls first: users, calls in line, and for how long
    /// the first of them.
    pub waiting: Vec<Holder>,
}

/// What a limit would do with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// It has room, and nobody waits before the call.
    Pass,
    /// The call would stand in its line.
    Wait {
        /// About as long as this.
        expected: Duration,
        /// No longer than this.
        at_most: Duration,
        /// Behind so many others.
        ahead: Ahead,
    },
    /// It would refuse at once.
    Refuse(Reason),
}

/// One holder of units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Who.
    pub who: Principal,
    /// How many.
    pub units: u64,
    /// For how long the oldest of them.
    pub longest: Duration,
}

impl Stack {
    /// Every limit that `call`, which waits on these `terms`, would claim at `now`, in the order they are
    /// claimed.
    #[must_use]
    pub fn explain(&self, call: &Call<'_>, terms: &Terms, now: Moment) -> Vec<Explained> {
        let who = Who::of(call, self.hasher());
        let rules: Vec<(usize, &Rule)> = self.each(self.rules_for(call)).collect();
        let counted = rules
            .iter()
            .filter(|(_, rule)| !matches!(rule.count, Count::Bytes));
        counted
            .map(|(at, rule)| Explained {
                limit: rule.name.clone(),
                enforced: rule.enforced,
                in_use: rule.in_use(&who, now),
                ceiling: rule.ceiling,
                effective: rule.effective(now),
                room_in: rule.shut_until(&who, now),
                holders: self.holders(*at, rule, &who, now),
                outlook: rule.outlook(&who, terms, now),
                waiting: rule.standing(&who, now),
            })
            .collect()
    }

    fn holders(&self, at: usize, rule: &Rule, who: &Who, now: Moment) -> Vec<Holder> {
        if !rule.is_held() {
            return Vec::new();
        }
        let keyed = matches!(rule.count, Count::KeyedSeats(_));
        let mut by_who: BTreeMap<Principal, (u64, Duration)> = BTreeMap::new();
        for (holder, since) in self.live().halt().who_holds(at) {
            let (units, longest) = by_who.entry(holder).or_default();
            *units += 1;
            *longest = (*longest).max(now.since(since));
        }
        let own = |holder: &Principal| !keyed || *holder == *rule.key(who).key();
        let mut holders: Vec<Holder> = by_who
            .into_iter()
            .filter(|(holder, _)| own(holder))
            .map(|(who, (units, longest))| Holder {
                who,
                units,
                longest,
            })
            .collect();
        holders.sort_by_key(|holder| std::cmp::Reverse(holder.units));
        holders.truncate(MOST_HOLDERS);
        holders
    }
}

impl Rule {
    /// What it would do with a call of `who` at `now`; nothing is changed.
    fn outlook(&self, who: &Who, terms: &Terms, now: Moment) -> Outlook {
        let has_room = self.shut_until(who, now).is_none();
        let Some(line) = &self.line else {
            return if has_room {
                Outlook::Pass
            } else {
                Outlook::Refuse(Reason::Full)
            };
        };
        let ahead = line.ahead(&self.lane(who), terms.rank, &who.shown());
        if has_room && ahead.most == 0 {
            return Outlook::Pass;
        }
        let at_most = terms.patience.min(self.at_most);
        let until = now.after(at_most);
        let earliest = self.earliest(who, ahead.least, now);
        if earliest.is_none_or(|earliest| earliest > until) {
            return Outlook::Refuse(Reason::Hopeless);
        }
        if !line.has_place(&who.shown()) {
            return Outlook::Refuse(Reason::LineFull);
        }
        let expected = if self.is_held() {
            self.tally.expected(self.ceiling, ahead.most, now)
        } else {
            let latest = self.earliest(who, ahead.most, now);
            latest.map_or(at_most, |latest| latest.since(now))
        };
        Outlook::Wait {
            expected: expected.min(at_most),
            at_most,
            ahead,
        }
    }

    fn standing(&self, who: &Who, now: Moment) -> Vec<Holder> {
        let line = self.line.as_ref();
        let standing = line.map(|line| line.standing(Some(&self.lane(who))));
        let users = standing.unwrap_or_default().into_iter().take(MOST_HOLDERS);
        users
            .map(|one| Holder {
                who: one.user,
                units: one.calls,
                longest: now.since(one.since),
            })
            .collect()
    }
}
