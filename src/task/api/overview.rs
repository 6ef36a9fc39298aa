//! Every principal's tasks, for the operator: in the form in which clients see theirs, and whose each is.

use std::sync::Arc;

use super::Api;
use super::json;
use super::list::{Wanted, page};
use super::teller::Teller;
use crate::session::StoreError;
use crate::task::port::{Filter, Found};
use crate::task::record::{Owner, Record};

/// Why there is nothing to see.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unseen {
    /// What was asked is wrong.
    #[error("{0}")]
    Wrong(String),
    /// There is no such task.
    #[error("There is no such task.")]
    Nothing,
    /// It was forgotten.
    #[error("The task is over, and was forgotten.")]
    Gone,
    /// The store does not say.
    #[error("The store of tasks does not answer: {0}")]
    Store(String),
}

impl From<StoreError> for Unseen {
    fn from(error: StoreError) -> Self {
        Self::Store(error.what)
    }
}

impl Api {
    /// Tasks by `query` (`upstream`, `state`, `owner`, `request_id`, `page_size`, `page_token`), the newest first, as JSON.
    ///
    /// # Errors
    /// [`Unseen`].
    pub async fn oversee(&self, query: &str) -> Result<Vec<u8>, Unseen> {
        let wanted = Wanted::of(query).map_err(Unseen::Wrong)?;
        let filter = Filter {
            owner: wanted.owner.map(|owner| Owner(owner.into())),
            upstream: wanted.upstream.map(Arc::from),
            state: wanted.state,
            request_id: wanted.request_id,
        };
        let desk = &self.teller.desk;
        let tasks = desk.list(&filter, wanted.before, wanted.most + 1).await?;
        let write = |task: &Record, out: &mut Vec<u8>| self.teller.write_overseen(task, out);
        Ok(page(&tasks, wanted.most, write))
    }

    /// The task of this name, as JSON.
    ///
    /// # Errors
    /// [`Unseen`].
    pub async fn oversee_one(&self, id: &str) -> Result<Vec<u8>, Unseen> {
        let id = id.parse().map_err(|_| Unseen::Nothing)?;
        match self.teller.desk.find(id).await? {
            Found::Task(task) => {
                let mut out = Vec::with_capacity(1024);
                self.teller.write_overseen(&task, &mut out);
                Ok(out)
            }
            Found::Gone(_) => Err(Unseen::Gone),
            Found::Nothing => Err(Unseen::Nothing),
        }
    }
}

impl Teller {
    fn write_overseen(&self, task: &Record, out: &mut Vec<u8>) {
        let live = self.desk.live(task.id);
        let aside = self.aside(task, live.as_deref());
        json::write_overseen(task, aside, self.root(None), out);
    }
}
