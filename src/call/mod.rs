//! Words everyone shares. Nothing here does I/O, takes a lock or reads a clock.

mod class;
mod dialect;
mod principal;
mod refusal;

pub use class::Class;
pub use dialect::{Dialect, Spoken};
pub use principal::{Principal, SessionKey, SessionKind, UserId};
pub use refusal::{Reason, Refusal};

use std::net::IpAddr;

/// What the limits need to know of a request: what it is and who makes it.
///
/// Built by [`crate::classify`], consumed by [`crate::admit`].
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The class of the call.
    pub class: Class,
    /// The path as it was received, without the query.
    pub path: &'a str,
    /// The path in normal form (limits.md, "Classes of calls"); the same slice as `path` when that
    /// is normal already.
    pub normal_path: &'a str,
    /// Where the call comes from: the true client address, after `trusted_proxies`.
    pub address: IpAddr,
}
