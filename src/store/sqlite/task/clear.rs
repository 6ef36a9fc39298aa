//! Forgetting tasks, and the outbox, as work for the writer.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::super::queue::Work;
use super::{limit, millis, row};
use crate::task::{GONE_FOR, HookId, HookOutcome, MOST_GONE, Millis, Purged, TaskId};

/// Leaves a tombstone of task `?1` until `?2`.
const TOMBSTONE: &str = "INSERT INTO tombstone (task, owner, upstream, until) \
     SELECT id, owner, upstream, ?2 FROM task WHERE id = ?1 ON CONFLICT (task) DO UPDATE SET until = excluded.until";
/// Everything else that there is of task `?1`.
const REMAINS: [&str; 4] = [
    "DELETE FROM body WHERE task = ?1",
    "DELETE FROM idem WHERE name = (SELECT idem FROM task WHERE id = ?1)",
    "DELETE FROM seat WHERE task = ?1",
    "DELETE FROM task WHERE id = ?1",
];
/// Everything of it but what its seat needs to be found again.
const HIDE: [&str; 3] = [
    "DELETE FROM body WHERE task = ?1",
    "DELETE FROM idem WHERE name = (SELECT idem FROM task WHERE id = ?1)",
    "UPDATE task SET expires = 0, idem = NULL, sealed = NULL, answer_head = NULL, answer = NULL WHERE id = ?1",
];
const IS_OVER: &str = "SELECT state, EXISTS (SELECT 1 FROM seat WHERE seat.task = task.id) AS seated \
     FROM task WHERE id = ? AND expires IS NOT 0";
const OLD_TOMBSTONES: &str = "DELETE FROM tombstone WHERE task IN \
     (SELECT task FROM tombstone WHERE until <= ? ORDER BY until LIMIT ?)";
const SETTLED: &str = "DELETE FROM outbox WHERE id = ?";
const AGAIN: &str = "UPDATE outbox SET next = ?, tries = tries + 1 WHERE id = ?";
const LATER: &str = "UPDATE outbox SET next = ? WHERE id = ?";
/// It went deaf when it was heard of; the oldest make room.
const DEAF: &str =
    "INSERT INTO deaf (url, since) SELECT url, ?2 FROM outbox WHERE id = ?1 ON CONFLICT DO NOTHING";
const MOST_DEAF: &str = "DELETE FROM deaf WHERE url IN (SELECT url FROM deaf ORDER BY since DESC, url LIMIT -1 OFFSET ?)";
const DEAF_NO_MORE: &str = "DELETE FROM deaf WHERE since <= ?";
const UNHEARD: &str = "DELETE FROM outbox WHERE url = (SELECT url FROM outbox WHERE id = ?)";

/// Forgets all of a task.
pub(super) async fn bury(
    on: &mut SqliteConnection,
    id: &[u8],
    until: Millis,
) -> Result<(), sqlx::Error> {
    bury_but(on, id, until, &REMAINS).await
}

async fn bury_but(
    on: &mut SqliteConnection,
    id: &[u8],
    until: Millis,
    remains: &'static [&str],
) -> Result<(), sqlx::Error> {
    let tombstone = sqlx::query(TOMBSTONE).bind(id).bind(millis(until));
    tombstone.execute(&mut *on).await?;
    for part in remains {
        sqlx::query(*part).bind(id).execute(&mut *on).await?;
    }
    Ok(())
}

/// Forgets one task.
pub(super) struct Forget {
    pub(super) id: TaskId,
    pub(super) until: Millis,
}

#[async_trait]
impl Work for Forget {
    type Said = bool;

    async fn run(&self, on: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
        let id = self.id.bytes();
        let query = sqlx::query(IS_OVER).bind(id.as_slice());
        let Some(found) = query.fetch_optional(&mut *on).await? else {
            return Ok(false);
        };
        let state: &str = found.try_get("state")?;
        if row::open_states().any(|open| open == state) {
            return Ok(false);
        }
        let remains: &[&str] = if found.try_get("seated")? {
            &HIDE
        } else {
            &REMAINS
        };
        bury_but(on, &id, self.until, remains).await?;
        Ok(true)
    }
}

/// Forgets what expired.
pub(super) struct Purge {
    pub(super) now: Millis,
    pub(super) until: Millis,
    pub(super) most: usize,
}

/// Tasks that are over have a time at which they expire, and no others.
const EXPIRED: &str = "SELECT id FROM task WHERE expires <= ?1 AND state NOT IN ('SCHEDULED', 'RUNNING') \
     AND NOT EXISTS (SELECT 1 FROM seat WHERE seat.task = task.id AND seat.until > ?1) ORDER BY expires LIMIT ?2";

#[async_trait]
impl Work for Purge {
    type Said = Purged;

    async fn run(&self, on: &mut SqliteConnection) -> Result<Purged, sqlx::Error> {
        let due = sqlx::query_scalar(EXPIRED)
            .bind(millis(self.now))
            .bind(limit(self.most));
        let due: Vec<Vec<u8>> = due.fetch_all(&mut *on).await?;
        for id in &due {
            bury(on, id, self.until).await?;
        }
        let old = sqlx::query(OLD_TOMBSTONES)
            .bind(millis(self.now))
            .bind(limit(self.most));
        let old = old.execute(&mut *on).await?.rows_affected();
        let heard = millis(self.now).saturating_sub(millis(Millis::default().after(GONE_FOR)));
        sqlx::query(DEAF_NO_MORE).bind(heard).execute(on).await?;
        Ok(Purged {
            tasks: due.len(),
            tombstones: usize::try_from(old).unwrap_or(usize::MAX),
        })
    }
}

/// What became of an entry of the outbox.
pub(super) struct Settle {
    pub(super) id: HookId,
    pub(super) outcome: HookOutcome,
}

#[async_trait]
impl Work for Settle {
    type Said = ();

    async fn run(&self, on: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        let id = self.id.bytes();
        let id = id.as_slice();
        match self.outcome {
            HookOutcome::Settled => sqlx::query(SETTLED).bind(id).execute(on).await?,
            HookOutcome::Again(next) => {
                let query = sqlx::query(AGAIN).bind(millis(next)).bind(id);
                query.execute(on).await?
            }
            HookOutcome::Later(next) => {
                let query = sqlx::query(LATER).bind(millis(next)).bind(id);
                query.execute(on).await?
            }
            HookOutcome::Disabled(now) => {
                let deaf = sqlx::query(DEAF).bind(id).bind(millis(now));
                deaf.execute(&mut *on).await?;
                let most = sqlx::query(MOST_DEAF).bind(limit(MOST_GONE));
                most.execute(&mut *on).await?;
                sqlx::query(UNHEARD).bind(id).execute(on).await?
            }
        };
        Ok(())
    }
}
