//! What a task asks for, as the limits see it: the same call as if its client stood in line itself.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};

use crate::admit::{Terms, rank};
use crate::call::{self, Call, Caller, Spoken};
use crate::forward::Upstream;
use crate::limit::Rank;
use crate::task::record::{Operation, Requested};

/// A call that is made in the name of a task.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) upstream: Arc<Upstream>,
    pub(super) method: Method,
    pub(super) target: String,
    /// What routes and limits may match on; they hold credentials.
    pub(super) headers: HeaderMap,
    operation: Option<Operation>,
    address: std::net::IpAddr,
    caller: Caller,
    weight: NonZeroU32,
}

/// The request is none that a client could make now: the routes or their reading have changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the request cannot be sent any more: {0}")]
pub(super) struct Unaskable(String);

impl Asking {
    /// What `task` asks of `upstream`, by this target and with these fields.
    ///
    /// # Errors
    /// [`Unaskable`].
    pub(super) fn new(
        upstream: Arc<Upstream>,
        task: &Requested,
        (target, headers): (String, HeaderMap),
        (caller, weight): (Caller, NonZeroU32),
    ) -> Result<Self, Unaskable> {
        let method = Method::from_bytes(task.method.as_bytes());
        let method = method.map_err(|error| Unaskable(error.to_string()))?;
        let asking = Self {
            upstream,
            method,
            target,
            headers,
            operation: task.operation.clone(),
            address: task.address,
            caller,
            weight,
        };
        asking.with(|_, _| ())?;
        Ok(asking)
    }

    /// The same asker's question for `target`, which only reads.
    pub(super) fn question(&self, target: String) -> Self {
        Self {
            upstream: self.upstream.clone(),
            method: Method::GET,
            target,
            headers: self.headers.clone(),
            operation: None,
            address: self.address,
            caller: self.caller,
            weight: self.weight,
        }
    }

    /// Whether its upstream cannot be reached.
    pub(super) fn is_down(&self) -> bool {
        let health = self.upstream.health();
        !health.is_steady() && health.down_for(std::time::Instant::now()).is_some()
    }

    /// Looks at the call, and at the form of the API it speaks.
    ///
    /// # Errors
    /// [`Unaskable`].
    pub(super) fn with<T>(
        &self,
        look: impl FnOnce(&Call<'_>, Spoken) -> T,
    ) -> Result<T, Unaskable> {
        let unaskable = |error: &dyn std::fmt::Display| Unaskable(error.to_string());
        let table = self.upstream.table();
        let asked = table
            .target(&self.method, &self.target, &self.headers)
            .map_err(|error| unaskable(&error))?;
        let operation = self.operation.as_ref().map(|operation| call::Operation {
            service: operation.service.as_deref(),
            name: &operation.name,
        });
        let asked = match operation {
            None => asked,
            Some(operation) => table
                .operation(asked, &self.method, &self.headers, operation)
                .map_err(|error| unaskable(&error))?,
        };
        let mut call = asked.call(&self.method, &self.headers, operation, self.address);
        call.caller = self.caller;
        Ok(look(&call, asked.spoken))
    }

    /// On what terms it waits. What the upstream sent back goes before newcomers, as calls do.
    pub(super) fn terms(&self, call: &Call<'_>, sent_back: bool, patience: Duration) -> Terms {
        let rank = rank(call, &self.upstream.config().routes);
        Terms {
            rank: if sent_back {
                rank.min(Rank::Promised)
            } else {
                rank
            },
            weight: self.weight,
            patience,
        }
    }
}
