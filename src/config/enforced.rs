//! Which limits this version enforces. The rest is checked, shown and marked, never silently ignored.

use super::types::{Counts, Key, Match};
use crate::call::Class;

/// Classes that cannot be told by the path alone.
pub(super) const NOT_TOLD_APART: [Class; 5] = [
    Class::Login,
    Class::Logout,
    Class::Blocking,
    Class::LongPoll,
    Class::Task,
];

/// Why this version does not enforce such a limit; `None` when it does.
#[must_use]
pub(super) fn not_enforced(counts: Counts, key: Key, matches: &Match) -> Option<&'static str> {
    by_counts(counts)
        .or_else(|| by_key(key))
        .or_else(|| by_match(counts, matches))
}

fn by_counts(counts: Counts) -> Option<&'static str> {
    match counts {
        Counts::Sessions => Some("it does not see login sessions yet"),
        Counts::SessionCreations => Some("it does not tell logins from other calls yet"),
        Counts::UpstreamConnections
        | Counts::RequestsInFlight
        | Counts::Requests
        | Counts::ResponseBytes => None,
    }
}

fn by_key(key: Key) -> Option<&'static str> {
    match key {
        Key::User => Some("it does not know users yet"),
        Key::Session => Some("it does not know login sessions yet"),
        Key::All | Key::Address => None,
    }
}

fn by_match(counts: Counts, matches: &Match) -> Option<&'static str> {
    if !matches.route.is_empty() {
        return Some("it does not use routes yet");
    }
    if matches.service.is_some() || matches.operation.is_some() {
        return Some("it does not read services and operations yet");
    }
    if matches.method.is_some() || !matches.query.is_empty() || !matches.header.is_empty() {
        return Some("it matches by class and path alone");
    }
    if matches.path.is_some() && counts == Counts::UpstreamConnections {
        return Some("it tells sockets apart by class alone");
    }
    if !matches.class.is_empty()
        && matches
            .class
            .iter()
            .all(|class| NOT_TOLD_APART.contains(class))
    {
        return Some(
            "it does not tell login, logout, blocking, long_poll and task from other calls yet",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(list: &[Class]) -> Match {
        Match {
            class: list.to_vec(),
            ..Match::default()
        }
    }

    #[test]
    fn what_the_gate_can_count_is_enforced() {
        for counts in [
            Counts::UpstreamConnections,
            Counts::RequestsInFlight,
            Counts::Requests,
            Counts::ResponseBytes,
        ] {
            assert_eq!(
                not_enforced(counts, Key::All, &Match::default()),
                None,
                "{counts:?}"
            );
        }
        assert_eq!(
            not_enforced(Counts::Requests, Key::Address, &Match::default()),
            None
        );
        assert_eq!(
            not_enforced(
                Counts::Requests,
                Key::All,
                &classes(&[Class::Blocking, Class::Rest])
            ),
            None
        );
        let path = Match {
            path: Some("/api/**".into()),
            ..classes(&[Class::Rest])
        };
        assert_eq!(
            not_enforced(Counts::RequestsInFlight, Key::All, &path),
            None
        );
    }

    #[test]
    fn what_it_cannot_count_is_marked() {
        let all = Match::default();
        for (counts, key, matches, part) in [
            (Counts::Sessions, Key::All, all.clone(), "sessions"),
            (Counts::SessionCreations, Key::All, all.clone(), "logins"),
            (Counts::Requests, Key::User, all.clone(), "users"),
            (Counts::Requests, Key::Session, all.clone(), "sessions"),
            (
                Counts::Requests,
                Key::All,
                Match {
                    route: vec!["x".into()],
                    ..all.clone()
                },
                "routes",
            ),
            (
                Counts::Requests,
                Key::All,
                Match {
                    service: Some("x".into()),
                    ..all.clone()
                },
                "services",
            ),
            (
                Counts::Requests,
                Key::All,
                Match {
                    operation: Some("x".into()),
                    ..all.clone()
                },
                "operations",
            ),
            (
                Counts::Requests,
                Key::All,
                Match {
                    method: Some("GET".into()),
                    ..all.clone()
                },
                "class and path alone",
            ),
            (
                Counts::Requests,
                Key::All,
                Match {
                    query: vec![("a".into(), "b".into())],
                    ..all.clone()
                },
                "class and path alone",
            ),
            (
                Counts::Requests,
                Key::All,
                Match {
                    header: vec![("a".into(), "b".into())],
                    ..all.clone()
                },
                "class and path alone",
            ),
            (
                Counts::UpstreamConnections,
                Key::All,
                Match {
                    path: Some("/a".into()),
                    ..all
                },
                "sockets",
            ),
            (
                Counts::RequestsInFlight,
                Key::All,
                classes(&NOT_TOLD_APART),
                "blocking",
            ),
        ] {
            let reason = not_enforced(counts, key, &matches).unwrap_or_default();
            assert!(
                reason.contains(part),
                "{counts:?} {key:?} {matches:?}: {reason:?}"
            );
        }
    }
}
