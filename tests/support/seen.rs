//! What the model upstream saw, counted by itself.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What the model upstream saw.
#[derive(Debug, Default)]
pub struct Seen {
    pub(super) open: AtomicU64,
    pub(super) most_open: AtomicU64,
    pub(super) running: AtomicU64,
    pub(super) most_running: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) sockets: AtomicU64,
    pub(super) stamps: Mutex<Vec<Instant>>,
    pub(super) targets: Mutex<Vec<String>>,
}

impl Seen {
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::SeqCst)
    }
    pub fn most_open(&self) -> u64 {
        self.most_open.load(Ordering::SeqCst)
    }
    pub fn running(&self) -> u64 {
        self.running.load(Ordering::SeqCst)
    }
    pub fn most_running(&self) -> u64 {
        self.most_running.load(Ordering::SeqCst)
    }
    /// Requests whose heads were read.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
    /// Sockets ever accepted.
    pub fn sockets(&self) -> u64 {
        self.sockets.load(Ordering::SeqCst)
    }
    /// What was asked for, in order.
    pub fn targets(&self) -> Vec<String> {
        self.targets.lock().unwrap().clone()
    }
    /// When each request's head was read, in order.
    pub fn stamps(&self) -> Vec<Instant> {
        self.stamps.lock().unwrap().clone()
    }
}

/// Adds one now, keeps the most, takes it back on drop.
pub(super) struct Counted<'a>(&'a AtomicU64);

impl<'a> Counted<'a> {
    pub(super) fn new(now: &'a AtomicU64, most: &AtomicU64) -> Self {
        let count = now.fetch_add(1, Ordering::SeqCst) + 1;
        most.fetch_max(count, Ordering::SeqCst);
        Self(now)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
