//! Station 4, the way up: exact caps on open sockets, idle pool, TLS, names, headers.
//!
//! ```text
//!   claim ─▶ Upstream::dial ─▶ Dial (Pingora's connector) ─▶ Pool::checkout ─┬─ idle socket of this thread
//!                                                                            ├─ new socket, if every cap has room
//!                                                                            ├─ idle socket of another thread
//!                                                                            └─ evict an idle one, dial anew
//!   no connection ─▶ Health: down; one Upstream::watch_over asks until it is back, then calls go by a ramp
//!   response complete ─▶ Wire dropped by Pingora ─▶ Pool::put, or closed
//! ```
//!
//! Pingora's own idle pool is bypassed: it cannot count, cannot be asked to give a socket up for
//! another group or thread, and pays two wake-ups of the other runtime and a `getpeername` a request.

mod carry;
mod dial;
mod ear;
mod fault;
pub mod headers;
mod health;
mod io;
mod kept;
mod lines;
mod pool;
mod probe;
mod resolve;
mod rest;
mod send;
mod tls;
mod upstream;
mod wire;

pub use carry::{Carried, Carrier, Freight, Unconnected};
pub use dial::Dial;
pub use ear::Framing;
pub use fault::UpstreamFault;
pub use health::{Door, Health, Pass, Place};
pub use lines::Lines;
pub use pool::{Pool, PoolView};
pub use resolve::Addresses;
pub use rest::Rest;
pub use send::{OwnAnswer, OwnCall, SendError};
pub use tls::TlsSetupError;
pub use upstream::{BuildError, Upstream};
