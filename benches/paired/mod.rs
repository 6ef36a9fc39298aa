//! What stands beside what: parts measured by turns, so that a change of the machine's mood meets all of them.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "numbers of a benchmark are small"
)]

use std::time::Instant;

/// Rounds of which the median is taken.
const ROUNDS: usize = 101;
/// Turns of one part in one round.
const TURNS: u64 = 10_000;

/// Runs the parts by turns, each as often as it is told; the median nanoseconds that one turn of each takes.
pub fn by_turns<const N: usize>(mut parts: [&mut dyn FnMut(u64); N]) -> [f64; N] {
    let mut took = [const { Vec::new() }; N];
    for _ in 0..ROUNDS {
        for (part, took) in parts.iter_mut().zip(&mut took) {
            let began = Instant::now();
            part(TURNS);
            took.push(began.elapsed().as_secs_f64() * 1e9 / TURNS as f64);
        }
    }
    took.map(|mut rounds| {
        rounds.sort_by(f64::total_cmp);
        rounds[ROUNDS / 2]
    })
}

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

    /// From 0 to 1.
    fn fraction(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Draws of a load, made beforehand so that drawing is not measured; walked round and round.
pub struct Load {
    draws: Vec<u32>,
    next: usize,
}

/// Draws of one load: enough that a walk through them meets keys it has not met for long.
const DRAWS: usize = 1 << 21;

impl Load {
    /// Every one of `keys` as likely as any other.
    pub fn uniform(keys: u32) -> Self {
        let mut dice = Dice(1);
        Self::drawn(|| (dice.roll() % u64::from(keys)) as u32)
    }

    /// The n-th of `keys` 1/n as likely as the first (Zipf, s = 1).
    pub fn zipf(keys: u32) -> Self {
        let mut sum = 0.0;
        let up_to: Vec<f64> = (1..=keys)
            .map(|n| {
                sum += 1.0 / f64::from(n);
                sum
            })
            .collect();
        let mut dice = Dice(2);
        Self::drawn(|| {
            let at = dice.fraction() * sum;
            // Ranks are spread over the keys, or neighbours in rank would be neighbours in memory.
            let rank = up_to.partition_point(|end| *end <= at) as u64;
            (rank * 7_919 % u64::from(keys)) as u32
        })
    }

    fn drawn(mut draw: impl FnMut() -> u32) -> Self {
        Self {
            draws: (0..DRAWS).map(|_| draw()).collect(),
            next: 0,
        }
    }

    /// The key that comes next.
    pub fn next(&mut self) -> u32 {
        self.next = (self.next + 1) % DRAWS;
        self.draws[self.next]
    }
}
