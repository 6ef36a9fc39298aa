//! Who is logged in: the ledger of login sessions, the keys of tokens, the journal of what changed.
//!
//! ```text
//!   a call's token ─▶ Keys ─▶ SessionKey ─▶ Ledger: user, units of limits, last use
//!                                            │ journal: one change for each session
//!                                            ▼
//!                                          Writer ─▶ SessionStore (the port; adapters in store)
//! ```
//!
//! Nothing here speaks HTTP or SQL or reads a clock. A token is never kept in the open: a session is
//! found by a keyed hash of it, and what logs it out is encrypted, in memory too.

mod health;
mod id;
mod journal;
mod key_file;
mod keys;
mod known;
mod ledger;
mod life;
mod proofs;
mod record;
mod table;
mod tally;
mod token;
mod turnover;
mod view;
mod writer;

pub use health::{Health, PATIENCE, Standing};
pub use id::{NotAnId, SessionId};
pub use key_file::KeyError;
pub use keys::{KEY_LEN, Keys, ProofKey, Scheme, SealError};
pub use known::{Count, Ended, Known, Logout, New, Opened, Row, Upstream, User};
pub use ledger::{Ledger, MOST_SESSIONS};
pub use life::{InUse, Now};
pub use proofs::{AGE, IDLE, MOST_PROOFS, Proofs, Proven, RENEW, VERIFIED};
pub use record::{Change, Record, SessionStore, StoreError};
pub use token::{Credential, LONGEST_TOKEN, Sealed, Token};
pub use turnover::Restored;
pub use writer::{TOUCHES_EVERY, Writer};

#[cfg(test)]
mod tests;
