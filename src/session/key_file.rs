//! The file of the state key: made when missing, for its owner alone, and never guessed at when wrong.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ring::rand::SystemRandom;

use super::keys::{KEY_LEN, Keys, SealError, random_bytes};

/// Why there is no state key. Names the file and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("state.key_file = {file:?}: {what}")]
pub struct KeyError {
    file: PathBuf,
    what: String,
}

impl Keys {
    /// The keys from the file at `path`, which is made when it is missing (32 random bytes, mode
    /// 0600). Its folder has to be there. Blocks on the file system.
    ///
    /// # Errors
    ///
    /// [`KeyError`]: not readable, not 32 bytes long, or open to others than its owner.
    pub fn load_or_make(path: &Path) -> Result<Self, KeyError> {
        let fail = |what| KeyError {
            file: path.to_owned(),
            what,
        };
        // A second look: another process may have made the file between the two.
        let state = match read(path).map_err(fail)? {
            Some(state) => state,
            None => match make(path).map_err(fail)? {
                Some(state) => state,
                None => read(path)
                    .map_err(fail)?
                    .ok_or_else(|| fail("was there and is gone; try again".to_owned()))?,
            },
        };
        Self::derive(&state).map_err(|error| fail(error.to_string()))
    }
}

/// The key in the file; `None` when there is no file.
fn read(path: &Path) -> Result<Option<[u8; KEY_LEN]>, String> {
    let kind = match std::fs::metadata(path) {
        Ok(kind) => kind,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot be read: {error}")),
    };
    // Opening a pipe would wait for somebody to write into it.
    if kind.is_dir() {
        return Err("is a folder; the path of a file is wanted".to_owned());
    }
    if !kind.is_file() {
        return Err("is no plain file".to_owned());
    }
    let file = File::open(path).map_err(|error| {
        format!("cannot be read: {error}; it has to belong to the user that runs the gate")
    })?;
    let mode = file.metadata().map_err(|error| error.to_string())?;
    let mode = mode.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!(
            "others than its owner may use it (mode {mode:04o}); run: chmod 600 {}",
            path.display()
        ));
    }
    let mut bytes = Vec::with_capacity(KEY_LEN + 1);
    file.take(KEY_LEN as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be read: {error}"))?;
    <[u8; KEY_LEN]>::try_from(bytes).map(Some).map_err(|bytes| match bytes.len() {
        0 => format!("is empty; remove it and a new key is made, or put the {KEY_LEN} bytes of the old one back"),
        1..KEY_LEN => format!("holds {} bytes; a key of exactly {KEY_LEN} bytes is wanted", bytes.len()),
        _ => format!("holds more than {KEY_LEN} bytes; a key of exactly {KEY_LEN} bytes is wanted, without a line's end"),
    })
}

/// Makes the file with a new key; `None` when somebody else has just made it.
fn make(path: &Path) -> Result<Option<[u8; KEY_LEN]>, String> {
    let state = random_bytes(&SystemRandom::new()).map_err(|error: SealError| error.to_string())?;
    let mut file = match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
        Err(error) => return Err(unmade(path, &error)),
    };
    let written = file
        .write_all(&state)
        .and_then(|()| file.sync_all())
        .and_then(|()| sync_folder(path));
    match written {
        Ok(()) => Ok(Some(state)),
        Err(error) => {
            // Half a key would be refused at the next start.
            drop(std::fs::remove_file(path));
            Err(format!("cannot be written: {error}"))
        }
    }
}

fn unmade(path: &Path, error: &std::io::Error) -> String {
    let folder = path.parent().unwrap_or(path).display();
    match error.kind() {
        ErrorKind::NotFound => {
            format!("cannot be made: there is no folder {folder}; make it, or name another file")
        }
        _ => format!(
            "cannot be made: {error}; the user that runs the gate has to be able to write into {folder}"
        ),
    }
}

/// A new name is durable once its folder is.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}
