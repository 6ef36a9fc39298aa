//! The number by which an operator names a session. It says nothing of the token.

use std::fmt;
use std::str::FromStr;

use crate::limit::{AtomicU64, Ordering};

/// A session's public number, random: sixteen hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(u64);

impl SessionId {
    /// From the number that a store kept.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The text is not sixteen lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session's id is sixteen digits of 0-9 and a-f")]
pub struct NotAnId;

impl FromStr for SessionId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 16 || !text.bytes().all(digit) {
            return Err(NotAnId);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| NotAnId)
    }
}

/// Makes ids: hashes of a running number, keyed anew in every process, so that none tells of
/// another and asking the system for randomness cannot fail in the middle of a login.
pub(super) struct Ids {
    key: [u8; 32],
    next: AtomicU64,
}

impl Ids {
    /// `seed` is random and used for nothing else.
    pub(super) const fn new(seed: [u8; 32]) -> Self {
        Self {
            key: seed,
            next: AtomicU64::new(0),
        }
    }

    pub(super) fn next(&self) -> SessionId {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let hash = blake3::keyed_hash(&self.key, &turn.to_le_bytes());
        let first = hash.as_bytes().first_chunk();
        SessionId(first.map_or(turn, |bytes| u64::from_le_bytes(*bytes)))
    }
}
