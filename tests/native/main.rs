//! Tasks that the upstream's own task does, over real sockets: in front of the models of vendors' servers.

#[path = "../support/mod.rs"]
mod support;
#[path = "../support/vendors/mod.rs"]
mod vendors;
#[path = "../worker/crew.rs"]
mod crew;
#[path = "../worker/faulty.rs"]
#[expect(dead_code, reason = "its whims are for tests/worker")]
mod faulty;

mod after;
mod backs;
mod busy;
mod busy_killed;
mod busy_lost;
mod busy_order;
mod busy_turns;
mod found;
mod killed;
mod kills;
mod odd;
mod other;
mod polls;
mod raw;
mod restart;
mod rig;
mod runs;
mod shown;
mod table;
