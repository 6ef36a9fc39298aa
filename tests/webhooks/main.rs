//! Webhooks: who is told of the end of a task, when, how often, and signed how.

mod rig;
mod schedule;
mod wire;
