//! Words everyone shares. Nothing here does I/O, takes a lock or reads a clock.

mod class;
mod dialect;
pub mod field;
mod place;
mod principal;
mod refusal;
mod routes;

pub use class::Class;
pub use dialect::{Dialect, Spoken};
pub use place::place;
pub use principal::{Principal, SessionKey, SessionKind, UserId};
pub use refusal::{Reason, Refusal};
pub use routes::Routes;

use std::net::IpAddr;

use http::{HeaderMap, Method};

/// What the limits need to know of a request: what it is and who makes it.
///
/// Built by [`crate::classify`], consumed by [`crate::admit`].
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The class of the call.
    pub class: Class,
    /// The method.
    pub method: &'a Method,
    /// The path as it was received, without the query.
    pub path: &'a str,
    /// The path in normal form; the same slice as `path` when that is normal already.
    pub normal_path: &'a str,
    /// The path with its written dot segments resolved and nothing decoded; the same slice as `path`
    /// when that is normal already.
    pub dots_path: &'a str,
    /// The query as it was received, without the question mark.
    pub query: Option<&'a str>,
    /// The fields of the head, where they are at hand.
    pub headers: Option<&'a HeaderMap>,
    /// What the body asks for, once it was read: JSON-RPC and SOAP alone.
    pub operation: Option<Operation<'a>>,
    /// The routes that it took, in any reading of it.
    pub routes: Routes,
    /// Where the call comes from: the true client address, after `trusted_proxies`.
    pub address: IpAddr,
    /// Which side of the upstream it goes to: the REST endpoint, or that of SOAP.
    pub side: SessionKind,
    /// Who makes it, as far as that is proven.
    pub caller: Caller,
    /// The session it would open: of a login.
    pub opens: Option<Opening>,
}

/// Who makes a call, as far as that is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Caller {
    /// The user, whom the upstream knows; none: counted by address.
    pub user: Option<UserId>,
    /// The login session that it uses.
    pub session: Option<SessionKey>,
    /// A named administrator (`admin.break_glass`): the reserved share is open to it.
    pub privileged: bool,
}

/// The session that a login would open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// Of which family.
    pub kind: SessionKind,
    /// For whom: the name that the login claims, proven or not.
    pub user: Option<UserId>,
    /// Whether the same credentials were accepted before, from anywhere.
    pub proven: bool,
}

impl<'a> Call<'a> {
    /// A `GET` of `path`, which is in normal form, of which nothing more is known.
    #[must_use]
    pub const fn new(class: Class, path: &'a str, address: IpAddr) -> Self {
        Self {
            class,
            method: &Method::GET,
            path,
            normal_path: path,
            dots_path: path,
            query: None,
            headers: None,
            operation: None,
            routes: Routes::NONE,
            address,
            side: match class {
                Class::Soap => SessionKind::Soap,
                _ => SessionKind::Rest,
            },
            caller: Caller {
                user: None,
                session: None,
                privileged: false,
            },
            opens: None,
        }
    }

    /// The spellings of its path, each once.
    pub fn paths(&self) -> impl Iterator<Item = &'a str> {
        let Self {
            path,
            normal_path,
            dots_path,
            ..
        } = *self;
        let normal = (normal_path != path).then_some(normal_path);
        let dots = (dots_path != path && dots_path != normal_path).then_some(dots_path);
        std::iter::once(path).chain(normal).chain(dots)
    }
}

/// What the body of a JSON-RPC or SOAP call asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation<'a> {
    /// The service of a JSON-RPC call (`params.serviceId`); SOAP has none.
    pub service: Option<&'a str>,
    /// The operation (`params.operationId`), or the name of the method element of a SOAP body.
    pub name: &'a str,
}
