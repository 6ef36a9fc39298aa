//! The gate as the queue of Avi's asynchronous patches: what is gathered for a pool goes up as one, and does what its parts would
//! have done one by one. Over real sockets, before the model server, whose reference for a patch is the measure.

#[path = "../support/mod.rs"]
mod support;
#[path = "../support/vendors/mod.rs"]
mod vendors;

mod rig;

mod alone;
mod bad;
mod killed;
mod lost;
mod one_by_one;
mod order;
mod periods;
mod sessions;
