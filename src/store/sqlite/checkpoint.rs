//! Carries what is committed from the log to the database's pages, beside the writer, so that the writer need not.

use std::time::Duration;

use sqlx::Connection;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::writer::Written;

/// How long it gathers at least before it is carried: each time costs two syncs, for which a commit may have to wait.
const SHORT: Duration = Duration::from_millis(100);
/// Changes that are not gathered for longer: the more pages a sync has to write, the longer do commits wait for it, all at once.
const MANY: u64 = 32;
/// How much longer fewer are gathered.
const LONGER: Duration = Duration::from_millis(900);
/// Pages in the log (of 4 KiB) at which the writer carries the rest itself: while it writes all the time, the other never comes to
/// the end of the log, where it begins anew.
pub(super) const WRITER_AT: &str = "8000";

/// Carries what is `written`, for ever. A failure is no loss: what is not carried stays in the log.
pub(super) async fn run(on: &mut SqliteConnection, (written, wakes): (&Written, &Notify)) {
    let mut carried = written.so_far().1;
    loop {
        wakes.notified().await;
        sleep(SHORT).await;
        let many = async {
            while written.so_far().1.saturating_sub(carried) < MANY {
                wakes.notified().await;
            }
        };
        // Whether many or few: it is time.
        drop(timeout(LONGER, many).await);
        carried = written.so_far().1;
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
