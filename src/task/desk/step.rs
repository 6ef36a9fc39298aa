//! Every change of a task: by the machine, committed before anybody hears of it.

use std::sync::Arc;

use bytes::Bytes;

use super::after::{Consequence, is_bad};
use super::words::{AdvanceError, CancelError, Change};
use super::{Desk, to_its_end};
use crate::session::StoreError;
use crate::task::after::End;
use crate::task::id::TaskId;
use crate::task::parcel::Parcel;
use crate::task::port::{Advanced, Found, Step};
use crate::task::raw;
use crate::task::record::{Bond, Fault, Millis, Mode, Outcome, Record};
use crate::task::state::{Event, Illegal, State, Status};

/// A step as it is to be made.
pub(super) struct Draft {
    pub(super) event: Event,
    /// The task as it would be.
    pub(super) record: Record,
    pub(super) change: Change,
    release_key: bool,
}

impl Draft {
    /// The end that it is.
    pub(super) fn end<'a>(&'a self, before: &'a Record) -> End<'a> {
        End {
            before,
            task: &self.record,
            answer: self.change.answer.as_ref(),
        }
    }
}

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
        // Boxed: whoever makes a step is not to carry what the rare end takes.
        to_its_end(Box::pin(async move { desk.step(id, event, change).await })).await
    }

    async fn step(
        &self,
        id: TaskId,
        event: Event,
        change: Change,
    ) -> Result<Arc<Record>, AdvanceError> {
        let before = self.books.find(id).ok_or(AdvanceError::Unknown)?;
        let now = self.now();
        let draft = self.draft(&before, event, change, now)?;
        let (draft, consequence) = if is_bad(&draft.record) {
            Box::pin(self.ruled(&before, draft, now)).await?
        } else {
            (draft, Consequence::default())
        };
        let Draft {
            event,
            record,
            change,
            release_key,
        } = draft;
        let is_done = record.status.state().is_done();
        let hooks = self.hooks(&record, &consequence);
        let next = Arc::new(record);
        let told = !hooks.is_empty();
        let resealed = self.resealed(id, change.request.as_deref())?;
        let step = Step {
            record: next.clone(),
            fence: before.fence,
            seat: change.seat,
            answer: raw::joined(change.answer, change.raw.map(|raw| *raw)),
            resealed,
            forget_request: is_done,
            release_key,
            hooks,
            follows: consequence.follows.clone(),
        };
        let advanced = self.store.advance(step).await;
        self.standing.heard(&advanced);
        match advanced? {
            Advanced::Done => {
                self.made(&before, event, &next);
                if told {
                    self.put_out.notify_one();
                }
                if consequence.is_some() {
                    Box::pin(self.follow_up(&next, consequence)).await;
                }
                Ok(next)
            }
            Advanced::Stale => Err(AdvanceError::Stale),
        }
    }

    fn resealed(&self, id: TaskId, request: Option<&Parcel>) -> Result<Option<Bytes>, StoreError> {
        let Some(parcel) = request else {
            return Ok(None);
        };
        match self.keys.seal_request(&id.bytes(), &parcel.encode()) {
            Ok(sealed) => Ok(Some(sealed.into())),
            Err(error) => Err(StoreError {
                lasting: false,
                what: format!("the request cannot be kept: {error}"),
            }),
        }
    }

    /// A step is committed.
    fn made(&self, before: &Record, event: Event, next: &Arc<Record>) {
        self.books.changed(next);
        self.tally.step(before, event, next);
        if next.status.state().is_done() {
            self.note_end(next);
        }
    }

    /// The task after `event`, as the machine and `change` have it.
    pub(super) fn draft(
        &self,
        before: &Record,
        event: Event,
        change: Change,
        now: Millis,
    ) -> Result<Draft, Illegal> {
        let mut next = before.after(event, now)?;
        let is_done = next.status.state().is_done();
        next.outcome = change.outcome.or(next.outcome);
        next.error = change.error.clone().or(next.error);
        next.error_type = change.error_type.clone().or(next.error_type);
        next.result = change.result.clone().or(next.result);
        next.not_before = change.not_before;
        next.mode = change.mode.unwrap_or(next.mode);
        next.upstream_task = change.upstream_task.clone().or(next.upstream_task);
        // As it was before the call that is up; nobody compares with it once that is over.
        if event == Event::Dispatch || is_done {
            next.earlier.clone_from(&change.earlier);
        }
        // While nothing of it was executed, what was found last counts, or that nobody could tell.
        let is_first = event == Event::Dispatch && !before.dispatched;
        next.stood = next.stood.filter(|_| !is_first).or(change.stood);
        next.unproven |= event == Event::Retry && !change.not_executed;
        next.dispatched &= !change.not_executed || next.may_be_done();
        // What this attempt did not do, one before it may have done.
        let is_unproven = matches!(next.outcome, None | Some(Outcome::NotApplied));
        if is_done && is_unproven && next.may_be_done() {
            next.outcome = Some(Outcome::Unknown);
            if let Some(fault) = &mut next.error {
                fault.detail.push_str(EARLIER);
            }
        }
        // What never reached the upstream was not executed: the key may be used again (as Stripe's may).
        let release_key = next.keyed && is_done && !next.dispatched;
        next.keyed &= !release_key;
        if is_done {
            next.expires = Some(now.after(self.kept_for(&next)));
        }
        Ok(Draft {
            event,
            record: next,
            change,
            release_key,
        })
    }

    /// Reads a task anew, where the store knows more than the desk: a step may have been committed though its answer was an
    /// error.
    ///
    /// # Errors
    /// When the store does not say.
    pub async fn reread(&self, id: TaskId) -> Result<(), StoreError> {
        if let Found::Task(task) = self.store.task(id).await? {
            self.books.changed(&task);
            if let Some(Bond::CompensatedBy(by)) = task.bond {
                self.adopt(by).await?;
            }
            // Somebody may be to be told.
            self.put_out.notify_one();
        }
        Ok(())
    }

    /// Takes a task back, as far as that can be.
    ///
    /// # Errors
    /// [`CancelError`]. Once taken back, again is none.
    pub async fn cancel(self: &Arc<Self>, id: TaskId) -> Result<Arc<Record>, CancelError> {
        self.cancel_because(id, None).await
    }

    /// Takes a task back, as far as that can be, and keeps who said why. One that the upstream's own task does is taken back by
    /// the upstream: until that says so, it is being taken back, and may still end otherwise. From a blocking call that is at
    /// work its client is let go, where the desk does that: the call goes on, with its seat.
    ///
    /// # Errors
    /// As [`Desk::cancel`].
    pub async fn cancel_because(
        self: &Arc<Self>,
        id: TaskId,
        reason: Option<&str>,
    ) -> Result<Arc<Record>, CancelError> {
        self.taken_back_by(id, reason, true).await
    }

    /// As [`Desk::cancel_because`], but nobody is let go from a call that is at work: it is for who waits for its answer then.
    ///
    /// # Errors
    /// As [`Desk::cancel`].
    pub async fn recall(
        self: &Arc<Self>,
        id: TaskId,
        reason: &str,
    ) -> Result<Arc<Record>, CancelError> {
        self.taken_back_by(id, Some(reason), false).await
    }

    async fn taken_back_by(
        self: &Arc<Self>,
        id: TaskId,
        reason: Option<&str>,
        lets_go: bool,
    ) -> Result<Arc<Record>, CancelError> {
        loop {
            let Found::Task(task) = self.find(id).await.map_err(AdvanceError::Store)? else {
                return Err(AdvanceError::Unknown.into());
            };
            let (event, change) = match task.status.state() {
                State::Scheduled => (Event::Abort, taken_back(reason)),
                State::Running if task.status == Status::Canceling => return Ok(task),
                State::Running if self.is_cancelable(&task) => match task.mode {
                    Mode::Native => (Event::CancelSent, Change::default()),
                    Mode::Queued if lets_go => (Event::Fail, let_go(reason)),
                    // What goes up merged is the call of others too.
                    Mode::Queued | Mode::Merged => return Err(CancelError::NotCancelable),
                },
                State::Running => return Err(CancelError::NotCancelable),
                State::Aborted => return Ok(task),
                State::Failed if was_let_go(&task) => return Ok(task),
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

/// What is said beside why a task ended of which an attempt before may have done it.
const EARLIER: &str = " (This time; an attempt before, whose answer was lost, may have done it.)";
/// The kind of its fault.
const DETACHED: &str = "detached";

/// Its client is let go from a call that goes on. Its seat is freed by whoever hears its end.
fn let_go(reason: Option<&str>) -> Change {
    let detail = reason.unwrap_or(
        "Its client let it go while the upstream was at work on it: the operation may be applied, and its answer is lost.",
    );
    Change {
        outcome: Some(Outcome::Unknown),
        error: Some(Fault {
            kind: DETACHED,
            status: 502,
            detail: detail.to_owned(),
        }),
        ..Change::default()
    }
}

fn was_let_go(task: &Record) -> bool {
    let fault = task.error.as_ref();
    fault.is_some_and(|fault| fault.kind == DETACHED)
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
