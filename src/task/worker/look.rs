//! What is to be undone is found before it is undone: nothing is ever undone blindly. From the moment at which that goes up it is
//! kept with the task: it goes up again for the same thing alone, whatever has the same name by then.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};

use super::asking::Asking;
use super::job::Job;
use super::place::from_now;
use super::probe::{self, Sight};
use crate::config::Probe;
use crate::dialect::adapter::{Answered, Seen, Stands, whole};
use crate::forward::OwnAnswer;
use crate::task::after::NOTHING_TO_UNDO;
use crate::task::desk::Change;
use crate::task::parcel::{Look, Parcel};
use crate::task::port::SeatChange;
use crate::task::record::{Fault, Outcome, Record};
use crate::task::state::Event;

/// Longest answer, bytes.
const LONGEST: usize = 1024 * 1024;
/// Answers in a row by which nothing is there, before that is believed.
const CONFIRMED: u32 = 3;

/// How long it counts that nothing stood there. Lines may be long: who waited longer is not to take for its own work what
/// another made meanwhile.
const COUNTS: Duration = Duration::from_secs(10);
/// How long a task that has its units looks once more. Without an answer nobody can tell.
const PATIENCE: Duration = Duration::from_secs(5);

/// What stood there, and when that was asked.
pub(super) struct Stood {
    there: Option<bool>,
    at: Instant,
}

/// What goes up once it is known.
pub(super) struct Found {
    target: String,
    body: Bytes,
}

impl Job {
    /// Finds what the task is to undo, where it does not know that yet.
    ///
    /// # Errors
    /// When nothing is there, or the upstream does not say.
    pub(super) async fn look(&self, record: &Arc<Record>) -> Result<(), Fault> {
        if self.found.get().is_some() {
            return Ok(());
        }
        let parcel = self.parcel().await?;
        let Some(look) = parcel.look else {
            return Ok(());
        };
        let mut asking = self.asking(record).await?.question(parcel.target);
        asking.headers = probe::fields(&asking.headers);
        let found = self.look_for(record, &look, &asking).await?;
        // Nobody else sets it.
        drop(self.found.set(Box::new(found)));
        Ok(())
    }

    async fn look_for(
        &self,
        record: &Record,
        look: &Look,
        asking: &Asking,
    ) -> Result<Found, Fault> {
        let works = &*self.works;
        let question = question(look);
        let longest = works.longest(&record.requested);
        // Measured once: no jump of the clock moves it.
        let of_call = works.max_blocking.max(look.run_for().unwrap_or(longest));
        let left = look.since().map(|sent| sent.after(of_call));
        let left = left.map(|end| end.since(works.desk.now()).min(of_call));
        let over = left.map_or_else(Instant::now, from_now);
        let mut speechless = from_now(longest);
        let mut absent = 0;
        loop {
            let answer = works
                .answer(asking, Bytes::new(), LONGEST, works.reconcile)
                .await;
            let sight = answer.as_ref().map_or(Sight::NoWord, |answer| {
                probe::sight(&question, answer.status, &answer.body)
            });
            let now = Instant::now();
            absent = if sight == Sight::NotThere {
                absent + 1
            } else {
                0
            };
            match (sight, answer) {
                (Sight::There, Some(answer)) => return read(look, &answer),
                (Sight::NotThere, _) if absent >= CONFIRMED && now >= over => return Err(nothing()),
                (Sight::NotThere, _) => speechless = from_now(longest),
                _ if now >= speechless => return Err(unclear("the upstream does not say")),
                _ => {}
            }
            sleep(question.every).await;
        }
    }

    /// Whether what a compensation would look for is there before the task first goes up: that is not its work.
    pub(super) async fn stood(&self, record: &Arc<Record>) -> Stood {
        let at = Instant::now();
        let there = Box::pin(self.stands(record)).await;
        Stood { there, at }
    }

    /// The same as the task goes up.
    pub(super) async fn stands_still(&self, record: &Arc<Record>, stood: &Stood) -> Option<bool> {
        if stood.there != Some(false) || stood.at.elapsed() < COUNTS {
            return stood.there;
        }
        let again = timeout(PATIENCE, self.stands(record)).await;
        again.ok().flatten()
    }

    /// None where nothing would be looked for, or the upstream does not say.
    async fn stands(&self, record: &Arc<Record>) -> Option<bool> {
        let find = self.works.desk.look_before(record)?;
        let parcel = self.parcel().await.ok()?;
        let target = probe::target(&find, &parcel.target, &parcel.body)?;
        let mut asking = self.asking(record).await.ok()?.question(target);
        asking.headers = probe::fields(&asking.headers);
        // One that no client could ask is none.
        asking.with(|_, _| ()).ok()?;
        let patience = self.works.reconcile;
        let answer = self
            .works
            .answer(&asking, Bytes::new(), LONGEST, patience)
            .await?;
        match probe::sight(&find, answer.status, &answer.body) {
            Sight::There => Some(true),
            Sight::NotThere => Some(false),
            Sight::NoWord => None,
        }
    }

    /// Its request, with what was found in it.
    pub(super) fn with_found(&self, parcel: Parcel) -> Parcel {
        match self.found.get() {
            Some(found) => Parcel {
                target: found.target.clone(),
                body: found.body.clone(),
                look: None,
                headers: parcel.headers,
            },
            None => parcel,
        }
    }

    /// It has nothing to do.
    pub(super) async fn nothing_to_undo(&self, fault: Fault) {
        let change = Change {
            seat: SeatChange::Free,
            outcome: Some(Outcome::NotApplied),
            error: Some(fault),
            ..Change::default()
        };
        self.works.settle(self.id, Event::Abort, change, None).await;
    }
}

fn question(look: &Look) -> Probe {
    Probe {
        get: String::new(),
        status: look.status,
        json: look.json.clone(),
        every: Duration::from_millis(look.every),
    }
}

/// What goes up, by what was found.
fn read(look: &Look, answer: &OwnAnswer) -> Result<Found, Fault> {
    let seen = Seen::new(&Answered {
        status: answer.status,
        headers: &answer.headers,
        body: &answer.body,
    });
    let target = whole(&look.target, Stands::Target, Some(&seen));
    let body = whole(&look.body, Stands::Json, Some(&seen));
    match (target, body) {
        (Some(target), Some(body)) => Ok(Found {
            target,
            body: body.into(),
        }),
        _ => Err(unclear("its answer does not have what is to be undone")),
    }
}

fn nothing() -> Fault {
    Fault {
        kind: NOTHING_TO_UNDO,
        status: 409,
        detail: "the upstream was asked, and there is nothing to undo".to_owned(),
    }
}

fn unclear(why: &str) -> Fault {
    Fault {
        kind: "compensation-unclear",
        status: 502,
        detail: format!("it could not be found out what is to be undone: {why}"),
    }
}
