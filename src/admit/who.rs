//! Whom one call is counted for: a key for each kind of keyed limit, hashed once.

use crate::call::{self, Call, Principal, UserId};
use crate::config::{Counts, Key};
use crate::limit::{Hashed, KeyHasher};

/// The keys of one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Who {
    address: Hashed<Principal>,
    /// The proven user, else the address.
    user: Hashed<Principal>,
    /// The session, else as `user`.
    session: Hashed<Principal>,
    /// The user that a login is for, as it says, else the address.
    opener: Hashed<Principal>,
    /// The reserved share is open to it.
    pub(super) privileged: bool,
}

impl Who {
    /// The keys of `call`. What is the same key is hashed once.
    pub(super) fn of(call: &Call<'_>, hasher: &KeyHasher) -> Self {
        let address = hasher.hash(Principal::Address(call.address));
        let keyed = |key: Option<Principal>, or| key.map_or(or, |key| hasher.hash(key));
        let user = keyed(call.caller.user.map(Principal::User), address);
        let session = keyed(call.caller.session.map(Principal::Session), user);
        let opener = keyed(
            call.opens.and_then(|opens| opens.user).map(Principal::User),
            address,
        );
        Self {
            address,
            user,
            session,
            opener,
            privileged: call.caller.privileged,
        }
    }

    /// The key of a session that `user` has, or somebody at `address`.
    pub(super) fn holder(
        user: Option<UserId>,
        address: std::net::IpAddr,
        hasher: &KeyHasher,
    ) -> Self {
        let address = hasher.hash(Principal::Address(address));
        let user = user.map_or(address, |user| hasher.hash(Principal::User(user)));
        Self {
            address,
            user,
            session: user,
            opener: user,
            privileged: false,
        }
    }

    /// The same holder, now that its user is known.
    pub(super) fn named(&self, user: UserId, hasher: &KeyHasher) -> Self {
        let user = hasher.hash(Principal::User(user));
        Self {
            user,
            session: user,
            opener: user,
            ..*self
        }
    }

    /// The key by which a limit that counts `counts` for each `key` knows it.
    pub(super) fn key(&self, counts: Counts, key: Key) -> &Hashed<Principal> {
        match (counts, key) {
            (Counts::Sessions | Counts::SessionCreations, Key::User | Key::Session) => &self.opener,
            (_, Key::User) => &self.user,
            (_, Key::Session) => &self.session,
            (_, Key::Address | Key::All) => &self.address,
        }
    }

    /// Where it comes from, where whole networks count as one.
    pub(super) fn place(&self, hasher: &KeyHasher) -> Hashed<Principal> {
        match *self.address.key() {
            Principal::Address(address) => hasher.hash(Principal::Address(call::place(address))),
            _ => self.address,
        }
    }

    /// Whom the operator is shown.
    pub(super) fn shown(&self) -> Principal {
        *self.user.key()
    }
}
