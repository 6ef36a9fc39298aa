//! Station 5, what comes back: refusals in words, problems, and the cap on response size.

mod cap;
mod problem;
mod refuse;

pub use cap::{Cap, CapVerdict};
pub use problem::problem;
pub use refuse::{Voice, connections_refusal, lost, not_now, refusal, too_large, upstream_down};

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};

/// The limit that refused, by its name; on refusals by a limit and no other answer.
pub const TIDEGATE_LIMIT: HeaderName = HeaderName::from_static("tidegate-limit");

/// An answer of the gate's own, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header fields, `Content-Type` among them; `Content-Length` is the writer's.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Body.
    pub body: Bytes,
}
