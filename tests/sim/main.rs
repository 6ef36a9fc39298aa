//! Limits in virtual time: what is admitted under ten times the load that they allow.
//!
//! Time is an argument here, so minutes pass in milliseconds and every promise can be put to the test
//! to the nanosecond.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may stop where it stands"
)]

mod fairness;
mod hang_ups;
mod keyed;
mod overload;
mod promises;
mod rates;
mod reference;
mod returns;
mod two_lines;
mod world;

use tidegate::limit::Moment;

const SECOND: u64 = 1_000_000_000;

/// A small generator, the same in every run: splitmix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }
}

/// How calls arrive.
#[derive(Debug, Clone, Copy)]
enum Arrivals {
    /// One every `gap` nanoseconds.
    Even,
    /// At random, uniform between nothing and two gaps.
    Random(u64),
    /// In bunches of a thousand at the same nanosecond.
    Bunches,
}

/// The moments from 0 to `end` at which calls come, `gap` nanoseconds apart on the mean.
fn arrivals(how: Arrivals, gap: u64, end: u64) -> impl Iterator<Item = u64> {
    let seed = if let Arrivals::Random(seed) = how {
        seed
    } else {
        0
    };
    let mut dice = Dice(seed);
    let mut number = 0_u64;
    let mut now = 0;
    std::iter::from_fn(move || {
        let came = now;
        number += 1;
        now += match how {
            Arrivals::Even => gap,
            Arrivals::Random(_) => dice.below(2 * gap + 1),
            Arrivals::Bunches if number.is_multiple_of(1000) => 1000 * gap,
            Arrivals::Bunches => 0,
        };
        (came < end).then_some(came)
    })
}

/// The moments at which `admit` said yes.
fn admitted(moments: impl Iterator<Item = u64>, mut admit: impl FnMut(Moment) -> bool) -> Vec<u64> {
    moments
        .filter(|moment| admit(Moment::from_nanos(*moment)))
        .collect()
}

/// Most of the sorted `stamps` in any half-open window.
fn most_in_any(stamps: &[u64], window: u64) -> u64 {
    let mut first = 0;
    let mut most = 0;
    for (last, stamp) in stamps.iter().enumerate() {
        while stamp - stamps[first] >= window {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most as u64
}
