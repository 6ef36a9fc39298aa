//! Where state survives the process: adapters of the stores that other rooms ask for.
//!
//! The ports stand with those who need them ([`crate::session::SessionStore`], [`crate::task::TaskStore`]); which
//! adapter serves is `state.url`. All of them pass the same tests (`tests/store`).

mod memory;
mod sqlite;

pub use memory::Memory;
pub use sqlite::Sqlite;

use std::path::Path;
use std::sync::Arc;

use crate::config::{State, Store};
use crate::session::SessionStore;
use crate::task::TaskStore;

/// Why the store of the configuration cannot be used. Names the key, its value and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("state.url = {url:?}: {what}")]
pub struct OpenError {
    url: String,
    what: String,
}

impl OpenError {
    fn of(path: &Path, what: impl Into<String>) -> Self {
        Self {
            url: format!("sqlite://{}", path.display()),
            what: what.into(),
        }
    }
}

/// One store, by what it keeps.
#[derive(Debug, Clone)]
pub struct Stores {
    /// Login sessions.
    pub sessions: Arc<dyn SessionStore>,
    /// Tasks.
    pub tasks: Arc<dyn TaskStore>,
}

impl Stores {
    fn of<S: SessionStore + TaskStore + 'static>(store: S) -> Self {
        let store = Arc::new(store);
        Self {
            sessions: store.clone(),
            tasks: store,
        }
    }
}

/// Opens the store that `state` names; a database is made when it is missing, and brought up to date.
///
/// # Errors
///
/// [`OpenError`], in words for the operator.
pub async fn open(state: &State) -> Result<Stores, OpenError> {
    Ok(match &state.store {
        Store::Memory => Stores::of(Memory::default()),
        Store::Sqlite(path) => Stores::of(Sqlite::open(path).await?),
    })
}
