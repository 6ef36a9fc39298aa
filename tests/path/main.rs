//! A request's path through the gate, over real sockets, in front of a model upstream that counts.

#[path = "../support/mod.rs"]
mod support;

mod blackout;
mod connections;
mod headers;
mod limits;
mod logins;
mod operations;
mod operator;
mod people;
mod releases;
mod sent_back;
mod sockets;
mod streaming;
mod tls;
mod utilization;
mod whose;
