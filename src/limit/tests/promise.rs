//! Promises: moments of their own, kept once.

use std::time::Duration;

use super::at;
use crate::limit::Promises;

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

#[test]
fn the_refused_are_told_moments_of_their_own() {
    let promises = Promises::new(10, SECONDS(1));
    let told: Vec<u64> = (0..20)
        .map(|user| promises.make((), user, at(300), at(300)).as_secs())
        .collect();
    // Half of what fits in a second.
    assert_eq!(
        told,
        [1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4]
    );
    assert_eq!(promises.make((), 99, at(9_500), at(300)), SECONDS(10));
}

#[test]
fn who_asks_without_end_leaves_the_rest_to_others() {
    let promises = Promises::new(16, SECONDS(1));
    let told: Vec<u64> = (0..5)
        .map(|_| promises.make((), 'a', at(0), at(0)).as_secs())
        .collect();
    assert_eq!(told, [1, 1, 2, 2, 3], "a quarter of the half of what fits");
    for _ in 0..100_000 {
        let _ = promises.make((), 'a', at(0), at(0));
    }
    assert_eq!(promises.make((), 'b', at(0), at(0)), SECONDS(1));
    assert_eq!(promises.len(), 1001);
}

#[test]
fn slow_rates_have_slots_as_long_as_a_call() {
    let promises = Promises::new(6, SECONDS(60));
    let told: Vec<u64> = (0..4)
        .map(|user| promises.make((), user, at(0), at(0)).as_secs())
        .collect();
    assert_eq!(told, [1, 10, 20, 30]);
}

#[test]
fn a_promise_is_kept_once_on_time_and_to_whom_it_was_made() {
    let promises = Promises::new(10, SECONDS(1));
    assert_eq!(promises.make((), 'a', at(0), at(0)), SECONDS(1));
    assert!(!promises.keep((), 'a', at(900)), "too early");
    assert!(!promises.keep((), 'b', at(1_100)), "somebody else");
    assert!(promises.keep((), 'a', at(1_100)));
    assert!(!promises.keep((), 'a', at(1_200)), "twice");
    let _ = promises.make((), 'a', at(2_000), at(2_000));
    assert!(!promises.keep((), 'a', at(5_100)), "too late");
    assert!(promises.is_empty());
}

#[test]
fn who_does_not_come_is_forgotten() {
    let promises = Promises::new(1000, SECONDS(1));
    for user in 0..500 {
        let _ = promises.make(user, user, at(0), at(0));
    }
    assert_eq!(promises.len(), 500);
    promises.tidy(at(10_000));
    assert!(promises.is_empty());
    assert!(promises.remembers_no_slot());
}

#[test]
fn promises_of_one_user_are_kept_in_the_order_of_their_moments() {
    let promises = Promises::new(100, SECONDS(1));
    assert_eq!(promises.make((), 'a', at(900), at(900)), SECONDS(1));
    assert_eq!(promises.make((), 'a', at(1_100), at(1_100)), SECONDS(1));
    let _ = promises.make((), 'a', at(1_950), at(1_950)); // to 2.95 s
    assert_eq!(promises.make((), 'a', at(2_050), at(1_050)), SECONDS(1));
    assert!(promises.keep((), 'a', at(1_900)));
    assert!(
        promises.keep((), 'a', at(2_050)),
        "before the one of 2.95 s"
    );
    assert!(promises.keep((), 'a', at(2_100)));
    assert!(!promises.keep((), 'a', at(2_200)));
    assert!(promises.keep((), 'a', at(2_950)));
}
