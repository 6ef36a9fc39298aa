//! Calls that may still be at work upstream though nobody listens: each holds its seats until it is proven to be over, or
//! can be no more.
//!
//! The store has one seat for a task, that of the last of its calls that took one. Before a task goes up with another, the seat of
//! each that was lost before gets a row of its own: so there is one for each call, and none for a call that is over.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::AbortHandle;
use tokio::time::sleep;

use super::lever::{LostCall, UNREADABLE};
use super::works::Works;
use crate::admit::LeftBehind;
use crate::limit::Mutex;
use crate::session::StoreError;
use crate::task::desk::Noted;
use crate::task::id::TaskId;
use crate::task::port::{Found, Seat, SeatOf};
use crate::task::record::Millis;

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
    /// Its seat in the store, where that is not the one of its task.
    noted: Option<Noted>,
    timer: AbortHandle,
}

impl Ghost {
    /// Whether it holds seats that have no row of their own in the store.
    const fn needs_row(&self) -> bool {
        self.noted.is_none() && self.seats.seats() > 0
    }

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
                Some(SeatOf::Unreadable) => UNREADABLE,
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

/// The seats that the store has for the lost calls of a task.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// That of the task may be one.
    pub(super) of_task: bool,
    /// Those that have rows of their own.
    pub(super) own: Vec<TaskId>,
}

impl Ghosts {
    /// Whether a call of this task may be at work.
    pub(super) fn has(&self, id: TaskId) -> bool {
        self.0.lock().contains_key(&id)
    }

    /// Whether this call of it may be.
    pub(super) fn knows(&self, id: TaskId, number: u64) -> bool {
        let all = self.0.lock();
        let mut ghosts = all.get(&id).into_iter().flatten();
        ghosts.any(|ghost| ghost.lost.number == number)
    }

    /// Whether the seat that the store has for this task is that of a call that was lost.
    pub(super) fn holds_row(&self, id: TaskId) -> bool {
        let all = self.0.lock();
        all.get(&id).into_iter().flatten().any(Ghost::needs_row)
    }

    /// What the store has for the lost calls of this task.
    pub(super) fn rows(&self, id: TaskId) -> Rows {
        let mut rows = Rows::default();
        for ghost in self.0.lock().get(&id).into_iter().flatten() {
            match &ghost.noted {
                Some(noted) => rows.own.push(noted.id()),
                None => rows.of_task = true,
            }
        }
        rows
    }

    /// All calls of this task are over.
    pub(super) fn lay(&self, id: TaskId) {
        let gone = self.0.lock().remove(&id);
        // Seats go to the next in line with nothing locked.
        drop(gone);
    }

    /// Every seat is given back: the process ends, and the store remembers.
    pub(super) fn lay_all(&self) {
        let mut gone = std::mem::take(&mut *self.0.lock());
        let noted = gone
            .values_mut()
            .flatten()
            .flat_map(|ghost| &mut ghost.noted);
        noted.for_each(Noted::stay);
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

    /// One call of this task is over. True where the seat that the store has for the task is none of another lost call.
    pub(super) fn lay_one(&self, id: TaskId, number: u64) -> bool {
        let mut all = self.0.lock();
        let Some(ghosts) = all.get_mut(&id) else {
            return false;
        };
        let at = ghosts.iter().position(|ghost| ghost.lost.number == number);
        let gone = at.map(|at| ghosts.swap_remove(at));
        let is_left = ghosts.iter().any(|ghost| ghost.noted.is_none());
        if ghosts.is_empty() {
            all.remove(&id);
        }
        drop(all);
        gone.is_some_and(|ghost| ghost.noted.is_none()) && !is_left
    }

    /// The first call of this task whose seat has no row of its own yet, and the limits of that.
    fn without_row(&self, id: TaskId) -> Option<(Lost, Vec<Arc<str>>)> {
        let all = self.0.lock();
        let mut ghosts = all.get(&id)?.iter();
        let ghost = ghosts.find(|ghost| ghost.needs_row())?;
        Some((ghost.lost.clone(), ghost.seats.limits()))
    }

    /// The seat of a call has a row of its own now. Where the call is over by now, the row goes.
    fn note(&self, lost: &Lost, row: Noted) {
        let mut row = Some(row);
        let mut all = self.0.lock();
        let ghosts = all.get_mut(&lost.id).into_iter().flatten();
        for ghost in ghosts.filter(|ghost| ghost.lost.number == lost.number) {
            ghost.noted = row.take();
        }
        drop(all);
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
            noted: None,
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
            // What is not over may go up at this moment, and takes the place of this seat or frees it as it ends. What cannot be
            // read stays as it is: its time is up in the store as well.
            let is_over = match self.desk.find(id).await {
                Ok(Found::Task(task)) => task.status.state().is_done(),
                Ok(Found::Gone(_) | Found::Nothing) => true,
                Err(_) => false,
            };
            if is_over {
                self.free_seat(id).await;
            }
        }));
    }

    /// Before a task takes a seat for another call: the seats of those that were lost before get rows of their own.
    ///
    /// # Errors
    /// When the store does not take one: a gate that comes after this one would not know of that call.
    pub(super) async fn keep_lost(&self, id: TaskId) -> Result<(), StoreError> {
        if !self.desk.remembers() {
            return Ok(());
        }
        while let Some((lost, limits)) = self.ghosts.without_row(id) {
            let seen = self.desk.watch(id);
            let upstream = self.upstream(&lost.upstream);
            let Some((task, upstream)) = seen.zip(upstream) else {
                return Ok(());
            };
            let requested = task.borrow().requested.clone();
            let seat = Seat {
                id: self.desk.new_id(),
                of: SeatOf::Call,
                upstream: lost.upstream.clone(),
                limits,
                caller: self.roster.caller(upstream.index(), &requested).0,
                address: requested.address,
                since: lost.since,
                until: Some(lost.until),
            };
            let row = self.desk.keep_seat(&seat).await?;
            self.ghosts.note(&lost, row);
        }
        Ok(())
    }

    /// Has the store forget that the task holds a seat. Should it not, the next start waits for it in vain, as long as a
    /// call may take.
    pub(super) async fn free_seat(&self, id: TaskId) {
        if let Err(error) = self.desk.store().free_seat(id).await {
            self.store_fails(id, &error);
        }
    }
}
