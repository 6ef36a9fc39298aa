//! Blocking calls that become tasks, and the door to the task API, over real sockets.

#[path = "../support/mod.rs"]
mod support;

mod rig;

mod bodies;
mod detach;
mod done;
mod door;
mod forms;
mod http2;
mod keys;
mod owners;
mod policy;
mod refused;
mod sessions;
mod verified;
