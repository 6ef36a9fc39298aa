//! Which calls a limit speaks of, beside their class.

use super::condition::{Conditions, Said};
use super::pattern::Pattern;
use super::sure::Sure;
use crate::call::Call;
use crate::config::{Match, Route};

/// The `match` of a limit, compiled.
///
/// A limit holds for every call that some reader takes for one that it speaks of: what is in doubt
/// is counted.
#[derive(Debug)]
pub struct Wanted {
    /// Places of its routes in the upstream's list; `None`: any route, or none.
    routes: Option<Box<[u16]>>,
    path: Option<Pattern>,
    rest: Conditions,
}

impl Wanted {
    /// Compiles `matches`, whose routes are some of `routes`. `None` when it speaks of every call of
    /// its classes.
    #[must_use]
    pub fn new(matches: &Match, routes: &[Route]) -> Option<Self> {
        let every = Match {
            class: matches.class.clone(),
            ..Match::default()
        };
        if *matches == every {
            return None;
        }
        let place = |name: &String| {
            let at = routes.iter().position(|route| route.name == *name)?;
            u16::try_from(at).ok()
        };
        let named = matches.route.iter().filter_map(place).collect();
        Some(Self {
            routes: (!matches.route.is_empty()).then_some(named),
            path: matches.path.as_deref().and_then(Pattern::new),
            rest: Conditions::new(matches),
        })
    }

    /// Whether some reader takes `call` for one of these.
    #[must_use]
    pub fn may_be(&self, call: &Call<'_>) -> bool {
        let on_route = |routes: &[u16]| routes.iter().any(|route| call.routes.contains(*route));
        let on_path = |path: &Pattern| call.paths().any(|spelling| path.matches(spelling));
        self.routes.as_deref().is_none_or(on_route)
            && self.path.as_ref().is_none_or(on_path)
            && self.rest.hold(&Said::new(
                call.method,
                call.query,
                call.headers,
                call.operation,
            )) != Sure::No
    }
}
