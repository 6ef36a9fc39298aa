//! What clients ask of their tasks, and what they hear: status, result, events, list, cancel, forget, policy, and the
//! explanations of every problem.
//!
//! ```text
//!   Asked ─▶ path ─▶ method ─▶ who asks ─▶ the record, from memory ─▶ Reply
//!             404      405       401        404 also for what is another's
//! ```
//!
//! Nothing here knows a connection: whoever serves it hands in what was asked and writes what comes back.

mod change;
mod events;
mod headers;
mod json;
mod list;
mod message;
mod overview;
mod pace;
mod path;
mod plain;
mod polls;
mod prefer;
mod probed;
mod problems;
mod published;
mod result;
mod status;
mod teller;
mod ticket;
mod vendor;
mod words;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};

pub use self::events::Events;
pub use self::plain::Lost;
pub use self::prefer::Prefer;
pub use self::problems::{Kind, kind, kinds};
pub use self::vendor::Says;
pub use self::words::{Applied, Asked, Dice, Pool, Pools, Reply, Settings};

pub(super) use self::json::{Links, Root, Stamp, links};
pub use self::overview::{Unseen, freed};
use self::path::{Part, Place};
use self::polls::Polls;
use self::published::Published;
use self::teller::Teller;
use super::desk::Desk;
use super::record::{Record, Viewer};
use crate::answer::Answer;

/// The task API of a gate.
pub struct Api {
    teller: Teller,
    published: Published,
    polls: Polls,
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("settings", &self.teller.settings)
            .finish_non_exhaustive()
    }
}

impl Api {
    /// The API over `desk`.
    #[must_use]
    pub fn new(desk: Arc<Desk>, settings: Settings) -> Self {
        Self {
            published: Published::new(&desk, &settings),
            polls: Polls::new(settings.polls_per_second),
            teller: Teller {
                desk,
                settings: Arc::new(settings),
                beside_location: Arc::default(),
            },
        }
    }

    /// The same, which says in these fields, too, what it says in `Location`.
    #[must_use]
    pub fn with_location_in(mut self, fields: impl IntoIterator<Item = HeaderName>) -> Self {
        self.teller.beside_location = fields.into_iter().collect();
        self
    }

    /// What it was built with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.teller.settings
    }

    /// Whether this path is the gate's own, and no upstream's: everything below the prefix, and what stands beside it.
    #[must_use]
    pub fn owns(&self, path: &str) -> bool {
        path::owns(self.prefix(), path)
    }

    /// Whether anybody may read it: explanations, the OpenAPI document, the policy.
    #[must_use]
    pub fn is_open(&self, path: &str) -> bool {
        Place::of(self.prefix(), path).is_open()
    }

    /// Whether it is the list of all tasks of who asks.
    #[must_use]
    pub fn is_list(&self, path: &str) -> bool {
        Place::of(self.prefix(), path) == Place::List
    }

    fn prefix(&self) -> &str {
        &self.teller.settings.prefix
    }

    /// Answers one request. A long poll waits inside: whoever drops the future ends the wait. The answer to a HEAD has
    /// the body whose length it tells: the writer leaves it out. Without a viewer, what is not open is 401.
    pub async fn answer(&self, asked: &Asked<'_>, viewer: Option<&Viewer>) -> Reply {
        let place = Place::of(self.prefix(), asked.path);
        if let Some(refused) = self.wrong_method(&place, asked.method) {
            return refused.into();
        }
        if let Some(answer) = self.published.answer(&place) {
            return answer.into();
        }
        let Some(viewer) = viewer else {
            return match place {
                Place::List | Place::Task(..) => self.teller.who_asks().into(),
                _ => self.teller.nothing_here().into(),
            };
        };
        match place {
            Place::List => self.teller.list(asked, viewer).await.into(),
            Place::Task(id, part) => self.of_task(id, part, asked, viewer).await,
            _ => self.teller.nothing_here().into(),
        }
    }

    fn wrong_method(&self, place: &Place<'_>, method: &Method) -> Option<Answer> {
        let allowed = place.methods();
        let fits = allowed.is_empty() || allowed.contains(&method.as_str());
        (!fits).then(|| self.teller.wrong_method(allowed))
    }

    async fn of_task(&self, id: &str, part: Part, asked: &Asked<'_>, viewer: &Viewer) -> Reply {
        let Ok(id) = id.parse() else {
            return self.teller.no_such_task().into();
        };
        if let Some(wait) = self.polls.too_many(id, viewer) {
            return self.teller.too_many_polls(wait).into();
        }
        let task = match self.teller.find(id, viewer).await {
            Ok(task) => task,
            Err(answer) => return answer.into(),
        };
        if matches!(part, Part::Status | Part::Result) && asked.method != Method::DELETE {
            self.teller.desk.tally().answered(&task.requested.upstream);
        }
        match (part, asked.method.as_str()) {
            (Part::Status, "DELETE") => self.teller.forget(&task, viewer).await.into(),
            (Part::Status, _) => self.teller.status(task, asked).await.into(),
            (Part::Result, _) => self.teller.result(task, asked).await.into(),
            (Part::Events, _) => self.teller.events(task, asked),
            (Part::Cancel, _) => self.teller.cancel(&task, asked, viewer).await.into(),
        }
    }

    /// Waits until a task is over, but no longer than `wait`: how it is then.
    pub async fn until_done(&self, task: Arc<Record>, wait: Duration) -> Arc<Record> {
        self.teller.until_done(task, wait).await
    }
}
