//! Units of one holder, given back when it goes: what a call and a live login session hold.

use std::net::IpAddr;
use std::sync::Arc;

use super::live::{Place, Rules};
use super::stack::Stack;
use super::who::Who;
use crate::call::{SessionKind, UserId};
use crate::limit::Moment;

/// A unit of each of some limits, of one holder. Dropping it gives each back, once, to whoever is next
/// in line for it.
#[derive(Debug)]
pub(super) struct Units {
    pub(super) stack: Arc<Stack>,
    pub(super) held: Rules,
    pub(super) who: Who,
    place: Place,
}

impl Units {
    pub(super) fn new(stack: Arc<Stack>, held: Rules, who: Who, place: Place) -> Self {
        Self {
            stack,
            held,
            who,
            place,
        }
    }

    /// Those of `units`, as units of their own, held since `now`.
    pub(super) fn split(&mut self, units: Rules, now: Moment) -> Self {
        let units = self.held & units;
        self.held &= !units;
        let holder = (self.who.shown(), now);
        let place = self.stack.live().split(self.place, units, holder);
        Self::new(self.stack.clone(), units, self.who, place)
    }
}

impl Drop for Units {
    fn drop(&mut self) {
        let Self {
            stack, held, who, ..
        } = self;
        stack
            .live()
            .leave(self.place, || stack.give_back(*held, who));
        stack.call_next(*held, who);
    }
}

/// One unit of every limit on sessions that speaks of one live session, whether or not a call uses it.
/// Held from the accepted login, or from when the session was first seen, until it ends.
#[derive(Debug)]
#[must_use = "units that are not kept are given back at once"]
pub struct SessionUnits(pub(super) Units);

impl SessionUnits {
    /// The user became known, or is another than the login said: it is counted for this one from now on.
    pub fn name(&mut self, user: UserId) {
        let Units {
            stack,
            held,
            who,
            place,
        } = &mut self.0;
        let named = who.named(user, stack.hasher());
        let becomes = (*held, named.shown());
        stack.live().change(*place, becomes, || {
            for (_, rule) in stack.each(*held) {
                if rule.key(who).key() != rule.key(&named).key() {
                    rule.give_back(who);
                    rule.take_unchecked(&named);
                }
            }
        });
        stack.call_next(*held, who);
        *who = named;
    }
}

impl Stack {
    /// The units of a session that is there already: of `user`, where that is known, opened from
    /// `address`. They count even above the ceiling: then only new logins are refused.
    pub fn hold_session(
        self: &Arc<Self>,
        kind: SessionKind,
        user: Option<UserId>,
        address: IpAddr,
        now: Moment,
    ) -> SessionUnits {
        let who = Who::holder(user, address, self.hasher());
        let held = self.sessions_of(kind);
        let page = self.live().open();
        for (_, rule) in self.each(held) {
            rule.take_unchecked(&who);
        }
        let place = page.enter(held, who.shown(), now);
        SessionUnits(Units::new(Arc::clone(self), held, who, place))
    }
}
