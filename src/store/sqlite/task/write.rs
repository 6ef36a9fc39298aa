//! Every change of tasks, as work for the writer.

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use super::super::Query;
use super::super::queue::Work;
use super::{answer, millis, row};
use crate::task::{Advanced, Answer, Hook, Key, New, Record, SeatChange, Step, Submitted, TaskId};

/// Bytes of a row, beside what of it has no bound, about.
const ROW: usize = 1024;
/// Longest body that stands in the row itself.
pub(super) const IN_ROW: usize = 64 << 10;
/// Part of a body that stands beside its row.
pub(super) const REQUEST: i64 = 0;
/// The other.
pub(super) const ANSWER: i64 = 1;

pub(super) const WHOSE_KEY: &str = "SELECT fingerprint, task FROM idem WHERE name = ?";
/// A task without a key.
const NEW: &str = "INSERT INTO task (sealed, id, idem, owner, upstream, state, substate, version, fence, expires, form, requested, \
     progress, history, request_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
/// A key and its task, unless the key is taken: on one way to the connection's thread and back.
const NEW_KEYED: &str = "INSERT INTO idem (fingerprint, task, name) VALUES (?, ?, ?) ON CONFLICT DO NOTHING; \
     INSERT INTO task (sealed, id, idem, owner, upstream, state, substate, version, fence, expires, form, requested, \
     progress, history, request_id) SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? WHERE changes() = 1";
const BESIDE: &str = "INSERT OR REPLACE INTO body (task, part, bytes) VALUES (?, ?, ?)";
/// A step: only of the task that it was made for.
const ADVANCE: &str = "UPDATE task SET state = ?, substate = ?, version = ?, fence = ?, expires = ?, weight = ?, \
     share = ?, progress = ?, history = ?, upstream_task = ? WHERE id = ? AND version = ? AND fence = ?";
const RESEALED: &str =
    "DELETE FROM body WHERE task = ? AND part = 0; UPDATE task SET sealed = ? WHERE id = ?";
const FORGET_REQUEST: &str =
    "UPDATE task SET sealed = NULL WHERE id = ?; DELETE FROM body WHERE task = ? AND part = 0";
const RELEASE_KEY: &str = "DELETE FROM idem WHERE name = (SELECT idem FROM task WHERE id = ?); \
     UPDATE task SET idem = NULL WHERE id = ?";
const ANSWERED: &str = "UPDATE task SET answer_head = ?, answer = ? WHERE id = ?";
const TAKE_SEAT: &str = "INSERT INTO seat (task, upstream, pool, until) VALUES (?, ?, ?, ?) \
     ON CONFLICT (task) DO UPDATE SET until = excluded.until";
const FREE_SEAT: &str = "DELETE FROM seat WHERE task = ?";
const TELL: &str = "INSERT OR REPLACE INTO outbox (id, task, url, body, next, tries) SELECT ?, ?, ?, ?, ?, ? \
     WHERE NOT EXISTS (SELECT 1 FROM deaf WHERE url = ?)";

/// What a key is called in the table: whoever reads it learns no key.
pub(super) fn name(key: &Key) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [&key.owner.0, &key.scope, &key.key] {
        hash.update(u64::try_from(part.len()).unwrap_or(0).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// What there is of a body for the row itself: none where it is too long for it.
fn in_row(body: &[u8]) -> Option<&[u8]> {
    (body.len() <= IN_ROW).then_some(body)
}

async fn beside(
    on: &mut SqliteConnection,
    id: &[u8],
    part: i64,
    body: &[u8],
) -> Result<(), sqlx::Error> {
    if in_row(body).is_some() {
        return Ok(());
    }
    let query = sqlx::query(BESIDE).bind(id).bind(part).bind(body);
    query.execute(on).await.map(drop)
}

#[async_trait]
impl Work for New {
    type Said = Submitted;

    async fn run(&self, on: &mut SqliteConnection) -> Result<Submitted, sqlx::Error> {
        let id = self.record.id.bytes();
        let Some(key) = &self.key else {
            let query = sqlx::query(NEW);
            bound(query, self, None)?.execute(&mut *on).await?;
            beside(on, &id, REQUEST, &self.sealed).await?;
            return Ok(Submitted::New);
        };
        let name = name(key);
        let query = sqlx::query(NEW_KEYED)
            .bind(key.fingerprint.to_vec())
            .bind(id.to_vec())
            .bind(name.to_vec());
        let done = bound(query, self, Some(&name))?.execute(&mut *on).await?;
        if done.rows_affected() == 0 {
            return whose_key(on, &name, &key.fingerprint).await;
        }
        beside(on, &id, REQUEST, &self.sealed).await?;
        Ok(Submitted::New)
    }

    fn bytes(&self) -> usize {
        self.sealed.len()
    }
}

/// The query with everything of a new task, in the order of its columns.
fn bound<'a>(
    query: Query<'a>,
    new: &'a New,
    idem: Option<&[u8]>,
) -> Result<Query<'a>, sqlx::Error> {
    let record = &*new.record;
    let (state, substate) = row::status_words(record.status);
    Ok(query
        .bind(in_row(&new.sealed))
        .bind(record.id.bytes().to_vec())
        .bind(idem.map(<[u8]>::to_vec))
        .bind(&*record.requested.owner.0)
        .bind(&*record.requested.upstream)
        .bind(state)
        .bind(substate)
        .bind(record.version.cast_signed())
        .bind(record.fence.cast_signed())
        .bind(record.expires.map(millis))
        .bind(row::FORM)
        .bind(row::requested(&record.requested)?)
        .bind(row::progress(record)?)
        .bind(row::history(record))
        .bind(record.requested.request_id.as_deref()))
}

/// Whose a key is that is taken.
async fn whose_key(
    on: &mut SqliteConnection,
    name: &[u8],
    fingerprint: &[u8],
) -> Result<Submitted, sqlx::Error> {
    let taken = sqlx::query(WHOSE_KEY).bind(name).fetch_one(on).await?;
    same_or_other(&taken, fingerprint)
}

/// What is said to a key that is taken.
pub(super) fn same_or_other(
    taken: &SqliteRow,
    fingerprint: &[u8],
) -> Result<Submitted, sqlx::Error> {
    if taken.try_get::<&[u8], _>("fingerprint")? != fingerprint {
        return Ok(Submitted::Other);
    }
    row::id(taken.try_get("task")?).map(Submitted::Same)
}

#[async_trait]
impl Work for Step {
    type Said = Advanced;

    async fn run(&self, on: &mut SqliteConnection) -> Result<Advanced, sqlx::Error> {
        let id = self.record.id.bytes();
        if !step(on, self).await? {
            return Ok(Advanced::Stale);
        }
        seat(on, &self.record, self.seat).await?;
        if let Some(answer) = &self.answer {
            answered(on, &id, answer).await?;
        }
        if let Some(sealed) = &self.resealed {
            resealed(on, &id, sealed).await?;
        }
        if self.forget_request {
            let query = sqlx::query(FORGET_REQUEST);
            let query = query.bind(id.as_slice()).bind(id.as_slice());
            query.execute(&mut *on).await?;
        }
        if self.release_key {
            let query = sqlx::query(RELEASE_KEY);
            let query = query.bind(id.as_slice()).bind(id.as_slice());
            query.execute(&mut *on).await?;
        }
        for hook in &self.hooks {
            tell(hook).execute(&mut *on).await?;
        }
        if let Some(follows) = &self.follows {
            follows.run(on).await?;
        }
        Ok(Advanced::Done)
    }

    fn bytes(&self) -> usize {
        let follows = self.follows.as_ref().map_or(0, |new| new.sealed.len());
        let resealed = self.resealed.as_ref().map_or(0, Bytes::len);
        follows + resealed + self.answer.as_ref().map_or(0, |answer| answer.body.len())
    }
}

/// False where the task is not what the step takes it for.
async fn step(on: &mut SqliteConnection, step: &Step) -> Result<bool, sqlx::Error> {
    let record = &*step.record;
    let Some(before) = record.version.checked_sub(1) else {
        return Ok(false);
    };
    let (state, substate) = row::status_words(record.status);
    let id = record.id.bytes();
    let (progress, history) = (row::progress(record)?, row::history(record));
    let answer = step.answer.as_ref().map_or(0, |answer| answer.body.len());
    let weight = [ROW, progress.len(), history.len(), answer]
        .iter()
        .sum::<usize>();
    let share = record
        .expires
        .map(|_| record.requested.share().0.to_string());
    let query = sqlx::query(ADVANCE)
        .bind(state)
        .bind(substate)
        .bind(record.version.cast_signed())
        .bind(record.fence.cast_signed())
        .bind(record.expires.map(millis))
        .bind(i64::try_from(weight).unwrap_or(i64::MAX))
        .bind(share)
        .bind(progress)
        .bind(history)
        .bind(record.upstream_task.as_deref())
        .bind(id.as_slice())
        .bind(before.cast_signed())
        .bind(step.fence.cast_signed());
    Ok(query.execute(on).await?.rows_affected() == 1)
}

async fn seat(
    on: &mut SqliteConnection,
    record: &Record,
    change: SeatChange,
) -> Result<(), sqlx::Error> {
    let id = record.id.bytes();
    let query = match change {
        SeatChange::Keep => return Ok(()),
        SeatChange::Take { until } => sqlx::query(TAKE_SEAT)
            .bind(id.as_slice())
            .bind(&*record.requested.upstream)
            .bind(&*record.requested.pool)
            .bind(millis(until)),
        SeatChange::Free => sqlx::query(FREE_SEAT).bind(id.as_slice()),
    };
    query.execute(on).await.map(drop)
}

async fn resealed(on: &mut SqliteConnection, id: &[u8], sealed: &[u8]) -> Result<(), sqlx::Error> {
    let query = sqlx::query(RESEALED).bind(id).bind(in_row(sealed)).bind(id);
    query.execute(&mut *on).await?;
    beside(on, id, REQUEST, sealed).await
}

async fn answered(
    on: &mut SqliteConnection,
    id: &[u8],
    answer: &Answer,
) -> Result<(), sqlx::Error> {
    let query = sqlx::query(ANSWERED)
        .bind(answer::head(answer))
        .bind(in_row(&answer.body))
        .bind(id);
    query.execute(&mut *on).await?;
    beside(on, id, ANSWER, &answer.body).await
}

fn tell(hook: &Hook) -> Query<'_> {
    sqlx::query(TELL)
        .bind(hook.id.bytes().to_vec())
        .bind(hook.task.bytes().to_vec())
        .bind(&*hook.url)
        .bind(&*hook.body)
        .bind(millis(hook.next))
        .bind(i64::from(hook.tries))
        .bind(&*hook.url)
}

/// The seat of a task is free.
pub(super) struct FreeSeat(pub(super) TaskId);

#[async_trait]
impl Work for FreeSeat {
    type Said = ();

    async fn run(&self, on: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let id = self.0.bytes();
        let query = sqlx::query(FREE_SEAT).bind(id.as_slice());
        query.execute(on).await.map(drop)
    }
}
