//! The share in force: never above the limit, never nothing, once down for each overload, slowly up.

use std::time::Duration;

use proptest::prelude::*;

use super::super::{Moment, Share};
use super::at;

#[test]
fn a_refusal_leaves_seven_tenths_and_quiet_seconds_bring_it_back() {
    let mut share = Share::new(100);
    assert_eq!((share.units(), share.grows_at()), (100, None));
    share.refuse(at(5000));
    assert_eq!((share.units(), share.withheld()), (70, 30));
    assert_eq!(share.grows_at(), Some(at(6000)));
    share.grow(at(5999));
    assert_eq!(share.units(), 70);
    share.grow(at(6000));
    assert_eq!((share.units(), share.grows_at()), (72, Some(at(7000))));
    share.grow(at(19_999));
    assert_eq!(share.units(), 98);
    share.grow(at(20_000));
    assert!(share.is_whole() && share.units() == 100 && share.grows_at().is_none());
}

#[test]
fn all_refusals_of_one_second_count_once_and_each_begins_the_quiet_anew() {
    let mut share = Share::new(100);
    for millis in [0, 1, 400, 999] {
        share.refuse(at(millis));
    }
    assert_eq!(share.units(), 70);
    assert_eq!(share.grows_at(), Some(at(1999)), "no second was quiet");
    share.refuse(at(1000));
    assert_eq!(share.units(), 49);
}

#[test]
fn a_flood_of_refusals_leaves_a_twentieth_and_never_nothing() {
    for (ceiling, least) in [(1000, 50), (10, 1), (1, 1), (0, 0)] {
        let mut share = Share::new(ceiling);
        for second in 0..60 {
            share.refuse(at(second * 1000));
        }
        assert_eq!(share.units(), least, "of {ceiling}");
    }
}

#[test]
fn small_limits_grow_back_as_fast_as_large_ones() {
    let mut share = Share::new(10);
    share.refuse(at(0));
    assert_eq!(share.units(), 7);
    share.grow(at(4999));
    assert_eq!(share.units(), 7, "0.8 of a unit is none");
    share.grow(at(5000));
    assert_eq!(share.units(), 8);
    share.grow(at(15_000));
    assert!(share.is_whole());
}

/// The same with fractions and nothing kept between: refusals that count, then time.
fn reference(ceiling: u64, refusals: &[u64], now: u64) -> f64 {
    let ceiling = ceiling as f64;
    let (mut left, mut quiet_since, mut shrank) = (ceiling, 0, None);
    let grow = |left: f64, since: u64, now: u64| {
        let seconds = now.saturating_sub(since) / 1000;
        (left + seconds as f64 * ceiling * 0.02).min(ceiling)
    };
    for refusal in refusals {
        left = grow(left, quiet_since, *refusal);
        quiet_since = *refusal;
        if shrank.is_none_or(|shrank: u64| *refusal >= shrank + 1000) {
            shrank = Some(*refusal);
            left = (left * 0.7).max(ceiling * 0.05).max(1.0).min(ceiling);
        }
    }
    grow(left, quiet_since, now)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn agrees_with_the_reference_however_often_it_is_looked_at(
        ceiling in 1_u64..5000,
        gaps in prop::collection::vec((0_u64..4000, 0_u64..3), 1..60),
    ) {
        let mut share = Share::new(ceiling);
        let (mut now, mut refusals) = (0, Vec::new());
        for (gap, kind) in gaps {
            now += gap;
            if kind == 0 {
                share.refuse(at(now));
                refusals.push(now);
            } else {
                share.grow(at(now));
            }
            let expected = reference(ceiling, &refusals, now);
            let got = share.units() as f64;
            // Rounded down at each refusal, by a part at most; and to whole units when looked at.
            prop_assert!(got <= expected + 1e-6, "{got} of {ceiling}, not {expected}");
            prop_assert!(got + 1.1 >= expected, "{got} of {ceiling}, not {expected}");
            prop_assert!((1..=ceiling).contains(&share.units()));
            prop_assert_eq!(share.units() + share.withheld(), ceiling);
            if let Some(next) = share.grows_at() {
                prop_assert!(next > at(now), "it has grown up to now");
                let mut later = share;
                later.grow(next);
                prop_assert!(later != share, "it grows when it says");
            }
        }
    }

    #[test]
    fn no_limit_and_no_moment_is_too_large(ceiling: u64, first: u64, second: u64) {
        let mut share = Share::new(ceiling);
        share.refuse(Moment::from_nanos(first));
        share.grow(Moment::from_nanos(second));
        share.refuse(Moment::from_nanos(second));
        prop_assert!(share.units() <= ceiling.max(1));
        share.grow(Moment::from_nanos(second).after(Duration::from_secs(60)));
        prop_assert!(share.units() <= ceiling.max(1));
    }
}
