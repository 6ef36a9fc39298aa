//! Every principal's tasks, for the operator: in the form in which clients see theirs, and whose each is.

use std::sync::Arc;

use serde::Serialize;

use super::Api;
use super::Stamp;
use super::json;
use super::list::{Wanted, page};
use super::teller::Teller;
use crate::session::StoreError;
use crate::task::port::{Filter, Found};
use crate::task::record::{Owner, Record};
use crate::task::worker::{Lever, LostCall};

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
    /// It is no lost call that holds a seat.
    #[error("No lost call of this name holds a seat.")]
    NoSeat,
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
    /// Tasks by `query` (`upstream`, `state`, `owner`, `request_id`, `page_size`, `page_token`), the newest first, as JSON;
    /// and which of the `lost` calls hold seats, of that upstream where one is asked for.
    ///
    /// # Errors
    /// [`Unseen`].
    pub async fn oversee(&self, query: &str, lost: &[LostCall]) -> Result<Vec<u8>, Unseen> {
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
        let mut out = page(&tasks, wanted.most, write);
        let of = filter.upstream.as_deref();
        let lost = lost
            .iter()
            .filter(|call| of.is_none_or(|of| *call.upstream == *of));
        let lost: Vec<Lost<'_>> = lost.map(Lost::of).collect();
        // One member more of the same object.
        out.pop();
        out.extend_from_slice(b",\"lost_calls\":");
        // Strings, numbers and times: nothing in it could fail to serialize.
        out.extend_from_slice(&serde_json::to_vec(&lost).unwrap_or_default());
        out.push(b'}');
        Ok(out)
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

/// The operator says that the lost calls of this name are over: which they were, as JSON.
///
/// # Errors
/// [`Unseen`].
pub async fn freed(lever: &Lever, id: &str) -> Result<Vec<u8>, Unseen> {
    let id = id.parse().map_err(|_| Unseen::NoSeat)?;
    let freed = lever.free(id).await?;
    if freed.is_empty() {
        return Err(Unseen::NoSeat);
    }
    let freed: Vec<Lost<'_>> = freed.iter().map(Lost::of).collect();
    Ok(serde_json::to_vec(&serde_json::json!({ "freed": freed })).unwrap_or_default())
}

/// A lost call, as the operator sees it.
#[derive(Serialize)]
struct Lost<'a> {
    id: String,
    of: &'a str,
    upstream: &'a str,
    limits: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Stamp>,
    until: Stamp,
}

impl<'a> Lost<'a> {
    fn of(call: &'a LostCall) -> Self {
        Self {
            id: call.id.to_string(),
            of: call.of,
            upstream: &call.upstream,
            limits: call.limits.iter().map(|name| &**name).collect(),
            since: call.since.map(Stamp),
            until: Stamp(call.until),
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
