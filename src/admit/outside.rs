//! What others use of a limit, who do not come through the gate: so much of it is not the gate's to give.

use super::live::Rules;
use super::rule::{Count, Rule};
use super::stack::Stack;
use crate::call::Class;
use crate::config::Counts;
use crate::limit::{Moment, Ordering};

/// The share of a limit that stays in force whatever others use, one in so many: else the gate would never find out
/// that they have gone.
const FLOOR: u64 = 20;

/// Which of the limits on sockets is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    /// The one of the REST endpoint.
    Rest,
    /// The one of all sockets.
    Everything,
}

/// What the upstream says of one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// What everybody uses, the gate among them.
    pub active: u64,
    /// Of this, what the gate used when it asked.
    pub own: u64,
    /// Most that the upstream lets in.
    pub most: u64,
}

impl Stack {
    /// The upstream said what is used of `which`; `None`: it says nothing any more, and all of the limit is in force.
    pub fn used_by_others(&self, which: Shared, said: Option<Usage>, now: Moment) {
        for (at, rule) in self.each(self.shared(which)) {
            let withheld = said.map_or(0, |said| rule.kept_from(said));
            rule.yields.outside.store(withheld, Ordering::Relaxed);
            self.call_waiting(at, rule, now);
        }
    }

    /// What the gate itself uses of `which` now: of REST's, calls that the endpoint works on; of all, open sockets, idle ones too.
    #[must_use]
    pub fn own_use(&self, which: Shared) -> u64 {
        let used = self
            .each(self.shared(which))
            .map(|(_, rule)| match &rule.count {
                Count::Sockets { open, calls, .. } if which == Shared::Everything => {
                    open.in_use().max(calls.in_use())
                }
                Count::Sockets { calls, .. } => calls.in_use(),
                _ => 0,
            });
        used.max().unwrap_or(0)
    }

    fn shared(&self, which: Shared) -> Rules {
        let of_rest = self.rules_of(Class::Rest) & self.enforced();
        let sockets = self.each(of_rest);
        let sockets = sockets.filter(|(_, rule)| rule.counts == Counts::UpstreamConnections);
        let meant =
            sockets.filter(|(_, rule)| rule.is_of_everybody() == (which == Shared::Everything));
        meant.fold(0, |rules, (at, _)| rules | 1 << at)
    }
}

impl Rule {
    fn kept_from(&self, said: Usage) -> u64 {
        let others = said.active.saturating_sub(said.own);
        let left = said.most.min(self.ceiling).saturating_sub(others);
        let floor = (self.ceiling / FLOOR).max(1);
        self.ceiling.saturating_sub(left.max(floor))
    }
}
