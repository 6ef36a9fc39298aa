//! What is said at the API: what it is built with, what is asked, what comes back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::events::Events;
use crate::answer::Answer;

/// The seats that tasks of an upstream take, at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// All of them.
    pub seats: u64,
    /// Those that are free.
    pub free: u64,
}

/// Tells the seats of an upstream's limit by both names; none where there is no such limit.
pub type Pools = Arc<dyn Fn(&str, &str) -> Option<Pool> + Send + Sync>;

/// A new number in 0..1 at each call: spreads those who are to come back.
pub type Dice = Arc<dyn Fn() -> f64 + Send + Sync>;

/// What the API is built with.
#[derive(Clone)]
pub struct Settings {
    /// Path prefix of tasks, as `/-/tasks`. What stands beside it (problems, the OpenAPI document) goes by its parent.
    pub prefix: String,
    /// `Location` and links with scheme and host.
    pub absolute_urls: bool,
    /// Longest `Prefer: wait`.
    pub wait_max: Duration,
    /// Largest body of a request that becomes a task, for the policy.
    pub max_body: u64,
    /// Send `RateLimit-Policy` and `RateLimit`.
    pub ratelimit: bool,
    /// Requests for one task by one viewer that are answered in a second, over time: five times as many at once. 0: all.
    pub polls_per_second: u32,
    /// The seats that tasks take.
    pub pools: Pools,
    /// Chance.
    pub dice: Dice,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("prefix", &self.prefix)
            .field("absolute_urls", &self.absolute_urls)
            .field("wait_max", &self.wait_max)
            .field("max_body", &self.max_body)
            .field("ratelimit", &self.ratelimit)
            .field("polls_per_second", &self.polls_per_second)
            .finish_non_exhaustive()
    }
}

/// One request to the API.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// Method.
    pub method: &'a Method,
    /// The whole path, as it came: `/-/tasks/01J…/result`.
    pub path: &'a str,
    /// What stands behind the `?`.
    pub query: Option<&'a str>,
    /// Header fields.
    pub headers: &'a HeaderMap,
    /// The body of a POST, at most 64 KiB of it.
    pub body: Bytes,
    /// `scheme://authority` as the client wrote it, for absolute URLs.
    pub base: Option<&'a str>,
}

/// What comes back.
#[derive(Debug)]
pub enum Reply {
    /// An answer, whole.
    Whole(Answer),
    /// An answer whose body goes on until the task is over.
    Events(Events),
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self::Whole(answer)
    }
}

/// The preferences of a request that were honoured (RFC 7240 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// `respond-async`.
    pub respond_async: bool,
    /// `wait`, seconds.
    pub wait: Option<u64>,
    /// `callback`.
    pub callback: bool,
}
