//! Blocking calls as tasks, proven over real sockets: gates as processes that are killed, in front of a model vCenter that
//! counts what is done to it.

#[path = "../support/mod.rs"]
mod support;

mod faults;
mod ghosts;
mod held;
mod judge;
mod keys;
mod kills;
mod load;
mod many;
mod model;
mod people;
mod points;
mod pollers;
mod rig;
mod rows;
mod syncs;
mod told;
mod undo;
mod witness;
