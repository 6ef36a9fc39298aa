//! Tasks that end with the process.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use super::Memory;
use crate::session::StoreError;
use crate::task::{
    Advanced, Answer, Filter, Found, GONE_FOR, Hook, HookId, HookOutcome, Keep, Kept, Key,
    MOST_GONE, Millis, New, Owner, Purged, Record, SeatChange, Step, Submitted, TaskId, TaskStore,
    Tombstone,
};

/// Bytes of a task that is over, beside its answer, about.
const TASK: u64 = 1024;

/// Whose a key is, its scope, and the key.
type KeyName = (Owner, Arc<str>, Arc<str>);

#[derive(Debug, Default)]
pub(super) struct Tasks {
    rows: BTreeMap<TaskId, Row>,
    pub(super) gone: BTreeMap<TaskId, (Tombstone, Millis)>,
    keys: HashMap<KeyName, (TaskId, [u8; 32])>,
    seats: BTreeMap<TaskId, Millis>,
    hooks: BTreeMap<HookId, Hook>,
    deaf: BTreeMap<Arc<str>, Millis>,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) record: Arc<Record>,
    sealed: Option<Bytes>,
    answer: Option<Answer>,
    key: Option<KeyName>,
    /// It was forgotten, and is here for its seat alone.
    is_forgotten: bool,
}

impl Row {
    /// Bytes of it, about.
    pub(super) fn weight(&self) -> u64 {
        let answer = self.answer.as_ref().map_or(0, |answer| answer.body.len());
        TASK.saturating_add(u64::try_from(answer).unwrap_or(u64::MAX))
    }
}

fn name(key: &Key) -> KeyName {
    (key.owner.clone(), key.scope.clone(), key.key.clone())
}

impl Tasks {
    fn keyed(&self, key: &Key) -> Option<Submitted> {
        let (id, fingerprint) = self.keys.get(&name(key))?;
        Some(if *fingerprint == key.fingerprint {
            Submitted::Same(*id)
        } else {
            Submitted::Other
        })
    }

    fn submit(&mut self, new: New) -> Submitted {
        if let Some(taken) = new.key.as_ref().and_then(|key| self.keyed(key)) {
            return taken;
        }
        let id = new.record.id;
        if let Some(key) = &new.key {
            self.keys.insert(name(key), (id, key.fingerprint));
        }
        let row = Row {
            record: new.record,
            sealed: Some(new.sealed),
            answer: None,
            key: new.key.as_ref().map(name),
            is_forgotten: false,
        };
        self.rows.insert(id, row);
        Submitted::New
    }

    fn advance(&mut self, step: Step) -> Advanced {
        let id = step.record.id;
        let Some(row) = self.rows.get_mut(&id) else {
            return Advanced::Stale;
        };
        if row.record.version + 1 != step.record.version || row.record.fence != step.fence {
            return Advanced::Stale;
        }
        row.record = step.record;
        row.sealed = step.resealed.or(row.sealed.take());
        if step.forget_request {
            row.sealed = None;
        }
        row.answer = step.answer.or(row.answer.take());
        if step.release_key
            && let Some(key) = row.key.take()
        {
            self.keys.remove(&key);
        }
        match step.seat {
            SeatChange::Keep => {}
            SeatChange::Take { until } => {
                self.seats.insert(id, until);
            }
            SeatChange::Free => {
                self.seats.remove(&id);
            }
        }
        for hook in step.hooks {
            if !self.deaf.contains_key(&hook.url) {
                self.hooks.insert(hook.id, hook);
            }
        }
        if let Some(follows) = step.follows {
            self.submit(follows);
        }
        Advanced::Done
    }

    /// Rows of tasks that are over.
    pub(super) fn over(&self) -> impl Iterator<Item = &Row> {
        let rows = self.rows.values();
        rows.filter(|row| row.record.status.state().is_done())
    }

    pub(super) fn is_seated(&self, id: TaskId, now: Millis) -> bool {
        self.seats.get(&id).is_some_and(|until| *until > now)
    }

    /// The same as [`Self::bury`], of a task whose seat, if it has one still, was held long enough.
    pub(super) fn bury_whole(&mut self, id: TaskId, until: Millis) {
        self.seats.remove(&id);
        self.bury(id, until);
    }

    /// Everything of a task goes that its owner could see; of one that holds a seat the rest stays as long as that.
    fn bury(&mut self, id: TaskId, until: Millis) {
        let Some(row) = self.rows.get_mut(&id) else {
            return;
        };
        let requested = &row.record.requested;
        let left = Tombstone {
            owner: requested.owner.clone(),
            upstream: Some(requested.upstream.clone()),
        };
        self.gone.insert(id, (left, until));
        (row.sealed, row.answer, row.is_forgotten) = (None, None, true);
        if let Some(key) = row.key.take() {
            self.keys.remove(&key);
        }
        if !self.seats.contains_key(&id) {
            self.rows.remove(&id);
        }
    }

    fn purge(&mut self, now: Millis, until: Millis, most: usize) -> Purged {
        let is_due = |row: &&Row| {
            let seat = self.seats.get(&row.record.id);
            let is_due = row.record.expires.is_some_and(|expires| expires <= now);
            row.record.status.state().is_done()
                && (is_due || row.is_forgotten)
                && seat.is_none_or(|until| *until <= now)
        };
        let due = self.rows.values().filter(is_due);
        let mut due: Vec<(Option<Millis>, TaskId)> =
            due.map(|row| (row.record.expires, row.record.id)).collect();
        due.sort();
        due.truncate(most);
        for (_, id) in &due {
            self.bury_whole(*id, until);
        }
        let old = self.gone.iter().filter(|(_, (_, until))| *until <= now);
        let old: Vec<TaskId> = old.map(|(id, _)| *id).take(most).collect();
        for id in &old {
            self.gone.remove(id);
        }
        self.deaf.retain(|_, since| since.after(GONE_FOR) > now);
        Purged {
            tasks: due.len(),
            tombstones: old.len(),
        }
    }

    fn settle(&mut self, id: HookId, outcome: HookOutcome) {
        match outcome {
            HookOutcome::Settled => {
                self.hooks.remove(&id);
            }
            HookOutcome::Again(next) => {
                if let Some(hook) = self.hooks.get_mut(&id) {
                    hook.next = next;
                    hook.tries += 1;
                }
            }
            HookOutcome::Later(next) => {
                if let Some(hook) = self.hooks.get_mut(&id) {
                    hook.next = next;
                }
            }
            HookOutcome::Disabled(now) => {
                if let Some(hook) = self.hooks.remove(&id) {
                    self.hooks.retain(|_, other| other.url != hook.url);
                    self.deaf.entry(hook.url).or_insert(now);
                    let oldest = self.deaf.iter().min_by_key(|(_, since)| **since);
                    if self.deaf.len() > MOST_GONE
                        && let Some(oldest) = oldest.map(|(url, _)| url.clone())
                    {
                        self.deaf.remove(&oldest);
                    }
                }
            }
        }
    }
}

fn fits(record: &Record, filter: &Filter) -> bool {
    let requested = &record.requested;
    let owner = filter.owner.as_ref();
    let upstream = filter.upstream.as_ref();
    let request_id = filter.request_id.as_ref();
    owner.is_none_or(|owner| *owner == requested.owner)
        && upstream.is_none_or(|upstream| *upstream == requested.upstream)
        && request_id.is_none_or(|id| Some(id) == requested.request_id.as_ref())
        && filter
            .state
            .is_none_or(|state| state == record.status.state())
}

#[async_trait]
impl TaskStore for Memory {
    async fn submit(&self, new: New) -> Result<Submitted, StoreError> {
        Ok(self.tasks.lock().submit(new))
    }

    async fn keyed(&self, key: &Key) -> Result<Option<Submitted>, StoreError> {
        Ok(self.tasks.lock().keyed(key))
    }

    async fn advance(&self, step: Step) -> Result<Advanced, StoreError> {
        Ok(self.tasks.lock().advance(step))
    }

    async fn task(&self, id: TaskId) -> Result<Found, StoreError> {
        let tasks = self.tasks.lock();
        let gone = || tasks.gone.get(&id).map(|(left, _)| left.clone());
        Ok(match tasks.rows.get(&id) {
            Some(row) if !row.is_forgotten => Found::Task(row.record.clone()),
            _ => gone().map_or(Found::Nothing, Found::Gone),
        })
    }

    async fn task_of(
        &self,
        upstream: &str,
        upstream_task: &str,
    ) -> Result<Option<TaskId>, StoreError> {
        let tasks = self.tasks.lock();
        let has = |row: &&Row| {
            let record = &row.record;
            record.upstream_task.as_deref() == Some(upstream_task)
                && *record.requested.upstream == *upstream
        };
        Ok(tasks.rows.values().find(has).map(|row| row.record.id))
    }

    async fn request(&self, id: TaskId) -> Result<Option<Bytes>, StoreError> {
        let tasks = self.tasks.lock();
        Ok(tasks.rows.get(&id).and_then(|row| row.sealed.clone()))
    }

    async fn answer(&self, id: TaskId) -> Result<Option<Answer>, StoreError> {
        let tasks = self.tasks.lock();
        Ok(tasks.rows.get(&id).and_then(|row| row.answer.clone()))
    }

    async fn unfinished(
        &self,
        after: Option<TaskId>,
        most: usize,
    ) -> Result<Vec<Kept>, StoreError> {
        let tasks = self.tasks.lock();
        let kept = tasks.rows.iter().filter(|(id, row)| {
            after.is_none_or(|after| **id > after)
                && (!row.record.status.state().is_done() || tasks.seats.contains_key(*id))
        });
        let kept = kept.map(|(id, row)| Kept {
            record: row.record.clone(),
            seat: tasks.seats.get(id).copied(),
        });
        Ok(kept.take(most).collect())
    }

    async fn list(
        &self,
        filter: &Filter,
        before: Option<TaskId>,
        most: usize,
    ) -> Result<Vec<Arc<Record>>, StoreError> {
        let tasks = self.tasks.lock();
        let shown = tasks.rows.values().filter(|row| !row.is_forgotten);
        let newest_first = shown.rev().map(|row| &row.record);
        let wanted = newest_first.filter(|record| {
            before.is_none_or(|before| record.id < before) && fits(record, filter)
        });
        Ok(wanted.take(most).cloned().collect())
    }

    async fn free_seat(&self, id: TaskId) -> Result<(), StoreError> {
        self.tasks.lock().seats.remove(&id);
        Ok(())
    }

    async fn forget(&self, id: TaskId, until: Millis) -> Result<bool, StoreError> {
        let mut tasks = self.tasks.lock();
        let row = tasks.rows.get(&id);
        let is_over =
            row.is_some_and(|row| row.record.status.state().is_done() && !row.is_forgotten);
        if is_over {
            tasks.bury(id, until);
        }
        Ok(is_over)
    }

    async fn purge(&self, now: Millis, until: Millis, most: usize) -> Result<Purged, StoreError> {
        Ok(self.tasks.lock().purge(now, until, most))
    }

    async fn trim(
        &self,
        keep: &Keep,
        times: (Millis, Millis),
        most: usize,
    ) -> Result<Vec<TaskId>, StoreError> {
        Ok(self.tasks.lock().trim(keep, times, most))
    }

    async fn due_hooks(&self, now: Millis, most: usize) -> Result<Vec<Hook>, StoreError> {
        let tasks = self.tasks.lock();
        let mut due: Vec<&Hook> = tasks.hooks.values().filter(|one| one.next <= now).collect();
        due.sort_by_key(|hook| (hook.next, hook.id));
        Ok(due.into_iter().take(most).cloned().collect())
    }

    async fn next_hook(&self) -> Result<Option<Millis>, StoreError> {
        let tasks = self.tasks.lock();
        Ok(tasks.hooks.values().map(|hook| hook.next).min())
    }

    async fn settle_hook(&self, id: HookId, outcome: HookOutcome) -> Result<(), StoreError> {
        self.tasks.lock().settle(id, outcome);
        Ok(())
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
