//! Calls that wait in line: who goes first, how a wait ends, and that nothing is left of who went away.

#[path = "../support/mod.rs"]
mod support;

mod rig;

mod bodies;
mod ends;
mod http2;
mod leaving;
mod rates;
mod shown;
mod stopping;
mod turns;
