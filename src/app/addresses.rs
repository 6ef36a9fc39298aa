//! Where a gate listens, as its sockets were bound.

use std::net::SocketAddr;

use crate::listen::{Entrance, Entrances, Role};

/// Addresses of the listeners, by what they are for.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    pub(super) http: Vec<SocketAddr>,
    pub(super) https: Vec<SocketAddr>,
    pub(super) admin: Vec<SocketAddr>,
}

impl Addresses {
    pub(super) fn of(entrances: &Entrances) -> Self {
        let of = |entrances: &[Entrance], role| {
            let listeners = entrances.iter().map(Entrance::listener);
            listeners
                .filter(|one| one.role() == role)
                .map(|one| one.local())
                .collect()
        };
        Self {
            http: of(&entrances.clients, Role::Http),
            https: of(&entrances.clients, Role::Https),
            admin: of(&entrances.admin, Role::Admin),
        }
    }
}
