//! The room `limit`, its own files over the checker's atomics and locks.

#[path = "../../src/limit/gradient.rs"]
mod gradient;
#[path = "../../src/limit/hash.rs"]
mod hash;
#[path = "../../src/limit/keyed.rs"]
mod keyed;
#[path = "../../src/limit/line/mod.rs"]
mod line;
#[path = "../../src/limit/moment.rs"]
mod moment;
#[path = "../../src/limit/pace.rs"]
mod pace;
#[path = "../../src/limit/promise.rs"]
mod promise;
#[path = "../../src/limit/rate.rs"]
mod rate;
#[path = "../../src/limit/seats.rs"]
mod seats;
#[path = "../../src/limit/table.rs"]
mod table;
#[path = "../../src/limit/yielding.rs"]
mod yielding;

pub use gradient::Gradient;
pub use hash::{Hashed, KeyHasher};
pub use keyed::{Cell, Keyed, KeyedOffer};
pub use line::{Ahead, Bounds, Joined, Line, Newcomer, Rank, Spot, Standing};
pub use moment::{Denied, Moment};
pub use pace::{Arrival, Pace};
pub use promise::Promises;
pub use rate::{Offer, Rate};
pub use seats::{Seat, Seats};
pub(crate) use sync::{AtomicU64, Mutex, MutexGuard, Ordering, own_place};
pub use yielding::Share;

/// What stands in for `src/limit/sync.rs`.
mod sync {
    pub(crate) use shuttle::sync::MutexGuard;
    pub(crate) use shuttle::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

    /// The checker's mutex with the face of the one that the gate uses.
    #[derive(Debug)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(inside: T) -> Self {
            Self(shuttle::sync::Mutex::new(inside))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }

    /// Two places, so that some threads share one and some do not.
    pub(crate) fn own_place() -> usize {
        usize::from(shuttle::current::me()) % 2
    }
}
