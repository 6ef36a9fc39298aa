//! `retry_at` is true: coming back then is admitted, a nanosecond earlier is not.

use std::time::Duration;

use tidegate::limit::{KeyHasher, Keyed, Moment, Pace, Rate};

use super::{Dice, SECOND};

/// Asks at random moments; every refusal's promise is tried out, twice too early and then in time.
fn hold_to_its_word(
    limit: u64,
    window: u64,
    seed: u64,
    mut try_take: impl FnMut(Moment) -> Result<(), tidegate::limit::Denied>,
) {
    let mut dice = Dice(seed);
    let (mut now, mut promises) = (0, 0);
    for _ in 0..5_000 {
        now += dice.below(2 * window / (limit * 5) + 2);
        let Err(denied) = try_take(Moment::from_nanos(now)) else {
            continue;
        };
        let open_at = denied.retry_at.as_nanos();
        assert!(open_at > now, "a promise for the past");
        assert!(
            open_at <= now + window,
            "a promise further away than a window"
        );
        for early in [now + (open_at - now) / 2, open_at - 1] {
            let again = try_take(Moment::from_nanos(early)).unwrap_err();
            assert_eq!(again.retry_at.as_nanos(), open_at, "the promise moved");
        }
        assert!(try_take(Moment::from_nanos(open_at)).is_ok(), "broken");
        promises += 1;
        now = open_at;
    }
    assert!(
        promises > 50,
        "only {promises} promises were put to the test"
    );
}

const RATES: [(u64, u64, u64); 6] = [
    (1500, SECOND, 1500),
    (1500, SECOND, 150),
    (1500, SECOND, 1),
    (6, 60 * SECOND, 6),
    (6, 60 * SECOND, 2),
    (7, 3 * SECOND, 5),
];

#[test]
fn of_the_whole_gate() {
    for (limit, window, burst) in RATES {
        for seed in 0..4 {
            let rate = Rate::new(limit, Duration::from_nanos(window), burst);
            hold_to_its_word(limit, window, seed, |now| rate.try_take(now));
        }
    }
}

#[test]
fn of_each_key() {
    for (limit, window, burst) in RATES {
        for seed in 0..4 {
            let hasher = KeyHasher::default();
            let keyed = Keyed::new(hasher.clone());
            let pace = Pace::new(limit, Duration::from_nanos(window), burst);
            let key = hasher.hash(7_u64);
            hold_to_its_word(limit, window, seed, |now| keyed.try_take(&key, &pace, now));
        }
    }
}
