//! The file of the state key: made, read again, and refused in words when it is wrong.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::*;

/// A folder of the test's own.
fn folder(name: &str) -> PathBuf {
    let folder = format!("tidegate-key-{name}-{}", std::process::id());
    let folder = std::env::temp_dir().join(folder);
    drop(fs::remove_dir_all(&folder));
    fs::create_dir(&folder).unwrap();
    folder
}

fn write(path: &Path, bytes: &[u8], mode: u32) {
    fs::write(path, bytes).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn refused(path: &Path, words: &str) {
    let said = Keys::load_or_make(path).unwrap_err().to_string();
    assert!(said.contains(words), "{said}");
    assert!(said.contains("state.key_file"), "{said}");
    assert!(said.contains(path.to_str().unwrap()), "{said}");
}

#[test]
fn a_missing_key_is_made_for_its_owner_alone_and_read_again() {
    let path = folder("made").join("state.key");
    let made = Keys::load_or_make(&path).unwrap();
    let kind = fs::metadata(&path).unwrap();
    assert_eq!(kind.permissions().mode() & 0o777, 0o600);
    assert_eq!(kind.len(), 32);
    let again = Keys::load_or_make(&path).unwrap();
    let of = |keys: &Keys| keys.session("vc1", SessionKind::Rest, b"t");
    assert_eq!(of(&made), of(&again));
    let other = folder("other").join("state.key");
    assert_ne!(of(&made), of(&Keys::load_or_make(&other).unwrap()));
}

#[test]
fn a_key_of_the_wrong_length_is_refused_and_left_alone() {
    let path = folder("length").join("state.key");
    for (length, words) in [
        (0, "is empty"),
        (31, "holds 31 bytes"),
        (33, "more than 32"),
        (4096, "more than 32"),
    ] {
        write(&path, &vec![7; length], 0o600);
        refused(&path, words);
        assert_eq!(fs::read(&path).unwrap().len(), length);
    }
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_way_out() {
    let path = folder("open").join("state.key");
    for mode in [0o640, 0o604, 0o660, 0o622] {
        write(&path, &[7; 32], mode);
        refused(&path, &format!("chmod 600 {}", path.display()));
    }
    for mode in [0o600, 0o400] {
        write(&path, &[7; 32], mode);
        assert!(Keys::load_or_make(&path).is_ok());
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_key_that_cannot_be_there_is_refused() {
    let folder = folder("nowhere");
    refused(&folder, "is a folder");
    refused(&folder.join("missing/state.key"), "there is no folder");
    let file = folder.join("file");
    write(&file, b"", 0o600);
    refused(&file.join("state.key"), "cannot be");
    // No one makes files there, root neither.
    refused(Path::new("/sys/tidegate.key"), "cannot be made");
    refused(Path::new("/dev/null"), "no plain file");
}

#[test]
fn gates_that_start_together_agree_on_one_key() {
    let path = folder("race").join("state.key");
    let start = std::sync::Barrier::new(8);
    let load = || {
        start.wait();
        Keys::load_or_make(&path)
    };
    let loaded: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    // Whoever looks while the key is being written is told so, and reads it at the next start.
    let of = |keys: &Keys| keys.session("vc1", SessionKind::Rest, b"t");
    let kept = of(&Keys::load_or_make(&path).unwrap());
    assert!(loaded.iter().any(Result::is_ok));
    assert!(loaded.iter().flatten().all(|keys| of(keys) == kept));
}
