//! Forgetting what there is too much of, as work for the writer. How much there is, table `kept` says.

use async_trait::async_trait;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use super::super::queue::Work;
use super::clear::bury;
use super::{limit, millis};
use crate::task::{Keep, Millis, Most, TaskId};

const COUNTED: &str = "SELECT tasks, bytes FROM kept WHERE share = ?";
/// Shares of which more is kept than may be.
const HEAVY: &str = "SELECT share FROM kept WHERE (tasks > ?1 OR bytes > ?2) AND share NOT IN ('all', 'tombstones') LIMIT ?3";
const FREE: &str = "NOT EXISTS (SELECT 1 FROM seat WHERE seat.task = task.id AND seat.until > ?1)";
/// All shares together.
const ALL: &str = "all";
const TOMBSTONES: &str = "tombstones";
const OLDEST_TOMBSTONES: &str =
    "DELETE FROM tombstone WHERE task IN (SELECT task FROM tombstone ORDER BY until LIMIT ?)";

/// Forgets what there is too much of.
pub(super) struct Trim {
    pub(super) keep: Keep,
    pub(super) now: Millis,
    pub(super) until: Millis,
    pub(super) most: usize,
}

#[async_trait]
impl Work for Trim {
    type Said = Vec<TaskId>;

    async fn run(&self, on: &mut SqliteConnection) -> Result<Vec<TaskId>, sqlx::Error> {
        let mut gone = Vec::new();
        let heavy = sqlx::query_scalar(HEAVY)
            .bind(count(self.keep.of_one.tasks))
            .bind(bytes(self.keep.of_one.bytes))
            .bind(limit(self.most));
        let heavy: Vec<String> = heavy.fetch_all(&mut *on).await?;
        for share in &heavy {
            self.lighten(on, share, &self.keep.of_one, &mut gone)
                .await?;
        }
        self.lighten(on, ALL, &self.keep.of_all, &mut gone).await?;
        let (left, _) = counted(on, TOMBSTONES).await?;
        let surplus = left.saturating_sub(count(self.keep.tombstones));
        if surplus > 0 {
            let query = sqlx::query(OLDEST_TOMBSTONES);
            query
                .bind(surplus.min(limit(self.most)))
                .execute(on)
                .await?;
        }
        Ok(gone)
    }
}

impl Trim {
    /// Forgets the first to expire of a share, until no more than `most` is left of it, or of all.
    async fn lighten(
        &self,
        on: &mut SqliteConnection,
        share: &str,
        most: &Most,
        gone: &mut Vec<TaskId>,
    ) -> Result<(), sqlx::Error> {
        let (tasks, weight) = counted(on, share).await?;
        let mut tasks = tasks.saturating_sub(count(most.tasks));
        let mut weight = weight.saturating_sub(bytes(most.bytes));
        let room = self.most.saturating_sub(gone.len());
        if (tasks <= 0 && weight <= 0) || room == 0 {
            return Ok(());
        }
        let of_share = if share == ALL {
            ""
        } else {
            "coalesce(share, owner) = ?3 AND "
        };
        let sql = format!(
            "SELECT id, weight FROM task WHERE {of_share}expires IS NOT NULL AND {FREE} ORDER BY expires LIMIT ?2"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(millis(self.now))
            .bind(limit(room))
            .bind(share);
        for row in query.fetch_all(&mut *on).await? {
            if tasks <= 0 && weight <= 0 {
                break;
            }
            let id: Vec<u8> = row.try_get("id")?;
            bury(on, &id, self.until).await?;
            tasks -= 1;
            weight = weight.saturating_sub(row.try_get("weight")?);
            gone.push(super::row::id(&id)?);
        }
        Ok(())
    }
}

async fn counted(on: &mut SqliteConnection, share: &str) -> Result<(i64, i64), sqlx::Error> {
    let found = sqlx::query(COUNTED).bind(share).fetch_optional(on).await?;
    found.map_or(Ok((0, 0)), |found| {
        Ok((found.try_get("tasks")?, found.try_get("bytes")?))
    })
}

fn count(tasks: usize) -> i64 {
    i64::try_from(tasks).unwrap_or(i64::MAX)
}

fn bytes(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
