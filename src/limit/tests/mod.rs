//! Tests of the arithmetic, each kind against a slow reference. They stand in files of their own
//! because `tests/model` compiles the source files of this room over other atomics.

mod gradient;
mod keyed;
mod line;
mod narrowed;
mod pace;
mod promise;
mod rate;
mod seats;
mod table;
mod yielding;

use super::Moment;

/// Milliseconds after the start.
fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

/// A small generator of arrivals, the same in every run: splitmix64.
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

    /// A gap of a Poisson stream, nanoseconds.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a random gap"
    )]
    fn gap(&mut self, mean: u64) -> u64 {
        let uniform = ((self.roll() >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
        (-uniform.ln() * mean as f64) as u64
    }
}
