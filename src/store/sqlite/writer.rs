//! The one that writes: everything that waits goes into one transaction, which costs the disk one sync.
//!
//! A commit that failed may have left its frames in the log, whole, where nobody knows whether the disk has them.
//! Syncing again would prove nothing: the kernel reports an error once and forgets it. Reading the log again would take
//! the refused work up. So neither is done: `SQLite` still knows where the log ends, and the next transaction is
//! written over those frames. That one is a mark of the writer's own, made before anybody is answered; until one is
//! through, nothing else is tried. Only where the disk fails it too, and the process ends before the disk is back, the
//! next start may find work that was refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::sync::Notify;

use super::fault::{self, Blame, Damage};
use super::queue::{Queue, Queued};

const BEGIN: &str = "BEGIN IMMEDIATE";
const MARK: &str = "UPDATE mark SET count = count + 1";

/// How much was written since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Written {
    groups: AtomicU64,
    works: AtomicU64,
}

impl Written {
    fn count(&self, works: usize) {
        let works = u64::try_from(works).unwrap_or(u64::MAX);
        self.groups.fetch_add(1, Relaxed);
        self.works.fetch_add(works, Relaxed);
    }

    /// Transactions, and the works that were in them.
    pub(super) fn so_far(&self) -> (u64, u64) {
        (self.groups.load(Relaxed), self.works.load(Relaxed))
    }
}

/// Writes what comes out of a queue.
pub(super) struct Writer {
    options: SqliteConnectOptions,
    path: Arc<str>,
    connection: Option<SqliteConnection>,
    written: Arc<Written>,
    damage: Damage,
    /// A commit failed, and what it left is not written over yet.
    is_ailing: bool,
}

impl Writer {
    pub(super) fn new(
        path: Arc<str>,
        options: SqliteConnectOptions,
        connection: SqliteConnection,
        (written, damage): (Arc<Written>, Damage),
    ) -> Self {
        Self {
            options,
            path,
            connection: Some(connection),
            written,
            damage,
            is_ailing: false,
        }
    }

    /// Writes until every door of the queue is closed and nothing waits.
    pub(super) async fn run(mut self, mut queue: Queue, wakes: &Notify) {
        while let Some(group) = queue.next().await {
            self.write(group).await;
            wakes.notify_one();
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(store = %self.path, %error, "the store was not closed well");
        }
    }

    /// Commits the group. Whatever of it fails by itself is taken out, and the rest is done again without it.
    async fn write(&mut self, mut group: Vec<Box<dyn Queued>>) {
        while !group.is_empty() {
            let Err(failure) = self.attempt(&mut group).await else {
                self.written.count(group.len());
                for job in group {
                    job.answer(Ok(()));
                }
                return;
            };
            self.damage.note(&self.path, &failure.error);
            let error = fault::running(&self.path, &failure.error);
            let blame = fault::blame(&failure.error);
            if blame == Blame::Disk {
                self.is_ailing = true;
                // What was left behind is written over before anybody hears of it.
                drop(self.heal().await);
            }
            match (failure.at, blame) {
                (Some(at), Blame::Work) => {
                    group.swap_remove(at).answer(Err(error));
                }
                // Something of it may fit.
                (_, Blame::Room) if group.len() > 1 => {
                    for job in group.drain(..) {
                        Box::pin(self.write(vec![job])).await;
                    }
                }
                _ => {
                    for job in group.drain(..) {
                        job.answer(Err(error.clone()));
                    }
                }
            }
        }
    }

    async fn attempt(&mut self, group: &mut [Box<dyn Queued>]) -> Result<(), Failure> {
        self.heal().await?;
        let connection = self.connection().await?;
        let done = transaction(connection, group).await;
        if done.is_err()
            && let Err(error) = rollback(connection).await
        {
            tracing::warn!(store = %self.path, %error, "reopening the store");
            self.connection = None;
        }
        done
    }

    /// Writes over what a failed commit left.
    async fn heal(&mut self) -> Result<(), sqlx::Error> {
        if !self.is_ailing {
            return Ok(());
        }
        let connection = self.connection().await?;
        let done = mark(connection).await;
        if done.is_err() && rollback(connection).await.is_err() {
            self.connection = None;
        }
        done?;
        self.is_ailing = false;
        tracing::info!(store = %self.path, "the store takes writes again");
        Ok(())
    }

    async fn connection(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => SqliteConnection::connect_with(&self.options).await?,
        };
        Ok(self.connection.insert(connection))
    }
}

/// Why a group was not committed, and whose fault it is, where it is of one alone.
struct Failure {
    error: sqlx::Error,
    at: Option<usize>,
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self { error, at: None }
    }
}

async fn transaction(
    on: &mut SqliteConnection,
    group: &mut [Box<dyn Queued>],
) -> Result<(), Failure> {
    sqlx::query(BEGIN).execute(&mut *on).await?;
    for (at, job) in group.iter_mut().enumerate() {
        let failed = |error| Failure {
            error,
            at: Some(at),
        };
        job.run(on).await.map_err(failed)?;
    }
    sqlx::query("COMMIT").execute(&mut *on).await?;
    Ok(())
}

/// Writes to the disk, for the sake of it.
async fn mark(on: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query(BEGIN).execute(&mut *on).await?;
    sqlx::query(MARK).execute(&mut *on).await?;
    sqlx::query("COMMIT").execute(&mut *on).await.map(drop)
}

/// Takes the lock for writing, and gives it back: a full disk is no reason not to start.
pub(super) async fn probe(on: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::query(BEGIN).execute(&mut *on).await?;
    rollback(on).await
}

/// Ends a transaction, if `SQLite` has not done so itself.
async fn rollback(on: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    match sqlx::query("ROLLBACK").execute(&mut *on).await {
        Err(error) if fault::is_no_transaction(&error) => Ok(()),
        done => done.map(drop),
    }
}

/// Sees whether the disk takes anything.
pub(super) struct Check;

#[async_trait::async_trait]
impl super::queue::Work for Check {
    type Said = ();

    async fn run(&self, on: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        sqlx::query(MARK).execute(on).await.map(drop)
    }
}
