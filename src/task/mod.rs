//! Long work: a blocking call that was accepted becomes a task, which outlives its connection and the process.
//!
//! ```text
//!   submit ─▶ Desk ─▶ TaskStore: committed, then 202       state: one machine, one table
//!               │  ▲
//!     a place   │  │ every step: by the table, compared and set on version and fence,
//!     in line   ▼  │ committed before anything rests on it
//!             worker ─▶ admit: the same lines and seats as held calls ─▶ forward ─▶ answer kept
//! ```
//!
//! An end that is not COMPLETED goes by the rules of its route first (`after`): tried again, told of, or made up for.
//!
//! What is known of a task is on the desk, in memory: asking costs the store and the upstream nothing.

mod after;
pub mod api;
mod desk;
mod hook;
mod id;
mod outbox;
mod parcel;
mod port;
mod raw;
mod reaper;
mod record;
#[cfg(test)]
mod sample;
mod state;
mod tally;
mod worker;

pub use desk::{
    AdvanceError, Bounds, CancelError, Change, Clock, Desk, Keeping, Live, Noted, Receipt,
    RequestError, Submission, SubmitError,
};
pub use hook::body as hook_body;
pub use id::TaskId;
pub use outbox::{Carrier, Letter, Outbox, Signer, Tried, Verdict, verdict};
pub use parcel::{IDEMPOTENCY_KEY, Look, Parcel};
pub use port::{
    Advanced, Answer, Filter, Found, GONE_FOR, Hook, HookId, HookOutcome, Keep, Kept, Key,
    MOST_GONE, Most, New, Purged, Seat, SeatChange, SeatOf, Step, Submitted, TaskStore, Tombstone,
};
pub use raw::Raw;
pub use reaper::{Calendar, Reaper};
pub use record::{
    Bond, Fault, Millis, Mode, Operation, Outcome, Owner, Record, Replay, Requested, ResultHead,
    Source, Viewer,
};
pub use state::{Event, Illegal, Moved, State, Status, Substate};
pub use tally::{
    Delivery, Dispatched, Merged, Merges, Poll, Polls, Reconciled, TIME_BOUNDS, Tally, Times, Told,
    Work,
};
pub use worker::{Crew, Lever, LostCall, Means, Recovered, Roster};
