//! Ten times the load that each limit of profile vcenter-7.0 allows: it is used, never passed, and nobody is
//! sent away whose wait would have ended in time.

use tidegate::call::{Class, Reason};

use super::reference::Reference;
use super::world::{Event, Fate, Offer, World, patient, upstream};
use super::{Dice, SECOND, most_in_any};

const PROFILE: &str = "profile = \"vcenter-7.0\"\n";

/// One limit, and the load that is put on it.
struct Load {
    limit: &'static str,
    /// What the configuration changes in the profile.
    changes: &'static str,
    class: Class,
    route: Option<&'static str>,
    /// How long each call is inside.
    service: u64,
    /// Users, each of which offers the same; as many as calls where there are none.
    users: Option<u64>,
    /// How long the load lasts.
    lasts: u64,
}

/// What came of it.
struct Came {
    /// Refusals by reason, each found right.
    refused: [u64; Reason::ALL.len()],
}

impl Load {
    fn of(limit: &'static str, class: Class) -> Self {
        Self {
            limit,
            changes: "",
            class,
            route: None,
            service: SECOND,
            users: Some(20),
            lasts: 8 * SECOND,
        }
    }

    /// Puts ten times what fits on the limit, by clients that wait for 2 s, 10 s or five minutes.
    fn runs(self) -> Came {
        let upstream = upstream(&format!("{PROFILE}{}", self.changes));
        let limit = upstream.limits.iter().find(|one| &*one.name == self.limit);
        let limit = limit.unwrap();
        let route = self.route.map(|name| {
            let at = upstream.routes.iter().position(|route| route.name == name);
            u16::try_from(at.unwrap()).unwrap()
        });
        let is_rate = !limit.window.is_zero();
        let keyed = limit.key != tidegate::config::Key::All;
        // Units of all keys together, and how long each is taken.
        let units = limit.limit * if keyed { self.users.unwrap() } else { 1 };
        let taken = if is_rate { SECOND } else { self.service };
        let mut world = World::new(&upstream);
        let mut dice = Dice(7);
        let mut now = 0;
        let mut number = 0;
        while now < self.lasts {
            now += 1 + dice.below(2 * taken / (10 * units));
            let user = self.users.map_or(number, |users| dice.below(users));
            let mut offer = Offer::new(self.class, u32::try_from(user).unwrap(), self.service);
            offer.route = route;
            offer.terms = patient([2, 10, 300][dice.below(3) as usize] * SECOND);
            world.offer(now, offer);
            number += 1;
        }
        world.run_until(self.lasts);
        self.is_used(&world, units, taken, is_rate);
        self.is_never_passed(&world, limit.limit, keyed, is_rate);
        world.run_until(self.lasts + 1000 * SECOND);
        world.is_empty();
        assert_eq!(world.count(|fate| *fate == Fate::InLine), 0);
        let refused = Reference::new(limit, self.service).replay(&world);
        Came { refused }
    }

    /// At least 99 % of what fits, from the moment when it was first full.
    fn is_used(&self, world: &World, units: u64, taken: u64, is_rate: bool) {
        let done = if is_rate { 0 } else { self.service };
        let (from, to) = (taken, self.lasts - done);
        let began = world.calls.iter().filter_map(|call| call.started);
        let used = began.filter(|at| (from..to).contains(at)).count() as u64;
        let capacity = units * (to - from) / taken;
        assert!(
            used * 100 >= capacity * 99,
            "{}: {used} of {capacity}",
            self.limit
        );
    }

    /// By the world's own account, at every moment.
    fn is_never_passed(&self, world: &World, ceiling: u64, keyed: bool, is_rate: bool) {
        if is_rate {
            let started = world.log.iter().filter_map(|(at, event)| match event {
                Event::Starts(_) => Some(*at),
                _ => None,
            });
            assert_eq!(most_in_any(&started.collect::<Vec<_>>(), SECOND), ceiling);
            return;
        }
        let mut inside = vec![0_u64; if keyed { 20 } else { 1 }];
        let mut most = 0;
        for (_, event) in &world.log {
            let of = |call: usize| {
                if keyed {
                    world.calls[call].offer.address as usize
                } else {
                    0
                }
            };
            match *event {
                Event::Starts(call) => {
                    inside[of(call)] += 1;
                    most = most.max(inside[of(call)]);
                }
                Event::Ends(call) => inside[of(call)] -= 1,
                _ => {}
            }
        }
        assert_eq!(most, ceiling, "{}", self.limit);
    }
}

fn every_reason_but_full(came: &Came) {
    let [full, line_full, timeout, hopeless] = came.refused;
    assert_eq!(full, 0);
    assert!(line_full + timeout + hopeless > 0);
}

#[test]
fn of_request_rate() {
    let load = Load {
        // All that come at once are fewer inside than there are connections.
        service: SECOND / 50,
        // Each call of somebody else: who calls again when it was told goes first, which the reference does not.
        users: None,
        ..Load::of("request_rate", Class::Rest)
    };
    every_reason_but_full(&load.runs());
}

#[test]
fn of_upstream_connections() {
    every_reason_but_full(&Load::of("upstream_connections", Class::Rest).runs());
}

#[test]
fn of_session_creations() {
    let load = Load {
        lasts: 30 * SECOND,
        ..Load::of("session_creations", Class::Login)
    };
    every_reason_but_full(&load.runs());
}

#[test]
fn of_provider_connections() {
    let load = Load {
        changes: "[upstream.limits.upstream_connections]\nlimit = 2048",
        ..Load::of("provider_connections", Class::Rest)
    };
    every_reason_but_full(&load.runs());
}

#[test]
fn of_blocking_tasks() {
    let load = Load {
        service: 20 * SECOND,
        lasts: 3600 * SECOND,
        ..Load::of("blocking_tasks", Class::Blocking)
    };
    let came = load.runs();
    let [_, _, timeout, hopeless] = came.refused;
    assert!(
        hopeless > 10_000,
        "ten minutes' worth of calls wait: {hopeless}"
    );
    assert!(timeout > 0);
}

#[test]
fn of_content_library_per_user() {
    let load = Load {
        users: Some(3),
        route: Some("content-library"),
        ..Load::of("content_library_per_user", Class::Rest)
    };
    every_reason_but_full(&load.runs());
}

#[test]
fn of_tagging_per_user() {
    let load = Load {
        users: Some(2),
        route: Some("tagging"),
        ..Load::of("tagging_per_user", Class::Rest)
    };
    every_reason_but_full(&load.runs());
}

#[test]
fn of_soap_requests() {
    every_reason_but_full(&Load::of("soap_requests", Class::Soap).runs());
}
