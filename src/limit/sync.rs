//! What the counters stand on. One place, so that `tests/model` can put a model checker's atomics
//! and locks underneath the very same source files and walk their interleavings.

use std::cell::Cell;

pub(crate) use parking_lot::{Mutex, MutexGuard};
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static PLACE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// A number that stays with the running thread: threads started one after another get numbers one
/// after another, so that what is split by it is shared by as few threads as can be.
pub(crate) fn own_place() -> usize {
    PLACE.with(|place| {
        place.get().unwrap_or_else(|| {
            let mine = NEXT.fetch_add(1, Ordering::Relaxed);
            place.set(Some(mine));
            mine
        })
    })
}
