//! One task from its place in line to its end, by the state that it is in.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::asking::Asking;
use super::crew::Told;
use super::gate::Turn;
use super::look::{Found, Stood};
use super::merge::Expected;
use super::native;
use super::pause::back_off;
use super::place::{Standing, from_now};
use super::run::LONGEST_REST;
use super::works::Works;
use crate::admit::Claim;
use crate::forward::{Carrier, Freight, Unconnected};
use crate::limit::Moment;
use crate::session::StoreError;
use crate::task::after::NOTHING_TO_UNDO;
use crate::task::desk::Change;
use crate::task::id::TaskId;
use crate::task::parcel::Parcel;
use crate::task::port::{Answer, SeatChange};
use crate::task::record::{Fault, Mode, Outcome, Record};
use crate::task::state::{Event, Status};

/// One task in hand.
pub(super) struct Job {
    pub(super) works: Arc<Works>,
    pub(super) id: TaskId,
    pub(super) since: Moment,
    pub(super) told: watch::Receiver<Told>,
    /// The upstream's answer, where it left the task in doubt.
    pub(super) doubtful: Option<Answer>,
    /// How often in a row the store did not take that it goes up.
    pub(super) untaken: u32,
    /// What the upstream's list of tasks showed before it went up.
    pub(super) before: Option<Arc<BTreeSet<String>>>,
    /// Its place among those who change the same resource, where that is looked at before.
    pub(super) turn: Option<Box<Turn>>,
    /// It may be one that is gathered with others, which wait until it has said so.
    pub(super) expected: Option<Box<Expected>>,
    /// What goes up, where that had to be found first.
    pub(super) found: OnceLock<Box<Found>>,
}

/// What a task waits for in vain.
enum Waited {
    /// It can go up.
    Ready(Box<Ready>),
    /// It is too late to begin.
    Late,
    /// It ended otherwise, or nothing is begun any more.
    Over,
    /// It never can.
    Never(Fault),
}

/// Everything that a task needs to go up.
pub(super) struct Ready {
    pub(super) claim: Claim,
    pub(super) carrier: Carrier,
    pub(super) freight: Freight,
    pub(super) asking: Asking,
    /// What goes up, where that was found: it is kept in the place of the question.
    pub(super) request: Option<Box<Parcel>>,
    /// What it changes, as that is before.
    pub(super) earlier: Option<Arc<str>>,
    /// Whether what a compensation would look for is there already.
    pub(super) stood: Option<bool>,
}

impl Job {
    pub(super) fn new(
        works: Arc<Works>,
        (id, turn): (TaskId, Option<Turn>),
        since: Moment,
        told: watch::Receiver<Told>,
    ) -> Self {
        Self {
            works,
            id,
            since,
            told,
            doubtful: None,
            untaken: 0,
            before: None,
            turn: turn.map(Box::new),
            expected: None,
            found: OnceLock::new(),
        }
    }

    /// The same, which others wait for.
    pub(super) fn expected(mut self) -> Self {
        self.expected = self.works.expected(self.id).map(Box::new);
        self
    }

    /// Works on the task until it is over, or nothing is begun any more.
    pub(super) async fn work(mut self) {
        let Some(mut seen) = self.works.desk.watch(self.id) else {
            return;
        };
        loop {
            let record = seen.borrow_and_update().clone();
            let goes_on = match record.status {
                status if status.state().is_done() => false,
                Status::Queued | Status::WaitingRetry => self.queued(&record, &mut seen).await,
                Status::Reconciling => Box::pin(self.in_doubt(&record)).await,
                Status::Polling | Status::Blocked | Status::Canceling => {
                    self.expected = None;
                    Box::pin(self.follow(&record, &mut seen)).await
                }
                // A process that is dead sent it up, or a job that broke.
                _ => Box::pin(self.lost(&record)).await,
            };
            if !goes_on {
                return;
            }
        }
    }

    /// As [`Job::work`], after a job that broke: what that held is given back, and its call may be at work.
    pub(super) async fn take_over(self) {
        if let Some(seen) = self.works.desk.watch(self.id) {
            let record = seen.borrow().clone();
            let is_up = matches!(record.status, Status::Dispatching | Status::InFlight);
            if is_up
                && record.mode == Mode::Queued
                && !self.works.ghosts.knows(self.id, record.fence)
            {
                let until = self.works.latest_end(&record);
                self.works.hold(&record, until).await;
            }
        }
        self.work().await;
    }

    /// The work on it broke again and again.
    pub(super) async fn give_up(self) {
        let fault = Fault {
            kind: "internal",
            status: 502,
            detail: "the gate failed at this task; its log says why".to_owned(),
        };
        self.fail(fault).await;
    }

    /// The task fails without an answer. A call of it that was lost holds its seat.
    pub(super) async fn fail(&self, fault: Fault) {
        let dispatched = self
            .works
            .desk
            .watch(self.id)
            .is_some_and(|seen| seen.borrow().dispatched);
        let change = Change {
            outcome: Some(if dispatched {
                Outcome::Unknown
            } else {
                Outcome::NotApplied
            }),
            seat: SeatChange::Free,
            error: Some(fault),
            ..Change::default()
        };
        self.works.settle(self.id, Event::Fail, change, None).await;
    }

    async fn queued(
        &mut self,
        record: &Arc<Record>,
        seen: &mut watch::Receiver<Arc<Record>>,
    ) -> bool {
        if let Some(gathering) = Box::pin(self.gathering(record)).await {
            return Box::pin(self.gathered(record, seen, gathering)).await;
        }
        match self.waited(record, seen).await {
            Waited::Ready(ready) => {
                // Boxed, here and below: what few tasks do at a time is not to make all that wait larger.
                Box::pin(self.run(record, *ready)).await;
                true
            }
            Waited::Over => !self.is_told(),
            Waited::Late => {
                Box::pin(self.expires()).await;
                true
            }
            Waited::Never(fault) if fault.kind == NOTHING_TO_UNDO => {
                Box::pin(self.nothing_to_undo(fault)).await;
                true
            }
            Waited::Never(fault) => {
                Box::pin(self.fail(fault)).await;
                true
            }
        }
    }

    /// It is too late for the task to begin.
    pub(super) async fn expires(&self) {
        let change = Change {
            seat: SeatChange::Free,
            outcome: Some(Outcome::NotApplied),
            error: Some(Fault {
                kind: "expired",
                status: 504,
                detail: "its turn did not come in time; nothing was sent to the upstream"
                    .to_owned(),
            }),
            ..Change::default()
        };
        self.works
            .settle(self.id, Event::Expire, change, None)
            .await;
    }

    pub(super) fn is_told(&self) -> bool {
        *self.told.borrow() != Told::Work
    }

    /// Waits until the task can go up; whatever ends its waiting leaves the line at once.
    async fn waited(
        &mut self,
        record: &Arc<Record>,
        seen: &mut watch::Receiver<Arc<Record>>,
    ) -> Waited {
        let now = self.works.desk.now();
        // Measured once: from here on no jump of the clock makes it late.
        let start_by = record
            .requested
            .start_deadline
            .map(|by| from_now(by.since(now)));
        let mut told = self.told.clone();
        tokio::select! {
            biased;
            _ = told.wait_for(|told| *told != Told::Work) => Waited::Over,
            () = over(seen) => Waited::Over,
            () = late(start_by) => Waited::Late,
            ready = self.ready(record) => match ready {
                Ok(ready) => Waited::Ready(Box::new(ready)),
                Err(fault) => Waited::Never(fault),
            },
        }
    }

    /// Gets everything that the task needs to go up.
    async fn ready(&mut self, record: &Arc<Record>) -> Result<Ready, Fault> {
        let works = &*self.works.clone();
        Box::pin(self.rest(record)).await;
        let (asking, stood) = Box::pin(self.made_ready(record)).await?;
        let standing = Standing {
            since: self.since,
            sent_back: record.attempts > 0,
        };
        let (mut failed, mut stale) = (0, 0);
        loop {
            let free = Box::pin(self.free(record, &asking)).await;
            let claim = works.admitted(&asking, standing).await;
            let claim = claim.map_err(|error| gone("request-refused", error.to_string()))?;
            // Nobody is to wait for its units while it waits for the store.
            if works.is_clogged() {
                drop(claim);
                failed += 1;
                sleep(back_off(failed, works.spread.next())).await;
                continue;
            }
            let Ok(parcel) = Box::pin(self.read_parcel()).await else {
                drop(claim);
                Box::pin(self.parcel()).await?;
                continue;
            };
            let (freight, request) = self.loads(&asking, parcel?);
            let carrier = asking.upstream.carrier(claim.socket_group());
            match Box::pin(carrier).await {
                Ok(_) if !self.takes_turn(&free, &mut stale) => {}
                Ok(carrier) => {
                    let form = asking.form.as_deref();
                    let earlier = form.and_then(|form| free.earlier(form, &freight.body));
                    let shown = || native::kept(self.before.as_deref()?);
                    return Ok(Ready {
                        claim,
                        carrier,
                        freight,
                        asking,
                        request,
                        earlier: earlier.or_else(shown),
                        stood: Box::pin(self.stands_still(record, &stood)).await,
                    });
                }
                // Nothing was sent. One that is down is waited for at its door.
                Err(unconnected) => {
                    drop(claim);
                    failed += 1;
                    Box::pin(self.unconnected(&asking, &unconnected, failed)).await;
                }
            }
        }
    }

    /// What is looked at before the task stands in line; and whether what a compensation would look for is there already.
    async fn made_ready(&mut self, record: &Arc<Record>) -> Result<(Asking, Stood), Fault> {
        if record.is_compensation() {
            self.look(record).await?;
        }
        let stood = self.stood(record).await;
        let asking = self.starting(record).await?;
        if asking.form.is_some() {
            self.before = self.look_before(record, &asking).await;
        }
        Ok((asking, stood))
    }

    /// No longer than it was put off at most, whatever became of the clock.
    async fn rest(&mut self, record: &Record) {
        self.rests_from_turn(record);
        if let Some(not_before) = record.not_before {
            let rest = not_before.since(self.works.desk.now());
            sleep(rest.min(LONGEST_REST)).await;
        }
    }

    async fn unconnected(&self, asking: &Asking, unconnected: &Unconnected, failed: u32) {
        if !unconnected.is_down || !asking.is_down() {
            tracing::debug!(task = %self.id, reason = unconnected.fault.as_str(), "no connection: back in line");
            sleep(back_off(failed, self.works.spread.next())).await;
        }
    }

    /// What is sent, and what of it is to be kept.
    fn loads(&self, asking: &Asking, parcel: Parcel) -> (Freight, Option<Box<Parcel>>) {
        let found = self.found.get().map(|_| Box::new(parcel.clone()));
        (asking.freight(parcel.body), found)
    }

    /// Its request. While the store cannot be read it waits, and no task is taken in: it was accepted, so it does not fail for
    /// that. What is damaged, or is gone, nobody can send.
    pub(super) async fn parcel(&self) -> Result<Parcel, Fault> {
        let parcel = self.works.parcel(self.id).await;
        parcel.map(|parcel| self.with_found(parcel))
    }

    /// The same, where the store can be read.
    async fn read_parcel(&self) -> Result<Result<Parcel, Fault>, StoreError> {
        let read = self.works.read_parcel(self.id).await?;
        Ok(read.map(|parcel| self.with_found(parcel)))
    }
}

/// Waits until the task is over.
pub(super) async fn over(seen: &mut watch::Receiver<Arc<Record>>) {
    let over = seen.wait_for(|record| record.status.state().is_done());
    // An error means that it has left the desk.
    drop(over.await);
}

pub(super) async fn late(start_by: Option<Instant>) {
    match start_by {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

pub(super) fn gone(kind: &'static str, detail: String) -> Fault {
    Fault {
        kind,
        status: 502,
        detail,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_work<F>(_: impl FnOnce(Job) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_task_that_waits_takes_little_memory() {
        let size = size_of_work(Job::work);
        // What waits is to be looked at, gathered or made up for in turn, too: some of it takes a word here.
        assert!(size <= 3200, "{size} bytes for each of thousands");
    }
}
