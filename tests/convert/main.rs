//! Blocking calls that become tasks, and the door to the task API, over real sockets. Everything here holds whether or
//! not somebody works on the tasks: what the upstream is asked to do, it never ends.

#[path = "../support/mod.rs"]
mod support;

mod rig;

mod bodies;
mod door;
mod forms;
mod keys;
mod owners;
mod policy;
mod refused;
