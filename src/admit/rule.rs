//! One limit as the claim meets it.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::tally::Tally;
use super::turn::{Grant, Guest};
use super::who::Who;
use super::yields::Yields;
use crate::call::{Call, Class, Principal, Reason, Refusal, SessionKind};
use crate::classify::Wanted;
use crate::config::{Counts, Key, Limit, Mode, Route};
use crate::limit::{
    Bounds, Denied, Gradient, Hashed, KeyHasher, Keyed, Line, Moment, Pace, Promises, Rate, Seats,
};

/// One limit of the stack.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: Arc<str>,
    pub(super) counts: Counts,
    pub(super) key: Key,
    pub(super) ceiling: u64,
    pub(super) window: Duration,
    pub(super) enforced: bool,
    pub(super) count: Count,
    pub(super) tally: Tally,
    /// Longest wait in its line.
    pub(super) at_most: Duration,
    status: u16,
    wanted: Option<Wanted>,
    only_long_polls: bool,
    pub(super) classes: Box<[Class]>,
    /// It names REST's classes and not SOAP's.
    rest_alone: bool,
    /// Units kept free for named administrators.
    reserved: u64,
    /// Where calls wait that find it full; none where they are refused at once.
    pub(super) line: Option<RuleLine>,
    /// When the refused of a rate are to come back.
    pub(super) promises: Option<Promises<Principal, Principal>>,
    /// What lowers its ceiling as the upstream gets slower.
    pub(super) gradient: Option<Gradient>,
    /// How much of it is in force.
    pub(super) yields: Yields,
}

/// The line before a rule: lanes and users are principals, a call in it is a [`Guest`], and is
/// handed a [`Grant`] when it is its turn.
pub(super) type RuleLine = Line<Principal, Principal, Guest, Grant>;

/// The lane of a limit that counts everybody together.
const EVERYBODY: Principal = Principal::Address(IpAddr::V4(Ipv4Addr::UNSPECIFIED));

/// How it counts.
#[derive(Debug)]
pub(super) enum Count {
    /// Places at the upstream. A call holds one of `calls`; the sockets that carry calls are counted
    /// in `open`, idle ones too, by whoever opens them.
    Sockets {
        calls: Seats,
        open: Arc<Seats>,
        bit: u32,
    },
    /// Calls in flight, or sessions, everybody together.
    Seats(Seats),
    /// Calls in flight, or sessions, of each principal.
    KeyedSeats(Keyed<Principal>),
    /// Calls per window, everybody together.
    Rate(Rate),
    /// Calls per window of each principal.
    KeyedRate(Keyed<Principal>, Pace),
    /// Bytes of one response: nothing is held.
    Bytes,
}

impl Rule {
    /// The rule for `limit`, which may name some of `routes`; `None` where this version does not enforce it.
    pub(super) fn new(
        limit: &Limit,
        routes: &[Route],
        hasher: &KeyHasher,
        next_bit: &mut u32,
    ) -> Option<Self> {
        if limit.not_enforced.is_some() {
            return None;
        }
        let count = match (limit.counts, limit.key) {
            (Counts::UpstreamConnections, _) => {
                let bit = *next_bit;
                *next_bit += 1;
                Count::Sockets {
                    calls: Seats::new(limit.limit),
                    open: Arc::new(Seats::new(limit.limit)),
                    bit,
                }
            }
            (Counts::RequestsInFlight | Counts::Sessions | Counts::SessionCreations, Key::All) => {
                Count::Seats(Seats::new(limit.limit))
            }
            (Counts::RequestsInFlight | Counts::Sessions | Counts::SessionCreations, _) => {
                Count::KeyedSeats(Keyed::new(hasher.clone()))
            }
            (Counts::Requests, Key::All) => {
                Count::Rate(Rate::new(limit.limit, limit.window, limit.burst))
            }
            (Counts::Requests, _) => {
                let pace = Pace::new(limit.limit, limit.window, limit.burst);
                Count::KeyedRate(Keyed::new(hasher.clone()), pace)
            }
            (Counts::ResponseBytes, _) => Count::Bytes,
        };
        Some(Self {
            name: limit.name.clone(),
            counts: limit.counts,
            key: limit.key,
            ceiling: limit.limit,
            window: limit.window,
            enforced: limit.mode == Mode::Enforce,
            count,
            tally: Tally::default(),
            at_most: limit.wait.at_most,
            status: limit.full_status,
            wanted: Wanted::new(&limit.matches, routes),
            only_long_polls: limit.matches.class == [Class::LongPoll],
            rest_alone: is_rest_alone(&limit.matches.class),
            classes: limit.matches.class.clone().into(),
            reserved: 0,
            line: line(limit),
            promises: (limit.counts == Counts::Requests)
                .then(|| Promises::new(limit.limit, limit.window)),
            gradient: None,
            yields: Yields::new(limit.limit),
        })
    }

    /// Whether the call, of a class it speaks of, is what else it speaks of too.
    pub(super) fn speaks_of(&self, call: &Call<'_>) -> bool {
        if self.counts == Counts::Sessions {
            return call
                .opens
                .is_some_and(|opens| self.counts_sessions_of(opens.kind));
        }
        // A limit on REST's classes is one on the REST endpoint: a login or long poll of SOAP passes it by.
        if self.rest_alone && call.side == SessionKind::Soap {
            return false;
        }
        self.wanted
            .as_ref()
            .is_none_or(|wanted| wanted.may_be(call))
    }

    /// Whether it counts login sessions, and those of this kind: a limit on calls of class soap counts
    /// SOAP's, one on rest or rpc REST's, one on neither all.
    pub(super) fn counts_sessions_of(&self, kind: SessionKind) -> bool {
        let says = |class| self.classes.contains(&class);
        let (rest, soap) = (says(Class::Rest) || says(Class::Rpc), says(Class::Soap));
        let of_kind = match kind {
            SessionKind::Rest => rest,
            SessionKind::Soap => soap,
        };
        self.counts == Counts::Sessions && (of_kind || rest == soap)
    }

    /// Keeps this share, in millionths, free for named administrators: of what calls and sessions hold,
    /// everybody together, at least one unit and never all.
    pub(super) fn reserve(&mut self, share_ppm: u32) {
        if matches!(self.count, Count::Seats(_)) && share_ppm > 0 {
            let share = u128::from(self.ceiling) * u128::from(share_ppm);
            let share = u64::try_from(share.div_ceil(1_000_000)).unwrap_or(u64::MAX);
            self.reserved = share.max(1).min(self.ceiling.saturating_sub(1));
        }
    }

    /// Whether it speaks of every call.
    pub(super) fn is_of_everybody(&self) -> bool {
        self.classes.is_empty() && self.wanted.is_none()
    }

    /// What of it is not in force: the upstream refused by itself, got slower, or serves others beside the gate.
    pub(super) fn withheld(&self) -> u64 {
        let gradient = self.gradient.as_ref();
        let slower = gradient.map_or(0, |gradient| self.ceiling.saturating_sub(gradient.limit()));
        self.yields.withheld().max(slower)
    }

    /// What `who` has to leave free: the reserved share, and what is not in force; never all.
    fn reserved_from(&self, who: &Who) -> u64 {
        let reserved = if who.privileged { 0 } else { self.reserved };
        reserved
            .saturating_add(self.withheld())
            .min(self.ceiling.saturating_sub(1))
    }

    /// The key by which it knows `who`.
    pub(super) fn key<'w>(&self, who: &'w Who) -> &'w Hashed<Principal> {
        who.key(self.counts, self.key)
    }

    /// What `who` waits for: room for everybody, or for its own key.
    pub(super) fn lane(&self, who: &Who) -> Principal {
        match self.key {
            Key::All => EVERYBODY,
            _ => *self.key(who).key(),
        }
    }

    /// Whether somebody waits for what `who` would take.
    pub(super) fn is_waited_for(&self, who: &Who) -> bool {
        self.waiting(who) > 0
    }

    /// How many wait for what `who` would take.
    fn waiting(&self, who: &Who) -> u64 {
        let line = self.line.as_ref().filter(|line| !line.is_empty());
        line.map_or(0, |line| line.waiting_in(&self.lane(who)))
    }

    /// What it says to who comes by while others wait.
    pub(super) fn waited_for(&self, who: &Who, now: Moment) -> Refusal {
        self.full(self.in_use(who, now))
    }

    /// In how long `who`, who is refused now, is to come back; `None` where nobody knows. Of a rate it is a
    /// moment of its own; of what is held, an estimate that differs from the next one's.
    pub(super) fn come_back(&self, who: &Who, now: Moment) -> Option<Duration> {
        let waiting = self.waiting(who);
        let Some(promises) = &self.promises else {
            return Some(self.tally.come_back(self.ceiling, waiting, now));
        };
        let earliest = self.earliest(who, waiting, now)?;
        Some(promises.make(self.lane(who), who.shown(), earliest, now))
    }

    /// When a call with `ahead` others before it can have its turn, at the earliest.
    pub(super) fn earliest(&self, who: &Who, ahead: u64, now: Moment) -> Option<Moment> {
        match &self.count {
            Count::Rate(rate) => rate.turn_of(ahead, now),
            Count::KeyedRate(keyed, pace) => keyed.turn_of(self.key(who), pace, ahead, now),
            _ if self.ceiling == 0 => None,
            // They are all held, and each that goes lets one in: so many ends of so many holders.
            _ => Some(now.after(self.tally.rounds(ahead / self.ceiling))),
        }
    }

    /// Whether a call of `class` tells how long its units are usually held. A long poll lasts as long as
    /// nothing happens: only limits on nothing else learn from it.
    pub(super) fn learns_from(&self, class: Class) -> bool {
        class != Class::LongPoll || self.only_long_polls
    }

    /// Whether what it counts is held and given back.
    pub(super) fn is_held(&self) -> bool {
        matches!(
            self.count,
            Count::Sockets { .. } | Count::Seats(_) | Count::KeyedSeats(_)
        )
    }

    /// Takes a unit that will be given back; a shadow limit takes it in any case.
    ///
    /// # Errors
    /// The units in use, when an enforced limit is full: then nothing was taken.
    pub(super) fn take(&self, who: &Who) -> Result<(), u64> {
        let within = match &self.count {
            Count::Sockets { calls: seats, .. } | Count::Seats(seats) => {
                if self.enforced {
                    if !seats.try_take_leaving(self.reserved_from(who)) {
                        return Err(seats.in_use());
                    }
                    true
                } else {
                    seats.take_unchecked()
                }
            }
            Count::KeyedSeats(keyed) => {
                if self.enforced {
                    keyed.try_seat(self.key(who), self.ceiling)?;
                    true
                } else {
                    keyed.seat_unchecked(self.key(who), self.ceiling)
                }
            }
            Count::Rate(_) | Count::KeyedRate(..) | Count::Bytes => true,
        };
        if !within {
            self.tally.shadow_refuse();
        }
        Ok(())
    }

    /// Takes a unit that is there already: a session that was opened round the gate, or before it
    /// started, counts even above the ceiling.
    pub(super) fn take_unchecked(&self, who: &Who) {
        match &self.count {
            Count::Sockets { calls: seats, .. } | Count::Seats(seats) => {
                seats.take_unchecked();
            }
            Count::KeyedSeats(keyed) => {
                keyed.seat_unchecked(self.key(who), self.ceiling);
            }
            Count::Rate(_) | Count::KeyedRate(..) | Count::Bytes => {}
        }
    }

    /// Gives back what [`Rule::take`] took.
    pub(super) fn give_back(&self, who: &Who) {
        match &self.count {
            Count::Sockets { calls: seats, .. } | Count::Seats(seats) => {
                seats.give_back();
            }
            Count::KeyedSeats(keyed) => {
                keyed.give_back(self.key(who));
            }
            Count::Rate(_) | Count::KeyedRate(..) | Count::Bytes => {}
        }
    }

    /// Whether it has no room for `who` at `now`, and when it will; nothing is changed.
    pub(super) fn shut_until(&self, who: &Who, now: Moment) -> Option<Duration> {
        match &self.count {
            Count::Rate(rate) => (rate.offer(now).err()).map(|denied| denied.retry_at.since(now)),
            Count::KeyedRate(keyed, pace) => (keyed.offer(self.key(who), pace, now).err())
                .map(|denied| denied.retry_at.since(now)),
            _ => (!self.has_room(who, now))
                .then(|| self.tally.expected(self.ceiling, self.waiting(who), now)),
        }
    }

    /// Whether it has room for `who` at `now`, whoever waits for it; nothing is changed.
    pub(super) fn has_room(&self, who: &Who, now: Moment) -> bool {
        match &self.count {
            Count::Sockets { calls: seats, .. } | Count::Seats(seats) => {
                seats.in_use() + self.reserved_from(who) < seats.ceiling()
            }
            Count::KeyedSeats(keyed) => keyed.held(self.key(who)) < self.ceiling,
            Count::Rate(rate) => rate.offer(now).is_ok(),
            Count::KeyedRate(keyed, pace) => keyed.offer(self.key(who), pace, now).is_ok(),
            Count::Bytes => true,
        }
    }

    /// Units in use, of a keyed limit by `who`.
    pub(super) fn in_use(&self, who: &Who, now: Moment) -> u64 {
        match &self.count {
            Count::Sockets { calls: seats, .. } | Count::Seats(seats) => seats.in_use(),
            Count::KeyedSeats(keyed) => keyed.held(self.key(who)),
            Count::Rate(rate) => rate.in_use(now),
            Count::KeyedRate(keyed, pace) => keyed.tokens(self.key(who), pace, now),
            Count::Bytes => 0,
        }
    }

    /// The refusal of a rate.
    pub(super) fn denied(&self, denied: Denied, now: Moment) -> Refusal {
        self.refusal(denied.in_use, denied.retry_at.since(now))
    }

    /// The refusal of what is held; who refuses says when to come back.
    pub(super) fn full(&self, in_use: u64) -> Refusal {
        self.refusal(in_use, Duration::ZERO)
    }

    fn refusal(&self, in_use: u64, retry_after: Duration) -> Refusal {
        Refusal {
            limit: self.name.clone(),
            status: self.status,
            reason: Reason::Full,
            in_use,
            ceiling: self.ceiling,
            window: self.window,
            retry_after,
        }
    }
}

fn line(limit: &Limit) -> Option<RuleLine> {
    let waits = limit.wait.line > 0 && limit.mode == Mode::Enforce && limit.limit > 0;
    waits.then(|| {
        Line::new(Bounds {
            line: limit.wait.line,
            per_user: limit.wait.per_user,
        })
    })
}

fn is_rest_alone(classes: &[Class]) -> bool {
    let names = |class| classes.contains(&class);
    (names(Class::Rest) || names(Class::Rpc)) && !names(Class::Soap)
}
