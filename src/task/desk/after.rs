//! What is done about a task that would end badly: decided as it ends, committed with its end.

use std::sync::Arc;

use super::RequestError;
use super::step::Draft;
use super::words::{AdvanceError, Change};
use super::{Desk, config};
use crate::config::Probe;
use crate::session::StoreError;
use crate::task::after::{Undo, has_nothing_to_undo, is_key_spent, keyed, undo};
use crate::task::hook;
use crate::task::id::TaskId;
use crate::task::parcel::Parcel;
use crate::task::port::{Found, Hook, Key, New};
use crate::task::record::{Bond, Millis, Outcome, Record};
use crate::task::state::{Event, State};

/// What keys of compensations are for: the task that each makes up for.
const SCOPE: &str = "compensate";

/// What comes with the end of a task.
#[derive(Default)]
pub(super) struct Consequence {
    /// Who is told of it as an alert; none where it is none.
    alert: Option<Vec<Arc<str>>>,
    /// The task that makes up for it.
    pub(super) follows: Option<New>,
}

impl Consequence {
    /// Whether there is anything to do.
    pub(super) const fn is_some(&self) -> bool {
        self.alert.is_some() || self.follows.is_some()
    }
}

impl Desk {
    /// The bad end of `before` as the rules of its route have it: another one, or one more try; and what comes with it.
    pub(super) async fn ruled(
        &self,
        before: &Record,
        draft: Draft,
        now: Millis,
    ) -> Result<(Draft, Consequence), AdvanceError> {
        let route = self.rules.of(&before.requested);
        let Some(route) = route else {
            let is_told = draft.record.is_compensation() && !has_nothing_to_undo(&draft.record);
            let alert = is_told.then(Vec::new);
            let alone = Consequence {
                alert,
                follows: None,
            };
            return Ok((draft, alone));
        };
        let mut draft = self.proven(before, draft, &route, now)?;
        if !is_bad(&draft.record) {
            return Ok((draft, Consequence::default()));
        }
        if let Some(next) = draft.end(before).again(&route, now) {
            let again = self.put_off(before, &draft, &route, (next, now)).await?;
            return Ok((again, Consequence::default()));
        }
        let end = draft.end(before);
        let (mut alert, is_left) = (end.alert(&route), end.compensation(&route).is_some());
        let follows = self.compensation(before, &mut draft, &route).await?;
        if is_left && follows.is_none() {
            // What nothing makes up for is the operator's to undo.
            alert.get_or_insert_default();
        }
        Ok((draft, Consequence { alert, follows }))
    }

    /// The same end, where an answer proves by a rule that nothing was executed, or that a compensation is done after all.
    fn proven(
        &self,
        before: &Record,
        draft: Draft,
        route: &config::Route,
        now: Millis,
    ) -> Result<Draft, AdvanceError> {
        let end = draft.end(before);
        let (is_done, is_refusal) = (end.is_done(route), end.is_refusal(route));
        let Draft { event, change, .. } = draft;
        Ok(if is_done && event == Event::Fail {
            let change = Change {
                error: None,
                ..change
            };
            self.draft(before, Event::Complete, change, now)?
        } else if is_refusal {
            let change = Change {
                outcome: Some(Outcome::NotApplied),
                not_executed: true,
                ..change
            };
            self.draft(before, event, change, now)?
        } else {
            self.draft(before, event, change, now)?
        })
    }

    /// One more try in place of the end.
    async fn put_off(
        &self,
        before: &Record,
        draft: &Draft,
        route: &config::Route,
        (next, now): (Millis, Millis),
    ) -> Result<Draft, AdvanceError> {
        let ended = &draft.record;
        let error = ended.error.as_ref().map(|fault| fault.kind);
        tracing::info!(
            task = %ended.id, upstream = %ended.requested.upstream, route = %ended.requested.route,
            state = ended.status.state().as_str(), error, retry = before.retries() + 1,
            "a task would end badly, and is tried again"
        );
        let change = Change {
            seat: draft.change.seat,
            request: self.keyed_anew(before, draft, route).await?,
            not_before: Some(next),
            not_executed: ended.outcome == Some(Outcome::NotApplied),
            ..Change::default()
        };
        Ok(self.draft(before, Event::Retry, change, now)?)
    }

    /// The request with a key of its own for the next try, where the upstream would say under the last one what it said before.
    async fn keyed_anew(
        &self,
        before: &Record,
        draft: &Draft,
        route: &config::Route,
    ) -> Result<Option<Box<Parcel>>, AdvanceError> {
        let said = draft.change.outcome;
        if !is_key_spent(before, said, route) {
            return Ok(None);
        }
        let request = match self.request(before.id).await {
            Ok(request) => request.and_then(Parcel::decode),
            // Its next try says so.
            Err(RequestError::Closed(_)) => None,
            Err(RequestError::Store(error)) => return Err(error.into()),
        };
        let name = format!("{}-{}", before.id, before.retries() + 1);
        Ok(request
            .and_then(|request| keyed(request, &name))
            .map(Box::new))
    }

    /// The task that makes up for this one, where a rule has one made. Its request is sealed anew, so that it has the
    /// credentials though those of the first are forgotten with this step.
    async fn compensation(
        &self,
        before: &Record,
        draft: &mut Draft,
        route: &config::Route,
    ) -> Result<Option<New>, AdvanceError> {
        let Some(rule) = draft.end(before).compensation(route) else {
            return Ok(None);
        };
        if !draft.end(before).is_its_own(rule) {
            tracing::warn!(task = %before.id, upstream = %before.requested.upstream, route = %route.name, "nothing makes up for this task: what is there now may have stood there before it, or nobody could tell");
            return Ok(None);
        }
        let id = self.new_id();
        let sent = match self.request(before.id).await {
            Ok(request) => request.and_then(Parcel::decode),
            // Nobody can open it any more.
            Err(RequestError::Closed(_)) => None,
            Err(RequestError::Store(error)) => return Err(error.into()),
        };
        let made = sent.and_then(|sent| undo(draft.end(before), route, rule, (id, sent)));
        let new = made.and_then(|made| self.sealed(before, id, made));
        if new.is_none() {
            tracing::error!(task = %before.id, upstream = %before.requested.upstream, route = %route.name, "nothing makes up for this task: its route says what would, but that cannot be made of the call, its answer and its credentials");
        }
        draft.record.bond = new.as_ref().map(|new| Bond::CompensatedBy(new.record.id));
        Ok(new)
    }

    fn sealed(&self, before: &Record, id: TaskId, made: Undo) -> Option<New> {
        let request = made.parcel.encode();
        let sealed = self.keys.seal_request(&id.bytes(), &request).ok()?;
        let owner = made.requested.owner.clone();
        let mut record = Record::new(id, made.requested, true, self.now());
        record.bond = Some(Bond::Compensates(before.id));
        Some(New {
            key: Some(Key {
                owner,
                scope: SCOPE.into(),
                key: before.id.to_string().into(),
                fingerprint: record.requested.body_sha256,
            }),
            record: Arc::new(record),
            sealed: sealed.into(),
        })
    }

    /// What is asked before a task first goes up; see [`Record::stood`].
    pub(in crate::task) fn look_before(&self, task: &Record) -> Option<Probe> {
        self.rules.look_before(task)
    }

    /// Who is to be told of the end of a task: by its client's wish, and by the operator's. Nobody, of a step that is none.
    pub(super) fn hooks(&self, task: &Record, consequence: &Consequence) -> Vec<Hook> {
        if !task.status.state().is_done() {
            return Vec::new();
        }
        let own = task.requested.callback.clone();
        let own = own.map(|url| (url, hook::body(task, &self.prefix)));
        let alerts = consequence.alert.iter().flatten();
        let alerts = alerts.map(|url| (url.clone(), hook::alert(task, &self.prefix)));
        let all = own.into_iter().chain(alerts);
        let hook = |(url, body)| Hook {
            id: TaskId::new((self.clock)()),
            task: task.id,
            url,
            body,
            next: self.now(),
            tries: 0,
        };
        all.map(hook).collect()
    }

    /// What comes with an end that is committed.
    pub(super) async fn follow_up(&self, task: &Record, consequence: Consequence) {
        if consequence.alert.is_some() {
            self.tally.alert(task);
            warn_of(task);
        }
        let Some(follows) = consequence.follows else {
            return;
        };
        let id = follows.record.id;
        tracing::info!(task = %task.id, by = %id, "a task is made up for");
        if self.adopt(id).await.is_err() {
            // It was committed, and has to be worked on.
            self.take_in_hand(&follows.record);
        }
    }

    /// Has a task worked on that the store has and nobody brought to the desk.
    pub(super) async fn adopt(&self, id: TaskId) -> Result<(), StoreError> {
        if self.books.find(id).is_some() {
            return Ok(());
        }
        if let Found::Task(task) = self.store.task(id).await?
            && !task.status.state().is_done()
        {
            self.take_in_hand(&task);
        }
        Ok(())
    }

    fn take_in_hand(&self, record: &Arc<Record>) {
        let room = self.books.room_regardless(&record.requested);
        if self.books.open_once(record, room) {
            self.announce(record.id);
        }
    }
}

/// Whether it is over, and not COMPLETED.
pub(super) fn is_bad(task: &Record) -> bool {
    let state = task.status.state();
    state.is_done() && state != State::Completed
}

/// Says it to whoever reads the log: nothing of whose it is, or of what was asked for.
fn warn_of(task: &Record) {
    let requested = &task.requested;
    let error = task.error.as_ref().map(|fault| fault.kind);
    tracing::warn!(
        task = %task.id, upstream = %requested.upstream, route = %requested.route,
        state = task.status.state().as_str(), outcome = ?task.outcome, error,
        attempts = task.attempts, bond = ?task.bond,
        "a task ended badly"
    );
}
