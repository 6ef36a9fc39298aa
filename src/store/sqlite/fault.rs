//! What `SQLite` says, for the operator: what happened, what helps, and whether trying again does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::session::StoreError;

// Primary result codes (https://sqlite.org/rescode.html).
const PERM: u32 = 3;
const BUSY: u32 = 5;
const LOCKED: u32 = 6;
const READONLY: u32 = 8;
const IOERR: u32 = 10;
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const CANTOPEN: u32 = 14;
const NOTADB: u32 = 26;
/// Codes that a person has to do something about: the file, not the moment, is at fault.
const LASTING: [u32; 11] = [1, PERM, READONLY, CORRUPT, 17, 18, 19, 20, 21, 23, NOTADB];

/// Why the database cannot be opened.
pub(super) fn opening(error: &sqlx::Error) -> String {
    match code(error) {
        Some(BUSY | LOCKED) => "another process has locked it; end that one first".to_owned(),
        Some(CORRUPT | NOTADB) => damaged(),
        Some(READONLY | PERM | CANTOPEN) => format!(
            "cannot be written ({error}); it and its folder have to belong to the user that runs the gate"
        ),
        Some(FULL) => format!("there is no room on its disk ({error})"),
        _ => format!("cannot be opened: {error}"),
    }
}

/// The words for a file that is not a sound database.
pub(super) fn damaged() -> String {
    "is damaged, or no SQLite database; put a good copy in its place, or move it away: \
     a new one is made, and sessions are learned again as they are used"
        .to_owned()
}

/// A page of the file was found to be damaged: nothing that it would be trusted with is taken until all of it was looked
/// through. A disk that could not be read for a moment looks the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Damage(Arc<AtomicBool>);

impl Damage {
    /// Looks at what the database said.
    pub(super) fn note(&self, path: &str, error: &sqlx::Error) {
        let is_damage = matches!(code(error), Some(CORRUPT | NOTADB));
        if is_damage && !self.0.swap(true, Relaxed) {
            tracing::error!(store = path, %error, "the file looks damaged: no new work is taken until all of it was looked through");
        }
    }

    /// All of the file was looked through, and is sound.
    pub(super) fn is_over(&self, path: &str) {
        if self.0.swap(false, Relaxed) {
            tracing::info!(store = path, "the file is sound: new work is taken again");
        }
    }

    /// Why nothing new is taken; nothing where the file is sound as far as is known.
    pub(super) fn refusal(&self, path: &str) -> Option<StoreError> {
        self.0.load(Relaxed).then(|| StoreError {
            lasting: true,
            what: format!(
                "the store at state.url ({path}) takes nothing new: the file is damaged; end the gate and put a good copy in its place"
            ),
        })
    }
}

/// What is to blame for a failure while the store was open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blame {
    /// The disk, or the connection to it: what a commit left there is in doubt.
    Disk,
    /// The disk is full.
    Room,
    /// Somebody who has the file locked, or its rights.
    File,
    /// The work itself, or the pages that it touches.
    Work,
}

/// What is to blame.
pub(super) fn blame(error: &sqlx::Error) -> Blame {
    match code(error) {
        Some(IOERR | CANTOPEN) => Blame::Disk,
        Some(FULL) => Blame::Room,
        Some(BUSY | LOCKED | READONLY) => Blame::File,
        None if matches!(error, sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed) => Blame::Disk,
        _ => Blame::Work,
    }
}

/// Whether a rollback found nothing to roll back.
pub(super) fn is_no_transaction(error: &sqlx::Error) -> bool {
    code(error) == Some(1) && error.to_string().contains("no transaction is active")
}

/// What went wrong with a store that was open.
pub(super) fn running(path: &str, error: &sqlx::Error) -> StoreError {
    let lasting = match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => false,
        _ => code(error).is_none_or(|code| LASTING.contains(&code)),
    };
    StoreError {
        lasting,
        what: format!(
            "the store at state.url ({path}) does not answer: {error}{}",
            hint(error)
        ),
    }
}

/// What helps.
fn hint(error: &sqlx::Error) -> &'static str {
    match code(error) {
        Some(FULL) => "; there is no room on its disk",
        Some(IOERR) => "; its disk fails, or does not let it write",
        Some(CORRUPT | NOTADB) => {
            "; the file is damaged: end the gate and put a good copy in its place"
        }
        Some(BUSY | LOCKED) => "; another process has locked it",
        _ => "",
    }
}

/// The primary code of an error of the database itself.
fn code(error: &sqlx::Error) -> Option<u32> {
    let sqlx::Error::Database(error) = error else {
        return None;
    };
    let extended: u32 = error.code()?.parse().ok()?;
    Some(extended & 0xff)
}
