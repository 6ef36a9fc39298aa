//! Waiting for the answer to a call: in time, or after the task is over, for the sake of its seat.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use super::job::{Job, over};
use super::run::Up;
use crate::forward::Carried;
use crate::task::desk::Change;
use crate::task::record::{Fault, Outcome};
use crate::task::state::Event;

/// A call that is answered sooner is not noted as in flight: that would cost a commit more.
const SOON: Duration = Duration::from_secs(1);
/// How long a store may take to note it.
const NOTED: Duration = Duration::from_secs(5);

/// What came of waiting for an answer.
pub(super) enum Heard {
    InTime(Carried),
    /// The task had expired; nothing where its call never ended.
    Late(Option<Carried>),
}

impl Job {
    /// Waits for the answer; past its deadline the task is over, though its call is not.
    pub(super) async fn answered(
        &self,
        hard: Instant,
        run_for: Duration,
        exchange: impl Future<Output = Carried>,
    ) -> Heard {
        let desk = &self.works.desk;
        let deadline = Instant::now() + run_for;
        let mut exchange = pin!(exchange);
        if let Ok(carried) = timeout(SOON.min(run_for), &mut exchange).await {
            return Heard::InTime(carried);
        }
        {
            let noted = timeout(NOTED, desk.advance(self.id, Event::Sent, Change::default()));
            let mut noted = pin!(noted);
            tokio::select! {
                carried = &mut exchange => {
                    // One step after the other: what ends the task follows on this one.
                    drop(noted.await);
                    return Heard::InTime(carried);
                }
                _ = &mut noted => {}
            }
        }
        let let_go = {
            tokio::select! {
                biased;
                carried = timeout_at(deadline, &mut exchange) => match carried {
                    Ok(carried) => return Heard::InTime(carried),
                    Err(_) => false,
                },
                () = self.is_over() => true,
            }
        };
        if let_go {
            return Heard::Late(timeout_at(hard, exchange).await.ok());
        }
        let expired = self
            .works
            .settle(self.id, Event::Expire, overdue_change(), None);
        let (came, ()) = tokio::join!(timeout_at(hard, exchange), expired);
        Heard::Late(came.ok())
    }

    /// Waits until the task is over, which its client may bring about.
    async fn is_over(&self) {
        if let Some(mut seen) = self.works.desk.watch(self.id) {
            over(&mut seen).await;
        }
    }

    /// The task was over before its call: only the seat is still to be given back.
    pub(super) async fn came_late(&self, up: Up, came: Option<Carried>) {
        match came {
            Some(Carried::Lost(_)) => {
                self.haunt(up);
                return;
            }
            Some(_) => self.works.release(Some(up.claim)),
            // It can be at work no more.
            None => drop(up.claim),
        }
        // Else it is that of a call which was lost before, and may still be at work.
        if !self.works.ghosts.holds_row(self.id) {
            self.works.free_seat(self.id).await;
        }
    }
}

/// Its deadline is over, and its call is not.
pub(super) fn overdue_change() -> Change {
    Change {
        outcome: Some(Outcome::Unknown),
        error: Some(Fault {
            kind: "expired",
            status: 504,
            detail: "the upstream did not answer in time; it may still be at work".to_owned(),
        }),
        ..Change::default()
    }
}
