//! The keyed rate's arithmetic against governor with its own store and its own clock.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::FakeRelativeClock;
use governor::{Quota, RateLimiter};
use proptest::prelude::*;

use super::super::{Arrival, Moment, Pace};
use super::at;

proptest! {
    #[test]
    fn agrees_with_governor_on_its_own(
        limit in 1_u64..50, burst in 1_u32..50, gaps in prop::collection::vec(0_u64..120_000_000, 1..200),
    ) {
        let window = Duration::from_secs(1);
        let pace = Pace::new(limit, window, u64::from(burst));
        let clock = FakeRelativeClock::default();
        let period = Duration::from_nanos(1_000_000_000_u64.div_ceil(limit));
        let quota = Quota::with_period(period).unwrap().allow_burst(NonZeroU32::new(burst).unwrap());
        let reference = RateLimiter::direct_with_clock(quota, clock.clone());
        let (mut now, mut state) = (0, Arrival::default());
        for gap in gaps {
            now += gap;
            clock.advance(Duration::from_nanos(gap));
            match (pace.check(state, Moment::from_nanos(now)), reference.check()) {
                (Ok(after), Ok(())) => state = after,
                (Err(denied), Err(until)) => {
                    prop_assert_eq!(denied.retry_at.as_nanos(), until.earliest_possible().as_u64());
                    prop_assert!(denied.in_use >= u64::from(burst));
                    prop_assert!(pace.check(state, denied.retry_at).is_ok(), "promise broken");
                }
                (ours, theirs) => prop_assert!(false, "{ours:?} against {theirs:?}"),
            }
        }
    }

    #[test]
    fn at_most_limit_and_burst_in_any_window(
        limit in 1_u64..20, burst in 1_u64..20, gaps in prop::collection::vec(0_u64..40, 1..300),
    ) {
        let pace = Pace::new(limit, Duration::from_nanos(100), burst);
        let (mut now, mut state, mut stamps) = (0, Arrival::default(), Vec::new());
        for gap in gaps {
            now += gap;
            if let Ok(after) = pace.check(state, Moment::from_nanos(now)) {
                state = after;
                stamps.push(now);
            }
        }
        for from in &stamps {
            let within = stamps.iter().filter(|stamp| (*from..*from + 100).contains(stamp)).count() as u64;
            prop_assert!(within <= limit + burst);
        }
    }
}

#[test]
fn zero_blocks() {
    for (limit, burst) in [(0, 0), (0, 5), (5, 0)] {
        let denied = Pace::new(limit, Duration::from_secs(1), burst)
            .check(Arrival::default(), at(7))
            .unwrap_err();
        assert_eq!(denied.retry_at, at(1007));
    }
}

#[test]
fn a_limiter_built_late_has_the_same_epoch() {
    let early = Pace::new(1, Duration::from_secs(1), 1);
    let state = early.check(Arrival::default(), at(90_000)).unwrap();
    let late = Pace::new(1, Duration::from_secs(1), 1);
    assert_eq!(late.check(Arrival::default(), at(90_000)), Ok(state));
    assert_eq!(
        late.check(state, at(90_500)).unwrap_err().retry_at,
        at(91_000)
    );
}

#[test]
fn absurd_numbers_do_not_overflow() {
    let pace = Pace::new(1, Duration::from_hours(8760), u64::MAX);
    let mut state = Arrival::default();
    for _ in 0..100 {
        state = pace.check(state, at(1)).unwrap();
    }
    assert_eq!(pace.in_use(state, at(1)), 100);
    assert!(
        Pace::new(u64::MAX, Duration::from_nanos(1), u64::MAX)
            .check(Arrival::default(), at(1))
            .is_ok()
    );
}

proptest! {
    /// As for the exact rate.
    #[test]
    fn the_turn_of_a_call_is_when_it_fits_and_what_is_taken_back_was_never_counted(
        limit in 1..8_u64,
        burst in 1..8_u64,
        gaps in proptest::collection::vec(0..30_u64, 0..30),
        ahead in 0..20_u64,
    ) {
        let pace = Pace::new(limit, Duration::from_nanos(60), burst);
        let (mut now, mut state) = (1, Arrival::default());
        for gap in gaps {
            now += gap;
            state = pace.check(state, Moment::from_nanos(now)).unwrap_or(state);
        }
        let moment = Moment::from_nanos(now);
        let turn = pace.turn_of(state, ahead, moment).unwrap();
        if let Ok(after) = pace.check(state, moment) {
            prop_assert_eq!(pace.turn_of(pace.take_back(after), ahead, moment), Some(turn));
        }
        let (mut left, mut fits) = (ahead, moment);
        loop {
            match pace.check(state, fits) {
                Ok(_) if left == 0 => break,
                Ok(after) => (state, left) = (after, left - 1),
                Err(denied) => fits = denied.retry_at,
            }
        }
        prop_assert_eq!(turn, fits);
    }
}
