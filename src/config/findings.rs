//! What one check of a configuration has found so far, and how keys are named in it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::fault::Fault;

/// What one check has found so far.
pub(super) struct Findings {
    faults: RefCell<Vec<Fault>>,
    /// Every key a reader asked for, indices as `[]`, free names as `*`.
    asked: RefCell<BTreeSet<String>>,
    /// URLs that messages are to go to, and what is said where they may not.
    told: RefCell<Vec<(String, Fault)>>,
    /// The folder relative paths start from.
    base: PathBuf,
}

impl Findings {
    /// Nothing yet; relative paths start from `base`.
    pub(super) fn new(base: &Path) -> Self {
        Self {
            faults: RefCell::default(),
            asked: RefCell::default(),
            told: RefCell::default(),
            base: base.to_owned(),
        }
    }

    /// Notes one more fault.
    pub(super) fn report(&self, fault: Fault) {
        self.faults.borrow_mut().push(fault);
    }

    /// Messages are to go to `url`; where they may not, that is `fault`.
    pub(super) fn tells(&self, url: &str, fault: Fault) {
        self.told.borrow_mut().push((url.to_owned(), fault));
    }

    /// Notes every URL that messages may not go to.
    pub(super) fn say_unmet(&self, is_allowed: impl Fn(&str) -> bool) {
        for (url, fault) in self.told.take() {
            if !is_allowed(&url) {
                self.report(fault);
            }
        }
    }

    /// Remembers that somebody reads `key`.
    pub(super) fn ask(&self, key: String) {
        self.asked.borrow_mut().insert(key);
    }

    /// The folder relative paths start from.
    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// The keys that were asked for, and the faults.
    pub(super) fn into_parts(self) -> (BTreeSet<String>, Vec<Fault>) {
        (self.asked.into_inner(), self.faults.into_inner())
    }
}

/// `key` inside the table at `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// `name` as TOML would write it: quoted unless it is a bare key.
pub(super) fn bare(name: &str) -> String {
    let is_bare = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if is_bare {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}
