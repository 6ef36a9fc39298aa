//! Webhooks: who is told of the end of a task, when, how often, and signed how; and what the operator sees of tasks.

#[path = "../support/mod.rs"]
mod support;

mod after;
mod gate;
mod receiver;
mod rig;
mod schedule;
mod session;
mod wire;
