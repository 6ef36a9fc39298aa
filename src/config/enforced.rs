//! Which limits this version enforces. The rest is checked, shown and marked, never silently ignored.

use super::types::{Counts, Match};

/// Why this version does not enforce such a limit; `None` when it does.
#[must_use]
pub(super) fn not_enforced(counts: Counts, matches: &Match) -> Option<&'static str> {
    let by_class = Match {
        class: matches.class.clone(),
        ..Match::default()
    };
    (counts == Counts::UpstreamConnections && *matches != by_class)
        .then_some("it tells sockets apart by class alone")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Class;

    /// One `match` for each thing that a limit may match by, and one for classes.
    fn narrowed() -> [Match; 8] {
        let text = || Some("x".to_owned());
        let pairs = || vec![("a".to_owned(), "b".to_owned())];
        let all = Match::default;
        [
            Match {
                class: vec![Class::Login, Class::Blocking],
                ..all()
            },
            Match {
                route: vec!["x".to_owned()],
                ..all()
            },
            Match {
                method: text(),
                ..all()
            },
            Match {
                path: Some("/a".to_owned()),
                ..all()
            },
            Match {
                query: pairs(),
                ..all()
            },
            Match {
                header: pairs(),
                ..all()
            },
            Match {
                service: text(),
                ..all()
            },
            Match {
                operation: text(),
                ..all()
            },
        ]
    }

    #[test]
    fn what_the_gate_can_count_is_enforced() {
        for counts in [
            Counts::UpstreamConnections,
            Counts::RequestsInFlight,
            Counts::Requests,
            Counts::ResponseBytes,
            Counts::Sessions,
            Counts::SessionCreations,
        ] {
            let reason = not_enforced(counts, &Match::default());
            assert_eq!(reason, None, "{counts:?}");
        }
        for matches in narrowed() {
            let reason = not_enforced(Counts::Requests, &matches);
            assert_eq!(reason, None, "{matches:?}");
        }
    }

    #[test]
    fn sockets_are_told_apart_by_class_alone() {
        for matches in narrowed() {
            let reason = not_enforced(Counts::UpstreamConnections, &matches);
            assert_eq!(reason.is_none(), !matches.class.is_empty(), "{matches:?}");
        }
    }
}
