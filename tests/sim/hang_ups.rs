//! Ten thousand in line, of which half go before they are served, at any moment there is.

use tidegate::call::Class;

use super::world::{Fate, Habit, Offer, World, upstream};
use super::{Dice, SECOND, most_in_any};

const WAITERS: usize = 10_000;
const WAIT: &str = "wait = { line = 20000, per_user = 20000, at_most = \"10m\" }";

/// A limit, how long a call is inside, and how many may be inside at once.
struct Kind {
    limit: &'static str,
    service: u64,
    inside: usize,
}

const KINDS: [Kind; 4] = [
    Kind {
        limit: "counts = \"requests_in_flight\"\nlimit = 50\nfull = { status = 503 }",
        service: SECOND / 4,
        inside: 50,
    },
    Kind {
        limit: "counts = \"upstream_connections\"\nlimit = 50\nfull = { status = 503 }",
        service: SECOND / 4,
        inside: 50,
    },
    Kind {
        limit: "counts = \"requests_in_flight\"\nkey = \"user\"\nlimit = 5\nfull = { status = 503 }",
        service: SECOND / 4,
        inside: 5 * USERS as usize,
    },
    Kind {
        limit: "counts = \"requests\"\nlimit = 200\nwindow = \"1s\"\nfull = { status = 429 }",
        service: SECOND / 100,
        inside: 200,
    },
];

const USERS: u64 = 10;

#[test]
fn no_unit_is_lost_and_none_given_twice() {
    for kind in KINDS {
        let limit = kind.limit;
        let upstream = upstream(&format!("[upstream.limits.x]\n{limit}\n{WAIT}"));
        let mut world = World::new(&upstream);
        let mut dice = Dice(11);
        for _ in 0..WAITERS {
            let user = u32::try_from(dice.below(USERS)).unwrap();
            let mut offer = Offer::new(Class::Rest, user, kind.service);
            // Of every six: three stay, one goes at some moment, one as it is called, one with its turn.
            let lot = dice.below(6);
            offer.habit = match lot {
                1 => Habit::GoneWhenCalled,
                2 => Habit::DropsItsTurn,
                _ => Habit::Plain,
            };
            let comes = 1 + dice.below(SECOND / 10);
            let call = world.offer(comes, offer);
            if lot == 0 {
                world.hang_up(comes + dice.below(60 * SECOND), call);
            }
        }
        world.run_until(SECOND / 10 + 1);
        let waiting = world.count(|fate| *fate == Fate::InLine);
        assert!(waiting > WAITERS * 9 / 10, "{waiting} wait");
        world.run_until(700 * SECOND);
        world.is_empty();

        assert_eq!(world.count(|fate| matches!(fate, Fate::Refused(_))), 0);
        let (done, gone) = (
            world.count(|fate| *fate == Fate::Done),
            world.count(|fate| *fate == Fate::HungUp),
        );
        assert_eq!(done + gone, WAITERS, "{limit}: everybody else was served");
        assert!(gone > WAITERS / 3, "{gone} went");
        let started: Vec<u64> = started(&world);
        let window = if limit.contains("\"1s\"") {
            SECOND
        } else {
            kind.service
        };
        assert_eq!(most_in_any(&started, window), kind.inside as u64, "{limit}");
        // Who went cost the others nothing: units were taken without a break.
        let last = started[started.len() - 1];
        let needed = (done.div_ceil(kind.inside) as u64 + 2) * window;
        let uneven = if limit.contains("key") { 2 } else { 1 };
        assert!(last <= needed * uneven, "{limit}: {last} of {needed}");
    }
}

/// When calls began, first to last.
fn started(world: &World) -> Vec<u64> {
    let mut started: Vec<u64> = (world.calls.iter())
        .filter_map(|call| call.started)
        .collect();
    started.sort_unstable();
    started
}
