//! Steps that the store has to take before anything rests on them, and those that it is asked for until it does.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::pause::back_off;
use super::works::{Counted, Works};
use crate::admit::Claim;
use crate::session::StoreError;
use crate::task::desk::{AdvanceError, Change};
use crate::task::id::TaskId;
use crate::task::port::SeatChange;
use crate::task::record::Record;
use crate::task::state::Event;

/// How long a store may take before a call that is over upstream gives its units back all the same.
const PATIENCE: Duration = Duration::from_secs(5);
/// Answers that may wait for a store that does not take them, before nothing new goes up.
const MOST_UNWRITTEN: usize = 64;

/// Why a step was not made.
#[derive(Debug)]
pub(super) enum Unmade {
    /// The store did not take it; whether it has it nevertheless, only reading tells.
    Store,
    /// The task is not where the step thought it was: it is at the desk as it is now, if it still is.
    Elsewhere,
}

impl Works {
    /// Makes a step, or says why not; then the desk has the task as the store knows it, if that can be asked. Where the step takes
    /// a seat, those of calls that were lost before are kept beside it first.
    pub(super) async fn step(
        &self,
        id: TaskId,
        event: Event,
        change: Change,
    ) -> Result<Arc<Record>, Unmade> {
        let takes = matches!(change.seat, SeatChange::Take { .. });
        if takes
            && self.ghosts.has(id)
            && let Err(error) = Box::pin(self.keep_lost(id)).await
        {
            self.store_fails(id, &error);
            return Err(Unmade::Store);
        }
        match self.desk.advance(id, event, change).await {
            Ok(record) => {
                self.store_works();
                Ok(record)
            }
            Err(AdvanceError::Store(error)) => {
                self.store_fails(id, &error);
                Err(Unmade::Store)
            }
            Err(AdvanceError::Stale) => {
                // An earlier step may be there though its answer was an error.
                self.reread(id).await;
                Err(Unmade::Elsewhere)
            }
            Err(AdvanceError::Illegal(_) | AdvanceError::Unknown) => Err(Unmade::Elsewhere),
        }
    }

    /// Makes a step whatever it takes, unless something else has happened to the task. The units of its call, which is over
    /// upstream, are given back as soon as it is clear that this takes longer. A seat that is to be free, and is that of a call which
    /// was lost before, stays.
    pub(super) async fn settle(
        &self,
        id: TaskId,
        event: Event,
        change: Change,
        claim: Option<Claim>,
    ) {
        let mut claim = claim;
        let mut waits: Option<Counted<'_>> = None;
        for failed in 1.. {
            let seat = self.seat_left(id, change.seat);
            let now = Change {
                seat,
                ..change.clone()
            };
            let mut step = std::pin::pin!(self.desk.advance(id, event, now));
            let made = if let Ok(made) = timeout(PATIENCE, &mut step).await {
                made
            } else {
                self.release(claim.take());
                step.await
            };
            match made {
                Err(AdvanceError::Store(error)) => {
                    self.release(claim.take());
                    self.store_fails(id, &error);
                    waits.get_or_insert_with(|| Counted::new(&self.unwritten));
                    sleep(back_off(failed, self.spread.next())).await;
                }
                Err(AdvanceError::Stale) => {
                    self.reread(id).await;
                    sleep(back_off(1, self.spread.next()) / 100).await;
                }
                Ok(_) => break,
                // It was over before: but for its seat nothing is left to note of it.
                Err(AdvanceError::Illegal(_) | AdvanceError::Unknown) => {
                    if seat == SeatChange::Free {
                        self.free_seat(id).await;
                    }
                    break;
                }
            }
        }
        self.store_works();
        self.release(claim);
    }

    /// What becomes of the seat that the store has for a task, whose call is over where that is to be free: it may be that of a call
    /// before.
    fn seat_left(&self, id: TaskId, seat: SeatChange) -> SeatChange {
        let is_anothers = || self.ghosts.holds_row(id) || self.unheld.lock().contains(&id);
        if seat == SeatChange::Free && is_anothers() {
            SeatChange::Keep
        } else {
            seat
        }
    }

    /// Gives the units of an answered call back, and lets the limits learn how long it held them.
    pub(super) fn release(&self, claim: Option<Claim>) {
        if let Some(claim) = claim {
            claim.release((self.clock)());
        }
    }

    /// Whether so much waits for the store that nothing new is to go up.
    pub(super) fn is_clogged(&self) -> bool {
        self.unwritten.load(Ordering::Acquire) >= MOST_UNWRITTEN
    }

    async fn reread(&self, id: TaskId) {
        if let Err(error) = self.desk.reread(id).await {
            self.store_fails(id, &error);
        }
    }

    /// Said once, until the store works again.
    pub(super) fn store_fails(&self, id: TaskId, error: &StoreError) {
        if !self.complained.swap(true, Ordering::AcqRel) {
            tracing::error!(task = %id, %error, "the store does not take what became of tasks; it is asked again until it does");
        }
    }

    fn store_works(&self) {
        // Written only where it changes anything: every step comes by here.
        if self.complained.load(Ordering::Acquire) && self.complained.swap(false, Ordering::AcqRel)
        {
            tracing::info!("the store takes what becomes of tasks again");
        }
    }
}
