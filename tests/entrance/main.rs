//! The listening room over real sockets, with Pingora's own proxy behind it.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod bodies;
mod heads;
mod http2;
mod limits;
mod proxy_protocol;
mod rig;
mod tls;
