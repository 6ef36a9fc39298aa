//! What outlives the process, and the port through which it is kept.

use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;

use super::id::SessionId;
use super::known::User;
use super::token::Sealed;
use crate::call::{SessionKey, SessionKind};

/// A session as it is kept. Times are kept to the millisecond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The hash of its token.
    pub key: SessionKey,
    /// Its public number.
    pub id: SessionId,
    /// Its family.
    pub kind: SessionKind,
    /// Name of its upstream.
    pub upstream: Arc<str>,
    /// Its user, where known.
    pub user: Option<User>,
    /// Client address of the login.
    pub address: IpAddr,
    /// When it was opened, or first seen.
    pub opened: SystemTime,
    /// When it was last used.
    pub last_used: SystemTime,
    /// Whether it was opened around the gate.
    pub adopted: bool,
    /// Its token, encrypted.
    pub sealed: Option<Sealed>,
}

/// One change of what is kept. Each may be applied again without harm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Keep this, in place of what was kept under its key.
    Put(Box<Record>),
    /// It was used at this time. Nothing, if it is not kept.
    Touch(SessionKey, SystemTime),
    /// Forget it. Nothing, if it is not kept.
    Remove(SessionKey),
}

/// The store did not do what it was asked. Its text is for the operator and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct StoreError {
    /// Whether a person has to do something about it; if not, trying again may help.
    pub lasting: bool,
    /// What happened.
    pub what: String,
}

/// Where sessions are kept.
#[async_trait]
pub trait SessionStore: Debug + Send + Sync {
    /// Everything kept, the last used first, at most `most`.
    async fn load(&self, most: usize) -> Result<Vec<Record>, StoreError>;

    /// Makes the changes, in their order: all of them, or on an error none. What was acknowledged
    /// survives a crash, where anything does.
    async fn apply(&self, changes: &[Change]) -> Result<(), StoreError>;

    /// Whether it could be written to now.
    async fn check(&self) -> Result<(), StoreError>;

    /// Ends its work; nothing is asked of it afterwards.
    async fn close(&self);
}
