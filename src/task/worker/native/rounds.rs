//! Who asks upstreams how their own tasks fare: one round for each owner and list. However many clients ask the gate, and
//! however many tasks there are, a tick costs one call where the dialect has a list.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};

use super::member::{Followed, Member, Times, Word};
use super::round::{Round, Turn};
use crate::dialect::adapter::{Reading, Verdict};
use crate::limit::Mutex;
use crate::task::id::TaskId;
use crate::task::record::Owner;
use crate::task::worker::works::Works;

/// Words that may wait for a job. One that finds no room is said again with the next poll.
const MOST_WORDS: usize = 4;

/// Tasks that are asked for together: those that the same credentials may see.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    upstream: usize,
    owner: Owner,
    list: Option<String>,
}

/// Every round.
#[derive(Debug, Default)]
pub(in crate::task::worker) struct Rounds {
    all: Mutex<HashMap<Key, Round>>,
    numbers: AtomicU64,
}

/// A task is in a round for as long as this is kept.
pub(super) struct Membership {
    works: Arc<Works>,
    key: Key,
    id: TaskId,
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut all = self.works.rounds.all.lock();
        if let Some(round) = all.get_mut(&self.key) {
            round.members.remove(&self.id);
            round.wake.notify_one();
        }
    }
}

impl Membership {
    /// Asks for it by itself, now.
    pub(super) fn hurry(&self) {
        let rounds = &self.works.rounds;
        rounds.with(&self.key, |round| {
            if let Some(member) = round.members.get_mut(&self.id) {
                member.alone = Some(Instant::now());
            }
            round.wake.notify_one();
        });
    }
}

impl Rounds {
    /// Ends every round.
    pub(in crate::task::worker) fn stop(&self) {
        let gone = std::mem::take(&mut *self.all.lock());
        for round in gone.values() {
            round.asks.abort();
        }
    }

    /// Does something with a round that goes on.
    pub(super) fn with<T>(&self, key: &Key, work: impl FnOnce(&mut Round) -> T) -> Option<T> {
        self.all.lock().get_mut(key).map(work)
    }

    /// Tells a member what a poll said of it; what holds by now, and where that is to be said.
    pub(super) fn heard(
        &self,
        key: &Key,
        id: TaskId,
        reading: Option<&Reading>,
        spread: f64,
    ) -> Option<(Verdict, mpsc::Sender<Word>)> {
        let now = Instant::now();
        self.with(key, |round| {
            let times = Times {
                now,
                has_list: round.has_list,
                spread,
            };
            let member = round.members.get_mut(&id)?;
            let holds = member.heard(reading, times)?;
            Some((holds, member.tell.clone()))
        })?
    }

    /// The next turn of a round; none where nobody is left in it.
    fn turn(&self, key: &Key, number: u64, spread: f64) -> Option<Turn> {
        let mut all = self.all.lock();
        let round = all.get_mut(key).filter(|round| round.number == number)?;
        if round.members.is_empty() {
            all.remove(key);
            return None;
        }
        Some(round.turn(Instant::now(), spread))
    }

    fn end(&self, key: &Key, number: u64) {
        let mut all = self.all.lock();
        if all.get(key).is_some_and(|round| round.number == number) {
            all.remove(key);
        }
    }
}

impl Works {
    /// Takes a task into the round of its owner.
    pub(super) fn join(
        self: &Arc<Self>,
        owner: &Owner,
        followed: Arc<Followed>,
    ) -> (Membership, mpsc::Receiver<Word>) {
        let list = followed.form.native.poll.batch.as_ref();
        let key = Key {
            upstream: followed.asking.upstream.index(),
            owner: owner.clone(),
            list: list.map(|list| list.name.clone()),
        };
        let id = followed.id;
        let (tell, words) = mpsc::channel(MOST_WORDS);
        let mut all = self.rounds.all.lock();
        let round = all
            .entry(key.clone())
            .or_insert_with(|| self.begin_round(&key));
        let times = Times {
            now: Instant::now(),
            has_list: round.has_list,
            spread: self.spread.next(),
        };
        let member = Member::new(followed, tell, times);
        let before = round.members.insert(id, member);
        round.wake.notify_one();
        drop(all);
        drop(before);
        let membership = Membership {
            works: self.clone(),
            key,
            id,
        };
        (membership, words)
    }

    /// Called with the rounds locked: the round that goes off finds itself entered.
    fn begin_round(self: &Arc<Self>, key: &Key) -> Round {
        let number = self.rounds.numbers.fetch_add(1, Ordering::Relaxed);
        let wake = Arc::new(Notify::new());
        let asks = tokio::spawn(round(self.clone(), key.clone(), number, wake.clone()));
        Round::new(number, key.list.is_some(), wake, asks.abort_handle())
    }
}

/// A round that goes on. However it ends, it is not left in the books: its members join another.
struct Going<'a> {
    rounds: &'a Rounds,
    key: &'a Key,
    number: u64,
}

impl Drop for Going<'_> {
    fn drop(&mut self) {
        self.rounds.end(self.key, self.number);
    }
}

async fn round(works: Arc<Works>, key: Key, number: u64, wake: Arc<Notify>) {
    let rounds = &works.rounds;
    let _going = Going {
        rounds,
        key: &key,
        number,
    };
    while let Some(turn) = rounds.turn(&key, number, works.spread.next()) {
        match turn {
            Turn::Rest(until) => {
                tokio::select! {
                    () = sleep_until(until) => {}
                    () = wake.notified() => {}
                }
            }
            Turn::List { all, lead } => works.ask_list(&key, &all, &lead).await,
            Turn::Alone(due) => works.ask_each(&key, due).await,
        }
    }
}
