//! Calls that may still be at work upstream though nobody listens: each holds its seats until it is proven to be over, or
//! can be no more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::lever::LostCall;
use super::works::Works;
use crate::admit::LeftBehind;
use crate::limit::Mutex;
use crate::task::id::TaskId;
use crate::task::port::{Found, SeatOf};
use crate::task::record::Millis;
use crate::task::state::State;

/// The seats of calls that nobody listens to, by task: one for each of its calls whose answer was lost, and no more than
/// one for the same call.
#[derive(Debug, Default)]
pub(super) struct Ghosts(Mutex<HashMap<TaskId, Vec<Ghost>>>);

/// A call that nobody listens to.
#[derive(Debug, Clone)]
pub(super) struct Lost {
    /// Its task, or its own name where it has none.
    pub(super) id: TaskId,
    /// Which call of the task it is; the first is 1.
    pub(super) number: u64,
    /// Whose it is, where no task that can be read stands for it.
    pub(super) of: Option<SeatOf>,
    pub(super) upstream: Arc<str>,
    /// When it went up, where that is known.
    pub(super) since: Option<Millis>,
    /// When it can be at work no more.
    pub(super) until: Millis,
}

#[derive(Debug)]
struct Ghost {
    seats: LeftBehind,
    lost: Lost,
    timer: AbortHandle,
}

impl Ghost {
    fn shown(&self) -> LostCall {
        let Lost {
            id,
            of,
            ref upstream,
            since,
            until,
            ..
        } = self.lost;
        LostCall {
            id,
            of: match of {
                None => "task",
                Some(SeatOf::Call) => "call",
                Some(SeatOf::Unreadable) => "unreadable",
            },
            upstream: upstream.clone(),
            limits: self.seats.limits(),
            since,
            until,
        }
    }
}

impl Drop for Ghost {
    fn drop(&mut self) {
        self.timer.abort();
    }
}

impl Ghosts {
    /// Whether a call of this task may be at work.
    pub(super) fn has(&self, id: TaskId) -> bool {
        self.0.lock().contains_key(&id)
    }

    /// All calls of this task are over.
    pub(super) fn lay(&self, id: TaskId) {
        let gone = self.0.lock().remove(&id);
        // Seats go to the next in line with nothing locked.
        drop(gone);
    }

    /// Every seat is given back: the process ends, and the store remembers.
    pub(super) fn lay_all(&self) {
        let gone = std::mem::take(&mut *self.0.lock());
        drop(gone);
    }

    /// Every one, those that went up first before the others.
    pub(super) fn all(&self) -> Vec<LostCall> {
        let all = self.0.lock();
        let mut calls: Vec<LostCall> = all.values().flatten().map(Ghost::shown).collect();
        drop(all);
        calls.sort_by_key(|call| (call.since, call.id));
        calls
    }

    /// One call of this task is over. True where that was the last.
    fn lay_one(&self, id: TaskId, number: u64) -> bool {
        let mut all = self.0.lock();
        let Some(ghosts) = all.get_mut(&id) else {
            return false;
        };
        let at = ghosts.iter().position(|ghost| ghost.lost.number == number);
        let gone = at.map(|at| ghosts.swap_remove(at));
        let was_last = ghosts.is_empty();
        if was_last {
            all.remove(&id);
        }
        drop(all);
        drop(gone);
        was_last
    }
}

impl Works {
    /// Keeps the seats of a call for this long at most.
    pub(super) fn haunt(self: &Arc<Self>, lost: Lost, seats: LeftBehind, most: Duration) {
        let (id, number) = (lost.id, lost.number);
        let works = self.clone();
        // Locked until the seat is entered: its time may be up already, and its timer must find it.
        let mut all = self.ghosts.0.lock();
        let of_task = all.entry(id).or_default();
        if of_task.iter().any(|ghost| ghost.lost.number == number) {
            drop(all);
            drop(seats);
            return;
        }
        let timer = tokio::spawn(async move {
            sleep(most).await;
            works.over_by_time(id, number);
        });
        let ghost = Ghost {
            seats,
            lost,
            timer: timer.abort_handle(),
        };
        of_task.push(ghost);
    }

    /// A call can be at work no more.
    fn over_by_time(self: Arc<Self>, id: TaskId, number: u64) {
        // Giving the seat back ends this very timer: what is left to do is done beside it.
        drop(tokio::spawn(async move {
            if !self.ghosts.lay_one(id, number) {
                return;
            }
            // Up once more, or in doubt, it frees the seat itself as it ends.
            let runs = matches!(self.desk.find(id).await, Ok(Found::Task(task)) if task.status.state() == State::Running);
            if !runs {
                self.free_seat(id).await;
            }
        }));
    }

    /// Has the store forget that the task holds a seat. Should it not, the next start waits for it in vain, as long as a
    /// call may take.
    pub(super) async fn free_seat(&self, id: TaskId) {
        if let Err(error) = self.desk.store().free_seat(id).await {
            self.store_fails(id, &error);
        }
    }
}
