//! Keyed counters against plain maps that never forget anything.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::super::{Arrival, KeyHasher, Keyed, Moment, Pace};
use super::{Dice, at};

fn address(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0x0A00_0000 + n))
}

fn map() -> (KeyHasher, Keyed<IpAddr>) {
    let hasher = KeyHasher::default();
    (hasher.clone(), Keyed::new(hasher))
}

proptest! {
    #[test]
    fn a_rate_agrees_with_a_map_that_never_forgets(
        limit in 0_u64..5, burst in 1_u64..5,
        steps in prop::collection::vec((0_u64..60, 0_u32..6, 0_u8..4), 1..300),
    ) {
        let (hasher, keyed) = map();
        let pace = Pace::new(limit, Duration::from_nanos(100), burst);
        let mut reference: HashMap<u32, Arrival> = HashMap::new();
        let mut now = 0;
        for (gap, key, what) in steps {
            now += gap;
            let moment = Moment::from_nanos(now);
            let hashed = hasher.hash(address(key));
            match what {
                0 => { keyed.tidy(moment, usize::MAX); }
                1 => drop(keyed.offer(&hashed, &pace, moment)), // leaves no trace
                _ => {
                    let state = reference.entry(key).or_default();
                    let expected = pace.check(*state, moment);
                    prop_assert_eq!(keyed.try_take(&hashed, &pace, moment), expected.map(|_| ()));
                    *state = expected.unwrap_or(*state);
                }
            }
            let (total, _) = keyed.heaviest(0, |cell| cell.tokens(&pace, moment));
            prop_assert_eq!(total, reference.values().map(|state| pace.in_use(*state, moment)).sum::<u64>());
        }
        // Everything is idle long afterwards, and then nothing is kept.
        keyed.tidy(Moment::from_nanos(now + 1_000_000), usize::MAX);
        prop_assert!(keyed.is_empty());
    }

    #[test]
    fn seats_agree_with_a_plain_map(
        ceiling in 0_u64..4, steps in prop::collection::vec((0_u32..5, 0_u8..4), 1..300),
    ) {
        let (hasher, keyed) = map();
        let mut reference: HashMap<u32, u64> = HashMap::new();
        for (key, what) in steps {
            let hashed = hasher.hash(address(key));
            let held = reference.entry(key).or_default();
            match what {
                0 | 1 => {
                    let expected = if *held < ceiling { Ok(()) } else { Err(*held) };
                    prop_assert_eq!(keyed.try_seat(&hashed, ceiling), expected);
                    *held += u64::from(expected.is_ok());
                }
                2 => {
                    prop_assert_eq!(keyed.seat_unchecked(&hashed, ceiling), *held < ceiling);
                    *held += 1;
                }
                _ => {
                    prop_assert_eq!(keyed.give_back(&hashed), *held > 0);
                    *held = held.saturating_sub(1);
                }
            }
            prop_assert_eq!(keyed.held(&hashed), *held);
            prop_assert_eq!(keyed.len(), reference.values().filter(|held| **held > 0).count(), "idle keys stay");
        }
    }
}

/// Many keys a shard, so that lines run over, tables grow and shrink, and sweeps come in between.
#[test]
fn seats_and_buckets_of_many_keys_agree_with_maps_that_never_forget() {
    const KEYS: u64 = 20_000;
    let (hasher, keyed) = map();
    let pace = Pace::new(2, Duration::from_millis(1), 2);
    let mut dice = Dice(11);
    let mut buckets: HashMap<u32, Arrival> = HashMap::new();
    let mut seats: HashMap<u32, u64> = HashMap::new();
    let mut now = 0;
    for turn in 0..300_000_u64 {
        // Three waves, so that most keys are idle again between them.
        now += if turn % 100_000 == 0 {
            10_000_000
        } else {
            dice.below(100)
        };
        let moment = Moment::from_nanos(now);
        let number = u32::try_from(dice.below(KEYS)).unwrap();
        let key = hasher.hash(address(number));
        let held = seats.entry(number).or_default();
        match dice.below(4) {
            0 => {
                let expected = if *held < 2 { Ok(()) } else { Err(*held) };
                assert_eq!(keyed.try_seat(&key, 2), expected);
                *held += u64::from(expected.is_ok());
            }
            1 => {
                assert_eq!(keyed.give_back(&key), *held > 0);
                *held = held.saturating_sub(1);
            }
            _ => {
                let state = buckets.entry(number).or_default();
                let expected = pace.check(*state, moment);
                assert_eq!(keyed.try_take(&key, &pace, moment), expected.map(|_| ()));
                *state = expected.unwrap_or(*state);
            }
        }
        if turn % 500 == 0 {
            keyed.tidy(moment, 200);
        }
        if turn % 50_000 == 0 {
            let (held, _) = keyed.heaviest(0, super::super::Cell::held);
            assert_eq!(held, seats.values().sum::<u64>());
            let (tokens, _) = keyed.heaviest(0, |cell| cell.tokens(&pace, moment));
            assert_eq!(
                tokens,
                buckets
                    .values()
                    .map(|state| pace.in_use(*state, moment))
                    .sum::<u64>()
            );
        }
    }
    for (number, held) in seats {
        let key = hasher.hash(address(number));
        (0..held).for_each(|_| assert!(keyed.give_back(&key)));
        assert!(!keyed.give_back(&key));
    }
    keyed.tidy(Moment::from_nanos(now + 10_000_000), usize::MAX);
    assert!(keyed.is_empty());
}

#[test]
fn forgetting_never_refills_a_bucket_that_is_not_full() {
    let (hasher, keyed) = map();
    let pace = Pace::new(1, Duration::from_mins(1), 1);
    let key = hasher.hash(address(1));
    keyed.try_take(&key, &pace, at(0)).unwrap();
    for second in 1..60 {
        assert_eq!(keyed.tidy(at(second * 1000), usize::MAX), 0);
        assert!(keyed.try_take(&key, &pace, at(second * 1000)).is_err());
    }
    assert_eq!(keyed.tidy(at(60_000), usize::MAX), 1);
    assert!(keyed.try_take(&key, &pace, at(60_000)).is_ok());
}

#[test]
fn a_key_with_a_seat_is_not_forgotten_and_one_with_a_bucket_outlives_its_seat() {
    let (hasher, keyed) = map();
    let pace = Pace::new(1, Duration::from_mins(1), 1);
    let key = hasher.hash(address(1));
    keyed.try_seat(&key, 1).unwrap();
    assert_eq!(keyed.tidy(at(1_000_000), usize::MAX), 0);
    keyed.try_take(&key, &pace, at(1_000_000)).unwrap();
    assert!(keyed.give_back(&key));
    assert!(
        keyed.try_take(&key, &pace, at(1_000_001)).is_err(),
        "the bucket was refilled by a release"
    );
}

#[test]
fn tidy_stays_within_its_budget_and_comes_round() {
    let (hasher, keyed) = map();
    let pace = Pace::new(10, Duration::from_secs(1), 10);
    for n in 0..20_000 {
        keyed
            .try_take(&hasher.hash(address(n)), &pace, at(0))
            .unwrap();
    }
    let mut rounds = 0;
    while !keyed.is_empty() {
        let forgotten = keyed.tidy(at(1000), 1000);
        assert!(
            forgotten <= 1000 + 1000,
            "{forgotten}: a budget and at most one shard"
        );
        rounds += 1;
        assert!(rounds <= 20, "it does not come round");
    }
    assert!(
        keyed.allocated_bytes() < 64 * 1024,
        "memory of forgotten keys is given back"
    );
}

#[test]
fn a_flood_of_new_keys_costs_no_more_than_the_keys_that_count() {
    let (hasher, keyed) = map();
    let pace = Pace::new(1000, Duration::from_secs(1), 1000); // a token comes back in 1 ms
    for n in 0..200_000 {
        keyed
            .try_take(&hasher.hash(address(n)), &pace, at(u64::from(n)))
            .unwrap();
    }
    assert!(
        keyed.len() < 20_000,
        "{} keys kept, one of them counts",
        keyed.len()
    );
}

#[test]
fn a_million_keys_take_at_most_200_bytes_each() {
    let (hasher, keyed) = map();
    let pace = Pace::new(32, Duration::from_hours(1), 32);
    let mut worst = 0;
    for n in 0..1_000_000_u32 {
        keyed
            .try_take(&hasher.hash(address(n)), &pace, at(1))
            .unwrap();
        if n > 10_000 && n % 50_000 == 0 {
            worst = worst.max(keyed.allocated_bytes() / (n as usize + 1));
        }
    }
    assert_eq!(keyed.len(), 1_000_000);
    let each = keyed.allocated_bytes() / 1_000_000;
    assert!(
        each.max(worst) <= 200,
        "{each} bytes a key, {worst} while growing"
    );
}

#[test]
fn the_heaviest_come_first() {
    let (hasher, keyed) = map();
    let mut dice = Dice(7);
    let mut held: HashMap<IpAddr, u64> = HashMap::new();
    for _ in 0..2000 {
        let one = address(u32::try_from(dice.below(dice.0 % 40 + 1)).unwrap());
        keyed.seat_unchecked(&hasher.hash(one), 5);
        *held.entry(one).or_default() += 1;
    }
    let (total, top) = keyed.heaviest(10, super::super::Cell::held);
    assert_eq!(total, 2000);
    let mut expected: Vec<u64> = held.values().copied().collect();
    expected.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(
        top.iter().map(|(_, weight)| *weight).collect::<Vec<_>>(),
        expected[..10]
    );
    assert!(top.iter().all(|(key, weight)| held[key] == *weight));
}

#[test]
fn keys_may_be_names() {
    let hasher = KeyHasher::default();
    let keyed: Keyed<Arc<str>> = Keyed::new(hasher.clone());
    let (alice, again) = (
        hasher.hash(Arc::from("alice")),
        hasher.hash(Arc::from("alice")),
    );
    keyed.try_seat(&alice, 1).unwrap();
    assert_eq!(keyed.try_seat(&again, 1), Err(1));
    assert!(keyed.try_seat(&hasher.hash(Arc::from("bob")), 1).is_ok());
}

#[test]
fn threads_on_one_key_get_the_ceiling_and_no_more() {
    let (hasher, keyed) = map();
    let key = hasher.hash(address(1));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..5000 {
                    if keyed.try_seat(&key, 2).is_ok() {
                        assert!(keyed.held(&key) <= 2);
                        assert!(keyed.give_back(&key));
                    }
                }
            });
        }
    });
    assert!(keyed.is_empty());
}

#[test]
fn a_key_that_is_shut_has_one_call_at_that_moment_and_the_others_none_the_less() {
    let (hasher, keyed) = map();
    let pace = Pace::new(10, Duration::from_secs(1), 5);
    let [one, other] = [1, 2].map(|n| hasher.hash(address(n)));
    keyed.shut(&one, &pace, at(3000));
    keyed.shut(&one, &pace, at(1000));
    let denied = keyed.try_take(&one, &pace, at(10)).unwrap_err();
    assert_eq!(denied.retry_at, at(3000));
    keyed.tidy(at(2999), usize::MAX);
    assert!(
        keyed.try_take(&one, &pace, at(2999)).is_err(),
        "it is not forgotten"
    );
    assert!(keyed.try_take(&one, &pace, at(3000)).is_ok());
    assert!(
        keyed.try_take(&one, &pace, at(3000)).is_err(),
        "then it is as after a burst"
    );
    assert!((0..5).all(|_| keyed.try_take(&other, &pace, at(10)).is_ok()));
}
