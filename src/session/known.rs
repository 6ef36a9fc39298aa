//! What the ledger is told of a session, and what it tells of one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::id::SessionId;
use super::token::{Credential, Sealed};
use crate::call::{SessionKey, SessionKind, UserId};
use crate::limit::Moment;

/// A user that an upstream vouched for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// What the user is counted by.
    pub id: UserId,
    /// The name in normal form, for people.
    pub name: Arc<str>,
}

/// The upstream that a session is open at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Its place in the configuration.
    pub index: usize,
    /// Its name, which outlives the configuration.
    pub name: Arc<str>,
}

/// A session that the ledger has not seen yet.
#[derive(Debug, Clone)]
pub struct New<'a> {
    /// The hash of its token ([`super::Keys::session`]).
    pub key: SessionKey,
    /// Its family.
    pub kind: SessionKind,
    /// Where it is open.
    pub upstream: &'a Upstream,
    /// Who logged in; `None` for an adopted session until the upstream was asked.
    pub user: Option<User>,
    /// Where the login, or the first use that was seen, came from.
    pub address: IpAddr,
    /// What logs it out; kept encrypted.
    pub credential: Option<&'a Credential>,
    /// When the call that told of it went up. A session that ended after that does not come back.
    pub began: Moment,
}

/// What became of a session that the ledger was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Opened {
    /// It is in the ledger, and was not before.
    New(SessionId),
    /// It was there already.
    Known(SessionId),
    /// It ended while the call that told of it was on its way; its units are given back.
    Ended,
    /// The ledger is full: it is not remembered, and its units are given back. Counted
    /// ([`super::Ledger::overflows`]); it is seen again at its next use.
    Full,
}

/// A live session, as a call needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its public number.
    pub id: SessionId,
    /// Its family.
    pub kind: SessionKind,
    /// Place of its upstream in the configuration.
    pub upstream: usize,
    /// Its user, where known.
    pub user: Option<User>,
    /// Whether it was first seen in use, opened around the gate.
    pub adopted: bool,
}

/// A session that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its public number.
    pub id: SessionId,
    /// The hash of its token.
    pub key: SessionKey,
    /// Its family.
    pub kind: SessionKind,
    /// Where it was open.
    pub upstream: Upstream,
    /// Its user, where known.
    pub user: Option<User>,
    /// What logs it out, for [`super::Keys::unseal`].
    pub sealed: Option<Sealed>,
}

/// A live session, as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its public number.
    pub id: SessionId,
    /// Its family.
    pub kind: SessionKind,
    /// Its user's name, where known.
    pub user: Option<Arc<str>>,
    /// Name of the upstream.
    pub upstream: Arc<str>,
    /// Client address of the login.
    pub address: IpAddr,
    /// When it was opened, or first seen.
    pub opened: SystemTime,
    /// How long ago that is.
    pub age: Duration,
    /// How long it has not been used; zero while a call is in flight.
    pub idle: Duration,
    /// Calls in flight.
    pub in_flight: u64,
    /// Whether it was opened around the gate.
    pub adopted: bool,
}

/// What it takes to log a session out upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logout {
    /// The hash of its token, to close it by.
    pub key: SessionKey,
    /// Its family.
    pub kind: SessionKind,
    /// Where it is open.
    pub upstream: Upstream,
    /// Its token; `None` when it could not be kept.
    pub credential: Option<Credential>,
}

/// Sessions of one upstream and kind, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Name of the upstream.
    pub upstream: Arc<str>,
    /// Their family.
    pub kind: SessionKind,
    /// Live now.
    pub live: u64,
    /// Ended for being idle, since the gate's start.
    pub reaped: u64,
}
