//! One limit as the claim meets it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::tally::Tally;
use crate::call::{Call, Class, Reason, Refusal};
use crate::classify::Wanted;
use crate::config::{Counts, Key, Limit, Mode, Route};
use crate::limit::{Denied, Hashed, KeyHasher, Keyed, Moment, Pace, Rate, Seats};

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
    status: u16,
    wanted: Option<Wanted>,
    only_long_polls: bool,
}

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
    /// Calls in flight, everybody together.
    Seats(Seats),
    /// Calls in flight of each address.
    KeyedSeats(Keyed<IpAddr>),
    /// Calls per window, everybody together.
    Rate(Rate),
    /// Calls per window of each address.
    KeyedRate(Keyed<IpAddr>, Pace),
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
            (Counts::RequestsInFlight, Key::All) => Count::Seats(Seats::new(limit.limit)),
            (Counts::RequestsInFlight, Key::Address) => {
                Count::KeyedSeats(Keyed::new(hasher.clone()))
            }
            (Counts::Requests, Key::All) => {
                Count::Rate(Rate::new(limit.limit, limit.window, limit.burst))
            }
            (Counts::Requests, Key::Address) => {
                let pace = Pace::new(limit.limit, limit.window, limit.burst);
                Count::KeyedRate(Keyed::new(hasher.clone()), pace)
            }
            (Counts::ResponseBytes, _) => Count::Bytes,
            _ => return None,
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
            status: limit.full_status,
            wanted: Wanted::new(&limit.matches, routes),
            only_long_polls: limit.matches.class == [Class::LongPoll],
        })
    }

    /// Whether the call, of a class it speaks of, is what else it speaks of too.
    pub(super) fn speaks_of(&self, call: &Call<'_>) -> bool {
        self.wanted
            .as_ref()
            .is_none_or(|wanted| wanted.may_be(call))
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
    pub(super) fn take(&self, who: &Hashed<IpAddr>) -> Result<(), u64> {
        let within = match &self.count {
            Count::Sockets { calls: seats, .. } | Count::Seats(seats) => {
                if self.enforced {
                    if !seats.try_take() {
                        return Err(seats.in_use());
                    }
                    true
                } else {
                    seats.take_unchecked()
                }
            }
            Count::KeyedSeats(keyed) => {
                if self.enforced {
                    keyed.try_seat(who, self.ceiling)?;
                    true
                } else {
                    keyed.seat_unchecked(who, self.ceiling)
                }
            }
            Count::Rate(_) | Count::KeyedRate(..) | Count::Bytes => true,
        };
        if !within {
            self.tally.shadow_refuse();
        }
        Ok(())
    }

    /// Gives back what [`Rule::take`] took.
    pub(super) fn give_back(&self, who: &Hashed<IpAddr>) {
        match &self.count {
            Count::Sockets { calls: seats, .. } | Count::Seats(seats) => {
                seats.give_back();
            }
            Count::KeyedSeats(keyed) => {
                keyed.give_back(who);
            }
            Count::Rate(_) | Count::KeyedRate(..) | Count::Bytes => {}
        }
    }

    /// Whether it has no room for `who` at `now`, and when it will; nothing is changed.
    pub(super) fn shut_until(&self, who: &Hashed<IpAddr>, now: Moment) -> Option<Duration> {
        let full = match &self.count {
            Count::Sockets { calls: seats, .. } | Count::Seats(seats) => {
                seats.in_use() >= seats.ceiling()
            }
            Count::KeyedSeats(keyed) => keyed.held(who) >= self.ceiling,
            Count::Rate(rate) => {
                return rate
                    .offer(now)
                    .err()
                    .map(|denied| denied.retry_at.since(now));
            }
            Count::KeyedRate(keyed, pace) => {
                return keyed
                    .offer(who, pace, now)
                    .err()
                    .map(|denied| denied.retry_at.since(now));
            }
            Count::Bytes => false,
        };
        full.then(|| self.tally.expected(self.ceiling))
    }

    /// The refusal of a rate.
    pub(super) fn denied(&self, denied: Denied, now: Moment) -> Refusal {
        self.refusal(denied.in_use, denied.retry_at.since(now))
    }

    /// The refusal of what is held.
    pub(super) fn full(&self, in_use: u64) -> Refusal {
        self.refusal(in_use, self.tally.come_back(self.ceiling))
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
