//! What would become of a call, limit by limit, without anything being claimed (`/explain`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::rule::{Count, Rule};
use super::stack::Stack;
use super::who::Who;
use crate::call::{Call, Principal};
use crate::limit::Moment;

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
    /// Every limit that `call` would claim at `now`, in the order they are claimed.
    #[must_use]
    pub fn explain(&self, call: &Call<'_>, now: Moment) -> Vec<Explained> {
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
