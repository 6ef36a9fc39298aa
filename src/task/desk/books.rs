//! What the desk keeps in memory: every task that is not over, in order, and the last ones that are.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::watch;

use super::share::shares;
use super::{Live, SubmitError};
use crate::limit::{Mutex, MutexGuard};
use crate::task::id::TaskId;
use crate::task::record::{Millis, Owner, Record, Requested};
use crate::task::state::State;

/// Tasks that are over and are still answered from memory.
const MOST_ENDED: usize = 10_000;

/// The books of the desk.
#[derive(Debug, Default)]
pub(super) struct Books(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    open: HashMap<TaskId, Entry>,
    ended: HashMap<TaskId, Arc<Record>>,
    /// Of these, in the order in which they came: the first is forgotten first.
    ended_order: VecDeque<TaskId>,
    /// How often some of them were forgotten.
    forgotten: u64,
    /// By upstream: how many are open, and which wait.
    upstreams: HashMap<Arc<str>, Crowd>,
    /// Open tasks by upstream and share.
    shares: HashMap<(Arc<str>, Owner), usize>,
}

#[derive(Debug)]
struct Entry {
    now: watch::Sender<Arc<Record>>,
    /// What polls of the upstream told of it.
    live: Option<Arc<Live>>,
    /// The store has ended and forgotten it, sooner than it was heard here that it is over.
    is_forgotten: bool,
    /// Given back when the entry goes.
    _room: Room,
}

#[derive(Debug, Default)]
struct Crowd {
    /// Those that have room, with those among them that are just being kept.
    open: usize,
    /// Those that are entered.
    entered: usize,
    /// Those that wait, in the order of their names, which is that of time: the newest comes last, the oldest mostly
    /// goes first, and the place of any is found by halving.
    waiting: VecDeque<TaskId>,
}

impl Crowd {
    fn waits(&mut self, id: TaskId) {
        if let Err(place) = self.waiting.binary_search(&id) {
            self.waiting.insert(place, id);
        }
    }

    fn waits_no_more(&mut self, id: TaskId) {
        if let Ok(place) = self.waiting.binary_search(&id) {
            self.waiting.remove(place);
        }
    }
}

/// Room for one task. Dropped, it is free again.
#[derive(Debug)]
pub(super) struct Room {
    books: Arc<Books>,
    upstream: Arc<str>,
    shares: Vec<Owner>,
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut pages = self.books.0.lock();
        pages.leave(&self.upstream, &self.shares);
    }
}

impl Pages {
    fn leave(&mut self, upstream: &Arc<str>, shares: &[Owner]) {
        if let Some(crowd) = self.upstreams.get_mut(upstream) {
            crowd.open = crowd.open.saturating_sub(1);
        }
        for share in shares {
            let share = (upstream.clone(), share.clone());
            if let Some(count) = self.shares.get_mut(&share) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.shares.remove(&share);
                }
            }
        }
    }

    fn enter(&mut self, upstream: &Arc<str>, shares: &[Owner]) {
        self.upstreams.entry(upstream.clone()).or_default().open += 1;
        for share in shares {
            let share = (upstream.clone(), share.clone());
            *self.shares.entry(share).or_default() += 1;
        }
    }

    /// Tasks in the fullest of these shares.
    fn fullest(&self, upstream: &Arc<str>, shares: &[Owner]) -> usize {
        let shares = shares.iter().filter_map(|share| {
            let share = (upstream.clone(), share.clone());
            self.shares.get(&share).copied()
        });
        shares.max().unwrap_or(0)
    }

    fn strike(&mut self, record: &Record) -> Option<Entry> {
        let entry = self.open.remove(&record.id)?;
        if let Some(crowd) = self.upstreams.get_mut(&record.requested.upstream) {
            crowd.entered = crowd.entered.saturating_sub(1);
        }
        Some(entry)
    }

    fn end(&mut self, record: Arc<Record>) {
        let id = record.id;
        if self.ended.insert(id, record).is_none() {
            self.ended_order.push_back(id);
        }
        while self.ended_order.len() > MOST_ENDED
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }
}

impl Books {
    /// Takes room for one task.
    pub(super) fn room(
        self: &Arc<Self>,
        requested: &Requested,
        of_upstream: usize,
        of_share: usize,
    ) -> Result<Room, SubmitError> {
        let (upstream, shares) = (&requested.upstream, shares(requested));
        let mut pages = self.0.lock();
        let open = pages.upstreams.get(upstream);
        let open = open.map_or(0, |crowd| crowd.open);
        if open >= of_upstream {
            return Err(SubmitError::Full(open));
        }
        let own = pages.fullest(upstream, &shares);
        if own >= of_share {
            return Err(SubmitError::OwnerFull(own));
        }
        pages.enter(upstream, &shares);
        drop(pages);
        Ok(self.taken(upstream, shares))
    }

    /// Takes room for a task that was let in before.
    pub(super) fn room_regardless(self: &Arc<Self>, requested: &Requested) -> Room {
        let (upstream, shares) = (&requested.upstream, shares(requested));
        self.0.lock().enter(upstream, &shares);
        self.taken(upstream, shares)
    }

    fn taken(self: &Arc<Self>, upstream: &Arc<str>, shares: Vec<Owner>) -> Room {
        Room {
            books: self.clone(),
            upstream: upstream.clone(),
            shares,
        }
    }

    /// Enters a task, unless it is there. False where it is.
    pub(super) fn open_once(&self, record: &Arc<Record>, room: Room) -> bool {
        let pages = self.0.lock();
        let is_there = pages.open.contains_key(&record.id) || pages.ended.contains_key(&record.id);
        if is_there {
            // Its room is given back with the books closed.
            drop(pages);
            drop(room);
        } else {
            Self::enter(pages, record, room);
        }
        !is_there
    }

    /// Enters a task.
    pub(super) fn open(&self, record: &Arc<Record>, room: Room) {
        Self::enter(self.0.lock(), record, room);
    }

    fn enter(mut pages: MutexGuard<'_, Pages>, record: &Arc<Record>, room: Room) {
        let waits = record.status.state() == State::Scheduled;
        if waits && let Some(crowd) = pages.upstreams.get_mut(&record.requested.upstream) {
            crowd.waits(record.id);
        }
        let entry = Entry {
            now: watch::Sender::new(record.clone()),
            live: None,
            is_forgotten: false,
            _room: room,
        };
        let before = pages.open.insert(record.id, entry);
        if before.is_none()
            && let Some(crowd) = pages.upstreams.get_mut(&record.requested.upstream)
        {
            crowd.entered += 1;
        }
        drop(pages);
        // Its room is given back with the books closed.
        drop(before);
    }

    /// What is in the books of a task.
    pub(super) fn find(&self, id: TaskId) -> Option<Arc<Record>> {
        let pages = self.0.lock();
        let open = pages.open.get(&id).map(|entry| entry.now.borrow().clone());
        open.or_else(|| pages.ended.get(&id).cloned())
    }

    /// Hears of its changes.
    pub(super) fn watch(&self, id: TaskId) -> Option<watch::Receiver<Arc<Record>>> {
        let pages = self.0.lock();
        pages.open.get(&id).map(|entry| entry.now.subscribe())
    }

    /// Notes what a poll told of it.
    pub(super) fn show(&self, id: TaskId, note: impl FnOnce(&mut Live)) {
        if let Some(entry) = self.0.lock().open.get_mut(&id) {
            note(Arc::make_mut(entry.live.get_or_insert_default()));
        }
    }

    /// What polls told of it.
    pub(super) fn live(&self, id: TaskId) -> Option<Arc<Live>> {
        self.0.lock().open.get(&id)?.live.clone()
    }

    /// A task has changed: whoever watches it hears. What is known already, or was struck meanwhile, changes nothing.
    pub(super) fn changed(&self, record: &Arc<Record>) {
        let state = record.status.state();
        let mut pages = self.0.lock();
        let entry = pages.open.get(&record.id);
        if entry.is_none_or(|entry| entry.now.borrow().version >= record.version) {
            return;
        }
        if let Some(crowd) = pages.upstreams.get_mut(&record.requested.upstream) {
            if state == State::Scheduled {
                crowd.waits(record.id);
            } else {
                crowd.waits_no_more(record.id);
            }
        }
        let ended = if state.is_done() {
            let struck = pages.strike(record);
            if struck.as_ref().is_none_or(|entry| !entry.is_forgotten) {
                pages.end(record.clone());
            }
            struck
        } else {
            None
        };
        let entry = ended.as_ref().or_else(|| pages.open.get(&record.id));
        if let Some(entry) = entry {
            entry.now.send_replace(record.clone());
        }
        drop(pages);
        drop(ended);
    }

    /// How often tasks were forgotten.
    pub(super) fn forgotten(&self) -> u64 {
        self.0.lock().forgotten
    }

    /// Keeps a task that is over at hand, which was read when tasks had been `forgotten` so often: by now it may be one of them.
    pub(super) fn remember(&self, record: Arc<Record>, forgotten: u64) {
        let mut pages = self.0.lock();
        if pages.forgotten == forgotten {
            pages.end(record);
        }
    }

    /// Tasks were forgotten.
    pub(super) fn forget(&self, ids: &[TaskId]) {
        let mut pages = self.0.lock();
        pages.forgotten += u64::from(!ids.is_empty());
        let Pages {
            open,
            ended,
            ended_order,
            ..
        } = &mut *pages;
        let before = ended.len();
        for id in ids {
            ended.remove(id);
            if let Some(entry) = open.get_mut(id) {
                entry.is_forgotten = true;
            }
        }
        if ended.len() < before {
            ended_order.retain(|id| ended.contains_key(id));
        }
    }

    /// Forgets what expired before `now`.
    pub(super) fn expire(&self, now: Millis) {
        let mut pages = self.0.lock();
        pages.forgotten += 1;
        let Pages {
            ended, ended_order, ..
        } = &mut *pages;
        let before = ended.len();
        ended.retain(|_, task| task.expires.is_none_or(|expires| expires > now));
        if ended.len() < before {
            ended_order.retain(|id| ended.contains_key(id));
        }
    }

    /// Its place among those that wait.
    pub(super) fn position(&self, task: &Record) -> Option<usize> {
        let pages = self.0.lock();
        let waiting = &pages.upstreams.get(&task.requested.upstream)?.waiting;
        waiting.binary_search(&task.id).ok().map(|place| place + 1)
    }

    /// How many wait, and how many run.
    pub(super) fn counts(&self, upstream: &str) -> [(State, u64); 2] {
        let pages = self.0.lock();
        let crowd = pages.upstreams.get(upstream);
        let (waiting, entered) = crowd.map_or((0, 0), |crowd| (crowd.waiting.len(), crowd.entered));
        let count = |tasks: usize| u64::try_from(tasks).unwrap_or(u64::MAX);
        let (waiting, running) = (count(waiting), count(entered.saturating_sub(waiting)));
        [(State::Scheduled, waiting), (State::Running, running)]
    }

    /// Every task that is not over.
    pub(super) fn all_open(&self) -> Vec<Arc<Record>> {
        let pages = self.0.lock();
        let all = pages.open.values().map(|entry| entry.now.borrow().clone());
        all.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::sample::sample;
    use crate::task::state::Event;

    #[test]
    fn old_news_changes_nothing() {
        let books = Arc::new(Books::default());
        let first = Arc::new(sample(Millis(0)));
        let next = |task: &Record, event| Arc::new(task.after(event, Millis(1)).unwrap());
        let sent = next(&first, Event::Dispatch);
        let back = next(&sent, Event::Refused);
        let room = books.room(&first.requested, 1, 1).unwrap();
        books.open(&first, room);
        books.changed(&back);
        books.changed(&sent);
        assert_eq!(books.find(first.id), Some(back.clone()));
        assert_eq!(books.position(&first), Some(1), "it waits");
        let over = next(&back, Event::Abort);
        books.changed(&over);
        books.changed(&back);
        assert_eq!(books.find(first.id), Some(over));
        assert_eq!(books.position(&first), None);
        let upstream = &first.requested.upstream;
        assert_eq!(books.counts(upstream).map(|(_, count)| count), [0, 0]);
        assert!(books.room(&first.requested, 1, 1).is_ok());
    }

    /// The store ends a task and may forget it before its desk hears that it is over.
    #[test]
    fn what_is_forgotten_before_its_end_is_heard_is_not_remembered() {
        let books = Arc::new(Books::default());
        let [first, other] = [Millis(0), Millis(1)].map(|at| Arc::new(sample(at)));
        for task in [&first, &other] {
            let room = books.room(&task.requested, 2, 2).unwrap();
            books.open(task, room);
        }
        let over = |task: &Record| Arc::new(task.after(Event::Abort, Millis(9)).unwrap());
        books.forget(&[first.id]);
        books.changed(&over(&first));
        books.changed(&over(&other));
        assert_eq!(books.find(first.id), None);
        assert_eq!(books.find(other.id), Some(over(&other)));
    }
}
