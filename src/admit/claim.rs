//! A claim: every unit that one call holds, as one value that gives them back.

use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;

use super::live::{Place, Rules};
use super::rule::{Count, Rule};
use super::stack::{ResponseCap, SocketGroup, Stack};
use super::turn::Turn;
use super::units::{SessionUnits, Units};
use super::who::Who;
use crate::call::{Call, Class, Principal, Reason, Refusal};
use crate::config::{Counts, Key};
use crate::limit::{KeyedOffer, Moment, Offer};

/// Most rates that one call can fall under; the configuration allows no more limits than this.
const MOST_RATES: usize = 64;
/// Stamps of gate-wide rates that a call keeps, to move them to the moment when it leaves. One upstream
/// has one or two; a call under more leaves the rest where they were.
const MOST_STAMPS: usize = 8;

/// Logins in flight from one address under names that are not proven: as many as a vCenter takes at once from
/// everybody ("Max number of simultaneous vAPI endpoint session creations", vCenter 7).
const LOGINS_OF_AN_ADDRESS: u64 = 160;

/// Rules that are gate-wide rates, with the stamp each counted the call at.
type Stamps = ArrayVec<(usize, Moment), MOST_STAMPS>;

/// Every unit that one call holds. Dropping it gives each back, once.
#[derive(Debug)]
#[must_use = "a claim that is not kept is given back at once"]
pub struct Claim {
    pub(super) units: Units,
    /// Every limit that speaks of the call.
    pub(super) rules: Rules,
    /// It holds a place among the logins in flight of its address.
    reservation: bool,
    pub(super) class: Class,
    began: Moment,
    /// When it went up.
    pub(super) left: Moment,
    /// How long after that the answer began.
    pub(super) answered_after: Option<Duration>,
    group: SocketGroup,
    cap: Option<usize>,
    stamps: Stamps,
}

/// A rule that had no room, and what it says.
#[derive(Debug)]
pub(super) struct Full {
    pub(super) at: usize,
    pub(super) refusal: Refusal,
    /// What is full is not what its line is for: nobody waits for it.
    pub(super) is_final: bool,
}

/// What a call took of the limits.
struct Taken {
    held: Rules,
    /// A place among the logins in flight of its address.
    reservation: bool,
    stamps: Stamps,
}

/// A rate's promise of room, kept until all others promised too.
enum Promise<'a> {
    Everybody(usize, Offer<'a>),
    Keyed(KeyedOffer<'a, Principal>),
}

impl Stack {
    /// Claims every limit of `call` at `now`, or none of them. Who has a `turn` has that unit already, and
    /// keeps the turn where another limit is full.
    pub(super) fn attempt(
        self: &Arc<Self>,
        call: &Call<'_>,
        who: &Who,
        turn: &mut Option<Turn>,
        now: Moment,
    ) -> Result<Claim, Full> {
        let rules = self.rules_for(call);
        let (taken, place) = self.take(call, rules, who, turn.as_ref(), now)?;
        if let Some(turn) = turn.take() {
            turn.used();
        }
        let mut group = 0;
        for (_, rule) in self.each(rules) {
            rule.tally.admit(now);
            if let Count::Sockets { bit, .. } = rule.count {
                group |= 1 << bit;
            }
        }
        Ok(Claim {
            cap: self.smallest_cap(rules),
            units: Units::new(Arc::clone(self), taken.held, *who, place),
            reservation: taken.reservation,
            rules,
            class: call.class,
            began: now,
            left: now,
            answered_after: None,
            group: SocketGroup::of(group),
            stamps: taken.stamps,
        })
    }

    /// Takes a unit of each rule and enters the claim, or leaves everything as it was.
    fn take(
        &self,
        call: &Call<'_>,
        all: Rules,
        who: &Who,
        turn: Option<&Turn>,
        now: Moment,
    ) -> Result<(Taken, Place), Full> {
        let had = turn.map_or(0, Turn::rule);
        let rules = all & !had;
        let enforced = rules & self.enforced();
        // Whoever waits goes first, but for those whose turn it is: what is free then rests only because its
        // line waits for the same as they did. Looked at before anything is locked: who is in line holds its
        // lock while it looks for room.
        if turn.is_none() {
            self.pass_lines(enforced, who, now)?;
        }
        let mut tried = 0;
        let taken = {
            let page = self.live().open_at(turn.and_then(Turn::place));
            let reserve = || self.reserve(call, all, who);
            self.take_all(rules, who, now, reserve, &mut tried)
                .map(|mut taken| {
                    taken.held |= had & self.held();
                    let place = page.enter(taken.held, who.shown(), now);
                    (taken, place)
                })
        };
        let (mut taken, place) = taken.inspect_err(|_| self.call_next(tried, who))?;
        if let Some((at, stamp)) = turn.and_then(Turn::stamp)
            && !taken.stamps.is_full()
        {
            taken.stamps.push((at, stamp));
        }
        Ok((taken, place))
    }

    /// Takes a unit of each rule; on refusal, gives back what it took of `tried`.
    ///
    /// Reserves after what is held: a login that finds the limits on logins full waits for them, rather
    /// than being refused for how many others from its address are on their way.
    fn take_all(
        &self,
        rules: Rules,
        who: &Who,
        now: Moment,
        reserve: impl FnOnce() -> Result<bool, Full>,
        tried: &mut Rules,
    ) -> Result<Taken, Full> {
        let enforced = rules & self.enforced();
        let held = self.take_held(enforced, who, tried)?;
        let reservation = reserve().inspect_err(|_| self.give_back(held, who))?;
        let stamps = self.take_every_rate(rules, who, now).inspect_err(|_| {
            self.give_back(held, who);
            self.unreserve(reservation, who);
        })?;
        // Shadow limits come last: they have no say, and see no call that is refused.
        let watched = self.take_held(rules & !enforced, who, &mut 0);
        Ok(Taken {
            held: held | watched.unwrap_or_default(),
            reservation,
            stamps,
        })
    }

    /// The first rule in whose line somebody waits before `who`.
    fn pass_lines(&self, enforced: Rules, who: &Who, now: Moment) -> Result<(), Full> {
        for (at, rule) in self.each(enforced & self.lined()) {
            if rule.is_waited_for(who) {
                return Err(Full {
                    at,
                    refusal: rule.waited_for(who, now),
                    is_final: false,
                });
            }
        }
        Ok(())
    }

    /// Takes a unit of everything that is given back; on refusal, gives back what it took.
    fn take_held(&self, rules: Rules, who: &Who, tried: &mut Rules) -> Result<Rules, Full> {
        let mut held = 0;
        for (at, rule) in self.each(rules) {
            if !rule.is_held() {
                continue;
            }
            if let Err(in_use) = rule.take(who) {
                self.give_back(held, who);
                return Err(Full {
                    at,
                    refusal: rule.full(in_use),
                    is_final: false,
                });
            }
            held |= 1 << at;
            *tried = held;
        }
        Ok(held)
    }

    /// Counts the call in every rate that is enforced, or in none, and then in those that only watch.
    fn take_every_rate(&self, rules: Rules, who: &Who, now: Moment) -> Result<Stamps, Full> {
        let enforced = rules & self.enforced();
        let mut stamps = self.take_rates(enforced, who, now)?;
        let watched = self.take_rates(rules & !enforced, who, now);
        let left = stamps.remaining_capacity();
        stamps.extend(watched.unwrap_or_default().into_iter().take(left));
        Ok(stamps)
    }

    /// Counts the call in every rate, or in none. Locks are taken in the order of the rules, so two
    /// claims never wait for each other.
    fn take_rates(&self, rules: Rules, who: &Who, now: Moment) -> Result<Stamps, Full> {
        let rates = rules & self.rates();
        if rates == 0 {
            return Ok(Stamps::new());
        }
        let mut promises: ArrayVec<Promise<'_>, MOST_RATES> = ArrayVec::new();
        for (at, rule) in self.each(rates) {
            let offer = match &rule.count {
                Count::Rate(rate) => rate.offer(now).map(|offer| Promise::Everybody(at, offer)),
                Count::KeyedRate(keyed, pace) => {
                    keyed.offer(rule.key(who), pace, now).map(Promise::Keyed)
                }
                _ => continue,
            };
            match offer {
                Ok(promise) => promises.push(promise),
                Err(denied) if rule.enforced => {
                    return Err(Full {
                        at,
                        refusal: rule.denied(denied, now),
                        is_final: false,
                    });
                }
                Err(_) => rule.tally.shadow_refuse(),
            }
        }
        let mut stamps = Stamps::new();
        for promise in promises.drain(..) {
            match promise {
                Promise::Everybody(at, offer) => {
                    if !stamps.is_full() {
                        stamps.push((at, offer.stamp()));
                    }
                    offer.take();
                }
                Promise::Keyed(offer) => offer.take(),
            }
        }
        Ok(stamps)
    }

    pub(super) fn give_back(&self, held: Rules, who: &Who) {
        for (_, rule) in self.each(held) {
            rule.give_back(who);
        }
    }

    /// A login whose name nobody has proven yet takes a place of the user it names. One address may
    /// take so many of these at a time and no more, so that nobody locks a user out by a flood of bad
    /// passwords.
    fn reserve(&self, call: &Call<'_>, rules: Rules, who: &Who) -> Result<bool, Full> {
        let unproven = call
            .opens
            .is_some_and(|opens| opens.user.is_some() && !opens.proven);
        let of_user = |(_, rule): &(usize, &Rule)| {
            rule.counts == Counts::Sessions && rule.key == Key::User && rule.enforced
        };
        let Some((at, rule)) = self.each(rules).find(of_user).filter(|_| unproven) else {
            return Ok(false);
        };
        let taken = self
            .logins()
            .try_seat(&who.place(self.hasher()), LOGINS_OF_AN_ADDRESS);
        taken.map(|()| true).map_err(|in_use| Full {
            at,
            refusal: Refusal {
                ceiling: LOGINS_OF_AN_ADDRESS,
                ..rule.full(in_use)
            },
            is_final: true,
        })
    }

    fn unreserve(&self, reservation: bool, who: &Who) {
        if reservation {
            self.logins().give_back(&who.place(self.hasher()));
        }
    }
}

impl Claim {
    /// The limits that each socket which carries the call is charged to.
    #[must_use]
    pub fn socket_group(&self) -> SocketGroup {
        self.group
    }

    /// The smallest cap on its response.
    #[must_use]
    pub fn response_cap(&self) -> Option<ResponseCap> {
        let rule = self.units.stack.rule(self.cap?)?;
        Some(ResponseCap {
            name: rule.name.clone(),
            bytes: rule.ceiling,
            shadow: !rule.enforced,
        })
    }

    /// The call leaves at `now`: gate-wide rates count it from here on, not from when it was claimed,
    /// so that time spent on a new connection does not crowd a later window.
    ///
    /// # Errors
    /// The rate that has no room for it any more: it leaves a whole window late, and others took its
    /// place.
    pub fn dispatch(&mut self, now: Moment) -> Result<(), Refusal> {
        self.left = now;
        for (at, stamp) in &mut self.stamps {
            let Some(rule) = self.units.stack.rule(*at) else {
                continue;
            };
            let Count::Rate(rate) = &rule.count else {
                continue;
            };
            match rate.restamp(*stamp, now) {
                Ok(moved) => *stamp = moved,
                Err(denied) if rule.enforced => {
                    rule.tally.refuse(Reason::Full);
                    return Err(rule.denied(denied, now));
                }
                Err(_) => rule.tally.shadow_refuse(),
            }
        }
        Ok(())
    }

    /// Counts the call once more in its rates: it is about to be sent up again.
    ///
    /// # Errors
    /// The rate that had no room for it.
    pub fn again(&mut self, call: &Call<'_>, now: Moment) -> Result<(), Refusal> {
        let Units { stack, who, .. } = &self.units;
        let rules = stack.rules_for(call);
        self.stamps = stack
            .take_every_rate(rules, who, now)
            .map_err(|full| stack.refuse(rules, full, Reason::Full, who, now))?;
        Ok(())
    }

    /// The upstream accepted the login: what a session holds goes on to it, at `now`.
    pub fn keep_session(&mut self, now: Moment) -> SessionUnits {
        let sessions = self.units.stack.session_rules();
        SessionUnits(self.units.split(sessions, now))
    }

    /// Gives everything back at `now`, and lets the limits learn how long it was held.
    pub fn release(self, now: Moment) {
        let held_for = now.since(self.began);
        for (_, rule) in self.units.stack.each(self.units.held) {
            if rule.learns_from(self.class) {
                rule.tally.learn(held_for, now);
            }
        }
        self.teach(now);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Units { stack, who, .. } = &self.units;
        stack.unreserve(self.reservation, who);
    }
}

impl Stack {
    /// All rules out of `set`, in order.
    pub(super) fn each(&self, set: Rules) -> impl Iterator<Item = (usize, &Rule)> {
        let mut left = set;
        std::iter::from_fn(move || {
            if left == 0 {
                return None;
            }
            let at = left.trailing_zeros() as usize;
            left &= left - 1;
            self.rule(at).map(|rule| (at, rule))
        })
    }
}
