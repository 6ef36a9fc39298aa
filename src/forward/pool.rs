//! The open sockets to one upstream: exact caps, and the idle pool that lives under them.
//!
//! A socket is charged to every `upstream_connections` limit of the call it was opened for, from
//! before it is dialled until it is closed, idle time included. Idle sockets are kept per worker
//! thread, so that the usual call touches nothing another thread owns; an idle socket never stands
//! in the way of a caller of another thread (it is taken over) or group (it is closed).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering, fence};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use slab::Slab;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::admit::{SocketGroup, SocketLimit};

use super::io::Io;

/// Longest wait for the upstream to close its side.
const PARTING: Duration = Duration::from_secs(1);

/// The sockets of one upstream, of all worker threads.
#[derive(Debug)]
pub struct Pool {
    limits: Box<[SocketLimit]>,
    shards: Box<[Mutex<Vec<Idle>>]>,
    live: Mutex<Slab<SocketGroup>>,
    idle: AtomicUsize,
    parting: AtomicUsize,
    waiting: AtomicUsize,
    freed: Notify,
    idle_timeout: Duration,
}

/// An idle connection and what it is charged to.
#[derive(Debug)]
struct Idle {
    io: Io,
    ticket: Ticket,
    since: Instant,
}

/// What [`Pool::checkout`] found.
#[derive(Debug)]
pub(super) enum Checkout {
    /// An idle connection, quiet a moment ago.
    Reused(Io, Ticket),
    /// Room for a new connection: dial it.
    Vacant(Ticket),
    /// Every place is taken, and no idle connection serves as it is. The limit that is full.
    Full(usize),
}

/// How full the pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolView {
    /// Open sockets, idle ones too.
    pub open: usize,
    /// Of these, idle.
    pub idle: usize,
    /// The lowest ceiling that every call is under; `None` where there is none.
    pub limit: Option<u64>,
}

/// The right to one open socket. Dropping it gives the place back: drop it after the socket.
#[derive(Debug)]
pub(super) struct Ticket {
    pool: Arc<Pool>,
    group: SocketGroup,
    entry: usize,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.pool.live.lock().try_remove(self.entry);
        self.pool.discharge(self.group, usize::MAX);
        self.pool.wake();
    }
}

impl Ticket {
    pub(super) fn group(&self) -> SocketGroup {
        self.group
    }
}

impl Pool {
    /// A pool for `workers` threads under `limits`, whose bits make up a [`SocketGroup`].
    #[must_use]
    pub fn new(limits: &[SocketLimit], workers: usize, idle_timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            limits: limits.into(),
            shards: (0..workers.max(1)).map(|_| Mutex::default()).collect(),
            live: Mutex::default(),
            idle: AtomicUsize::new(0),
            parting: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
            idle_timeout,
        })
    }

    /// A connection for a call of `group` on thread `worker`, without waiting.
    pub(super) fn checkout(self: &Arc<Self>, worker: usize, group: SocketGroup) -> Checkout {
        if let Some((io, ticket)) = self.take_idle(worker, group) {
            return Checkout::Reused(io, ticket);
        }
        let full = match self.charge(group) {
            Ok(ticket) => return Checkout::Vacant(ticket),
            Err(full) => full,
        };
        // Every place is taken. An idle socket of this group serves as it is.
        for other in 1..self.shards.len() {
            let other = (worker + other) % self.shards.len();
            if let Some((mut io, ticket)) = self.take_idle(other, group) {
                io.moved();
                return Checkout::Reused(io, ticket);
            }
        }
        Checkout::Full(full)
    }

    /// As [`Pool::checkout`], but waits until `deadline` for a place. An idle socket of another group
    /// gives way, if it is charged to what is full.
    ///
    /// Calls hold a seat of each limit before they come here, so with all calls behaving a place is
    /// free or about to be: the socket of a call that just ended may still be closing.
    pub(super) async fn checkout_by(
        self: &Arc<Self>,
        worker: usize,
        group: SocketGroup,
        deadline: tokio::time::Instant,
    ) -> Checkout {
        let _waiting = Waiting::new(&self.waiting);
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Registered before looking again, so that no release in between is missed.
            freed.as_mut().enable();
            let full = match self.checkout(worker, group) {
                Checkout::Full(full) => full,
                found => return found,
            };
            self.make_way(full);
            if tokio::time::timeout_at(deadline, freed).await.is_err() {
                return Checkout::Full(full);
            }
        }
    }

    /// The number that stands for no worker thread: who calls from elsewhere takes idle connections of any,
    /// and gives none back.
    pub(super) fn outside(&self) -> usize {
        self.shards.len()
    }

    /// Takes back a connection whose response was whole.
    pub(super) fn put(&self, worker: usize, io: Io, ticket: Ticket) {
        let Some(shard) = self.shards.get(worker) else {
            return;
        };
        let since = Instant::now();
        shard.lock().push(Idle { io, ticket, since });
        self.idle.fetch_add(1, Ordering::Relaxed);
        self.wake();
    }

    /// Closes idle sockets that the upstream closed, or that idled for `idle_timeout`.
    pub fn sweep(&self) {
        for shard in &self.shards {
            let mut gone = Vec::new();
            let mut idle = shard.lock();
            let mut at = 0;
            while let Some(one) = idle.get_mut(at) {
                if one.since.elapsed() >= self.idle_timeout || !one.io.is_quiet() {
                    gone.push(idle.swap_remove(at));
                } else {
                    at += 1;
                }
            }
            drop(idle);
            self.close(gone);
        }
    }

    /// Closes every idle socket: the upstream's address changed, or the gate is stopping.
    pub fn clear(&self) {
        for shard in &self.shards {
            let gone = std::mem::take(&mut *shard.lock());
            self.close(gone);
        }
    }

    /// How full it is.
    #[must_use]
    pub fn view(&self) -> PoolView {
        PoolView {
            open: self.live.lock().len(),
            idle: self.idle.load(Ordering::Relaxed),
            limit: self
                .limits
                .iter()
                .filter(|limit| limit.enforced && limit.everyone)
                .map(|limit| limit.open.ceiling())
                .min(),
        }
    }

    /// Sockets counted one by one, less the counter, for each limit; anything but 0 is a bug.
    ///
    /// A place is taken just before its socket is listed, and given back just after it is struck off:
    /// so the counter is read before and after, and what lies between the two is no mismatch.
    #[must_use]
    pub fn audit(&self) -> Vec<(Arc<str>, i64)> {
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.limits
            .iter()
            .enumerate()
            .map(|(bit, limit)| {
                let before = signed(limit.open.in_use());
                let live = self.live.lock();
                let held = live.iter().filter(|(_, group)| group.contains(bit)).count();
                let held = i64::try_from(held).unwrap_or(i64::MAX);
                drop(live);
                let after = signed(limit.open.in_use());
                let nearest = held.clamp(before.min(after), before.max(after));
                (limit.name.clone(), held - nearest)
            })
            .collect()
    }

    /// The idle connection of `group` in the shard of `worker` that idled least and is still quiet.
    fn take_idle(&self, worker: usize, group: SocketGroup) -> Option<(Io, Ticket)> {
        let shard = self.shards.get(worker)?;
        loop {
            let mut one = {
                let mut idle = shard.lock();
                let at = idle.iter().rposition(|one| one.ticket.group() == group)?;
                idle.remove(at)
            };
            self.idle.fetch_sub(1, Ordering::Relaxed);
            if one.since.elapsed() < self.idle_timeout && one.io.is_quiet() {
                return Some((one.io, one.ticket));
            }
            part(one.io, one.ticket);
        }
    }

    /// Charges a new socket to every limit of `group`, or to none: then the bit that was full.
    fn charge(self: &Arc<Self>, group: SocketGroup) -> Result<Ticket, usize> {
        for (bit, limit) in self.limits.iter().enumerate() {
            if !group.contains(bit) {
                continue;
            }
            if limit.enforced {
                if !limit.open.try_take() {
                    self.discharge(group, bit);
                    return Err(bit);
                }
            } else {
                limit.open.take_unchecked();
            }
        }
        let entry = self.live.lock().insert(group);
        Ok(Ticket {
            pool: self.clone(),
            group,
            entry,
        })
    }

    /// Gives back one unit of every limit of `group` below bit `end`.
    fn discharge(&self, group: SocketGroup, end: usize) {
        for (_, limit) in self
            .limits
            .iter()
            .enumerate()
            .take(end)
            .filter(|(bit, _)| group.contains(*bit))
        {
            limit.open.give_back();
        }
    }

    /// Has idle sockets charged to limit `bit` close, until as many are closing as callers wait: a place
    /// is free only once its socket is closed, and whoever waits is woken then.
    fn make_way(&self, bit: usize) {
        while self.parting.load(Ordering::SeqCst) < self.waiting.load(Ordering::SeqCst) {
            if !self.evict(bit) {
                return;
            }
        }
    }

    /// Closes the idle socket that idled longest among those charged to limit `bit`; false where there
    /// is none.
    fn evict(&self, bit: usize) -> bool {
        let mut oldest: Option<(usize, Instant)> = None;
        for (shard, idle) in self.shards.iter().enumerate() {
            let idle = idle.lock();
            let since = idle
                .iter()
                .filter(|one| one.ticket.group().contains(bit))
                .map(|one| one.since)
                .min();
            if let Some(since) = since
                && oldest.is_none_or(|(_, other)| since < other)
            {
                oldest = Some((shard, since));
            }
        }
        let Some(shard) = oldest.and_then(|(shard, _)| self.shards.get(shard)) else {
            return false;
        };
        let mut idle = shard.lock();
        let found = idle
            .iter()
            .enumerate()
            .filter(|(_, one)| one.ticket.group().contains(bit))
            .min_by_key(|(_, one)| one.since)
            .map(|(at, _)| at);
        // Another thread may have taken the last one meanwhile: then something changed, look again.
        let gone = found.map(|at| idle.remove(at));
        drop(idle);
        self.close(gone.into_iter().collect());
        true
    }

    fn close(&self, gone: Vec<Idle>) {
        self.idle.fetch_sub(gone.len(), Ordering::Relaxed);
        for one in gone {
            part(one.io, one.ticket);
        }
    }

    fn wake(&self) {
        // Pairs with the fence in `Waiting::new`: either the waiter sees the place that was given
        // back, or this sees the waiter.
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_waiters();
        }
    }
}

/// Closes a connection, and gives its place back once the upstream has closed its side too, or
/// [`PARTING`] later: until then the upstream may still count it.
pub(super) fn part(io: Io, ticket: Ticket) {
    ticket.pool.parting.fetch_add(1, Ordering::SeqCst);
    let mut parting = Parting { io, ticket };
    // Without a runtime the gate is on its way out: then at once.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move {
            // Late or broken, it is dropped either way.
            drop(timeout(PARTING, parting.io.part()).await);
        });
    }
}

/// A socket that is closing. Fields are dropped in this order: it closes before its place is given back.
///
/// That it has a `drop` of its own keeps both together: without one, a task that names the socket
/// alone takes that alone, and leaves the place behind to be given back at once.
struct Parting {
    io: Io,
    ticket: Ticket,
}

impl Drop for Parting {
    fn drop(&mut self) {
        self.ticket.pool.parting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Counts a caller that waits for a place, while it waits.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}
