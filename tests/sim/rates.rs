//! The rate of the whole gate: never above the limit in any window, never above the burst at once, and used.

use std::time::Duration;

use tidegate::limit::Rate;

use super::{Arrivals, SECOND, admitted, arrivals, most_in_any};

/// How long the load lasts, seconds.
const LOAD: u64 = 12;

/// Limits a second, each with a burst.
const RATES: [(u64, u64); 7] = [
    (1500, 1500),
    (1500, 150),
    (1500, 1),
    (100, 100),
    (32, 8),
    (7, 3),
    (1, 1),
];

fn every_way() -> [Arrivals; 5] {
    [
        Arrivals::Even,
        Arrivals::Bunches,
        Arrivals::Random(1),
        Arrivals::Random(2),
        Arrivals::Random(3),
    ]
}

/// Offers ten times the rate for twelve seconds.
fn tenfold(limit: u64, burst: u64, how: Arrivals) -> Vec<u64> {
    let rate = Rate::new(limit, Duration::from_secs(1), burst);
    let moments = arrivals(how, SECOND / limit / 10, LOAD * SECOND);
    admitted(moments, |now| rate.try_take(now).is_ok())
}

#[test]
fn never_more_than_the_limit_in_any_window() {
    for (limit, burst) in RATES {
        for how in every_way() {
            let most = most_in_any(&tenfold(limit, burst, how), SECOND);
            assert!(most <= limit, "{most} of {limit}, burst {burst}, {how:?}");
        }
    }
}

#[test]
fn never_more_than_the_burst_back_to_back() {
    for (limit, burst) in RATES {
        for how in every_way() {
            let stamps = tenfold(limit, burst, how);
            // In less than the time of one token nothing comes back, so what passes is the burst.
            let most = most_in_any(&stamps, SECOND / limit);
            assert!(
                most <= burst,
                "{most} at once, {limit} burst {burst} {how:?}"
            );
            // And over any longer stretch: the burst, and what came back meanwhile.
            for tokens in [2, 5, 20].into_iter().filter(|tokens| *tokens < limit) {
                let most = most_in_any(&stamps, tokens * SECOND / limit);
                assert!(most <= burst + tokens, "{most} in {tokens} tokens' time");
            }
        }
    }
}

#[test]
fn a_backlog_uses_the_rate() {
    // A burst of one is used whole only by who comes on the dot: see below.
    for (limit, burst) in RATES.into_iter().filter(|(_, burst)| *burst > 1) {
        for how in every_way() {
            // Bunches are a backlog only where all of one may pass.
            if matches!(how, Arrivals::Bunches) && burst < 1000 {
                continue;
            }
            let stamps = tenfold(limit, burst, how);
            let ten_seconds = SECOND..11 * SECOND; // the first second is the burst's own
            let used = stamps.iter().filter(|stamp| ten_seconds.contains(*stamp));
            let used = used.count() as u64;
            assert!(
                used * 1000 >= limit * 10 * 995,
                "{used}: {limit} {burst} {how:?}"
            );
        }
    }
}

#[test]
fn a_line_that_comes_on_the_dot_uses_even_a_burst_of_one() {
    for (limit, burst) in RATES {
        let rate = Rate::new(limit, Duration::from_secs(1), burst);
        let mut now = tidegate::limit::Moment::START;
        let mut stamps = Vec::new();
        while now.as_nanos() < 11 * SECOND {
            match rate.try_take(now) {
                Ok(()) => stamps.push(now.as_nanos()),
                Err(denied) => now = denied.retry_at,
            }
        }
        assert!(most_in_any(&stamps, SECOND) <= limit);
        let used = stamps.iter().filter(|stamp| **stamp >= SECOND).count() as u64;
        assert!(used * 1000 >= limit * 10 * 995, "{used}: {limit} {burst}");
    }
}

#[test]
fn six_per_sixty_seconds_is_six_in_any_minute() {
    let minute = Duration::from_mins(1);
    for (burst, at_once) in [(6, 6), (1, 1), (3, 3)] {
        let rate = Rate::new(6, minute, burst);
        let moments = arrivals(Arrivals::Even, SECOND / 10, 1200 * SECOND);
        let stamps = admitted(moments, |now| rate.try_take(now).is_ok());
        assert_eq!(most_in_any(&stamps, 60 * SECOND), 6, "burst {burst}");
        assert_eq!(most_in_any(&stamps, SECOND), at_once, "burst {burst}");
        assert!(stamps.len() >= 6 * 20 * 995 / 1000, "{} used", stamps.len());
    }
}
