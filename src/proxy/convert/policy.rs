//! What the routes of a call say of it as a task: the strictest of them, where it can be read in several ways.

use http::Method;

use crate::call::{Class, Routes};
use crate::classify::Asked;
use crate::config::{self, Convert, Counts, Limit, Replay, Route, UpstreamKey};
use crate::task;

/// When the call becomes a task.
///
/// Where it may have taken several routes, one that says never is heard, and always or wait count only where all say so: what
/// nobody can read for sure is passed on as it came.
///
/// A client that asks for the vendor's own task, where the gate stands in for that, gets one though its call would not block.
pub(super) fn of(asked: &Asked<'_>, method: &Method, (routes, faced): (&[Route], bool)) -> Convert {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Convert::Never;
    }
    // Routes of calls that do not block say nothing of it.
    if faced && asked.class != Class::Blocking {
        return Convert::Prefer;
    }
    if asked.class != Class::Blocking {
        return Convert::Never;
    }
    if is_native(asked.query) {
        return Convert::Never;
    }
    strictest(&asked.routes, routes)
}

/// Whether a route of the call forbids that it becomes a task, in any reading.
pub(super) fn forbids(asked: &Asked<'_>, routes: &[Route]) -> bool {
    let mut taken = asked
        .routes
        .iter()
        .map(|number| routes.get(usize::from(number)));
    taken.any(|route| {
        // Of other classes no route says anything.
        route.is_none_or(|route| route.class == Class::Blocking && route.convert == Convert::Never)
    })
}

fn strictest(taken: &Routes, routes: &[Route]) -> Convert {
    // Routes that are too many to tell apart hold every number.
    if taken.is_empty() || taken.contains(u16::MAX) {
        return Convert::Never;
    }
    let mut agreed = None;
    for number in taken.iter() {
        let said = match routes.get(usize::from(number)).map(|route| route.convert) {
            None | Some(Convert::Never) => return Convert::Never,
            Some(said) => said,
        };
        let is_alike = agreed.is_none_or(|before| before == said);
        agreed = Some(if is_alike { said } else { Convert::Prefer });
    }
    agreed.unwrap_or(Convert::Never)
}

/// The upstream is asked for a task of its own.
fn is_native(query: Option<&str>) -> bool {
    let mut pairs = query.unwrap_or_default().split('&');
    pairs.any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        name.eq_ignore_ascii_case("vmw-task") && !value.eq_ignore_ascii_case("false")
    })
}

/// The route whose word counts for how it is done.
pub(super) fn route<'r>(asked: &Asked<'_>, routes: &'r [Route]) -> Option<&'r Route> {
    let number = asked.route.or_else(|| asked.routes.iter().next())?;
    routes.get(usize::from(number))
}

/// Whether the client's key is the upstream's too: only where all routes that it may have taken say so.
pub(super) fn sends_key(taken: &Routes, routes: &[Route]) -> bool {
    let says = |number: u16| {
        let route = routes.get(usize::from(number));
        route.is_some_and(|route| route.work.upstream_key != UpstreamKey::No)
    };
    // Routes that are too many to tell apart hold every number.
    !taken.is_empty() && !taken.contains(u16::MAX) && taken.iter().all(says)
}

/// How often its request may be executed (RFC 9110 section 9.2.2); `has_key` where its client sent one.
pub(super) fn replay(route: &Route, method: &Method, has_key: bool) -> task::Replay {
    let is_known_by_key = match route.work.upstream_key {
        UpstreamKey::No => false,
        UpstreamKey::Forward => has_key,
        UpstreamKey::Derive => true,
    };
    let said = route
        .work
        .replay
        .or(is_known_by_key.then_some(Replay::AtLeastOnce));
    let again = match said {
        Some(said) => said == Replay::AtLeastOnce,
        None => method.is_idempotent(),
    };
    if again {
        task::Replay::AtLeastOnce
    } else {
        task::Replay::AtMostOnce
    }
}

/// The limit whose seat a task takes, by its name: one of blocking calls alone before one of others too.
pub(super) fn pool(upstream: &config::Upstream) -> &str {
    let speaks = |limit: &&Limit| {
        limit.counts == Counts::RequestsInFlight
            && limit.not_enforced.is_none()
            && limit.matches.class.contains(&Class::Blocking)
    };
    let limits = upstream.limits.iter().filter(speaks);
    let narrowest = limits.min_by_key(|limit| limit.matches.class.len());
    narrowest.map_or("", |limit| &limit.name)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use http::HeaderMap;

    use super::*;
    use crate::classify::Table;

    fn upstream() -> config::Upstream {
        let route = |name: &str, path: &str, more: &str| {
            format!(
                "[[upstream.route]]\nname = \"{name}\"\nmatch = {{ path = \"{path}\" }}\nclass = \"blocking\"\n{more}\n"
            )
        };
        let text = [
            "[[upstream]]\naddress = \"https://up.example\"\n".to_owned(),
            route("never", "/never", "async = \"never\""),
            route("always", "/always", "async = \"always\""),
            route("usual", "/usual", "upstream_key = true"),
            route("wait", "/wait", "async = \"wait\""),
        ]
        .concat();
        config::parse(&text, Path::new("."))
            .unwrap()
            .upstreams
            .remove(0)
    }

    fn policy(method: &Method, target: &str) -> Convert {
        let upstream = upstream();
        let table = Table::new(upstream.speech.dialect, &upstream.routes);
        let asked = table.target(method, target, &HeaderMap::new()).unwrap();
        of(&asked, method, (&upstream.routes, false))
    }

    #[test]
    fn the_route_says_when_a_call_becomes_a_task() {
        assert_eq!(policy(&Method::POST, "/never"), Convert::Never);
        assert_eq!(policy(&Method::POST, "/always"), Convert::Always);
        assert_eq!(policy(&Method::PUT, "/usual"), Convert::Prefer);
        assert_eq!(policy(&Method::PUT, "/wait"), Convert::Wait);
        assert_eq!(policy(&Method::POST, "/other"), Convert::Never);
    }

    #[test]
    fn what_only_reads_and_what_is_the_upstreams_own_task_stay_as_they_are() {
        assert_eq!(policy(&Method::GET, "/always"), Convert::Never);
        assert_eq!(policy(&Method::HEAD, "/always"), Convert::Never);
        assert_eq!(
            policy(&Method::POST, "/always?vmw-task=true"),
            Convert::Never
        );
        assert_eq!(
            policy(&Method::POST, "/always?a=1&vmw-task=false"),
            Convert::Always
        );
    }

    #[test]
    fn of_several_readings_the_most_careful_counts() {
        let upstream = upstream();
        let mut taken = Routes::NONE;
        taken.insert(1);
        assert_eq!(strictest(&taken, &upstream.routes), Convert::Always);
        taken.insert(2);
        assert_eq!(strictest(&taken, &upstream.routes), Convert::Prefer);
        taken = Routes::NONE;
        taken.insert(3);
        assert_eq!(strictest(&taken, &upstream.routes), Convert::Wait);
        taken.insert(1);
        assert_eq!(strictest(&taken, &upstream.routes), Convert::Prefer);
        taken.insert(0);
        assert_eq!(strictest(&taken, &upstream.routes), Convert::Never);
        let mut every = Routes::NONE;
        (0..9).for_each(|route| every.insert(route));
        assert_eq!(strictest(&every, &upstream.routes), Convert::Never);
    }

    #[test]
    fn what_may_be_sent_again_goes_by_the_method_unless_the_route_says() {
        let upstream = upstream();
        let [never, _, usual] = &upstream.routes[..3] else {
            panic!("three routes");
        };
        let replay = |route, method| super::replay(route, method, false);
        assert_eq!(replay(never, &Method::POST), task::Replay::AtMostOnce);
        assert_eq!(replay(never, &Method::DELETE), task::Replay::AtLeastOnce);
        assert_eq!(replay(usual, &Method::POST), task::Replay::AtLeastOnce);
    }

    #[test]
    fn a_key_that_is_passed_on_makes_again_harmless_where_there_is_one() {
        let mut upstream = upstream();
        let routes = &mut upstream.routes;
        let again = task::Replay::AtLeastOnce;
        for (says, without, with) in [
            (
                UpstreamKey::No,
                task::Replay::AtMostOnce,
                task::Replay::AtMostOnce,
            ),
            (UpstreamKey::Forward, task::Replay::AtMostOnce, again),
            (UpstreamKey::Derive, again, again),
        ] {
            routes[0].work.upstream_key = says;
            let replay = |has_key| replay(&routes[0], &Method::POST, has_key);
            assert_eq!((replay(false), replay(true)), (without, with), "{says:?}");
        }
    }

    #[test]
    fn a_key_goes_up_only_where_every_reading_says_so() {
        let mut upstream = upstream();
        let mut taken = Routes::NONE;
        assert!(!sends_key(&taken, &upstream.routes));
        taken.insert(2);
        assert!(sends_key(&taken, &upstream.routes));
        taken.insert(1);
        assert!(!sends_key(&taken, &upstream.routes));
        upstream.routes[1].work.upstream_key = UpstreamKey::Forward;
        assert!(sends_key(&taken, &upstream.routes));
        (0..9).for_each(|route| taken.insert(route));
        assert!(!sends_key(&taken, &upstream.routes));
    }

    #[test]
    fn a_task_of_a_vcenter_takes_a_seat_of_its_blocking_tasks() {
        let text = "[[upstream]]\naddress = \"https://up.example\"\nprofile = \"vcenter-8.0\"";
        let config = config::parse(text, Path::new(".")).unwrap();
        assert_eq!(pool(&config.upstreams[0]), "blocking_tasks");
        assert_eq!(pool(&upstream()), "");
    }
}
