//! Where state survives the process: adapters of the stores that other rooms ask for.
//!
//! The ports stand with those who need them ([`crate::session::SessionStore`]); which adapter
//! serves is `state.url`. All of them pass the same tests (`tests/store`).

mod memory;
mod sqlite;

pub use memory::Memory;
pub use sqlite::Sqlite;

use std::path::Path;
use std::sync::Arc;

use crate::config::{State, Store};
use crate::session::SessionStore;

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

/// Opens the store that `state` names; a database is made when it is missing, and brought up to date.
///
/// # Errors
///
/// [`OpenError`], in words for the operator.
pub async fn open(state: &State) -> Result<Arc<dyn SessionStore>, OpenError> {
    Ok(match &state.store {
        Store::Memory => Arc::new(Memory::default()),
        Store::Sqlite(path) => Arc::new(Sqlite::open(path).await?),
    })
}
