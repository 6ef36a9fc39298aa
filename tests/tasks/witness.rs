//! Remembers everything that clients were told, and notices where a later word takes an earlier one back.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use serde_json::Value;

use crate::judge::{Account, End, Table};
use crate::model::Books;
use crate::people::{Asked, id};
use crate::support::client::Answer;

/// What was last heard of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    pub name: String,
    pub version: u64,
    pub end: Option<End>,
}

/// What all clients together were told.
#[derive(Debug, Default)]
pub struct Witness(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    accounts: BTreeMap<String, Account>,
    tasks: BTreeMap<String, Heard>,
    faults: Vec<String>,
}

impl Witness {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Somebody is about to ask for this.
    pub fn asks(&self, asked: &Asked) {
        let account = Account::new(asked.work, asked.key.is_some());
        self.lock().accounts.insert(asked.name.clone(), account);
    }

    /// It was not taken.
    pub fn refused(&self, asked: &Asked) {
        let mut inner = self.lock();
        inner.accounts.get_mut(&asked.name).unwrap().refused = true;
    }

    /// It was: 202 is here, whole. The id.
    pub fn accepted(&self, asked: &Asked, answer: &Answer) -> String {
        let (id, status) = (id(&answer.json()), answer.json());
        let mut inner = self.lock();
        let account = inner.accounts.get_mut(&asked.name).unwrap();
        account.ids.insert(id.clone());
        let heard = inner.tasks.entry(id.clone()).or_default();
        heard.name.clone_from(&asked.name);
        drop(inner);
        self.status(&id, &Heard::default(), &status);
        id
    }

    pub fn fault(&self, what: String) {
        self.lock().faults.push(what);
    }

    /// What was heard of a task so far: to be asked for before the next word is.
    pub fn heard(&self, id: &str) -> Heard {
        self.lock().tasks[id].clone()
    }

    /// A word about a task that was asked for when `before` was known. Other clients may have heard more since.
    pub fn told(&self, id: &str, before: &Heard, answer: &Answer) {
        match answer.status {
            200 => self.status(id, before, &answer.json()),
            // It is not there yet, or too busy: no word about the task.
            401 | 429 | 503 => {}
            _ => self.fault(format!("{id} was {before:?}, and now: {answer:?}")),
        }
    }

    fn status(&self, id: &str, before: &Heard, status: &Value) {
        let version = status["version"].as_u64().unwrap_or_default();
        let end = End::of(status);
        let mut inner = self.lock();
        if version < before.version {
            inner
                .faults
                .push(format!("{id} went back from {before:?}: {status}"));
        }
        if before.end.is_some() && (&before.end, before.version) != (&end, version) {
            inner
                .faults
                .push(format!("{id} was over as {before:?}: {status}"));
        }
        let heard = inner.tasks.get_mut(id).unwrap();
        if version >= heard.version {
            heard.version = version;
            heard.end.clone_from(&end);
        }
        if end.is_some() {
            let name = heard.name.clone();
            inner.accounts.get_mut(&name).unwrap().end = end;
        }
    }

    /// Tasks that are not known to be over.
    pub fn open(&self) -> Vec<String> {
        let inner = self.lock();
        let open = inner.tasks.iter().filter(|(_, heard)| heard.end.is_none());
        open.map(|(id, _)| id.clone()).collect()
    }

    pub fn all(&self) -> Vec<String> {
        self.lock().tasks.keys().cloned().collect()
    }

    /// What is wrong so far, but for what is known in the end alone.
    pub fn faults(&self) -> Vec<String> {
        self.lock().faults.clone()
    }

    /// The whole story, with what the model counted.
    pub fn table(&self, kills: usize, books: &Books) -> Table {
        let mut accounts = self.lock().accounts.clone();
        for (name, account) in &mut accounts {
            account.effects = books.effects(name);
        }
        Table { kills, accounts }
    }
}
