//! What every job uses: the desk, the upstreams, who users are, and the clock of the limits.

use std::any::Any;
use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::HeaderMap;
use tokio::sync::{Mutex, Semaphore};

use super::gate::Lines;
use super::ghosts::Ghosts;
use super::merge::Gathered;
use super::native::{Own, Rounds, Seekers, Shown};
use super::pause::Spread;
use crate::call::{Caller, Spoken};
use crate::forward::Upstream;
use crate::limit::{self, Memory, Moment};
use crate::task::desk::Desk;
use crate::task::id::TaskId;
use crate::task::record::Requested;

/// Requests that are read from the store at the same time, as jobs begin.
const READ_AT_ONCE: usize = 16;

/// Bytes of all answers that are read, or wait for the store, at the same time: four of the largest.
const ALL_ANSWERS: usize = 256 * 1024 * 1024;

/// What the crew asks of those who know users and sessions.
pub trait Roster: Send + Sync {
    /// For whom a task of upstream number `upstream` is counted, and how many calls of its user one turn of a line takes.
    fn caller(&self, upstream: usize, task: &Requested) -> (Caller, NonZeroU32);

    /// The upstream of this number has answered a call that was made in this form with these fields, by this status: that
    /// proves the credentials among them, or the contrary.
    fn answered(&self, _: usize, _: (Spoken, &HeaderMap), _: u16) {}

    /// The login session of the task is in use for as long as this is kept; none where it is not known.
    fn busy(&self, task: &Requested) -> Option<Box<dyn Any + Send>>;
}

/// What a crew works with.
pub struct Means {
    /// Where tasks come from.
    pub desk: Arc<Desk>,
    /// Where they go, in the order of the configuration.
    pub upstreams: Vec<Arc<Upstream>>,
    /// Who their users are.
    pub roster: Arc<dyn Roster>,
    /// The clock of the upstreams' limits.
    pub clock: Arc<dyn Fn() -> Moment + Send + Sync>,
    /// A call whose answer is lost holds its seats no longer than this.
    pub max_blocking: Duration,
    /// How long the upstream may say nothing of use of a task in doubt.
    pub reconcile: Duration,
}

/// What every job uses.
pub(super) struct Works {
    pub(super) desk: Arc<Desk>,
    upstreams: Vec<Arc<Upstream>>,
    pub(super) roster: Arc<dyn Roster>,
    pub(super) clock: Arc<dyn Fn() -> Moment + Send + Sync>,
    pub(super) max_blocking: Duration,
    pub(super) reconcile: Duration,
    pub(super) spread: Spread,
    pub(super) reading: Semaphore,
    /// Memory for answers that are read, or wait for the store.
    pub(super) answers: Memory,
    /// Who stands at the door of an upstream that is down, for all its tasks.
    pub(super) leads: Vec<Mutex<()>>,
    pub(super) ghosts: Ghosts,
    /// Tasks of calls that may be at work and whose seats nobody can hold, as the configuration has not what they were of.
    pub(super) unheld: limit::Mutex<HashSet<TaskId>>,
    /// The upstreams' own forms of calls.
    pub(super) own: Vec<Own>,
    pub(super) rounds: Rounds,
    /// Starts that are looked for.
    pub(super) seekers: Seekers,
    /// What lists of the upstreams' tasks showed before starts.
    pub(super) shown: Vec<Shown>,
    /// Who changes which resource next, where that is looked at before.
    pub(super) lines: Lines,
    /// What is gathered to go up as one.
    pub(super) gathered: Gathered,
    at_work: AtomicUsize,
    pub(super) unwritten: AtomicUsize,
    pub(super) complained: AtomicBool,
}

impl Works {
    pub(super) fn new(means: Means) -> Self {
        let Means {
            desk,
            upstreams,
            roster,
            clock,
            max_blocking,
            reconcile,
        } = means;
        Self {
            leads: upstreams.iter().map(|_| Mutex::new(())).collect(),
            own: upstreams.iter().map(|one| Own::new(one.config())).collect(),
            rounds: Rounds::default(),
            seekers: Seekers::default(),
            shown: upstreams.iter().map(|_| Shown::default()).collect(),
            lines: Lines::default(),
            gathered: Gathered::default(),
            desk,
            upstreams,
            roster,
            clock,
            max_blocking,
            reconcile,
            spread: Spread::default(),
            reading: Semaphore::new(READ_AT_ONCE),
            answers: Memory::new(ALL_ANSWERS),
            ghosts: Ghosts::default(),
            unheld: limit::Mutex::default(),
            at_work: AtomicUsize::new(0),
            unwritten: AtomicUsize::new(0),
            complained: AtomicBool::new(false),
        }
    }

    /// The upstream of this name; none where the configuration has none any more.
    pub(super) fn upstream(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.upstreams.iter().find(|one| **one.name() == *name)
    }

    /// The longest time that a call of this task may be at work.
    pub(super) fn longest(&self, task: &Requested) -> Duration {
        self.max_blocking.max(task.run_for)
    }

    /// Tasks that are up, or about to go.
    pub(super) fn at_work(&self) -> usize {
        self.at_work.load(Ordering::Acquire)
    }

    /// One task more is, for as long as this is kept.
    pub(super) fn goes_up(&self) -> Counted<'_> {
        Counted::new(&self.at_work)
    }
}

/// Counted while it is kept.
#[derive(Debug)]
pub(super) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    pub(super) fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
