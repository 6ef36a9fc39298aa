//! The exact rate: never above, hardly below, and as if a refused call had never asked.

use std::time::Duration;

use proptest::prelude::*;

use super::super::{Moment, Rate};
use super::{Dice, at};

const SECOND: u64 = 1_000_000_000;

/// The rule in its slowest form: every stamp is kept, the bucket's level is a plain fraction.
struct Reference {
    limit: u64,
    window: u64,
    burst: u64,
    stamps: Vec<u64>,
    /// One token is `window`; `limit` comes back every nanosecond.
    level: u128,
    seen: u64,
}

impl Reference {
    fn new(limit: u64, window: u64, burst: u64) -> Self {
        let level = u128::from(burst) * u128::from(window);
        Self {
            limit,
            window,
            burst,
            stamps: Vec::new(),
            level,
            seen: 0,
        }
    }

    fn in_window(&self, now: u64) -> u64 {
        self.stamps
            .iter()
            .filter(|stamp| **stamp + self.window > now)
            .count() as u64
    }

    fn try_take(&mut self, now: u64) -> bool {
        let now = now.max(self.stamps.last().copied().unwrap_or(0));
        let since = u128::from(now.saturating_sub(self.seen));
        self.seen = self.seen.max(now);
        let full = u128::from(self.burst) * u128::from(self.window);
        self.level = full.min(self.level + since * u128::from(self.limit));
        let fits = self.in_window(now) < self.limit && self.level >= u128::from(self.window);
        if fits {
            self.level -= u128::from(self.window);
            self.stamps.push(now);
        }
        fits
    }
}

pub(super) fn most_in_any_window(stamps: &[u64], window: u64) -> usize {
    let ends = |from: usize| {
        stamps[from..]
            .iter()
            .take_while(|stamp| **stamp < stamps[from] + window)
            .count()
    };
    (0..stamps.len()).map(ends).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn agrees_with_the_reference(
        limit in 0_u64..9, window in 1_u64..60, burst in 0_u64..9,
        gaps in prop::collection::vec((0_u64..20, 0_u64..4), 1..200),
    ) {
        let burst = burst.min(limit);
        let rate = Rate::new(limit, Duration::from_nanos(window), burst);
        let mut reference = Reference::new(limit, window, burst);
        let mut clock = 5_u64;
        for (gap, late) in gaps {
            clock += gap;
            let now = clock.saturating_sub(late);
            let seen = now.max(reference.stamps.last().copied().unwrap_or(0));
            let got = rate.try_take(Moment::from_nanos(now));
            prop_assert_eq!(got.is_ok(), reference.try_take(now));
            prop_assert_eq!(rate.in_use(Moment::from_nanos(seen)), reference.in_window(seen));
            if let Err(denied) = got {
                prop_assert!(denied.retry_at > Moment::from_nanos(now), "a retry at once is no answer");
                if limit > 0 && burst > 0 {
                    let promised = denied.retry_at.as_nanos();
                    prop_assert!(rate.offer(Moment::from_nanos(promised - 1)).is_err(), "could come sooner");
                    prop_assert!(rate.offer(Moment::from_nanos(promised)).is_ok(), "promise broken");
                }
            }
        }
    }

    #[test]
    fn an_offer_not_taken_leaves_no_trace(
        limit in 1_u64..6, burst in 1_u64..6, gaps in prop::collection::vec((0_u64..20, any::<bool>()), 1..100),
    ) {
        let window = Duration::from_nanos(30);
        let (asked, control) = (Rate::new(limit, window, burst), Rate::new(limit, window, burst));
        let mut now = 0;
        for (gap, really) in gaps {
            now += gap;
            let now = Moment::from_nanos(now);
            if really {
                prop_assert_eq!(asked.try_take(now), control.try_take(now));
            } else {
                drop(asked.offer(now));
            }
            prop_assert_eq!(asked.in_use(now), control.in_use(now));
        }
    }
}

/// Offers ten times the rate for `seconds`, evenly or at random; the stamps of those admitted.
fn offer_tenfold(
    limit: u64,
    burst: u64,
    seconds: u64,
    mut gap: impl FnMut(u64) -> u64,
) -> Vec<u64> {
    let rate = Rate::new(limit, Duration::from_secs(1), burst);
    let (mut now, mut stamps) = (0, Vec::new());
    while now < seconds * SECOND {
        if rate.try_take(Moment::from_nanos(now)).is_ok() {
            stamps.push(now);
        }
        now += gap(SECOND / (limit * 10));
    }
    stamps
}

#[test]
fn a_backlog_uses_the_whole_rate_and_never_more() {
    for burst in [1500, 150, 10, 2] {
        for seed in 0..3 {
            let mut dice = Dice(seed);
            let stamps = offer_tenfold(1500, burst, 12, |mean| dice.gap(mean));
            let most = most_in_any_window(&stamps, SECOND);
            assert!(most <= 1500, "{most} in one second at burst {burst}");
            assert!(
                stamps.len() * 1000 >= 12 * 1500 * 995,
                "{} of 18000 used at burst {burst}",
                stamps.len()
            );
        }
    }
}

#[test]
fn a_bucket_of_one_is_used_whole_by_a_line_that_comes_on_the_dot() {
    let rate = Rate::new(1500, Duration::from_secs(1), 1);
    let (mut now, mut admitted) = (Moment::START, 0_u32);
    while now < at(10_000) {
        match rate.try_take(now) {
            Ok(()) => admitted += 1,
            Err(denied) => now = denied.retry_at,
        }
    }
    assert!((14_999..=15_001).contains(&admitted), "{admitted}");
}

#[test]
fn a_full_bucket_and_a_full_window_are_not_added_up() {
    // The trap: a bucket of 150 at 1500/s lets 1650 through in its first second.
    let stamps = offer_tenfold(1500, 150, 3, |even| even);
    assert_eq!(most_in_any_window(&stamps, SECOND), 1500);
    assert!(stamps.partition_point(|stamp| *stamp < SECOND) <= 1500);
}

#[test]
fn six_per_sixty_seconds_is_six_at_once_unless_burst_says_otherwise() {
    let minute = Duration::from_mins(1);
    let at_once = Rate::new(6, minute, 6);
    assert_eq!(
        (0..10).filter(|_| at_once.try_take(at(1)).is_ok()).count(),
        6
    );
    assert_eq!(at_once.try_take(at(2)).unwrap_err().retry_at, at(60_001));

    let one_by_one = Rate::new(6, minute, 1);
    let admitted: Vec<u64> = (0..60)
        .filter(|second| one_by_one.try_take(at(second * 1000)).is_ok())
        .collect();
    assert_eq!(admitted, [0, 10, 20, 30, 40, 50]);
}

#[test]
fn zero_blocks() {
    for (limit, burst) in [(0, 0), (0, 5), (5, 0)] {
        let rate = Rate::new(limit, Duration::from_secs(1), burst);
        for millis in [0, 1, 1_000, 86_400_000] {
            let denied = rate.try_take(at(millis)).unwrap_err();
            assert_eq!(
                denied.retry_at,
                at(millis + 1000),
                "one window away, so that a header can say something"
            );
        }
    }
}

#[test]
fn a_clock_that_lags_behind_makes_no_room() {
    let rate = Rate::new(2, Duration::from_secs(1), 2);
    rate.try_take(at(5_000)).unwrap();
    rate.try_take(at(4_000)).unwrap(); // counted at 5 s, since the call before it had that stamp
    assert_eq!(rate.in_use(at(5_999)), 2);
    assert!(rate.try_take(at(5_999)).is_err());
    assert!(rate.try_take(at(6_000)).is_ok());
}

#[test]
fn threads_together_get_the_limit_and_no_more() {
    let rate = Rate::new(1000, Duration::from_secs(1), 1000);
    let admitted: usize = std::thread::scope(|scope| {
        let count = || {
            (0..1000)
                .filter(|n| rate.try_take(Moment::from_nanos(*n)).is_ok())
                .count()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(admitted, 1000);
}

#[test]
fn a_call_that_leaves_a_window_after_it_was_counted_is_counted_anew_or_refused() {
    let rate = Rate::new(2, Duration::from_secs(1), 2);
    let early = rate.offer(at(0)).unwrap();
    let stamp = early.stamp();
    early.take();
    // Its own place is still in the log, and long out of the window.
    rate.try_take(at(2_000)).unwrap();
    assert_eq!(rate.restamp(stamp, at(2_500)).unwrap(), at(2_500));
    assert_eq!(rate.in_use(at(2_500)), 2);

    // Others took its place: it waits like everybody else.
    rate.try_take(at(4_000)).unwrap();
    let late = rate.offer(at(4_100)).unwrap();
    let stamp = late.stamp();
    late.take();
    rate.try_take(at(5_050)).unwrap();
    rate.try_take(at(5_100)).unwrap();
    let denied = rate.restamp(stamp, at(5_200)).unwrap_err();
    assert_eq!((denied.in_use, denied.retry_at), (2, at(6_050)));
}

proptest! {
    /// Calls that leave some time after they were admitted, out of order: counted when they leave,
    /// no window has more than the limit, however late they are.
    #[test]
    fn stamps_moved_to_the_moment_of_leaving_keep_every_window(
        steps in prop::collection::vec((0_u64..400, prop::option::of(0_u64..2500)), 1..200),
    ) {
        let limit = 5;
        let rate = Rate::new(limit, Duration::from_secs(1), limit);
        let mut now = 0;
        let mut leaving: Vec<(u64, Moment)> = Vec::new();
        let mut left = Vec::new();
        let mut leave = |leaving: &mut Vec<(u64, Moment)>, until: u64| {
            leaving.sort_by_key(|(when, _)| *when);
            while leaving.first().is_some_and(|(when, _)| *when <= until) {
                let (when, stamp) = leaving.remove(0);
                left.extend(rate.restamp(stamp, at(when)).map(Moment::as_nanos));
            }
        };
        let mut at_once = Vec::new();
        for (pause, stays) in steps {
            now += pause;
            leave(&mut leaving, now);
            if let Ok(offer) = rate.offer(at(now)) {
                let stamp = offer.stamp();
                offer.take();
                match stays {
                    Some(stays) => leaving.push((now + stays, stamp)),
                    None => at_once.push(stamp.as_nanos()),
                }
            }
        }
        leave(&mut leaving, u64::MAX);
        left.extend(at_once);
        left.sort_unstable();
        prop_assert!(most_in_any_window(&left, SECOND) <= usize::try_from(limit).unwrap(), "{left:?}");
    }
}

proptest! {
    /// Whoever would wait is told the moment at which it fits, when those before it go as soon as they
    /// can; and a stamp that is taken back leaves the rate as it was.
    #[test]
    fn the_turn_of_a_call_is_when_it_fits_and_what_is_taken_back_was_never_counted(
        limit in 1..8_u64,
        burst in 1..8_u64,
        gaps in proptest::collection::vec(0..30_u64, 0..30),
        ahead in 0..20_u64,
    ) {
        let rate = Rate::new(limit, Duration::from_nanos(60), burst);
        let mut now = 0;
        for gap in gaps {
            now += gap;
            let _ = rate.try_take(Moment::from_nanos(now));
        }
        now += 3;
        let turn = rate.turn_of(ahead, Moment::from_nanos(now)).unwrap();
        if let Ok(offer) = rate.offer(Moment::from_nanos(now)) {
            let stamp = offer.stamp();
            offer.take();
            rate.take_back(stamp);
        }
        let mut left = ahead;
        let mut fits = Moment::from_nanos(now);
        loop {
            match rate.try_take(fits) {
                Ok(()) if left == 0 => break,
                Ok(()) => left -= 1,
                Err(denied) => fits = denied.retry_at,
            }
        }
        // Where both rules bind, one may delay what the other counts from: then it is the earliest.
        prop_assert!(turn <= fits);
        if burst >= limit {
            prop_assert_eq!(turn, fits);
        }
    }
}
