//! What the model counts, by itself: it believes nothing that a gate says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// How many calls at a time the model takes.
pub const SEATS: usize = 10;

/// A request that came up, without its secrets.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Method and target.
    pub call: String,
    /// Names of its fields, in lower case.
    pub fields: Vec<String>,
}

/// What the model knows.
#[derive(Debug, Default)]
pub struct Books(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    users: BTreeMap<String, String>,
    verified: BTreeMap<String, u64>,
    begun: BTreeMap<String, u64>,
    effects: BTreeMap<String, u64>,
    there: BTreeMap<String, String>,
    running: usize,
    most_running: usize,
    violations: Vec<String>,
    seen: Vec<Seen>,
}

impl Books {
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// A new session of `user`: its token.
    pub fn open(&self, user: &str) -> String {
        let mut inner = self.lock();
        let number = inner.users.len() as u64;
        let (high, low) = (mix(number ^ 0x70_6f_6b_65_6e), mix(!number));
        let token = format!("{high:016x}{low:016x}");
        inner.users.insert(token.clone(), user.to_owned());
        token
    }

    pub fn close(&self, token: &str) -> bool {
        self.lock().users.remove(token).is_some()
    }

    pub fn user(&self, token: &str) -> Option<String> {
        self.lock().users.get(token).cloned()
    }

    /// Somebody asked whose session that is.
    pub fn verify(&self, token: &str) -> Option<String> {
        let mut inner = self.lock();
        *inner.verified.entry(token.to_owned()).or_default() += 1;
        inner.users.get(token).cloned()
    }

    /// How often somebody asked whose session that is.
    pub fn verified(&self, token: &str) -> u64 {
        self.lock().verified.get(token).copied().unwrap_or_default()
    }

    pub fn note(&self, seen: Seen) {
        self.lock().seen.push(seen);
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// How many requests came for targets with this in them.
    pub fn asked(&self, part: &str) -> usize {
        let inner = self.lock();
        inner
            .seen
            .iter()
            .filter(|seen| seen.call.contains(part))
            .count()
    }

    /// A call begins; none where it is the eleventh.
    pub fn begin(self: &Arc<Self>, what: &str) -> Option<Running> {
        let mut inner = self.lock();
        *inner.begun.entry(what.to_owned()).or_default() += 1;
        if inner.running == SEATS {
            inner
                .violations
                .push(format!("{what} is the eleventh at a time"));
            return None;
        }
        inner.running += 1;
        inner.most_running = inner.most_running.max(inner.running);
        Some(Running(self.clone()))
    }

    /// How often this came up.
    pub fn begun(&self, name: &str) -> u64 {
        self.lock().begun.get(name).copied().unwrap_or_default()
    }

    /// The work is done from here on, whoever still waits for it.
    pub fn apply(&self, name: &str) {
        *self.lock().effects.entry(name.to_owned()).or_default() += 1;
    }

    /// And from here on it can be seen.
    pub fn show(&self, name: &str, state: &str) {
        self.lock().there.insert(name.to_owned(), state.to_owned());
    }

    pub fn is_there(&self, name: &str) -> bool {
        self.lock().there.contains_key(name)
    }

    /// How often the work of this name was done.
    pub fn effects(&self, name: &str) -> u64 {
        self.lock().effects.get(name).copied().unwrap_or_default()
    }

    pub fn running(&self) -> usize {
        self.lock().running
    }

    pub fn most_running(&self) -> usize {
        self.lock().most_running
    }

    /// What a gate did that it must not do.
    pub fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }
}

/// A call that runs, until this is dropped: its connection may be gone long before.
#[derive(Debug)]
pub struct Running(Arc<Books>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
    }
}

/// Spreads a number over all its bits.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
