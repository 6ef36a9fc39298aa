//! State in an `SQLite` file: one writer, which commits in groups, readers beside it, durable at every commit, this
//! gate's alone.

mod checkpoint;
mod fault;
mod file;
mod migrations;
mod queue;
mod session;
mod task;
mod writer;

use std::fmt;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool,
    SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Notify, watch};

use self::fault::Damage;
use self::queue::{Door, Queue, Way, Work};
use self::writer::{Writer, Written};
use super::OpenError;
use crate::limit::Mutex;
use crate::session::StoreError;

/// How long to wait for a lock that another process holds on the file.
const BUSY: Duration = Duration::from_secs(5);
/// How long to wait for a connection to read by.
const ACQUIRE: Duration = Duration::from_secs(30);
/// Connections to read by.
const READERS: u32 = 3;
/// `PRAGMA cache_size` of the writer: 16 MiB.
const CACHE: &str = "-16384";
/// `PRAGMA application_id` of the gate's files, as the first migration sets it.
const APPLICATION: i64 = 1_952_737_140;

type Query<'a> = sqlx::query::Query<'a, sqlx::Sqlite, SqliteArguments>;

/// A database file. It is written to by a thread of its own; statements run on threads of their connections.
pub struct Sqlite {
    path: Arc<str>,
    /// None once it is closed.
    door: Mutex<Option<Door>>,
    readers: SqlitePool,
    written: Arc<Written>,
    damage: Damage,
    /// Ends with the writer.
    writing: watch::Receiver<()>,
    /// Locked for as long as this or the writer lives: two gates with one ledger would undo each other's.
    _lock: Arc<File>,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sqlite({})", self.path)
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
        let lock = Arc::new(lock.map_err(fail)?);
        let options = options(&path);
        examine(&options).await.map_err(fail)?;
        let options = options
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("wal_autocheckpoint", checkpoint::WRITER_AT)
            .pragma("cache_size", CACHE);
        let connection = writable(&options).await.map_err(fail)?;
        let carrier = SqliteConnection::connect_with(&options).await;
        let carrier = carrier.map_err(|error| fail(fault::opening(&error)))?;
        let readers = readers(&path).await;
        let readers = readers.map_err(|error| fail(fault::opening(&error)))?;
        let name: Arc<str> = path.display().to_string().into();
        let (door, queue) = queue::queue();
        let written = Arc::new(Written::default());
        let damage = Damage::default();
        let counts = (written.clone(), damage.clone());
        let writer = Writer::new(name.clone(), options, connection, counts);
        let started = start((writer, written.clone()), carrier, queue, lock.clone());
        let writing = started.map_err(|error| fail(error.to_string()))?;
        Ok(Self {
            path: name,
            door: Mutex::new(Some(door)),
            readers,
            written,
            damage,
            writing,
            _lock: lock,
        })
    }

    /// Transactions since it was opened, and the changes that were in them.
    #[must_use]
    pub fn written(&self) -> (u64, u64) {
        self.written.so_far()
    }

    /// Has `work` done, and waits until it is committed.
    async fn ask<W: Work>(&self, way: Way, work: W) -> Result<W::Said, StoreError> {
        let door = self.door.lock().clone();
        let said = match door {
            Some(door) => door.ask(way, work).await,
            None => None,
        };
        said.unwrap_or_else(|| Err(fault::running(&self.path, &sqlx::Error::PoolClosed)))
    }

    /// What a reader said, in words for the operator.
    fn told<T>(&self, said: Result<T, sqlx::Error>) -> Result<T, StoreError> {
        said.map_err(|error| {
            self.damage.note(&self.path, &error);
            fault::running(&self.path, &error)
        })
    }

    /// Whether the file is sound, as far as is known.
    fn sound(&self) -> Result<(), StoreError> {
        self.damage.refusal(&self.path).map_or(Ok(()), Err)
    }

    /// Looks through all of a file that seemed damaged, by a connection that has nothing of it in memory.
    async fn look_through(&self) -> Result<(), StoreError> {
        let Err(refusal) = self.sound() else {
            return Ok(());
        };
        let options = options(Path::new(&*self.path)).read_only(true);
        let looked = async {
            let mut connection = SqliteConnection::connect_with(&options).await?;
            let said: String = sqlx::query_scalar("PRAGMA quick_check(1)")
                .fetch_one(&mut connection)
                .await?;
            connection.close().await.map(|()| said)
        };
        match looked.await {
            Ok(said) if said == "ok" => {
                self.damage.is_over(&self.path);
                Ok(())
            }
            _ => Err(refusal),
        }
    }

    /// Waits until everything that was handed in is committed, and everything is closed.
    async fn end(&self) {
        // Readers first: who closes the file last carries the log over, and a reader cannot.
        self.readers.close().await;
        drop(self.door.lock().take());
        let mut writing = self.writing.clone();
        // Nothing is ever sent: it ends when the other side goes.
        while writing.changed().await.is_ok() {}
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .thread_name(|_| "store".to_owned())
        .disable_statement_logging()
}

async fn readers(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    let pool = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(ACQUIRE)
        .idle_timeout(None)
        .max_lifetime(None);
    pool.connect_with(options(path).read_only(true)).await
}

/// Has a thread of its own write: nothing that the gate does for its clients holds it up.
fn start(
    (writer, written): (Writer, Arc<Written>),
    mut carrier: SqliteConnection,
    queue: Queue,
    lock: Arc<File>,
) -> std::io::Result<watch::Receiver<()>> {
    let (alive, writing) = watch::channel(());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = std::thread::Builder::new().name("store-writer".to_owned());
    thread.spawn(move || {
        runtime.block_on(async {
            let wakes = Notify::new();
            tokio::select! {
                () = writer.run(queue, &wakes) => {}
                () = checkpoint::run(&mut carrier, (&written, &wakes)) => {}
            }
            checkpoint::end(carrier).await;
        });
        drop(lock);
        drop(alive);
    })?;
    Ok(writing)
}

/// A connection that can write, to tables that are up to date.
async fn writable(options: &SqliteConnectOptions) -> Result<SqliteConnection, String> {
    let connection = SqliteConnection::connect_with(options).await;
    let mut connection = connection.map_err(|error| fault::opening(&error))?;
    migrations::run(&mut connection).await?;
    let lockable = writer::probe(&mut connection).await;
    lockable.map_err(|error| fault::opening(&error))?;
    Ok(connection)
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
