//! What a dead gate has left in its database.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate::config::{State, Store};
use tidegate::store::{Stores, open};
use tidegate::task::{Filter, Record};

/// Every task in the database, and how many of them are not over or hold a seat.
pub struct Rows {
    pub records: Vec<Arc<Record>>,
    pub unfinished: usize,
    /// Those that are over and whose request, with its credentials, is still there.
    pub unforgotten: Vec<Arc<Record>>,
}

/// Reads it. The gate has to be dead.
pub async fn rows(database: &Path) -> Rows {
    let state = State {
        store: Store::Sqlite(database.to_owned()),
        key_file: PathBuf::new(),
    };
    let stores = open(&state).await.unwrap();
    let records = records(&stores).await;
    let unfinished = stores
        .tasks
        .unfinished(None, usize::MAX >> 1)
        .await
        .unwrap()
        .len();
    let mut unforgotten = Vec::new();
    for record in &records {
        let request = stores.tasks.request(record.id).await.unwrap();
        if record.status.state().is_done() && request.is_some() {
            unforgotten.push(record.clone());
        }
    }
    stores.sessions.close().await;
    Rows {
        records,
        unfinished,
        unforgotten,
    }
}

async fn records(stores: &Stores) -> Vec<Arc<Record>> {
    let mut all: Vec<Arc<Record>> = Vec::new();
    loop {
        let before = all.last().map(|record| record.id);
        let page = stores
            .tasks
            .list(&Filter::default(), before, 500)
            .await
            .unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// Fails unless every history is one that the machine knows, and says all that happened.
pub fn are_legal(records: &[Arc<Record>]) {
    for record in records {
        assert_eq!(record.replayed(), Ok(record.status), "{record:?}");
        let moves = record.history.len() as u64;
        assert_eq!(record.version, moves + 1, "{record:?}");
        let over = record.status.state().is_done();
        assert_eq!(record.ended.is_some(), over, "{record:?}");
        let times: Vec<_> = record.history.iter().map(|moved| moved.at).collect();
        assert!(times.is_sorted(), "{record:?}");
    }
}
