//! Requests that are gathered, and go up as one: the gate as the queue of an API that has such requests merged.
//!
//! ```text
//!   job: is it one? ─▶ queue of its resource ──period over──▶ plan: who goes with whom, in order
//!     │ canceled, late, drained: it leaves                     │
//!     │                                                        ▼
//!     │   limits, once ─▶ DISPATCHING committed for each ─▶ one request up ─▶ what came is said of each:
//!     │                     done, or failed ──────────────▶ committed with its answer
//!     │                     refused, not executed ────────▶ back in the queue, all of them, in their order
//!     │                     rejected (4xx) ───────────────▶ halved: whose request is bad fails alone
//!     │                     in doubt ─────────────────────▶ RECONCILING
//!     │                     its deadline is over ─────────▶ EXPIRED, that one; the call goes on
//!     ▼
//!   doubt: the resource is read until it shows the changes, or can have them no more; who changes the same entries waits, for as
//!          long as the call may be at work
//! ```
//!
//! Only requests of one owner, which agree in the fields that their dialect names, are one call, made with the credentials of the
//! last of them. Nothing that changes the same entry is reordered.

mod call;
mod came;
mod doubt;
mod gathered;
mod member;
mod overdue;
mod plan;
#[cfg(test)]
mod plan_tests;
mod queue;
#[cfg(test)]
mod queue_tests;
mod said;
mod sent;

pub(super) use gathered::Gathered;
pub(super) use member::Expected;
