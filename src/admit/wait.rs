//! Hold first, refuse last: how a call that finds a limit full waits for it.
//!
//! ```text
//!   enter ─▶ all limits have room ───────────────────────────────────────────▶ Passed(claim)
//!      └──▶ one is full ─▶ no line, no patience, no hope, no place in line ───▶ Refused
//!                 └──▶ Waits: in its line, holding nothing else
//!                         ├─ its turn, with that unit ─▶ resume: the rest is claimed ─▶ as from enter;
//!                         │      the unit of a call that must wait elsewhere goes to the next in line
//!                         ├─ its time is up ─▶ give_up ─▶ Refused
//!                         └─ dropped: the client hung up; what it was handed goes to the next in line
//! ```

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::claim::{Claim, Full};
use super::live::Rules;
use super::rule::{Rule, RuleLine};
use super::stack::Stack;
use super::terms::Terms;
use super::turn::{Guest, Turn};
use super::who::Who;
use crate::call::{Call, Principal, Reason, Refusal};
use crate::limit::{Joined, Moment, Newcomer, Rank, Spot};

/// Units that a call may take straight from one line and give to another, before it lets others run.
const MOST_MOVES: u32 = 8;

/// What became of a call at the door.
#[derive(Debug)]
pub enum Entry {
    /// It holds a unit of every limit.
    Passed(Claim),
    /// It stands in line.
    Waits(Waiting),
    /// It may not pass.
    Refused(Refusal),
}

/// A place in the line of one limit. It is done when it is the call's turn; dropped before, the place is
/// given up at once.
#[derive(Debug)]
#[must_use = "a place that is not kept is given up at once"]
pub struct Waiting {
    stack: Arc<Stack>,
    at: usize,
    limit: Arc<str>,
    guest: Guest,
    spot: Option<Spot>,
    joined: Moment,
    until: Moment,
}

impl Stack {
    /// Claims every limit of `call` at `now`, or none of them; nobody waits.
    ///
    /// # Errors
    /// The first enforced limit, in the order of the stack, that had no room; it says when the call
    /// may come back, as late as the last of all limits that have none for it.
    pub fn claim(self: &Arc<Self>, call: &Call<'_>, now: Moment) -> Result<Claim, Refusal> {
        match self.enter(call, || Terms::NONE, now) {
            Entry::Passed(claim) => Ok(claim),
            Entry::Refused(refusal) => Err(refusal),
            // Nobody waits without patience.
            Entry::Waits(waiting) => Err(waiting.refuse(Reason::Full, now)),
        }
    }

    /// Claims every limit of `call` at `now`, or has it wait for the first that is full, on the terms that
    /// are asked for then.
    pub fn enter(
        self: &Arc<Self>,
        call: &Call<'_>,
        terms: impl FnOnce() -> Terms,
        now: Moment,
    ) -> Entry {
        self.proceed(call, terms, None, now, now)
    }

    /// As [`Stack::enter`], for a call that has waited since `since`: the upstream has sent it back.
    pub fn enter_again(
        self: &Arc<Self>,
        call: &Call<'_>,
        terms: impl FnOnce() -> Terms,
        since: Moment,
        now: Moment,
    ) -> Entry {
        self.proceed(call, terms, None, since, now)
    }

    /// Goes on with a call whose turn it is: claims the rest.
    pub fn resume(
        self: &Arc<Self>,
        call: &Call<'_>,
        terms: impl FnOnce() -> Terms,
        turn: Turn,
        now: Moment,
    ) -> Entry {
        let since = turn.since();
        self.proceed(call, terms, Some(turn), since, now)
    }

    fn proceed(
        self: &Arc<Self>,
        call: &Call<'_>,
        terms: impl FnOnce() -> Terms,
        turn: Option<Turn>,
        since: Moment,
        now: Moment,
    ) -> Entry {
        let who = Who::of(call, self.hasher());
        let mut turn = turn;
        let mut terms = Some(terms);
        let mut agreed = Terms::NONE;
        let mut moves = 0;
        let mut put_down = turn.as_ref().map_or(0, |turn| turn.guest().put_down);
        loop {
            let full = match self.attempt(call, &who, &mut turn, now) {
                Ok(claim) => return Entry::Passed(claim),
                Err(full) => full,
            };
            if let Some(terms) = terms.take() {
                agreed = terms();
            }
            // It holds nothing while it waits.
            put_down |= turn.take().map_or(0, Turn::put_down);
            let guest = Guest {
                who,
                since,
                rules: self.rules_for(call),
                put_down,
            };
            moves += 1;
            let reason = match self.stand(&full, guest, &agreed, moves < MOST_MOVES, now) {
                Ok(Joined::Passed(handed)) => {
                    turn = Some(handed);
                    continue;
                }
                Ok(Joined::Waits(waiting)) => {
                    self.pass_on_moving(put_down, full.at, &guest, now);
                    return Entry::Waits(waiting);
                }
                Ok(Joined::Crowded) => Reason::LineFull,
                Err(reason) => reason,
            };
            self.pass_on(put_down, &who);
            return Entry::Refused(self.refuse(guest.rules, full, reason, &who, now));
        }
    }

    /// Stands in the line of the rule that is full; with a turn at once where nobody is before it and
    /// there is room after all.
    fn stand(
        self: &Arc<Self>,
        full: &Full,
        guest: Guest,
        terms: &Terms,
        may_pass: bool,
        now: Moment,
    ) -> Result<Joined<Turn, Waiting>, Reason> {
        let at = full.at;
        let line_of = self.line_of(at).filter(|_| !full.is_final);
        let (rule, line) = line_of.ok_or(Reason::Full)?;
        let endless = terms.are_endless();
        let mut until = guest.since.after(terms.patience);
        if !endless {
            until = until.min(now.after(rule.at_most));
        }
        if until <= now {
            return Err(Reason::Full);
        }
        let newcomer = rule.newcomer(guest, terms, now);
        let ahead = line.ahead(&newcomer.lane, newcomer.rank, &newcomer.user);
        let earliest = rule.earliest(&guest.who, ahead.least, now);
        if !endless && earliest.is_none_or(|earliest| earliest > until) {
            return Err(Reason::Hopeless);
        }
        let room = |guest: &Guest| self.room(at, rule, guest, now).filter(|_| may_pass);
        let joined = if endless {
            line.join_beside(newcomer, room)
        } else {
            line.join(newcomer, room)
        };
        let spot = match joined {
            Joined::Passed(grant) => {
                let turn = Turn::new(self.clone(), at, guest, grant);
                return Ok(Joined::Passed(turn));
            }
            Joined::Waits(spot) => spot,
            Joined::Crowded => return Ok(Joined::Crowded),
        };
        if rule.is_held() {
            if !may_pass {
                self.call_next(1 << at, &guest.who);
            }
        } else {
            self.bell().notify_one();
        }
        Ok(Joined::Waits(Waiting {
            stack: self.clone(),
            at,
            limit: rule.name.clone(),
            guest,
            spot: Some(spot),
            joined: now,
            until,
        }))
    }

    fn line_of(&self, at: usize) -> Option<(&Rule, &RuleLine)> {
        let rule = self.rule(at)?;
        Some((rule, rule.line.as_ref()?))
    }

    /// Counts a refusal, and lets it name the longest of the waits.
    pub(super) fn refuse(
        &self,
        rules: Rules,
        full: Full,
        reason: Reason,
        who: &Who,
        now: Moment,
    ) -> Refusal {
        let Full {
            at, mut refusal, ..
        } = full;
        refusal.reason = reason;
        if let Some(rule) = self.rule(at) {
            refusal.retry_after = rule.come_back(who, now).unwrap_or(refusal.retry_after);
            rule.tally.refuse(reason);
        }
        let others = self
            .each(rules)
            .filter(|(other, rule)| *other != at && rule.enforced);
        let longest = others
            .filter_map(|(_, rule)| rule.shut_until(who, now))
            .max();
        refusal.retry_after = refusal.retry_after.max(longest.unwrap_or_default());
        refusal
    }
}

impl Rule {
    fn newcomer(
        &self,
        guest: Guest,
        terms: &Terms,
        now: Moment,
    ) -> Newcomer<Principal, Principal, Guest> {
        let (lane, user) = (self.lane(&guest.who), guest.who.shown());
        // Of a user whose calls keep coming all the same, none has come back: they take their turns.
        let floods = |line: &RuleLine| line.has_behind(&lane, Rank::Promised, &user);
        let promised = terms.rank > Rank::Promised
            && !terms.are_endless()
            && !self.line.as_ref().is_some_and(floods)
            && (self.promises.as_ref()).is_some_and(|promises| promises.keep(lane, user, now));
        Newcomer {
            lane,
            user,
            rank: if promised { Rank::Promised } else { terms.rank },
            weight: terms.weight,
            since: guest.since,
            who: guest,
        }
    }
}

impl Waiting {
    /// The limit whose line it stands in.
    #[must_use]
    pub fn limit(&self) -> &Arc<str> {
        &self.limit
    }

    /// When its time is up.
    #[must_use]
    pub fn until(&self) -> Moment {
        self.until
    }

    /// Since when it has stood in this line.
    #[must_use]
    pub fn joined(&self) -> Moment {
        self.joined
    }

    /// Its time is up at `now`.
    ///
    /// # Errors
    /// The refusal, unless it was called in this very moment: then it is its turn all the same.
    pub fn give_up(mut self, now: Moment) -> Result<Turn, Refusal> {
        match self.leave() {
            Some(turn) => Ok(turn),
            None => Err(self.refuse(Reason::Timeout, now)),
        }
    }

    fn refuse(mut self, reason: Reason, now: Moment) -> Refusal {
        drop(self.leave());
        let who = &self.guest.who;
        let refusal = self.stack.rule(self.at).map_or_else(
            || Refusal {
                limit: self.limit.clone(),
                status: 503,
                reason,
                in_use: 0,
                ceiling: 0,
                window: Duration::ZERO,
                retry_after: Duration::ZERO,
            },
            |rule| rule.waited_for(who, now),
        );
        let full = Full {
            at: self.at,
            refusal,
            is_final: false,
        };
        self.stack.refuse(self.guest.rules, full, reason, who, now)
    }

    /// Gives up the place, and says what it was handed.
    fn leave(&mut self) -> Option<Turn> {
        let spot = self.spot.take()?;
        let (_, line) = self.stack.line_of(self.at)?;
        let Some(grant) = line.leave(spot) else {
            self.stack.pass_on(self.guest.put_down, &self.guest.who);
            return None;
        };
        Some(Turn::new(self.stack.clone(), self.at, self.guest, grant))
    }
}

impl Future for Waiting {
    type Output = Turn;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Turn> {
        let waiting = self.get_mut();
        let (Some(spot), Some((_, line))) = (&waiting.spot, waiting.stack.line_of(waiting.at))
        else {
            return Poll::Pending;
        };
        line.poll(spot, context).map(|grant| {
            waiting.spot = None;
            Turn::new(waiting.stack.clone(), waiting.at, waiting.guest, grant)
        })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        drop(self.leave());
    }
}
