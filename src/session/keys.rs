//! What the state key is good for: hashes by which tokens are found, and the seal on tokens at rest.

use std::fmt;

use blake3::Hasher;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use super::id::{Ids, SessionId};
use super::token::{Credential, Sealed};
use crate::call::{SessionKey, SessionKind};

/// Bytes of the state key.
pub const KEY_LEN: usize = 32;
/// First byte of everything sealed: which way of sealing it was. With the one key for all that older versions had; it is only
/// opened.
const ONE_KEY: u8 = 1;
/// With a key of its own for each thing that is sealed.
const OWN_KEY: u8 = 2;

/// How a caller proved who it is, on a call that needs no session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// User and password (RFC 7617).
    Basic,
    /// A bearer token (RFC 6750).
    Bearer,
    /// A signature over the request with a SAML token (`SIGN`).
    Sign,
    /// A client certificate.
    Certificate,
}

/// Credentials, by their keyed hash. They cannot be had from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProofKey(pub(super) [u8; 16]);

impl std::fmt::Display for ProofKey {
    /// In hexadecimal: a name for whoever has no other.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why sealing or opening a token failed. Says nothing of what was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The token is longer than [`super::LONGEST_TOKEN`].
    #[error("the token is too long to be kept")]
    TooLong,
    /// The system has no randomness.
    #[error("the system gave no random bytes")]
    NoRandomness,
    /// Sealed with another key, for another session, or damaged.
    #[error("the sealed token does not open with this state key")]
    Closed,
}

/// Keys derived from the state key, one for each purpose.
///
/// Hashes are BLAKE3 with a key: whoever reads the store cannot try tokens against it, and they
/// cost a call some tens of nanoseconds and no allocation. Tokens are sealed by
/// ChaCha20-Poly1305 with a random nonce (RFC 8439) and the session's key beside them, so that a
/// sealed token cannot be moved to another session.
///
/// A random nonce of 96 bits bears 2³² messages of one key (NIST SP 800-38D section 8.3 has the
/// reckoning, for any cipher with such a nonce): what a busy gate seals in weeks. So each session and
/// each task has a key of its own, BLAKE3 of its name with a key derived from the state key. A task is
/// sealed once, a session each time that its token changes; no key comes near that bound, and the
/// state key needs no change for it.
pub struct Keys {
    sessions: Hasher,
    proofs: Hasher,
    /// Of older versions: opens what they sealed.
    one: LessSafeKey,
    seals: Hasher,
    random: SystemRandom,
    ids: Ids,
}

impl Keys {
    /// Keys for state that does not outlive the process.
    ///
    /// # Errors
    ///
    /// [`SealError::NoRandomness`].
    pub fn random() -> Result<Self, SealError> {
        Self::derive(&random_bytes(&SystemRandom::new())?)
    }

    /// Keys from the 32 bytes of the state key.
    ///
    /// # Errors
    ///
    /// [`SealError::NoRandomness`]: ids of sessions start from random bytes.
    pub fn derive(state: &[u8; KEY_LEN]) -> Result<Self, SealError> {
        let of = |context| blake3::derive_key(context, state);
        let random = SystemRandom::new();
        Ok(Self {
            sessions: Hasher::new_keyed(&of("tidegate keys of sessions v1")),
            proofs: Hasher::new_keyed(&of("tidegate keys of credentials v1")),
            one: sealing(&of("tidegate seal of tokens v1"))?,
            seals: Hasher::new_keyed(&of("tidegate seals v2")),
            ids: Ids::new(random_bytes(&random)?),
            random,
        })
    }

    /// The key of the session that `token` stands for at `upstream`.
    #[must_use]
    pub fn session(&self, upstream: &str, kind: SessionKind, token: &[u8]) -> SessionKey {
        let family = match kind {
            SessionKind::Rest => b'r',
            SessionKind::Soap => b's',
        };
        SessionKey::new(tagged(&self.sessions, upstream, family, token))
    }

    /// The key of `credentials` for `upstream`: the value of the field, or of a certificate the whole of it.
    #[must_use]
    pub fn proof(&self, upstream: &str, scheme: Scheme, credentials: &[u8]) -> ProofKey {
        let family = match scheme {
            Scheme::Basic => b'b',
            Scheme::Bearer => b't',
            Scheme::Sign => b's',
            Scheme::Certificate => b'c',
        };
        ProofKey(tagged(&self.proofs, upstream, family, credentials))
    }

    /// Encrypts what logs the session out.
    ///
    /// # Errors
    ///
    /// [`SealError`]; it is not kept then.
    pub fn seal(&self, key: &SessionKey, credential: &Credential) -> Result<Sealed, SealError> {
        let secret = credential.encode().ok_or(SealError::TooLong)?;
        Ok(Sealed::new(&self.seal_for(key.bytes(), secret)?))
    }

    /// Decrypts what [`Keys::seal`] made for the same session.
    ///
    /// # Errors
    ///
    /// [`SealError::Closed`] for anything else.
    pub fn unseal(&self, key: &SessionKey, sealed: &Sealed) -> Result<Credential, SealError> {
        let secret = self.unseal_for(key.bytes(), sealed.bytes())?;
        Credential::decode(&secret).ok_or(SealError::Closed)
    }

    /// Encrypts the request of a task, of any length, for that task alone.
    ///
    /// # Errors
    ///
    /// [`SealError`]; it is not kept then.
    pub fn seal_request(&self, task: &[u8; 16], request: &[u8]) -> Result<Vec<u8>, SealError> {
        self.seal_for(&of_task(task), request.to_vec())
    }

    /// Decrypts what [`Keys::seal_request`] made for the same task.
    ///
    /// # Errors
    ///
    /// [`SealError::Closed`] for anything else.
    pub fn unseal_request(&self, task: &[u8; 16], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        self.unseal_for(&of_task(task), sealed)
    }

    /// The form, the nonce, and the secret encrypted with `beside` beside it.
    fn seal_for(&self, beside: &[u8], mut secret: Vec<u8>) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_LEN] = random_bytes(&self.random)?;
        let with = Nonce::assume_unique_for_key(nonce);
        self.own(beside)?
            .seal_in_place_append_tag(with, Aad::from(beside), &mut secret)
            .map_err(|_| SealError::TooLong)?;
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + secret.len());
        sealed.push(OWN_KEY);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&secret);
        Ok(sealed)
    }

    fn unseal_for(&self, beside: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (form, rest) = sealed.split_first().ok_or(SealError::Closed)?;
        let own;
        let key = match *form {
            OWN_KEY => {
                own = self.own(beside)?;
                &own
            }
            ONE_KEY => &self.one,
            _ => return Err(SealError::Closed),
        };
        let (nonce, secret) = rest.split_first_chunk().ok_or(SealError::Closed)?;
        let with = Nonce::assume_unique_for_key(*nonce);
        let mut secret = secret.to_vec();
        let opened = key.open_in_place(with, Aad::from(beside), &mut secret);
        let length = opened.map_err(|_| SealError::Closed)?.len();
        secret.truncate(length);
        Ok(secret)
    }

    /// The key of what is sealed with `beside` beside it.
    fn own(&self, beside: &[u8]) -> Result<LessSafeKey, SealError> {
        let key = self.seals.clone().update(beside).finalize();
        sealing(key.as_bytes())
    }

    pub(super) fn new_id(&self) -> SessionId {
        self.ids.next()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(***)")
    }
}

fn sealing(key: &[u8; KEY_LEN]) -> Result<LessSafeKey, SealError> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key).map_err(|_| SealError::Closed)?;
    Ok(LessSafeKey::new(key))
}

/// What stands beside the request of a task: no session's key has this length.
fn of_task(task: &[u8; 16]) -> [u8; 20] {
    let mut beside = *b"task................";
    beside[4..].copy_from_slice(task);
    beside
}

/// The length goes first, so that no two of (upstream, secret) run together to the same bytes.
fn tagged(keyed: &Hasher, upstream: &str, family: u8, secret: &[u8]) -> [u8; 16] {
    let mut hasher = keyed.clone();
    hasher.update(&upstream.len().to_le_bytes());
    hasher.update(upstream.as_bytes());
    hasher.update(&[family]);
    hasher.update(secret);
    let mut short = [0; 16];
    hasher.finalize_xof().fill(&mut short);
    short
}

/// Random bytes of the system.
pub(super) fn random_bytes<const N: usize>(from: &SystemRandom) -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    from.fill(&mut bytes).map_err(|_| SealError::NoRandomness)?;
    Ok(bytes)
}
