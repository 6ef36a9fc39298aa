//! How much of a limit is in force while the upstream refuses by itself: shrunk at once, grown back slowly.
//!
//! ```text
//!   a refusal ─▶ × 0.7, once in a second: all refusals of one overload count once
//!   a second without one ─▶ + 2 % of the limit, until all of it is in force again
//!   never below 5 % of the limit, nor below one unit; never above the limit
//! ```

use std::time::Duration;

use super::moment::Moment;

/// The unit that shares are reckoned in, so that 2 % of a small limit is not nothing.
const PART: u64 = 1000;
/// What is left after a refusal, tenths.
const KEPT: u64 = 7;
/// What comes back in each quiet second, of [`PART`].
const GROWTH: u64 = PART * 2 / 100;
/// What is left in any case, of [`PART`].
const FLOOR: u64 = PART * 5 / 100;
/// Largest limit that is reckoned with exactly; a larger one counts as this.
const MOST: u64 = u64::MAX / PART / 10;
/// Refusals this close together are one.
const SECOND: Duration = Duration::from_secs(1);

/// The share of one limit that is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    ceiling: u64,
    /// In [`PART`]s of a unit.
    left: u64,
    /// When it last shrank.
    shrank: Option<Moment>,
    /// Up to when it has grown: the last refusal, or a whole number of seconds after it.
    grown: Moment,
}

impl Share {
    /// All of a limit of `ceiling` units.
    #[must_use]
    pub const fn new(ceiling: u64) -> Self {
        let ceiling = if ceiling < MOST { ceiling } else { MOST };
        Self {
            ceiling,
            left: ceiling * PART,
            shrank: None,
            grown: Moment::START,
        }
    }

    /// The upstream refused at `now`.
    pub fn refuse(&mut self, now: Moment) {
        self.grow(now);
        self.grown = self.grown.max(now);
        let is_news = self
            .shrank
            .is_none_or(|shrank| now.since(shrank) >= SECOND && now > shrank);
        if is_news {
            self.shrank = Some(now);
            self.left = (self.left / 10 * KEPT).max(self.floor());
        }
    }

    /// Grows by what the time until `now` allows.
    pub fn grow(&mut self, now: Moment) {
        if self.is_whole() {
            return;
        }
        let seconds = now.since(self.grown).as_secs();
        let more = seconds.saturating_mul(self.ceiling.saturating_mul(GROWTH));
        self.left = self.left.saturating_add(more).min(self.ceiling * PART);
        self.grown = self.grown.after(Duration::from_secs(seconds));
    }

    /// Units in force: at least one of a limit that has any, and never more than it has.
    #[must_use]
    pub const fn units(&self) -> u64 {
        let units = self.left / PART;
        if units == 0 && self.ceiling > 0 {
            1
        } else {
            units
        }
    }

    /// Units of the limit that are not in force.
    #[must_use]
    pub const fn withheld(&self) -> u64 {
        self.ceiling - self.units()
    }

    /// Whether all of the limit is in force.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.left >= self.ceiling * PART
    }

    /// When it grows next; `None` when there is nothing to grow.
    #[must_use]
    pub fn grows_at(&self) -> Option<Moment> {
        (!self.is_whole()).then(|| self.grown.after(SECOND))
    }

    fn floor(&self) -> u64 {
        (self.ceiling * FLOOR)
            .max(PART)
            .min(self.ceiling.saturating_mul(PART))
    }
}
