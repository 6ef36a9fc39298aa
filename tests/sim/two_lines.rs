//! Calls that need two limits, both full: they move from line to line with their age, and nobody starves.

use std::collections::HashMap;

use tidegate::call::Class;

use super::world::{Event, Fate, Offer, World, patient, upstream};
use super::{Dice, SECOND};

/// Ten places for everybody, and three of them at most for the slow kind.
const LIMITS: &str = "
[upstream.limits.all]
counts = \"upstream_connections\"
limit = 10
full = { status = 503 }
wait = { line = 5000, per_user = 1000, at_most = \"1h\" }
[upstream.limits.slow]
counts = \"requests_in_flight\"
match = { class = [\"blocking\"] }
limit = 3
full = { status = 503 }
wait = { line = 5000, per_user = 1000, at_most = \"1h\" }
";

const USERS: u64 = 8;
const LASTS: u64 = 60 * SECOND;

/// Twice what fits of both kinds for a minute, by users of both kinds.
fn both_full() -> World {
    let mut world = World::new(&upstream(LIMITS));
    let mut dice = Dice(17);
    for (class, service, rate) in [
        (Class::Rest, SECOND / 10, 140),
        (Class::Blocking, SECOND / 2, 12),
    ] {
        let mut now = 0;
        while now < LASTS {
            now += 1 + dice.below(2 * SECOND / rate);
            let user = u32::try_from(dice.below(USERS)).unwrap();
            let mut offer = Offer::new(class, user, service);
            offer.terms = patient(3600 * SECOND);
            world.offer(now, offer);
        }
    }
    world.run_until(LASTS);
    world
}

#[test]
fn both_kinds_get_through_while_the_load_lasts() {
    let world = both_full();
    for (class, at_least) in [(Class::Rest, 60), (Class::Blocking, 2)] {
        for second in (5..20).step_by(5) {
            let stretch = second * SECOND..(second + 5) * SECOND;
            let began = world.calls.iter().filter(|call| {
                call.offer.class == class && call.started.is_some_and(|at| stretch.contains(&at))
            });
            let began = began.count();
            assert!(
                began >= at_least * 5,
                "{began} of {class:?} in five seconds from {second}"
            );
        }
    }
}

#[test]
fn all_are_served_in_the_end_and_nobody_is_passed_by_many_of_its_own() {
    let mut world = both_full();
    world.run_until(1000 * SECOND);
    world.is_empty();
    assert_eq!(world.count(|fate| *fate == Fate::Done), world.calls.len());
    let mut began: HashMap<(Class, u32), Vec<u64>> = HashMap::new();
    let mut inside = [0_u32; 2];
    for (_, event) in &world.log {
        match *event {
            Event::Starts(call) => {
                let call = &world.calls[call];
                let slow = u32::from(call.offer.class == Class::Blocking);
                inside[0] += 1;
                inside[1] += slow;
                assert!(inside[0] <= 10 && inside[1] <= 3, "{inside:?}");
                let kind = (call.offer.class, call.offer.address);
                let began = began.entry(kind).or_default();
                let younger = began.iter().filter(|came| **came > call.came).count();
                // Older ones may be in the other line just then; no more than one of each user goes first.
                assert!(
                    younger as u64 <= USERS,
                    "{younger} younger calls went first"
                );
                began.push(call.came);
            }
            Event::Ends(call) => {
                inside[0] -= 1;
                inside[1] -= u32::from(world.calls[call].offer.class == Class::Blocking);
            }
            _ => {}
        }
    }
}
