//! Ways to count and to wait: rates, seats, lines. No HTTP, no configuration; time is an argument.
//!
//! | what | type | exact? |
//! |---|---|---|
//! | units held until given back | [`Seats`], guarded by [`Seat`] | yes: one atomic, compare-and-swap |
//! | calls per sliding window, everybody together | [`Rate`] | yes: a log of the last `limit` stamps |
//! | units held or calls per window, each key apart | [`Keyed`] with [`Pace`] for windows | seats yes; windows at most limit + burst |
//! | how many at a time an upstream takes without getting slower | [`Gradient`] | an estimate |
//! | who was told to come back when | [`Promises`] | a moment for each, never more in a second than fit |
//! | how much of a limit is in force while the upstream refuses | [`Share`] | only ever lowers |
//! | calls that wait for any of these, users in turn | [`Line`] | yes: what comes free goes to the next in line |
//! | bytes of bodies in memory | [`Memory`] | yes, or refuses |
//! | calls to an upstream that came back | [`Ramp`] | a moment for each |
//!
//! Nothing here reads a clock: whoever asks says what the time is.

mod gradient;
mod hash;
mod keyed;
mod line;
mod memory;
mod moment;
mod pace;
mod promise;
mod ramp;
mod rate;
mod seats;
mod sync;
mod table;
mod yielding;

pub use gradient::Gradient;
pub use hash::{Hashed, KeyHasher};
pub use keyed::{Cell, Keyed, KeyedOffer};
pub use line::{Ahead, Bounds, Joined, Line, Newcomer, Rank, Spot, Standing};
pub use memory::{Memory, Part};
pub use moment::{Denied, Moment};
pub use pace::{Arrival, Pace};
pub use promise::Promises;
pub use ramp::Ramp;
pub use rate::{Offer, Rate};
pub use seats::{Seat, Seats};
pub(crate) use sync::{AtomicU64, Mutex, MutexGuard, Ordering, own_place};
pub use yielding::Share;

#[cfg(test)]
mod tests;
