//! The routes that a call may have taken, by their place in the upstream's list.

/// Most routes that are told apart; with more, the call counts as one of every route.
const MOST: usize = 8;
/// The length that stands for "every route".
const EVERY: u8 = u8::MAX;

/// A small set of routes, in the order in which they were found.
///
/// A call has one route, or none. Only a call in an odd spelling may have several: one for each way
/// to read it. Where there are more than eight of those, it holds all routes there are, so that no
/// limit is dodged by being hard to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Routes {
    held: [u16; MOST],
    len: u8,
}

impl Routes {
    /// No route.
    pub const NONE: Self = Self {
        held: [0; MOST],
        len: 0,
    };

    /// Adds the route at this place of the upstream's list, if it is not there yet.
    pub fn insert(&mut self, route: u16) {
        if self.contains(route) {
            return;
        }
        if let Some(slot) = self.held.get_mut(usize::from(self.len)) {
            *slot = route;
            self.len += 1;
        } else {
            self.len = EVERY;
        }
    }

    /// Whether the call may have taken it.
    #[must_use]
    pub fn contains(&self, route: u16) -> bool {
        self.len == EVERY || self.iter().any(|held| held == route)
    }

    /// Whether it took none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Those that are told apart.
    pub fn iter(&self) -> impl Iterator<Item = u16> {
        self.held.into_iter().take(usize::from(self.len))
    }
}

#[cfg(test)]
mod tests {
    use super::Routes;

    #[test]
    fn it_holds_what_was_put_in_once() {
        let mut routes = Routes::NONE;
        assert!(routes.is_empty() && !routes.contains(0));
        for route in [7, 0, 7, 3] {
            routes.insert(route);
        }
        assert_eq!(routes.iter().collect::<Vec<_>>(), [7, 0, 3]);
        assert!(routes.contains(0) && !routes.contains(1));
    }

    #[test]
    fn too_many_to_tell_apart_are_every_route() {
        let mut routes = Routes::NONE;
        (0..8).for_each(|route| routes.insert(route));
        assert!(!routes.contains(8));
        routes.insert(8);
        assert!(routes.contains(8) && routes.contains(999) && !routes.is_empty());
        assert_eq!(routes.iter().count(), 8);
    }
}
