//! Rates of each key apart: at most limit and burst in a window, and nothing refilled by forgetting.

use std::collections::HashMap;
use std::time::Duration;

use tidegate::limit::{KeyHasher, Keyed, Moment, Pace};

use super::{Arrivals, Dice, SECOND, arrivals, most_in_any};

/// Keys that call.
const KEYS: u64 = 20;

/// The stamps of each key under ten times its rate for twelve seconds, tidied so often.
fn tenfold(limit: u64, burst: u64, how: Arrivals, tidy_every: Option<u64>) -> Vec<Vec<u64>> {
    let hasher = KeyHasher::default();
    let keyed = Keyed::new(hasher.clone());
    let pace = Pace::new(limit, Duration::from_secs(1), burst);
    let mut dice = Dice(99);
    let mut stamps: HashMap<u64, Vec<u64>> = HashMap::new();
    let moments = arrivals(how, SECOND / limit / 10 / KEYS, 12 * SECOND);
    for (number, now) in (1_u64..).zip(moments) {
        let key = dice.below(KEYS);
        let moment = Moment::from_nanos(now);
        if keyed.try_take(&hasher.hash(key), &pace, moment).is_ok() {
            stamps.entry(key).or_default().push(now);
        }
        if tidy_every.is_some_and(|every| number % every == 0) {
            keyed.tidy(moment, usize::MAX);
        }
    }
    let mut stamps: Vec<_> = stamps.into_iter().collect();
    stamps.sort();
    stamps.into_iter().map(|(_, stamps)| stamps).collect()
}

#[test]
fn each_key_gets_its_rate_and_at_most_limit_and_burst_in_a_window() {
    for (limit, burst) in [(32, 32), (100, 10), (7, 3)] {
        for how in [Arrivals::Even, Arrivals::Random(5)] {
            let keys = tenfold(limit, burst, how, None);
            assert_eq!(keys.len() as u64, KEYS);
            for stamps in keys {
                let most = most_in_any(&stamps, SECOND);
                assert!(most <= limit + burst, "{most}: {limit} burst {burst}");
                // Back to back, that is before one token is back: the burst.
                assert!(most_in_any(&stamps, SECOND / limit) <= burst);
                let used = stamps.iter().filter(|stamp| **stamp >= 2 * SECOND).count() as u64;
                assert!(
                    used * 1000 >= limit * 10 * 985,
                    "{used}: {limit} {burst} {how:?}"
                );
            }
        }
    }
}

#[test]
fn forgetting_keys_refills_nothing() {
    for (limit, burst) in [(32, 32), (100, 10), (7, 3)] {
        for how in [Arrivals::Even, Arrivals::Random(5), Arrivals::Bunches] {
            let never = tenfold(limit, burst, how, None);
            for every in [100, 3000] {
                assert_eq!(tenfold(limit, burst, how, Some(every)), never, "{every}");
            }
        }
    }
}

#[test]
fn a_stranger_among_a_hundred_thousand_is_not_forgotten_early() {
    let hasher = KeyHasher::default();
    let keyed = Keyed::new(hasher.clone());
    let pace = Pace::new(1, Duration::from_secs(10), 1);
    let key = |n: u64| hasher.hash(n);
    for n in 0..100_000 {
        keyed
            .try_take(&key(n), &pace, Moment::from_nanos(n))
            .unwrap();
    }
    let last = Moment::from_nanos(10 * SECOND - 1);
    keyed.tidy(last, usize::MAX);
    assert_eq!(keyed.len(), 100_000);
    assert!((0..100_000).all(|n| keyed.try_take(&key(n), &pace, last).is_err()));
    let over = Moment::from_nanos(10 * SECOND + 100_000);
    keyed.tidy(over, usize::MAX);
    assert!(keyed.is_empty());
}
