//! Tokens, in the open and sealed: what a session is known by upstream, and what is kept of it.

use std::fmt;
use std::sync::Arc;

/// Longest token that is kept, bytes. A longer one is still counted; it cannot be logged out by its id.
pub const LONGEST_TOKEN: usize = 8 * 1024;

/// A secret that a client sends with its calls. Never shown: `Debug` prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<[u8]>);

impl Token {
    /// Wraps the bytes of a token.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Box::from(bytes))
    }

    /// The bytes themselves, for sending them upstream only.
    #[must_use]
    pub const fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// All that it takes to log a session out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The session's token.
    pub token: Token,
    /// What has to come with it, where the API has such a thing (NSX `X-XSRF-TOKEN`, Avi `csrftoken`).
    pub xsrf: Option<Token>,
}

impl Credential {
    /// The two as one run of bytes: the token's length (4 bytes, little endian), the token, and
    /// where there is one, the other. `None` for what is too long to be kept.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let (token, xsrf) = (self.token.expose(), self.xsrf.as_ref().map(Token::expose));
        let long = xsrf.map_or(0, <[u8]>::len).max(token.len());
        let length = u32::try_from(token.len()).ok()?;
        if long > LONGEST_TOKEN {
            return None;
        }
        let mut bytes = Vec::with_capacity(5 + token.len() + xsrf.map_or(0, <[u8]>::len));
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(token);
        if let Some(xsrf) = xsrf {
            bytes.push(1);
            bytes.extend_from_slice(xsrf);
        }
        Some(bytes)
    }

    /// What [`Credential::encode`] made; `None` for anything else.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (token, rest) = rest.split_at_checked(length)?;
        let xsrf = match rest.split_first() {
            None => None,
            Some((1, xsrf)) => Some(Token::new(xsrf)),
            Some(_) => return None,
        };
        Some(Self {
            token: Token::new(token),
            xsrf,
        })
    }
}

/// A [`Credential`] encrypted with the state key: what is kept in memory and at rest.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(Arc<[u8]>);

impl Sealed {
    /// From bytes that a store kept. Whether they are genuine shows when they are opened.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Arc::from(bytes))
    }

    /// The encrypted bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}
