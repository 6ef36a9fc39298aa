//! The database's file before `SQLite` sees it: there, plain, its owner's alone, and locked for this gate.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Makes the file when it is missing and takes the lock that keeps other gates out.
///
/// # Errors
///
/// In words for the operator.
pub(super) fn prepare(path: &Path) -> Result<File, String> {
    let folder = path.parent().unwrap_or(path);
    match std::fs::metadata(folder) {
        Ok(kind) if kind.is_dir() => {}
        Ok(_) => return Err(format!("{} is no folder", folder.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(format!(
                "there is no folder {}; make it, or name another file",
                folder.display()
            ));
        }
        Err(error) => return Err(format!("{} cannot be used: {error}", folder.display())),
    }
    check(path)?;
    let lock = lock(path)?;
    match private().create_new(true).open(path) {
        Ok(made) => drop(made),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(unwritable(folder, &error)),
    }
    Ok(lock)
}

/// Whether what is at `path`, if anything is, may be used. Read by its name: closing a file of one's
/// own would take back `SQLite`'s locks on it.
fn check(path: &Path) -> Result<(), String> {
    let kind = match std::fs::metadata(path) {
        Ok(kind) => kind,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("cannot be read: {error}")),
    };
    if kind.is_dir() {
        return Err(format!(
            "is a folder; name a file in it, such as {}",
            path.join("tidegate.db").display()
        ));
    }
    if !kind.is_file() {
        return Err("is no plain file".to_owned());
    }
    let mode = kind.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!(
            "others than its owner may use it (mode {mode:04o}); run: chmod 600 {}",
            path.display()
        ));
    }
    Ok(())
}

/// Locks a file beside the database: `SQLite`'s own locks come and go with each transaction.
fn lock(path: &Path) -> Result<File, String> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let folder = path.parent().unwrap_or(path);
    let file = private().create(true).open(&name);
    let file = file.map_err(|error| unwritable(folder, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!(
            "another gate uses it (it holds {}); each gate needs a file of its own",
            name.display()
        )),
        Err(TryLockError::Error(error)) => {
            Err(format!("{} cannot be locked: {error}", name.display()))
        }
    }
}

/// For its owner alone.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

fn unwritable(folder: &Path, error: &std::io::Error) -> String {
    format!(
        "cannot be made: {error}; the user that runs the gate has to be able to write into {}",
        folder.display()
    )
}
