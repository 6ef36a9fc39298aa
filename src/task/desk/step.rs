//! Every change of a task: by the machine, committed before anybody hears of it.

use std::sync::Arc;

use super::words::{AdvanceError, CancelError, Change};
use super::{Desk, to_its_end};
use crate::task::id::TaskId;
use crate::task::port::{Advanced, Found, Hook, Step};
use crate::task::record::{Fault, Outcome, Record};
use crate::task::state::{Event, State, Status};

impl Desk {
    /// Makes a step: by the machine, committed before anybody hears of it. It goes on though nobody waits for it.
    ///
    /// # Errors
    /// [`AdvanceError`]; then nothing has changed.
    pub async fn advance(
        self: &Arc<Self>,
        id: TaskId,
        event: Event,
        change: Change,
    ) -> Result<Arc<Record>, AdvanceError> {
        let desk = self.clone();
        to_its_end(async move { desk.step(id, event, change).await }).await
    }

    async fn step(
        &self,
        id: TaskId,
        event: Event,
        change: Change,
    ) -> Result<Arc<Record>, AdvanceError> {
        let before = self.books.find(id).ok_or(AdvanceError::Unknown)?;
        let now = self.now();
        let mut next = before.after(event, now)?;
        let is_done = next.status.state().is_done();
        next.outcome = change.outcome.or(next.outcome);
        next.error = change.error.or(next.error);
        next.result = change.result.or(next.result);
        next.not_before = change.not_before;
        next.mode = change.mode.unwrap_or(next.mode);
        next.upstream_task = change.upstream_task.or(next.upstream_task);
        next.dispatched &= !change.not_executed || next.may_be_done();
        // What this attempt did not do, one before it may have done.
        let is_unproven = matches!(next.outcome, None | Some(Outcome::NotApplied));
        if is_done && is_unproven && next.may_be_done() {
            next.outcome = Some(Outcome::Unknown);
        }
        // What never reached the upstream was not executed: the key may be used again (as Stripe's may).
        let release_key = next.keyed && is_done && !next.dispatched;
        next.keyed &= !release_key;
        if is_done {
            next.expires = Some(now.after(self.kept_for(&next)));
        }
        let next = Arc::new(next);
        let step = Step {
            record: next.clone(),
            fence: before.fence,
            seat: change.seat,
            answer: change.answer,
            forget_request: is_done,
            release_key,
            hook: is_done.then(|| self.hook(&next)).flatten(),
        };
        let told = step.hook.is_some();
        let advanced = self.store.advance(step).await;
        self.standing.heard(&advanced);
        match advanced? {
            Advanced::Done => {
                self.books.changed(&next);
                self.tally.step(&before, event, &next);
                if is_done {
                    self.note_end(&next);
                }
                if told {
                    self.put_out.notify_one();
                }
                Ok(next)
            }
            Advanced::Stale => Err(AdvanceError::Stale),
        }
    }

    fn hook(&self, task: &Record) -> Option<Hook> {
        let url = task.requested.callback.clone()?;
        Some(Hook {
            id: TaskId::new((self.clock)()),
            task: task.id,
            url,
            body: crate::task::hook::body(task, &self.prefix),
            next: self.now(),
            tries: 0,
        })
    }

    /// Takes a task back, as far as that can be.
    ///
    /// # Errors
    /// [`CancelError`]. Once taken back, again is none.
    pub async fn cancel(self: &Arc<Self>, id: TaskId) -> Result<Arc<Record>, CancelError> {
        self.cancel_because(id, None).await
    }

    /// Takes a task back, as far as that can be, and keeps who said why. One that the upstream's own task does is taken back by
    /// the upstream: until that says so, it is being taken back, and may still end otherwise.
    ///
    /// # Errors
    /// As [`Desk::cancel`].
    pub async fn cancel_because(
        self: &Arc<Self>,
        id: TaskId,
        reason: Option<&str>,
    ) -> Result<Arc<Record>, CancelError> {
        loop {
            let Found::Task(task) = self.find(id).await.map_err(AdvanceError::Store)? else {
                return Err(AdvanceError::Unknown.into());
            };
            let (event, change) = match task.status.state() {
                State::Scheduled => (Event::Abort, taken_back(reason)),
                State::Running if task.status == Status::Canceling => return Ok(task),
                State::Running if self.is_cancelable(&task) => {
                    (Event::CancelSent, Change::default())
                }
                State::Running => return Err(CancelError::NotCancelable),
                State::Aborted => return Ok(task),
                _ => return Err(CancelError::Over),
            };
            match self.advance(id, event, change).await {
                // It went up meanwhile, or ended: its state says what is to be said. The store has it sooner than the desk.
                Err(AdvanceError::Stale) => self.reread(id).await.map_err(AdvanceError::Store)?,
                Err(AdvanceError::Illegal(_)) => tokio::task::yield_now().await,
                other => return Ok(other?),
            }
        }
    }
}

fn taken_back(reason: Option<&str>) -> Change {
    let detail = reason.unwrap_or("It was taken back before it was sent to the upstream.");
    Change {
        error: Some(Fault {
            kind: "aborted",
            status: 409,
            detail: detail.to_owned(),
        }),
        ..Change::default()
    }
}
