//! In whose shares of an upstream's queue a task takes room.

use crate::task::record::{Owner, Requested};

/// Its owner's; and where no user is proven, that of the place it comes from.
pub(super) fn shares(requested: &Requested) -> Vec<Owner> {
    let owner = requested.owner.clone();
    std::iter::once(owner).chain(requested.of_place()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::record::Millis;
    use crate::task::sample::sample;

    fn shares_of(user: Option<&str>, address: &str) -> Vec<String> {
        let mut requested = sample(Millis(0)).requested;
        requested.owner = Owner("credential:1".into());
        requested.user = user.map(Into::into);
        requested.address = address.parse().unwrap();
        let shares = shares(&requested).into_iter();
        shares.map(|share| share.0.to_string()).collect()
    }

    #[test]
    fn who_is_proven_has_a_share_and_who_is_not_has_part_of_its_places() {
        assert_eq!(shares_of(Some("anna"), "192.0.2.1"), ["credential:1"]);
        for (address, place) in [
            ("192.0.2.1", "from:192.0.2.1"),
            ("::ffff:192.0.2.1", "from:192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "from:2001:db8:1:2::"),
            ("2001:db8:1:2:ffff::", "from:2001:db8:1:2::"),
        ] {
            assert_eq!(shares_of(None, address), ["credential:1", place]);
        }
    }
}
