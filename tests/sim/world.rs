//! A gate in virtual time: calls come, wait, are called, pass, end or give up, event by event.
//!
//! The stack is a real one, built from a configuration; all else is here. What the world writes down of each
//! call is its own account and owes nothing to the counters under test.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tidegate::admit::{Claim, Entry, Stack, Terms, Waiting};
use tidegate::call::{Call, Class, Opening, Refusal, Routes, SessionKind, UserId};
use tidegate::config::Upstream;
use tidegate::limit::{Moment, Rank};

use super::SECOND;

/// Terms of somebody who waits this many nanoseconds.
pub fn patient(nanos: u64) -> Terms {
    Terms {
        rank: Rank::Usual,
        weight: std::num::NonZeroU32::MIN,
        patience: Duration::from_nanos(nanos),
    }
}

/// The one upstream of a configuration.
pub fn upstream(text: &str) -> Upstream {
    let text = format!("[[upstream]]\naddress = \"https://api.example\"\n{text}");
    let mut config = tidegate::config::parse(&text, Path::new(".")).unwrap();
    config.upstreams.remove(0)
}

/// Who comes back after a refusal, or goes before it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// Comes once.
    Plain,
    /// Comes back once, when it was told, and waits then.
    Returns,
    /// Hangs up as it is called, and never asks.
    GoneWhenCalled,
    /// Asks, and drops the turn it was handed.
    DropsItsTurn,
}

/// One call as it is offered.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    pub class: Class,
    /// Place of its route in the upstream's list.
    pub route: Option<u16>,
    pub user: Option<u32>,
    pub address: u32,
    pub terms: Terms,
    /// How long it is inside; for ever where it never ends.
    pub service: Option<u64>,
    pub habit: Habit,
}

impl Offer {
    /// A call of `user` that is inside for so many nanoseconds, and patient for ten minutes.
    pub fn new(class: Class, user: u32, service: u64) -> Self {
        Self {
            class,
            route: None,
            user: Some(user),
            address: user,
            terms: patient(600 * SECOND),
            service: Some(service),
            habit: Habit::Plain,
        }
    }

    fn call(&self) -> Call<'static> {
        let address = IpAddr::V4(Ipv4Addr::from(0x0A00_0000 + self.address));
        let mut call = Call::new(self.class, "/api/x", address);
        let user = self.user.map(|user| {
            let mut hash = [0; 16];
            hash[..4].copy_from_slice(&user.to_le_bytes());
            UserId::new(hash)
        });
        call.caller.user = user;
        let mut routes = Routes::NONE;
        self.route.iter().for_each(|route| routes.insert(*route));
        call.routes = routes;
        if self.class == Class::Soap {
            call.side = SessionKind::Soap;
        }
        if self.class == Class::Login {
            call.caller.user = None;
            call.opens = Some(Opening {
                kind: SessionKind::Rest,
                user,
                proven: true,
            });
        }
        call
    }
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    Coming,
    InLine,
    Inside,
    Done,
    Refused(Refusal),
    HungUp,
}

/// One call, and the world's account of it.
#[derive(Debug)]
pub struct Tracked {
    pub offer: Offer,
    pub came: u64,
    pub started: Option<u64>,
    pub fate: Fate,
    /// The call that was refused before this one came back.
    pub again: Option<usize>,
    waiting: Option<Waiting>,
    claim: Option<Claim>,
}

/// What happened, in the order it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    Comes(usize),
    Starts(usize),
    Ends(usize),
    HangsUp(usize),
    TimeIsUp(usize),
    /// Rates are to be asked again.
    Due,
}

/// The gate, its callers and the clock.
pub struct World {
    pub stack: Arc<Stack>,
    pub now: u64,
    pub calls: Vec<Tracked>,
    pub log: Vec<(u64, Event)>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    number: u64,
    woken: Arc<Mutex<Vec<usize>>>,
    due: Option<u64>,
}

struct Bell {
    call: usize,
    woken: Arc<Mutex<Vec<usize>>>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.woken.lock().unwrap().push(self.call);
    }
}

impl World {
    pub fn new(upstream: &Upstream) -> Self {
        Self {
            stack: Arc::new(Stack::build(upstream)),
            now: 0,
            calls: Vec::new(),
            log: Vec::new(),
            events: BinaryHeap::new(),
            number: 0,
            woken: Arc::default(),
            due: None,
        }
    }

    /// Has a call come at `moment`.
    pub fn offer(&mut self, moment: u64, offer: Offer) -> usize {
        self.calls.push(Tracked {
            offer,
            came: moment,
            started: None,
            fate: Fate::Coming,
            again: None,
            waiting: None,
            claim: None,
        });
        let call = self.calls.len() - 1;
        self.plan(moment, Event::Comes(call));
        call
    }

    pub fn hang_up(&mut self, moment: u64, call: usize) {
        self.plan(moment, Event::HangsUp(call));
    }

    fn plan(&mut self, moment: u64, event: Event) {
        self.number += 1;
        self.events.push(Reverse((moment, self.number, event)));
    }

    /// Lets everything happen that is to happen before `end`.
    pub fn run_until(&mut self, end: u64) {
        while let Some(Reverse((moment, _, event))) = self.events.peek().copied()
            && moment < end
        {
            self.events.pop();
            self.now = moment;
            self.happens(event);
            self.settle();
        }
        self.now = end;
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Comes(call) => self.comes(call),
            Event::Ends(call) => {
                self.log.push((self.now, event));
                self.calls[call].fate = Fate::Done;
                let claim = self.calls[call].claim.take().unwrap();
                claim.release(Moment::from_nanos(self.now));
            }
            Event::HangsUp(call) => {
                if let Some(waiting) = self.calls[call].waiting.take() {
                    self.calls[call].fate = Fate::HungUp;
                    self.log.push((self.now, event));
                    drop(waiting);
                }
            }
            Event::TimeIsUp(call) => self.time_is_up(call),
            Event::Due => {
                if self.due.is_some_and(|due| due <= self.now) {
                    self.ask_rates();
                }
            }
            Event::Starts(_) => {}
        }
    }

    fn comes(&mut self, call: usize) {
        self.log.push((self.now, Event::Comes(call)));
        let offer = self.calls[call].offer;
        let now = Moment::from_nanos(self.now);
        let entry = self.stack.enter(&offer.call(), || offer.terms, now);
        self.goes_on(call, entry);
    }

    fn goes_on(&mut self, call: usize, entry: Entry) {
        match entry {
            Entry::Passed(mut claim) => {
                claim.dispatch(Moment::from_nanos(self.now)).unwrap();
                let of = &mut self.calls[call];
                (of.fate, of.started, of.claim) = (Fate::Inside, Some(self.now), Some(claim));
                self.log.push((self.now, Event::Starts(call)));
                if let Some(service) = self.calls[call].offer.service {
                    self.plan(self.now + service, Event::Ends(call));
                }
            }
            Entry::Waits(waiting) => {
                let until = waiting.until().as_nanos();
                let of = &mut self.calls[call];
                (of.fate, of.waiting) = (Fate::InLine, Some(waiting));
                self.plan(until, Event::TimeIsUp(call));
                self.asks(call);
            }
            Entry::Refused(refusal) => self.refused(call, refusal),
        }
    }

    fn refused(&mut self, call: usize, refusal: Refusal) {
        if self.calls[call].offer.habit == Habit::Returns && self.calls[call].again.is_none() {
            let back = self.now + refusal.retry_after_seconds() * SECOND;
            let patient_now = Offer {
                terms: patient(30 * SECOND),
                ..self.calls[call].offer
            };
            let again = self.offer(back, patient_now);
            self.calls[again].again = Some(call);
        }
        self.calls[call].fate = Fate::Refused(refusal);
    }

    /// Asks whether it is the call's turn; if so, goes on with it.
    fn asks(&mut self, call: usize) {
        let bell = Bell {
            call,
            woken: self.woken.clone(),
        };
        let waker = Waker::from(Arc::new(bell));
        let Some(waiting) = &mut self.calls[call].waiting else {
            return;
        };
        let Poll::Ready(turn) = Pin::new(waiting).poll(&mut Context::from_waker(&waker)) else {
            return;
        };
        self.calls[call].waiting = None;
        let offer = self.calls[call].offer;
        if offer.habit == Habit::DropsItsTurn {
            self.calls[call].fate = Fate::HungUp;
            return drop(turn);
        }
        let now = Moment::from_nanos(self.now);
        let entry = (self.stack).resume(&offer.call(), || offer.terms, turn, now);
        self.goes_on(call, entry);
    }

    fn time_is_up(&mut self, call: usize) {
        let Some(waiting) = &self.calls[call].waiting else {
            return;
        };
        if waiting.until().as_nanos() > self.now {
            return; // it has moved to another line meanwhile
        }
        let Some(waiting) = self.calls[call].waiting.take() else {
            return;
        };
        let now = Moment::from_nanos(self.now);
        match waiting.give_up(now) {
            Ok(_) => unreachable!("whoever is called comes at once"),
            Err(refusal) => {
                self.log.push((self.now, Event::TimeIsUp(call)));
                self.refused(call, refusal);
            }
        }
    }

    /// Whoever was woken comes for its turn; rates are asked when somebody rang.
    fn settle(&mut self) {
        loop {
            let woken = std::mem::take(&mut *self.woken.lock().unwrap());
            if woken.is_empty() && !self.rang() {
                return;
            }
            for call in woken {
                if self.calls[call].offer.habit == Habit::GoneWhenCalled {
                    self.calls[call].fate = Fate::HungUp;
                    self.calls[call].waiting = None;
                } else {
                    self.asks(call);
                }
            }
        }
    }

    fn rang(&mut self) -> bool {
        let rang = {
            let stirred = pin!(self.stack.stirred());
            let mut context = Context::from_waker(Waker::noop());
            stirred.poll(&mut context).is_ready()
        };
        if rang {
            self.ask_rates();
        }
        rang
    }

    fn ask_rates(&mut self) {
        let next = self.stack.call_due(Moment::from_nanos(self.now));
        self.due = next.map(Moment::as_nanos);
        if let Some(due) = self.due {
            assert!(due > self.now, "asked again for what was just refused");
            self.plan(due, Event::Due);
        }
    }

    /// Calls of one fate.
    pub fn count(&self, fate: impl Fn(&Fate) -> bool) -> usize {
        self.calls.iter().filter(|call| fate(&call.fate)).count()
    }

    /// Nobody holds or waits for anything, by the gate's own account.
    #[track_caller]
    pub fn is_empty(&self) {
        for (name, mismatch) in self.stack.audit() {
            assert_eq!(mismatch, 0, "{name}");
        }
        for view in self.stack.views(Moment::from_nanos(self.now)) {
            assert_eq!((view.waiting, &*view.name), (0, &*view.name));
            if view.counts != "requests" {
                assert_eq!((view.in_use, &*view.name), (0, &*view.name));
            }
        }
    }
}
