//! Tasks that the upstream's own task does, where it has a form of the call for that.
//!
//! ```text
//!   a task's turn ─▶ form: is there one for this call? ─▶ rewritten, and sent as what it is then: no blocking seat
//!                      │ begin: its name ─▶ POLLING, committed with it · no such form ─▶ back in line, as it was
//!                      ▼
//!   follow ◀─ words ─ rounds: one for each owner and list: one call a tick tells of all its tasks
//!      │ state by state, until it is over: the answer is made what the blocking call would have said
//!      └ take back: CANCELING, until the upstream says what came of it
//! ```
//!
//! A start whose answer is lost is looked for in the upstream's list of tasks (seek), and followed once it is found.
//! Where the resource itself is what is asked for, a lost answer is looked for there (`look_back`).
//!
//! What a poll does not say only delays. A task that the upstream does not know any more is in doubt.

mod begin;
mod follow;
mod form;
mod heard;
mod look_back;
mod member;
mod round;
mod rounds;
mod seek;
mod seekers;
mod shown;
mod take_back;

pub(super) use form::{Form, Own};
pub(super) use rounds::Rounds;
pub(super) use seekers::Seekers;
pub(super) use shown::{Shown, kept};
