//! The façade, and the faces: clients that block on what the gate does by tasks, and clients that speak a vendor's own
//! asynchronous form where the upstream has none. Over real sockets, before the model servers.

#[path = "../support/mod.rs"]
mod support;
#[path = "../support/vendors/mod.rs"]
mod vendors;

mod rig;

mod avi_face;
mod bodies;
mod clones;
mod failing;
mod fire;
mod http2;
mod leaving;
mod lists;
mod nsx_v_face;
mod odd_lists;
mod off;
mod signs;
mod skytap;
mod vcenter_face;
