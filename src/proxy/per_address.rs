//! Few of a kind for each client address, so that one client is not in the way of all others. Of IPv6, a network (/64) counts
//! as one address.

use std::net::IpAddr;
use std::sync::Arc;

use crate::call::place;
use crate::limit::{Hashed, KeyHasher, Keyed};

/// Places for each client address, as many of each as of any other.
#[derive(Debug)]
pub(super) struct PerAddress {
    taken: Keyed<IpAddr>,
    hasher: KeyHasher,
    most: u64,
}

impl PerAddress {
    /// `most` places for each address.
    pub(super) fn new(most: u64) -> Arc<Self> {
        let hasher = KeyHasher::default();
        Arc::new(Self {
            taken: Keyed::new(hasher.clone()),
            hasher,
            most,
        })
    }

    /// A place of `address`; `None` when all of its places are taken.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let address = self.hasher.hash(place(address));
        self.taken.try_seat(&address, self.most).ok()?;
        Some(Place {
            of: Arc::clone(self),
            address,
        })
    }
}

/// One place of one address, taken until this is dropped.
#[derive(Debug)]
pub struct Place {
    of: Arc<PerAddress>,
    address: Hashed<IpAddr>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of.taken.give_back(&self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_places_of_its_own_and_gives_them_back() {
        let places = PerAddress::new(2);
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let mapped = "::ffff:192.0.2.1".parse().unwrap();
        let first = places.take(one);
        let second = places.take(mapped);
        assert!(first.is_some() && second.is_some());
        assert!(places.take(one).is_none(), "the same address twice");
        assert!(places.take(other).is_some());
        drop(first);
        let third = places.take(one);
        assert!(third.is_some() && places.take(mapped).is_none());
        drop((second, third));
        assert!(places.taken.is_empty(), "nothing is remembered of them");
    }

    #[test]
    fn all_addresses_of_a_network_share_its_places() {
        let places = PerAddress::new(1);
        let [one, other, elsewhere] = ["2001:db8:1:2::1", "2001:db8:1:2:f::2", "2001:db8:1:3::1"]
            .map(|text| text.parse().unwrap());
        let first = places.take(one);
        assert!(first.is_some() && places.take(other).is_none());
        assert!(places.take(elsewhere).is_some());
        drop(first);
        assert!(places.take(other).is_some());
        assert!(places.taken.is_empty(), "nothing is remembered of them");
    }
}
