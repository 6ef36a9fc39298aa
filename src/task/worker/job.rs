//! One task from its place in line to its end, by the state that it is in.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::asking::Asking;
use super::crew::Told;
use super::pause::back_off;
use super::place::{Standing, from_now};
use super::run::LONGEST_REST;
use super::works::Works;
use crate::admit::Claim;
use crate::forward::{Carrier, Freight};
use crate::limit::Moment;
use crate::session::StoreError;
use crate::task::desk::{Change, RequestError};
use crate::task::id::TaskId;
use crate::task::parcel::Parcel;
use crate::task::port::{Answer, SeatChange};
use crate::task::record::{Fault, Mode, Outcome, Record};
use crate::task::state::{Event, State, Status};

/// One task in hand.
pub(super) struct Job {
    pub(super) works: Arc<Works>,
    pub(super) id: TaskId,
    since: Moment,
    told: watch::Receiver<Told>,
    /// The upstream's answer, where it left the task in doubt.
    pub(super) doubtful: Option<Answer>,
    /// How often in a row the store did not take that it goes up.
    pub(super) untaken: u32,
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
}

impl Job {
    pub(super) fn new(
        works: Arc<Works>,
        id: TaskId,
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
        }
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
            let longest = self.works.longest(&record.requested);
            let has_seat = record.status.state() == State::Running && record.mode == Mode::Queued;
            if has_seat && !self.works.ghosts.has(self.id) {
                let until = super::recover::sent(&record).after(longest);
                self.works.hold(&record, record.fence, until).await;
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

    /// The task fails without an answer. What of it may be at work holds its seat.
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
            error: Some(fault),
            ..Change::default()
        };
        self.works.settle(self.id, Event::Fail, change, None).await;
    }

    /// What becomes of its seat as it ends: a call of it that was lost before may still be at work.
    pub(super) fn last_seat(&self) -> SeatChange {
        if self.works.ghosts.has(self.id) {
            SeatChange::Keep
        } else {
            SeatChange::Free
        }
    }

    async fn queued(
        &mut self,
        record: &Arc<Record>,
        seen: &mut watch::Receiver<Arc<Record>>,
    ) -> bool {
        match self.waited(record, seen).await {
            Waited::Ready(ready) => {
                // Boxed, here and below: what few tasks do at a time is not to make all that wait larger.
                Box::pin(self.run(record, *ready)).await;
                true
            }
            Waited::Over => !self.is_told(),
            Waited::Late => {
                let change = Change {
                    outcome: Some(Outcome::NotApplied),
                    error: Some(Fault {
                        kind: "expired",
                        status: 504,
                        detail: "its turn did not come in time; nothing was sent to the upstream"
                            .to_owned(),
                    }),
                    ..Change::default()
                };
                let expired = self.works.settle(self.id, Event::Expire, change, None);
                Box::pin(expired).await;
                true
            }
            Waited::Never(fault) => {
                Box::pin(self.fail(fault)).await;
                true
            }
        }
    }

    fn is_told(&self) -> bool {
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
        let over = async {
            // An error means that it has left the desk.
            drop(
                seen.wait_for(|record| record.status.state().is_done())
                    .await,
            );
        };
        tokio::select! {
            biased;
            _ = told.wait_for(|told| *told != Told::Work) => Waited::Over,
            () = over => Waited::Over,
            () = late(start_by) => Waited::Late,
            ready = self.ready(record) => match ready {
                Ok(ready) => Waited::Ready(Box::new(ready)),
                Err(fault) => Waited::Never(fault),
            },
        }
    }

    /// Gets everything that the task needs to go up.
    async fn ready(&self, record: &Arc<Record>) -> Result<Ready, Fault> {
        let works = &*self.works;
        if let Some(not_before) = record.not_before {
            // No longer than it was put off at most, whatever became of the clock.
            let rest = not_before.since(works.desk.now());
            sleep(rest.min(LONGEST_REST)).await;
        }
        let asking = Box::pin(self.starting(record)).await?;
        let standing = Standing {
            since: self.since,
            sent_back: record.attempts > 0,
        };
        let mut failed = 0;
        loop {
            let claim = works.admitted(&asking, standing).await;
            let claim = claim.map_err(|error| gone("request-refused", error.to_string()))?;
            if works.is_clogged() {
                drop(claim);
                failed += 1;
                sleep(back_off(failed, works.spread.next())).await;
                continue;
            }
            let Ok(parcel) = Box::pin(self.read_parcel()).await else {
                // Nobody is to wait for its units while it waits for the store.
                drop(claim);
                Box::pin(self.parcel()).await?;
                continue;
            };
            let freight = asking.freight(parcel?.body);
            let carrier = asking.upstream.carrier(claim.socket_group());
            match Box::pin(carrier).await {
                Ok(carrier) => {
                    return Ok(Ready {
                        claim,
                        carrier,
                        freight,
                        asking,
                    });
                }
                // Nothing was sent. One that is down is waited for at its door.
                Err(unconnected) => {
                    drop(claim);
                    failed += 1;
                    if !unconnected.is_down || !asking.is_down() {
                        tracing::debug!(task = %self.id, reason = unconnected.fault.as_str(), "no connection: back in line");
                        sleep(back_off(failed, works.spread.next())).await;
                    }
                }
            }
        }
    }

    /// Its request. While the store cannot be read it waits, and no task is taken in: it was accepted, so it does not fail for
    /// that. What is damaged, or is gone, nobody can send.
    pub(super) async fn parcel(&self) -> Result<Parcel, Fault> {
        let mut unread = None;
        for failed in 1.. {
            match self.read_parcel().await {
                Ok(parcel) => return parcel,
                Err(error) => {
                    unread.get_or_insert_with(|| self.works.desk.cannot_read(&error));
                }
            }
            sleep(back_off(failed, self.works.spread.next())).await;
        }
        Err(unreadable("it could not be read"))
    }

    /// Its request, where the store can be read.
    async fn read_parcel(&self) -> Result<Result<Parcel, Fault>, StoreError> {
        let _turn = self.works.reading.acquire().await;
        match self.works.desk.request(self.id).await {
            Ok(Some(request)) => {
                Ok(Parcel::decode(request).ok_or_else(|| unreadable("it is damaged")))
            }
            Ok(None) => Ok(Err(unreadable("it is gone"))),
            Err(RequestError::Closed(error)) => {
                tracing::error!(task = %self.id, %error, "the request of a task cannot be opened; was state.key_file replaced?");
                Ok(Err(unreadable(
                    "the gate cannot open it any more; its log says why",
                )))
            }
            Err(RequestError::Store(error)) => Err(error),
        }
    }

    /// Sends the task back to its line: it was not executed. Its units are given back at once, and how long it held them
    /// tells nobody how long calls take.
    pub(super) async fn send_back(&self, rest: Duration, claim: Option<Claim>) {
        drop(claim);
        let change = Change {
            seat: SeatChange::Free,
            not_before: Some(self.works.desk.now().after(rest)),
            mode: Some(Mode::Queued),
            ..Change::default()
        };
        self.works
            .settle(self.id, Event::Refused, change, None)
            .await;
    }
}

async fn late(start_by: Option<Instant>) {
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

fn unreadable(why: &str) -> Fault {
    Fault {
        kind: "request-lost",
        status: 502,
        detail: format!("the request, with its credentials, cannot be sent: {why}"),
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
        assert!(size <= 3072, "{size} bytes for each of thousands");
    }
}
