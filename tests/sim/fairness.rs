//! Two users before one full limit, one of which offers a hundred times what the other does.

use std::num::NonZeroU32;

use tidegate::call::Class;

use super::world::{Event, Offer, World, patient, upstream};
use super::{Dice, SECOND};

const SMALL: u32 = 1;
const BIG: u32 = 2;
const LASTS: u64 = 20 * SECOND;
/// Calls a second that each of the limits below lets through.
const CAPACITY: u64 = 100;

/// A rate without bursts, and a seat of calls that last 10 ms: both free a unit every 10 ms.
const LIMITS: [(&str, u64); 2] = [
    (
        "counts = \"requests\"\nlimit = 100\nburst = 1\nwindow = \"1s\"\nfull = { status = 429 }",
        1,
    ),
    (
        "counts = \"requests_in_flight\"\nlimit = 1\nfull = { status = 503 }",
        SECOND / 100 - 1,
    ),
];

/// Both offer calls at random for twenty seconds, `small` and `big` a second, with these weights.
fn plays((limit, service): (&str, u64), [small, big]: [u64; 2], weights: [u32; 2]) -> World {
    let wait = "wait = { line = 200, per_user = 100, at_most = \"30s\" }";
    let upstream = upstream(&format!("[upstream.limits.x]\n{limit}\n{wait}"));
    let mut world = World::new(&upstream);
    let mut dice = Dice(3);
    for (user, rate, weight) in [(SMALL, small, weights[0]), (BIG, big, weights[1])] {
        let mut now = 0;
        while now < LASTS {
            // Half a gap apart at least, so that nobody waits for an earlier call of its own without need.
            now += SECOND / rate / 2 + dice.below(SECOND / rate);
            let mut offer = Offer::new(Class::Rest, user, service);
            offer.terms = patient(300 * SECOND);
            offer.terms.weight = NonZeroU32::new(weight).unwrap();
            world.offer(now, offer);
        }
    }
    world.run_until(LASTS);
    world
}

/// Calls of a user that began after the first two seconds.
fn throughput(world: &World, user: u32) -> f64 {
    let of = world.calls.iter().filter(|call| call.offer.address == user);
    let began = of.filter(|call| call.started.is_some_and(|at| at > 2 * SECOND));
    f64::from(u32::try_from(began.count()).unwrap())
}

/// Jain's index: 1 where all have the same.
fn jain(shares: [f64; 2]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (2.0 * squares)
}

#[test]
fn users_that_want_more_get_the_same() {
    for limit in LIMITS {
        let world = plays(limit, [70, 7_000], [1, 1]);
        let shares = [SMALL, BIG].map(|user| throughput(&world, user));
        assert!(jain(shares) >= 0.99, "{shares:?} {limit:?}");
        let all: f64 = shares.iter().sum();
        assert!(all >= 0.99 * 18.0 * 100.0, "{all} of {CAPACITY} a second");
    }
}

#[test]
fn users_with_weights_that_want_more_get_by_weight() {
    for limit in LIMITS {
        for (weights, small) in [([3, 1], 90), ([1, 4], 30)] {
            let world = plays(limit, [small, small * 100], weights);
            let shares = [SMALL, BIG].map(|user| throughput(&world, user));
            let weighed = [
                shares[0] / f64::from(weights[0]),
                shares[1] / f64::from(weights[1]),
            ];
            assert!(
                jain(weighed) >= 0.99,
                "{shares:?} for {weights:?} {limit:?}"
            );
        }
    }
}

/// A turn is as long as a unit takes to come free.
#[test]
fn a_users_few_calls_wait_two_turns_at_most_behind_anothers_flood() {
    for limit in LIMITS {
        let world = plays(limit, [10, 1_000], [1, 1]);
        let of_small = |call: usize| world.calls[call].offer.address == SMALL;
        let mut waits: Vec<u64> = Vec::new();
        let mut in_line = Vec::new();
        for (_, event) in &world.log {
            match *event {
                Event::Comes(call) if of_small(call) => in_line.push((call, 0_u32)),
                Event::Starts(call) if of_small(call) => {
                    let at = in_line.iter().position(|(other, _)| *other == call);
                    let (_, turns_of_others) = in_line.remove(at.unwrap());
                    assert!(
                        turns_of_others <= 3,
                        "its own earlier calls' turns included"
                    );
                    let tracked = &world.calls[call];
                    waits.push(tracked.started.unwrap() - tracked.came);
                }
                Event::Starts(_) => in_line.iter_mut().for_each(|(_, turns)| *turns += 1),
                _ => {}
            }
        }
        assert!(in_line.len() <= 2, "all were served");
        waits.sort_unstable();
        let p99 = waits[waits.len() * 99 / 100];
        let turn = SECOND / CAPACITY;
        assert!(waits.len() > 180 && p99 <= 2 * turn, "{p99} {limit:?}");
    }
}
