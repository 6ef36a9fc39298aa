//! Users, login sessions and long calls through the gate, over real sockets, in front of a model vCenter that
//! counts what it is asked to do.

#[path = "../support/mod.rs"]
mod support;

mod model;
mod people;
mod rig;

mod adoption;
mod blocking;
mod connections;
mod ledger;
mod per_user;
mod secrets;
mod storm;
mod totals;
mod turns;
