//! Exact counting of sockets: a seat is taken at accept and given back when the socket closes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A ceiling and how many hold a seat under it. Never more than the ceiling, under any interleaving.
#[derive(Debug)]
pub(super) struct Seats {
    held: AtomicU32,
    ceiling: u32,
}

/// One seat, held by one socket from accept to close; given back on drop.
#[derive(Debug)]
pub(super) struct Seat(Arc<Seats>);

impl Seats {
    /// `ceiling` seats, all free. 0: nobody ever gets one.
    pub(super) fn new(ceiling: u32) -> Arc<Self> {
        Arc::new(Self {
            held: AtomicU32::new(0),
            ceiling,
        })
    }

    /// A seat, unless all are taken.
    pub(super) fn try_take(self: &Arc<Self>) -> Option<Seat> {
        self.held
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |held| {
                (held < self.ceiling).then_some(held.saturating_add(1))
            })
            .ok()
            .map(|_| Seat(Arc::clone(self)))
    }

    /// Seats taken now.
    pub(super) fn in_use(&self) -> u32 {
        self.held.load(Ordering::Acquire)
    }

    /// The ceiling.
    pub(super) fn ceiling(&self) -> u32 {
        self.ceiling
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_the_ceiling_and_all_come_back() {
        let seats = Seats::new(3);
        let held: Vec<_> = std::iter::from_fn(|| seats.try_take()).collect();
        assert_eq!((held.len(), seats.in_use()), (3, 3));
        drop(held);
        assert_eq!(seats.in_use(), 0);
        assert!(Seats::new(0).try_take().is_none());
    }

    #[test]
    fn exact_under_contention() {
        let seats = Seats::new(5);
        let most = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        if let Some(seat) = seats.try_take() {
                            most.fetch_max(seats.in_use(), Ordering::AcqRel);
                            drop(seat);
                        }
                    }
                });
            }
        });
        assert!(most.into_inner() <= 5);
        assert_eq!(seats.in_use(), 0);
    }
}
