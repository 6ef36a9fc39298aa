//! Seats: units that are held for a while and given back, never more than a ceiling at a time.

use std::sync::Arc;

use super::sync::{AtomicU64, Ordering};

/// A counter of held units with a ceiling.
///
/// One atomic, changed by compare-and-swap: it can never be seen above the ceiling, as an optimistic
/// `fetch_add` followed by a correction can. Taking and giving back make no lock and no allocation.
#[derive(Debug)]
pub struct Seats {
    in_use: AtomicU64,
    ceiling: u64,
}

impl Seats {
    /// Free seats, `ceiling` of them; 0 blocks.
    #[must_use]
    pub fn new(ceiling: u64) -> Self {
        Self {
            in_use: AtomicU64::new(0),
            ceiling,
        }
    }

    /// Takes one unless all are taken. Who gets `true` owes one [`Seats::give_back`]; prefer
    /// [`Seats::seat`], which cannot forget it.
    #[must_use]
    pub fn try_take(&self) -> bool {
        self.try_take_leaving(0)
    }

    /// As [`Seats::try_take`], for those who must leave `reserved` seats free for others.
    #[must_use]
    pub fn try_take_leaving(&self, reserved: u64) -> bool {
        let ceiling = self.ceiling.saturating_sub(reserved);
        self.in_use
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
                (held < ceiling).then_some(held + 1)
            })
            .is_ok()
    }

    /// Takes one whether or not one is free, for limits that only count. True when it was within
    /// the ceiling. Owes one [`Seats::give_back`] either way.
    pub fn take_unchecked(&self) -> bool {
        self.in_use.fetch_add(1, Ordering::AcqRel) < self.ceiling
    }

    /// Gives one back. False, and nothing changed, when none was held: a unit given back twice
    /// must not make room for one more than the ceiling.
    pub fn give_back(&self) -> bool {
        self.in_use
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
                held.checked_sub(1)
            })
            .is_ok()
    }

    /// Takes one as a value that gives itself back.
    #[must_use]
    pub fn seat(self: &Arc<Self>) -> Option<Seat> {
        self.try_take().then(|| Seat {
            of: Arc::clone(self),
        })
    }

    /// Takes one as a value whether or not one is free, for limits that only count. True when it
    /// was within the ceiling.
    pub fn seat_unchecked(self: &Arc<Self>) -> (Seat, bool) {
        let within = self.take_unchecked();
        (
            Seat {
                of: Arc::clone(self),
            },
            within,
        )
    }

    /// Seats taken now.
    #[must_use]
    pub fn in_use(&self) -> u64 {
        self.in_use.load(Ordering::Acquire)
    }

    /// Most seats that [`Seats::try_take`] lets be taken.
    #[must_use]
    pub const fn ceiling(&self) -> u64 {
        self.ceiling
    }
}

/// One unit of [`Seats`], held until this is dropped and given back then, exactly once.
#[derive(Debug)]
#[must_use = "a seat that is not kept is given back at once"]
pub struct Seat {
    of: Arc<Seats>,
}

impl Seat {
    /// What it is a seat of.
    #[must_use]
    pub fn seats(&self) -> &Arc<Seats> {
        &self.of
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.of.give_back();
    }
}
