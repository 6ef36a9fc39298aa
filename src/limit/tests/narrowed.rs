//! The exact rate narrowed and shut: only ever less, and what it promises holds.

use std::time::Duration;

use proptest::prelude::*;

use super::super::{Moment, Rate};
use super::at;
use super::rate::most_in_any_window;

#[test]
fn narrowed_it_admits_fewer_in_every_window_that_ends_later_and_then_all_again() {
    let rate = Rate::new(10, Duration::from_secs(1), 10);
    let take = |millis: u64| rate.try_take(at(millis));
    assert!((0..10).all(|n| take(n * 10).is_ok()));
    rate.narrow(4);
    let denied = take(100).unwrap_err();
    assert_eq!(
        (denied.in_use, denied.retry_at),
        (10, at(1060)),
        "the seventh has to leave"
    );
    assert_eq!(rate.turn_of(0, at(100)), Some(at(1060)));
    assert_eq!(rate.turn_of(4, at(100)), Some(at(2060)));
    assert!(take(1059).is_err());
    assert!((0..1).all(|_| take(1060).is_ok()) && take(1060).is_err());
    rate.narrow(99);
    assert_eq!(rate.in_use(at(1060)), 4);
    assert!((0..6).all(|_| take(1060).is_ok()));
    assert!(take(1060).is_err(), "never more than the limit");
}

#[test]
fn shut_it_admits_nothing_before_the_moment_said_last() {
    let rate = Rate::new(3, Duration::from_secs(1), 3);
    rate.shut(at(5000));
    rate.shut(at(2000));
    let denied = rate.try_take(at(10)).unwrap_err();
    assert_eq!((denied.in_use, denied.retry_at), (0, at(5000)));
    assert_eq!(rate.turn_of(0, at(10)), Some(at(5000)));
    assert!(rate.try_take(at(4999)).is_err());
    assert!((0..3).all(|_| rate.try_take(at(5000)).is_ok()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn narrowing_and_shutting_only_ever_take_away(
        limit in 1_u64..9, burst in 1_u64..9,
        steps in prop::collection::vec((0_u64..20, 0_u64..10, 0_u64..9), 1..150),
    ) {
        let window = Duration::from_nanos(30);
        let rate = Rate::new(limit, window, burst.min(limit));
        let (mut now, mut stamps) = (0_u64, Vec::<u64>::new());
        let (mut allowed, mut shut) = (limit, 0);
        for (gap, kind, number) in steps {
            now += gap;
            match kind {
                0 => {
                    allowed = number.clamp(1, limit);
                    rate.narrow(allowed);
                }
                1 => {
                    shut = shut.max(now + number);
                    rate.shut(Moment::from_nanos(now + number));
                }
                _ => {
                    let in_window = stamps.iter().filter(|stamp| **stamp + 30 > now).count() as u64;
                    match rate.try_take(Moment::from_nanos(now)) {
                        Ok(()) => {
                            prop_assert!(in_window < allowed, "{in_window} of {allowed} at {now}");
                            prop_assert!(now >= shut);
                            stamps.push(now);
                        }
                        Err(denied) => {
                            let promised = denied.retry_at;
                            prop_assert!(promised > Moment::from_nanos(now));
                            prop_assert!(rate.offer(promised).is_ok(), "promise broken");
                        }
                    }
                }
            }
        }
        prop_assert!(most_in_any_window(&stamps, 30) as u64 <= limit);
    }
}
