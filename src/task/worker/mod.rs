//! Who does the tasks of the desk: under the same limits and in the same lines as calls whose clients wait.
//!
//! ```text
//!   desk ─▶ crew: one job for each task that is not over
//!             │ gate     what it changes is looked at, where that may be busy: one change of it at a time
//!             │ place    in the lines of its limits; an upstream that is down is waited for
//!             │ run      a new connection ─▶ DISPATCHING committed ─▶ the request goes up ─▶ what came is judged (verdict):
//!             │            over ──────────────▶ committed with its answer, until the store takes it
//!             │            not executed ──────▶ WAITING_RETRY: back to its place
//!             │            in doubt ──────────▶ RECONCILING, its seats held (ghosts)
//!             │            begun ─────────────▶ POLLING, with the upstream's own name for it: see native
//!             │ merge    gathered with others for the same resource, which go up as one call once a period
//!             └ doubt    sent again where that does no harm, else asked after by a probe that only reads
//!
//!   start ─▶ recover: every task of the store that is not over comes back to the desk, and every call that a dead gate
//!            left at the upstream holds its seats, before a client is let in
//! ```
//!
//! Nothing is sent before the store has taken that it may have been.

mod asking;
mod commit;
mod crew;
mod doubt;
mod fields;
mod gate;
mod ghosts;
mod hearing;
mod job;
mod lever;
mod look;
mod merge;
mod native;
mod parting;
mod pause;
mod place;
pub(super) mod probe;
mod question;
mod reading;
mod recover;
mod run;
mod unseen;
mod verdict;
mod wake;
mod works;

pub use crew::Crew;
pub use lever::{Lever, LostCall};
pub use recover::Recovered;
pub use works::{Means, Roster};
