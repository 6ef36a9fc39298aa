//! Who a call is counted for.

use std::net::IpAddr;

/// A user, by the hash of the name in normal form: the same over every protocol.
///
/// Sixteen bytes of BLAKE3 stand for the name: no two names that anybody can make up share them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId([u8; 16]);

impl UserId {
    /// From the hash of a name.
    #[must_use]
    pub const fn new(hash: [u8; 16]) -> Self {
        Self(hash)
    }

    /// The hash.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A login session, by the keyed hash of its token. The token cannot be had from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey([u8; 16]);

impl SessionKey {
    /// From the keyed hash of a token.
    #[must_use]
    pub const fn new(hash: [u8; 16]) -> Self {
        Self(hash)
    }

    /// The hash.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Who a call is counted for, as the key of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Principal {
    /// A client address: also whoever has not proven yet which user it is.
    Address(IpAddr),
    /// A user whom the upstream knows.
    User(UserId),
    /// One login session.
    Session(SessionKey),
}

/// Which of the upstream's two families of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SessionKind {
    /// Opened over REST or JSON-RPC; also those of NSX and Avi.
    Rest,
    /// Opened over SOAP.
    Soap,
}

impl SessionKind {
    /// Every kind, in the order of its index.
    pub const ALL: [Self; 2] = [Self::Rest, Self::Soap];

    /// The word used in metrics and answers (label `kind`).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Soap => "soap",
        }
    }

    /// The kind that `word` names, if any.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_no_larger_than_an_address() {
        assert_eq!(size_of::<Principal>(), size_of::<IpAddr>());
    }
}
