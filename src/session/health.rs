//! How the store is doing: whether it answers, and how far it is behind.

use std::time::Duration;

use super::ledger::Ledger;
use super::record::StoreError;
use crate::limit::{Moment, Mutex};

/// How long the store may fail, or take for one answer, before it counts as lost.
pub const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
struct State {
    /// Since when it has not answered, and what it said.
    failing: Option<(Moment, StoreError)>,
    /// Since when it has been asked something, and with how many changes.
    asked: Option<(Moment, usize)>,
    /// Since when changes are held that it did not take.
    held: Option<(Moment, usize)>,
    failures: u64,
}

/// What a writer knows of its store.
#[derive(Debug, Default)]
pub struct Health(Mutex<State>);

/// The store at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Why it counts as lost; `None` while it answers.
    pub lost: Option<String>,
    /// How long the oldest change has been waiting for it.
    pub lag: Duration,
    /// Changes that wait for it.
    pub waiting: usize,
    /// Times that it failed, since the gate's start.
    pub failures: u64,
}

impl Health {
    pub(super) fn asked(&self, now: Moment, changes: usize) {
        let mut state = self.0.lock();
        state.asked = Some((now, changes));
        state.held = match state.held {
            _ if changes == 0 => None,
            Some((since, _)) => Some((since, changes)),
            None => Some((now, changes)),
        };
    }

    pub(super) fn answered(&self, now: Moment, answer: &Result<(), StoreError>) {
        let mut state = self.0.lock();
        state.asked = None;
        match answer {
            Ok(()) => {
                state.held = None;
                state.failing = None;
            }
            Err(error) => {
                let since = state.failing.as_ref().map_or(now, |(since, _)| *since);
                state.failing = Some((since, error.clone()));
                state.failures += 1;
            }
        }
    }

    /// How it is at `now`. One short failure is not a loss; one that needs a person is at once.
    pub fn standing<U>(&self, ledger: &Ledger<U>, now: Moment) -> Standing {
        let (gathered, since) = ledger.journal.backlog();
        let state = self.0.lock();
        let held = state.held;
        let oldest = held.map(|(since, _)| since).into_iter().chain(since).min();
        Standing {
            lost: state.lost(now),
            lag: oldest.map_or(Duration::ZERO, |oldest| now.since(oldest)),
            waiting: gathered + held.map_or(0, |(_, count)| count),
            failures: state.failures,
        }
    }
}

impl State {
    fn lost(&self, now: Moment) -> Option<String> {
        if let Some((since, error)) = &self.failing {
            let long = now.since(*since) >= PATIENCE;
            return (long || error.lasting).then(|| error.what.clone());
        }
        let (since, _) = self.asked?;
        let long = now.since(since);
        (long >= PATIENCE).then(|| format!("no answer for {} s", long.as_secs()))
    }
}
