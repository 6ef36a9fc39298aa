//! How fast traffic may come back to an upstream that was away: few calls at once, then twice as many
//! in each step of time.

use std::time::Duration;

/// Calls that may go at once, before time counts.
const AT_ONCE: u32 = 8;
/// Time in which the number of calls that went doubles, after a long outage.
const STEP: Duration = Duration::from_millis(500);
/// Steps until there is no bound any more.
const STEPS: u32 = 10;
/// An outage shorter than this many steps makes its steps shorter: after a blip there is no crowd.
const OUTAGE_STEPS: u32 = 4;

/// When each call may go, counted from the moment when the upstream came back.
///
/// At time `t` no more than `8 * 2^(t / step)` calls have gone: after an outage of 2 seconds or more, 8 at
/// once, 64 in 1.5 seconds, 1024 in 3.5, and any number after 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ramp {
    step: Duration,
}

impl Ramp {
    /// The ramp after an outage of this length.
    #[must_use]
    pub fn after(outage: Duration) -> Self {
        Self {
            step: STEP.min(outage / OUTAGE_STEPS),
        }
    }

    /// When call number `call`, counted from 0, may go, after the upstream's return.
    #[must_use]
    pub fn turn(self, call: u64) -> Duration {
        let gone = u32::try_from(call).unwrap_or(u32::MAX).saturating_add(1);
        if gone <= AT_ONCE {
            return Duration::ZERO;
        }
        let doublings = (f64::from(gone) / f64::from(AT_ONCE)).log2();
        self.step.mul_f64(doublings.min(f64::from(STEPS)))
    }

    /// How long after the return it is over.
    #[must_use]
    pub fn length(self) -> Duration {
        self.step * STEPS
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn gone_by(ramp: Ramp, time: Duration) -> usize {
        (0..20_000).filter(|call| ramp.turn(*call) <= time).count()
    }

    #[test]
    fn the_number_of_calls_doubles_every_half_second_until_there_is_no_bound() {
        let ramp = Ramp::after(LONG);
        for (ms, calls) in [(0, 8), (499, 15), (501, 16), (1501, 64), (3501, 1025)] {
            let gone = gone_by(ramp, Duration::from_millis(ms));
            assert_eq!(gone, calls, "{ms}");
        }
        assert_eq!(ramp.length(), Duration::from_secs(5));
        assert_eq!(ramp.turn(u64::MAX), ramp.length());
    }

    #[test]
    fn a_blip_makes_a_short_ramp_and_no_outage_none() {
        assert_eq!(
            Ramp::after(Duration::from_millis(100)).length(),
            Duration::from_millis(250)
        );
        assert_eq!(Ramp::after(Duration::ZERO).turn(1_000_000), Duration::ZERO);
        assert_eq!(Ramp::after(Duration::from_secs(2)), Ramp::after(LONG));
    }

    proptest! {
        #[test]
        fn turns_come_in_order_and_never_after_the_end(
            outage in 0_u64..10_000, call in any::<u64>(), more in 0_u64..100_000,
        ) {
            let ramp = Ramp::after(Duration::from_millis(outage));
            let (one, other) = (ramp.turn(call), ramp.turn(call.saturating_add(more)));
            prop_assert!(one <= other && other <= ramp.length());
        }
    }
}
