//! How each API speaks: reads requests and answers, words refusals, and decides nothing.
//!
//! Pure functions over bytes and header fields: no I/O, no clock. What is read here of a user is a
//! claim, unless an answer of the upstream says it.

mod authorization;
mod claimed;
mod cookie;
mod saml;
mod secret;
mod stamp;
mod xml;

/// Tasks of an upstream, in its own words.
pub mod adapter;
/// When an answer says to come back: `Retry-After`, `RateLimit`.
pub mod come_back;
/// What a request shows of who makes it: session token, Basic, Bearer, SIGN.
pub mod credential;
/// What an answer says of the operation that was asked for.
pub mod effect;
/// How each API names what went wrong.
pub mod error_type;
/// What a login asks for and what its answer says.
pub mod login;
/// That there is no answer, in the words of the API that was spoken.
pub mod lost;
/// Requests that the gate makes for itself: end a session, ask whose it is.
pub mod own;
/// A refusal in the words of the API that was spoken.
pub mod refusal;
/// Whether an upstream accepts credentials.
pub mod regard;
/// JSON-RPC calls, `POST /api`.
pub mod rpc;
/// SOAP calls, `POST /sdk`.
pub mod soap;
/// What a vCenter says of its own load.
pub mod utilization;
/// User names in one spelling.
pub mod user;

pub use secret::Secret;

/// Longest session token that is taken for one, in bytes. Those of the vendors have 32 to 64.
pub const MAX_TOKEN: usize = 4096;
