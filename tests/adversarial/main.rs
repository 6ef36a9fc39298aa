//! Clients that mean harm, or are broken as if they did: slow, huge, ambiguous, endless.

#[path = "../support/mod.rs"]
mod support;

mod http2;
mod slow;
mod smuggling;
