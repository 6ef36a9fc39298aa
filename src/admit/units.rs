//! The units that a live login session holds, whether or not a call uses it.

use std::net::IpAddr;
use std::sync::Arc;

use super::live::{Place, Rules};
use super::stack::Stack;
use super::who::Who;
use crate::call::{SessionKind, UserId};
use crate::limit::Moment;

/// One unit of every limit on sessions that speaks of one session. Held from the accepted login, or
/// from when the session was first seen, until it ends; dropping it gives each back, once.
#[derive(Debug)]
#[must_use = "units that are not kept are given back at once"]
pub struct SessionUnits {
    stack: Arc<Stack>,
    held: Rules,
    who: Who,
    place: Place,
}

impl SessionUnits {
    pub(super) fn new(stack: Arc<Stack>, held: Rules, who: Who, place: Place) -> Self {
        Self {
            stack,
            held,
            who,
            place,
        }
    }

    /// The user became known, or is another than the login said: it is counted for this one from now on.
    pub fn name(&mut self, user: UserId) {
        let Self {
            stack,
            held,
            who,
            place,
        } = self;
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
        *who = named;
    }
}

impl Drop for SessionUnits {
    fn drop(&mut self) {
        let Self {
            stack, held, who, ..
        } = self;
        stack
            .live()
            .leave(self.place, || stack.give_back(*held, who));
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
        SessionUnits::new(Arc::clone(self), held, who, place)
    }
}
