//! Systems that are asynchronous each in its own way, end to end: real gates before the model servers, and clients of each kind:
//! one that knows the system's own form, one that asks for a task of the gate's, and one that simply blocks.

#[path = "../support/mod.rs"]
mod support;
#[path = "../support/vendors/mod.rs"]
mod vendors;

mod azure;
mod checks;
mod nsx_t;
mod older_rest;
mod openstack;
mod redfish;
mod rig;
mod sdk;
mod seed_monitor;
mod seed_pools;
mod seed_states;
mod table;
mod talks;
