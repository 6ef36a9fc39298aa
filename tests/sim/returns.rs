//! `Retry-After` is a promise: who comes back when it was told is let in, and they do not come together.

use tidegate::call::Class;

use super::world::{Fate, Habit, Offer, World, patient, upstream};
use super::{Dice, SECOND};

/// Clients whose return is watched.
const CLIENTS: u32 = 1_000;
const CAPACITY: u64 = 1_500;
const NEWCOMERS: u32 = 1 << 20;

/// The clients come within the two seconds after `from`, while newcomers offer `times` the capacity all the time
/// and never come back; each client of its own address, or all of one.
fn refused_and_back(times: u64, from: u64, addresses: u32) -> World {
    let upstream = upstream("profile = \"vcenter-7.0\"");
    let mut world = World::new(&upstream);
    let mut dice = Dice(5);
    let lasts = from + 30 * SECOND;
    let mut now = 0;
    let mut newcomer = NEWCOMERS;
    while now < lasts {
        now += 1 + dice.below(2 * SECOND / (times * CAPACITY));
        let mut offer = Offer::new(Class::Rest, newcomer, SECOND / 100);
        offer.user = None;
        offer.terms = patient(30 * SECOND);
        world.offer(now, offer);
        newcomer += 1;
    }
    for client in 0..CLIENTS {
        let mut offer = Offer::new(Class::Rest, client % addresses, SECOND / 100);
        offer.user = None;
        // Nobody of them waits the first time, so that all are refused: this is about their return.
        offer.terms = patient(0);
        offer.habit = Habit::Returns;
        world.offer(from + dice.below(2 * SECOND), offer);
    }
    let mut second = 0;
    while second * SECOND < lasts {
        world.run_until(second * SECOND);
        world
            .stack
            .tidy(tidegate::limit::Moment::from_nanos(world.now));
        second += 1;
    }
    world.run_until(lasts + 600 * SECOND);
    world
}

fn holds(world: &World) {
    let refused = (world.calls.iter()).filter(|call| {
        call.offer.habit == Habit::Returns
            && call.again.is_none()
            && matches!(call.fate, Fate::Refused(_))
    });
    let refused = refused.count();
    assert!(refused > 900, "only {refused} were refused at all");
    let returns: Vec<_> = (world.calls.iter())
        .filter(|call| call.again.is_some())
        .collect();
    assert_eq!(returns.len(), refused);
    let kept = returns
        .iter()
        .filter(|call| call.fate == Fate::Done)
        .count();
    assert!(kept * 100 >= refused * 99, "{kept} of {refused} promises");
    let mut came: Vec<u64> = returns.iter().map(|call| call.came).collect();
    came.sort_unstable();
    let most = super::most_in_any(&came, SECOND);
    assert!(most * 10 <= CAPACITY * 12, "{most} came back in a second");
}

#[test]
fn of_a_thousand_clients() {
    holds(&refused_and_back(2, 5 * SECOND, CLIENTS));
}

#[test]
fn of_a_thousand_clients_of_one_address() {
    holds(&refused_and_back(2, 5 * SECOND, 1));
}

#[test]
fn a_stuck_upstream_is_told_to_ever_later_returns() {
    for wait in ["", "wait = { line = 20, per_user = 20, at_most = \"1h\" }"] {
        let text = "[upstream.limits.x]\ncounts = \"requests_in_flight\"\nlimit = 10\nfull = { status = 503 }\n";
        let mut world = World::new(&upstream(&format!("{text}{wait}")));
        // Calls that took a second, until nothing came back any more.
        for call in 0..100 {
            world.offer(call * SECOND / 10, Offer::new(Class::Rest, 1, SECOND));
        }
        for _ in 0..30 {
            let mut stuck = Offer::new(Class::Rest, 1, 0);
            stuck.service = None;
            stuck.terms = patient(3600 * SECOND);
            world.offer(20 * SECOND, stuck);
        }
        for second in 21..400 {
            world.offer(second * SECOND, Offer::new(Class::Rest, 2, SECOND));
        }
        world.run_until(400 * SECOND);
        let told: Vec<u64> = (world.calls.iter())
            .filter(|call| call.came > 20 * SECOND)
            .map(|call| match &call.fate {
                Fate::Refused(refusal) => refusal.retry_after_seconds(),
                other => panic!("{other:?}"),
            })
            .collect();
        // Each is at least as long as nothing has come back, up to five minutes, and up to twice that.
        for (stuck_for, told) in (1..).zip(&told) {
            assert!(*told >= stuck_for.min(300), "{told} after {stuck_for} s");
            assert!(*told <= 600);
        }
        let least: Vec<&u64> = told
            .chunks(40)
            .map(|some| some.iter().min().unwrap())
            .collect();
        let grows = least.iter().take_while(|least| ***least < 300).count();
        assert!(least[..=grows].is_sorted_by(|a, b| a < b), "{least:?}");
    }
}
