//! State in an `SQLite` file: one writer, durable at every commit, this gate's alone.

mod fault;
mod file;
mod migrations;
mod session;

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};

use super::OpenError;
use crate::session::StoreError;

/// How long to wait for a lock that another process holds on the file.
const BUSY: Duration = Duration::from_secs(5);
/// How long to wait for the one connection, which does one thing at a time.
const ACQUIRE: Duration = Duration::from_secs(30);
/// `PRAGMA application_id` of the gate's files, as the first migration sets it.
const APPLICATION: i64 = 1_952_737_140;

/// A database file. Statements run on a thread of the connection's own.
pub struct Sqlite {
    pool: SqlitePool,
    /// Locked for as long as this lives: two gates with one ledger would undo each other's.
    _lock: File,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sqlite")
    }
}

impl Sqlite {
    /// Opens the database at `path`, makes it when it is missing (mode 0600), and brings its tables
    /// up to date.
    ///
    /// # Errors
    ///
    /// [`OpenError`] in words for the operator. A file of another program, of a newer version or
    /// a damaged one is left as it is.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let fail = |what: String| OpenError::of(path, what);
        let path = std::path::absolute(path).map_err(|error| fail(error.to_string()))?;
        let prepared = path.clone();
        let prepare = tokio::task::spawn_blocking(move || file::prepare(&prepared));
        let lock = prepare.await.map_err(|error| fail(error.to_string()))?;
        let lock = lock.map_err(fail)?;
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(false)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .thread_name(|_| "store".to_owned())
            .disable_statement_logging();
        examine(&options).await.map_err(fail)?;
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.journal_mode(SqliteJournalMode::Wal))
            .await
            .map_err(|error| fail(fault::opening(&error)))?;
        migrations::run(&pool).await.map_err(fail)?;
        let store = Self { pool, _lock: lock };
        store
            .probe()
            .await
            .map_err(|error| fail(fault::opening(&error)))?;
        Ok(store)
    }

    /// Takes the lock for writing, and gives it back.
    async fn probe(&self) -> Result<(), sqlx::Error> {
        let writing = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        writing.rollback().await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.probe().await.map_err(|error| fault::running(&error))
    }
}

/// Looks at the file before anything of it is changed: whether it is sound, and ours.
async fn examine(options: &SqliteConnectOptions) -> Result<(), String> {
    let words = |error: sqlx::Error| fault::opening(&error);
    let mut connection = SqliteConnection::connect_with(options)
        .await
        .map_err(words)?;
    let found: Result<(i64, i64, String), sqlx::Error> = async {
        let application = sqlx::query_scalar("PRAGMA application_id");
        let application: i64 = application.fetch_one(&mut connection).await?;
        let tables = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema");
        let tables: i64 = tables.fetch_one(&mut connection).await?;
        let sound = sqlx::query_scalar("PRAGMA quick_check(1)");
        Ok((application, tables, sound.fetch_one(&mut connection).await?))
    }
    .await;
    drop(connection.close().await);
    let (application, tables, sound) = found.map_err(words)?;
    if application != APPLICATION && (application != 0 || tables > 0) {
        return Err("is a database of another program; name a file of the gate's own".to_owned());
    }
    if sound != "ok" {
        return Err(fault::damaged());
    }
    Ok(())
}
