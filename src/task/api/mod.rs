//! What clients ask of their tasks, and what they hear: status, result, events, list, cancel, forget, policy, and the
//! explanations of every problem.
//!
//! ```text
//!   Asked ─▶ path ─▶ method ─▶ who asks ─▶ the record, from memory ─▶ Reply
//!             404      405       401        404 also for what is another's
//! ```
//!
//! Nothing here knows a connection: whoever serves it hands in what was asked and writes what comes back.

mod events;
mod path;
mod prefer;
mod words;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::events::Events;
pub use self::prefer::Prefer;
pub use self::words::{Applied, Asked, Dice, Pool, Pools, Reply, Settings};

use self::path::Place;
use super::desk::{Desk, Receipt};
use super::record::{Record, Viewer};
use crate::answer::{Answer, problem};

/// The task API of a gate.
pub struct Api {
    desk: Arc<Desk>,
    settings: Settings,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Api {
    /// The API over `desk`.
    #[must_use]
    pub const fn new(desk: Arc<Desk>, settings: Settings) -> Self {
        Self { desk, settings }
    }

    /// What it was built with.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether this path is the gate's own, and no upstream's: everything below the prefix, and what stands beside it.
    #[must_use]
    pub fn owns(&self, path: &str) -> bool {
        path::owns(&self.settings.prefix, path)
    }

    /// Whether anybody may read it: explanations, the OpenAPI document, the policy.
    #[must_use]
    pub fn is_open(&self, path: &str) -> bool {
        Place::of(&self.settings.prefix, path).is_open()
    }

    /// Answers one request. A long poll waits inside: whoever drops the future ends the wait. The answer to a HEAD has
    /// the body whose length it tells: the writer leaves it out. Without a viewer, what is not open is 401.
    #[expect(clippy::unused_async, reason = "it waits for tasks once that is built")]
    pub async fn answer(&self, asked: &Asked<'_>, viewer: Option<&Viewer>) -> Reply {
        let place = Place::of(&self.settings.prefix, asked.path);
        tracing::debug!(
            ?place,
            known = viewer.is_some(),
            now = self.desk.now().0,
            "not built yet"
        );
        let allowed = place.methods().join(", ");
        problem(501, &format!("not built yet: {allowed}")).into()
    }

    /// The answer to a request that became a task, or had become one before: 202.
    #[must_use]
    pub fn ticket(&self, receipt: &Receipt, applied: &Applied, base: Option<&str>) -> Answer {
        let field = applied.field();
        tracing::debug!(task = %receipt.task.id, ?field, base, "not built yet");
        problem(501, "not built yet")
    }

    /// The answer to a request whose task was over before its `wait` was: what the upstream answered, with
    /// `Preference-Applied` and `Task-Id`; `replayed` where its key was seen before.
    #[expect(
        clippy::unused_async,
        reason = "it waits for the store once that is built"
    )]
    pub async fn replay(&self, task: &Record, applied: &Applied, replayed: bool) -> Answer {
        tracing::debug!(task = %task.id, ?applied, replayed, "not built yet");
        problem(501, "not built yet")
    }

    /// Waits until a task is over, but no longer than `wait`: how it is then.
    #[expect(
        clippy::unused_async,
        reason = "it waits for the task once that is built"
    )]
    pub async fn until_done(&self, task: Arc<Record>, wait: Duration) -> Arc<Record> {
        tracing::debug!(?wait, "not built yet");
        task
    }

    /// A problem of the gate's own, by its kind: `/-/problems/KIND`. For refusals of requests that do not become tasks.
    #[must_use]
    pub fn problem(&self, kind: &'static str, status: u16, detail: &str) -> Answer {
        tracing::debug!(kind, "not built yet");
        problem(status, detail)
    }
}
