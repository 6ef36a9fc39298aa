//! How the database's tables came to be, step by step; files below `migrations`, compiled in.

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::SqliteConnection;

use super::fault;

/// Every step: its number, what it brings, its text. A step that was ever released never changes:
/// the database knows the checksum of each that it has seen.
const STEPS: [(i64, &str, &str); 5] = [
    (
        1,
        "login sessions",
        include_str!("migrations/0001_session.sql"),
    ),
    (2, "tasks", include_str!("migrations/0002_task.sql")),
    (
        3,
        "forgotten tasks",
        include_str!("migrations/0003_forgotten.sql"),
    ),
    (
        4,
        "other names of tasks",
        include_str!("migrations/0004_names.sql"),
    ),
    (
        5,
        "bounds of what is over, seats of calls that are held",
        include_str!("migrations/0005_bounds.sql"),
    ),
];

/// Takes the steps that the database has not seen yet.
///
/// # Errors
///
/// In words for the operator.
pub(super) async fn run(on: &mut SqliteConnection) -> Result<(), String> {
    let steps = STEPS.map(|(number, brings, text)| {
        let text = text.into_sql_str();
        Migration::new(number, brings.into(), MigrationType::Simple, text, false)
    });
    let migrator = Migrator::with_migrations(steps.into());
    let done = migrator.run_direct(None, on, false).await;
    done.map_err(|error| words(&error))
}

fn words(error: &MigrateError) -> String {
    let newest = STEPS.iter().map(|(number, ..)| *number).max().unwrap_or(0);
    match error {
        MigrateError::VersionMissing(found) if *found > newest => format!(
            "was made by a newer version of the gate (its tables are at step {found}, this version knows {newest}); \
             run that version, or name another file"
        ),
        MigrateError::VersionMissing(step) | MigrateError::VersionMismatch(step) => format!(
            "its tables were not made by a released version of the gate (step {step} differs); name another file"
        ),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            fault::opening(error)
        }
        other => format!("its tables cannot be brought up to date: {other}"),
    }
}
