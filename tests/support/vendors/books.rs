//! What a model counts by itself: requests by kind, effects by resource, how many run and the most that ever
//! did, and what a real appliance would have been hurt by.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::wire::Request;

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Starts work that goes on behind its answer.
    Start,
    /// Starts work and answers once it is done.
    Blocking,
    /// Changes something, and the change is all there is to it.
    Edit,
    /// Asks after one task.
    Poll,
    /// Asks after many.
    BatchPoll,
    /// Cancels a task.
    Cancel,
    /// Reads a resource.
    Probe,
    Login,
    Logout,
    Other,
}

#[derive(Debug, Default, Clone, Copy)]
struct Gauge {
    now: u64,
    most: u64,
}

/// One request as it was heard.
#[derive(Debug, Clone)]
pub struct Heard {
    pub kind: Kind,
    pub request: Request,
}

/// The model's own books.
#[derive(Debug, Default)]
pub struct Books {
    heard: Mutex<Vec<Heard>>,
    effects: Mutex<BTreeMap<String, u64>>,
    gauges: Mutex<BTreeMap<String, Gauge>>,
    violations: Mutex<Vec<String>>,
}

impl Books {
    pub(super) fn hear(&self, kind: Kind, request: &Request) {
        let request = request.clone();
        self.heard.lock().unwrap().push(Heard { kind, request });
    }

    /// Every request so far, in order.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// How many requests of this kind were heard, those that a fault met among them.
    pub fn count(&self, kind: Kind) -> u64 {
        let heard = self.heard.lock().unwrap();
        heard.iter().filter(|heard| heard.kind == kind).count() as u64
    }

    /// The requests of this kind as `METHOD target`, in order.
    pub fn targets(&self, kind: Kind) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        let of_it = heard.iter().filter(|heard| heard.kind == kind);
        of_it
            .map(|heard| format!("{} {}", heard.request.method, heard.request.target()))
            .collect()
    }

    /// Notes that a change took place.
    pub(super) fn effect(&self, what: &str) {
        let mut effects = self.effects.lock().unwrap();
        *effects.entry(what.to_owned()).or_default() += 1;
    }

    /// How often this change took place.
    pub fn effects(&self, what: &str) -> u64 {
        self.effects.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    /// Every change, with how often it took place.
    pub fn all_effects(&self) -> BTreeMap<String, u64> {
        self.effects.lock().unwrap().clone()
    }

    /// One more of `what`, from now on: how many that makes.
    pub(super) fn enter(&self, what: &str) -> u64 {
        let mut gauges = self.gauges.lock().unwrap();
        let gauge = gauges.entry(what.to_owned()).or_default();
        gauge.now += 1;
        gauge.most = gauge.most.max(gauge.now);
        gauge.now
    }

    pub(super) fn leave(&self, what: &str) {
        let mut gauges = self.gauges.lock().unwrap();
        gauges.get_mut(what).unwrap().now -= 1;
    }

    /// How many of `what` there are now: `running` (work under way), `blocking` (of it, what a seat is taken for).
    pub fn now(&self, what: &str) -> u64 {
        let gauges = self.gauges.lock().unwrap();
        gauges.get(what).map_or(0, |gauge| gauge.now)
    }

    /// The most of `what` that there ever were at once.
    pub fn most(&self, what: &str) -> u64 {
        let gauges = self.gauges.lock().unwrap();
        gauges.get(what).map_or(0, |gauge| gauge.most)
    }

    /// Notes what no caller should ever do.
    pub(super) fn violated(&self, what: impl Into<String>) {
        self.violations.lock().unwrap().push(what.into());
    }

    /// What no caller should have done.
    pub fn violations(&self) -> Vec<String> {
        self.violations.lock().unwrap().clone()
    }
}
