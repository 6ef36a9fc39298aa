//! What goes wrong between a model and its callers, switched on by kind of request.
//!
//! `model.faults.on(Kind::Poll, When::Every(3), Fault::answer(503))`: each third poll is answered 503.

use std::sync::Mutex;

use super::books::Kind;

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The request has its effect; the connection is closed in place of the answer.
    LostAnswer,
    /// The connection is closed before anything has come of the request.
    Closed,
    /// This status comes at once, in the vendor's wording, and nothing has come of the request.
    Answer {
        status: u16,
        /// Seconds.
        retry_after: Option<u64>,
    },
    /// The request has its effect; no answer ever comes.
    Hangs,
}

impl Fault {
    pub fn answer(status: u16) -> Self {
        Self::Answer {
            status,
            retry_after: None,
        }
    }

    pub fn answer_after(status: u16, seconds: u64) -> Self {
        Self::Answer {
            status,
            retry_after: Some(seconds),
        }
    }
}

/// Which of the things that come it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The next so many, from now.
    Next(u64),
    /// Every Nth, from now: the first of them is the Nth to come.
    Every(u64),
    /// The Nth to come, and no other.
    Nth(u64),
    Always,
}

/// Something that is due at some of the things that come.
#[derive(Debug)]
pub(super) struct Plan<T> {
    when: When,
    come: u64,
    pub(super) what: T,
}

impl<T> Plan<T> {
    pub(super) fn new(when: When, what: T) -> Self {
        Self {
            when,
            come: 0,
            what,
        }
    }

    /// Counts one more; whether it is due at that one.
    pub(super) fn due(&mut self) -> bool {
        self.come += 1;
        match self.when {
            When::Next(first) => self.come <= first,
            When::Every(nth) => self.come.is_multiple_of(nth),
            When::Nth(nth) => self.come == nth,
            When::Always => true,
        }
    }
}

/// The faults that are on.
#[derive(Debug, Default)]
pub struct Faults(Mutex<Vec<Plan<(Kind, Fault)>>>);

impl Faults {
    /// From now on `fault` meets requests of `kind`, at `when`. Of several that are due the one first switched
    /// on is taken.
    pub fn on(&self, kind: Kind, when: When, fault: Fault) {
        let plan = Plan::new(when, (kind, fault));
        self.0.lock().unwrap().push(plan);
    }

    /// No faults any more.
    pub fn off(&self) {
        self.0.lock().unwrap().clear();
    }

    pub(super) fn meets(&self, kind: Kind) -> Option<Fault> {
        let mut plans = self.0.lock().unwrap();
        let of_kind = plans.iter_mut().filter(|plan| plan.what.0 == kind);
        let due: Vec<Fault> = of_kind
            .filter_map(|plan| plan.due().then(|| plan.what.1.clone()))
            .collect();
        due.into_iter().next()
    }
}
