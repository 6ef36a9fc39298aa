//! Tasks of an upstream in its own words: how one is begun, asked for, read, taken back and told, and how the gate looks where it
//! stands in for one. What the words are stands in `config/dialects/*.toml`.
//!
//! ```text
//!   request ─▶ rewritten ─▶ (upstream) ─▶ started ─▶ handle ─▶ poll_request, batch_request ─▶ (upstream)
//!                                                                                                 │
//!   client ◀─ told ◀─ over ◀─ Streak: often enough? ◀─ Reading: state, progress, error ◀─ read ◀──┘
//! ```
//!
//! Requests that the gate itself makes one: `Patch::read` each, `merged_patch` of all, `shown_of` what the resource says of them.
//!
//! Pure functions over bytes: no I/O, no clock. Nothing that a server sends makes them panic, and what they look at is bounded.

mod blanks;
mod earlier;
mod face;
mod fill;
mod find;
mod list;
mod merge;
#[cfg(test)]
mod merge_tests;
mod origin;
mod reading;
mod request;
mod seen;
mod start;
mod told;
mod tree;

pub use blanks::{Left, Stands, filled, whole};
pub use earlier::Earlier;
pub use face::{
    Asks, Shown, asked, canceled, name_of, shown, started as face_started, tells_answer, unknown,
};
pub use find::{Sought, could_be, find_request};
pub use list::{Wish, merged};
pub use merge::{Action, EntryKey, Patch, Shows, goes_alone, merged_patch, shown_of};
pub use origin::Origin;
pub use reading::{Entries, Failure, Reading, Streak, Verdict, batch_read, is_whole, read};
pub use request::{
    Request, batch_request, before_request, cancel_deletes, cancel_request, is_canceled,
    poll_request, resource, rewritten, set_headers,
};
pub use seen::{Answered, Seen};
pub use start::{Started, fits_body, is_busy, started};
pub use told::{Made, Told, told};

/// Largest body that is read, bytes: vCenter's own answers end at 7 MB.
pub const LARGEST: usize = 8 << 20;
/// Longest name of a task, bytes.
pub const LONGEST_HANDLE: usize = 2048;

#[cfg(test)]
mod tests;
