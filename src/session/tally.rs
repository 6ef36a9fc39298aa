//! Sessions counted by upstream and kind, and the bound on all of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::known::{Count, Upstream};
use crate::call::SessionKind;
use crate::limit::{AtomicU64, Mutex, Ordering, Seats};

#[derive(Debug, Default, Clone, Copy)]
struct Cell {
    live: u64,
    reaped: u64,
}

/// The counts. Logins and logouts are rare beside calls: one lock does.
#[derive(Debug)]
pub(super) struct Tally {
    room: Seats,
    overflows: AtomicU64,
    cells: Mutex<BTreeMap<(Arc<str>, SessionKind), Cell>>,
}

impl Tally {
    pub(super) fn new(most: usize) -> Self {
        Self {
            room: Seats::new(u64::try_from(most).unwrap_or(u64::MAX)),
            overflows: AtomicU64::new(0),
            cells: Mutex::default(),
        }
    }

    /// Counts a session in; false, and an overflow counted, when the ledger is full.
    pub(super) fn enter(&self, upstream: &Upstream, kind: SessionKind) -> bool {
        if !self.room.try_take() {
            self.overflows.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.with(upstream, kind, |cell| cell.live += 1);
        true
    }

    /// Counts a session out; `reaped` when it was idle.
    pub(super) fn leave(&self, upstream: &Upstream, kind: SessionKind, reaped: bool) {
        self.room.give_back();
        self.with(upstream, kind, |cell| {
            cell.live = cell.live.saturating_sub(1);
            cell.reaped += u64::from(reaped);
        });
    }

    fn with(&self, upstream: &Upstream, kind: SessionKind, count: impl FnOnce(&mut Cell)) {
        let mut cells = self.cells.lock();
        count(cells.entry((Arc::clone(&upstream.name), kind)).or_default());
    }

    pub(super) fn live(&self) -> u64 {
        self.room.in_use()
    }

    pub(super) fn overflows(&self) -> u64 {
        self.overflows.load(Ordering::Relaxed)
    }

    pub(super) fn counts(&self) -> Vec<Count> {
        let cells = self.cells.lock();
        let count = |((upstream, kind), cell): (&(Arc<str>, SessionKind), &Cell)| Count {
            upstream: Arc::clone(upstream),
            kind: *kind,
            live: cell.live,
            reaped: cell.reaped,
        };
        cells.iter().map(count).collect()
    }
}
