//! The limit that follows the upstream, against one that queues.

use std::time::Duration;

use crate::limit::{Gradient, Moment};

/// Fewest calls at a time that it lets in, unless fewer are configured.
const LEAST: u64 = 4;

/// An upstream that works on `takes` calls at a time, each for 10 ms, and queues the others; as many
/// calls as the limit allows are always in flight. The limit after `seconds`.
fn run(gradient: &Gradient, takes: u64, offered: u64, from: u64, seconds: u64) -> (u64, u64) {
    let mut now = from;
    let mut highest = 0;
    while now < from + seconds * 1_000_000_000 {
        let in_flight = gradient.limit().min(offered);
        highest = highest.max(gradient.limit());
        let took = 10_000_000 * in_flight.div_ceil(takes).max(1);
        // One round: all that are in flight end, one after the other.
        for _ in 0..in_flight {
            gradient.learn(
                Duration::from_nanos(took),
                in_flight,
                Moment::from_nanos(now),
            );
        }
        now += took;
    }
    (gradient.limit(), highest)
}

#[test]
fn it_finds_what_the_upstream_takes() {
    let gradient = Gradient::new(550);
    let (limit, _) = run(&gradient, 100, u64::MAX, 0, 60);
    assert!((100..=220).contains(&limit), "{limit}");
    // Half of it fails.
    let (limit, _) = run(&gradient, 50, u64::MAX, 60_000_000_000, 60);
    assert!((40..=130).contains(&limit), "{limit}");
    let (limit, _) = run(&gradient, 200, u64::MAX, 120_000_000_000, 120);
    assert!(limit >= 180, "{limit}");
}

#[test]
fn it_never_exceeds_what_is_configured_nor_blocks() {
    for most in [1, 3, 50] {
        let gradient = Gradient::new(most);
        let (_, highest) = run(&gradient, 10_000, u64::MAX, 0, 30);
        assert_eq!(highest, most);
        for second in 30..90 {
            gradient.note_failure();
            let (limit, _) = run(&gradient, 1, u64::MAX, second * 1_000_000_000, 1);
            assert!(limit >= LEAST.min(most));
        }
    }
}

#[test]
fn few_calls_say_nothing_about_many() {
    let gradient = Gradient::new(500);
    let start = gradient.limit();
    let (limit, _) = run(&gradient, 1, 4, 0, 60);
    assert_eq!(limit, start);
}
