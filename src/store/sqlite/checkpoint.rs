//! Carries what is committed from the log to the database's pages, beside the writer, so that the writer need not.

use std::time::Duration;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::Notify;

/// How long it gathers before it is carried: each time costs two syncs, for which a commit may have to wait.
const PAUSE: Duration = Duration::from_secs(1);
/// Pages in the log (of 4 KiB) at which the writer carries the rest itself: while it writes all the time, the other never comes to
/// the end of the log, where it begins anew.
pub(super) const WRITER_AT: &str = "8000";

/// Carries what is `written`, for ever. A failure is no loss: what is not carried stays in the log.
pub(super) async fn run(on: &mut SqliteConnection, written: &Notify) {
    loop {
        written.notified().await;
        tokio::time::sleep(PAUSE).await;
        let done = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
            .execute(&mut *on)
            .await;
        if let Err(error) = done {
            tracing::debug!(%error, "the log of the store is not carried over");
        }
    }
}

/// Closes its connection.
pub(super) async fn end(on: SqliteConnection) {
    if let Err(error) = on.close().await {
        tracing::debug!(%error, "a connection to the store was not closed well");
    }
}
