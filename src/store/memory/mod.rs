//! State that ends with the process: for tests and benches.

mod task;
mod trim;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::call::SessionKey;
use crate::limit::Mutex;
use crate::session::{Change, Record, SessionStore, StoreError};

/// Keeps records for as long as it lives.
#[derive(Debug, Default)]
pub struct Memory {
    sessions: Mutex<BTreeMap<SessionKey, Record>>,
    tasks: Mutex<task::Tasks>,
}

#[async_trait]
impl SessionStore for Memory {
    async fn load(&self, most: usize) -> Result<Vec<Record>, StoreError> {
        let mut records: Vec<Record> = self.sessions.lock().values().cloned().collect();
        records.sort_by_key(|record| Reverse(record.last_used));
        records.truncate(most);
        Ok(records)
    }

    async fn apply(&self, changes: &[Change]) -> Result<(), StoreError> {
        let mut records = self.sessions.lock();
        for change in changes {
            match change {
                Change::Put(record) => {
                    records.insert(record.key, Record::clone(record));
                }
                Change::Touch(key, used) => {
                    if let Some(record) = records.get_mut(key) {
                        record.last_used = *used;
                    }
                }
                Change::Remove(key) => {
                    records.remove(key);
                }
            }
        }
        Ok(())
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn close(&self) {}
}
