//! Rows into SQLite by hand, as durable as the gate's.

#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark may stop where it stands, and its numbers are small"
)]

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use tidegate::task::TaskId;

/// The same bytes into one table with two unique names, as one who keeps tasks by hand would.
pub struct Bare(SqliteConnection);

impl Bare {
    pub async fn open(path: &Path) -> Self {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let table = "CREATE TABLE row (id BLOB NOT NULL UNIQUE, key BLOB NOT NULL UNIQUE, bytes BLOB NOT NULL) STRICT";
        sqlx::query(table).execute(&mut connection).await.unwrap();
        Self(connection)
    }

    /// Rows a second, `group` to a transaction.
    pub async fn insert(&mut self, group: usize, bytes: usize, turn: Duration) -> f64 {
        let began = Instant::now();
        let mut done = 0;
        while began.elapsed() < turn {
            self.commit(group, bytes).await;
            done += group;
        }
        done as f64 / began.elapsed().as_secs_f64()
    }

    /// Milliseconds that each row took from when it was due, at `rate` a second: whatever is due goes into one
    /// transaction.
    pub async fn paced(&mut self, rate: u64, bytes: usize, long: Duration) -> Vec<f64> {
        let began = tokio::time::Instant::now();
        let due = |number: u64| began + Duration::from_micros(number * 1_000_000 / rate);
        let total = rate * long.as_secs();
        let (mut done, mut took) = (0, Vec::new());
        while done < total {
            tokio::time::sleep_until(due(done)).await;
            let now = tokio::time::Instant::now();
            let to = (done + 1..total)
                .find(|next| due(*next) > now)
                .unwrap_or(total);
            self.commit(usize::try_from(to - done).unwrap(), bytes)
                .await;
            took.extend((done..to).map(|one| due(one).elapsed().as_secs_f64() * 1e3));
            done = to;
        }
        took
    }

    async fn commit(&mut self, rows: usize, bytes: usize) {
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut self.0)
            .await
            .unwrap();
        for _ in 0..rows {
            let id = TaskId::new(SystemTime::now()).bytes().to_vec();
            let mut key = TaskId::new(SystemTime::now()).bytes().to_vec();
            key.reverse();
            let row = sqlx::query("INSERT INTO row VALUES (?, ?, ?)")
                .bind(id)
                .bind(key);
            row.bind(vec![7_u8; bytes])
                .execute(&mut self.0)
                .await
                .unwrap();
        }
        sqlx::query("COMMIT").execute(&mut self.0).await.unwrap();
    }
}
