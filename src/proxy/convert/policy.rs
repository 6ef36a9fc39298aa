//! What the routes of a call say of it as a task: the strictest of them, where it can be read in several ways.

use http::Method;

use crate::call::{Class, Routes};
use crate::classify::Asked;
use crate::config::{self, Convert, Counts, Limit, Replay, Route};
use crate::task;

/// When the call becomes a task.
///
/// Where it may have taken several routes, one that says never is heard, and always counts only where all say so: what
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

fn strictest(taken: &Routes, routes: &[Route]) -> Convert {
    // Routes that are too many to tell apart hold every number.
    if taken.is_empty() || taken.contains(u16::MAX) {
        return Convert::Never;
    }
    let mut all_always = true;
    for number in taken.iter() {
        match routes.get(usize::from(number)).map(|route| route.convert) {
            None | Some(Convert::Never) => return Convert::Never,
            Some(Convert::Prefer) => all_always = false,
            Some(Convert::Always) => {}
        }
    }
    if all_always {
        Convert::Always
    } else {
        Convert::Prefer
    }
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

/// How often its request may be executed (RFC 9110 section 9.2.2).
pub(super) fn replay(route: &Route, method: &Method) -> task::Replay {
    let said = route
        .work
        .replay
        .or(route.work.upstream_key.then_some(Replay::AtLeastOnce));
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
        assert_eq!(replay(never, &Method::POST), task::Replay::AtMostOnce);
        assert_eq!(replay(never, &Method::DELETE), task::Replay::AtLeastOnce);
        assert_eq!(replay(usual, &Method::POST), task::Replay::AtLeastOnce);
    }

    #[test]
    fn a_task_of_a_vcenter_takes_a_seat_of_its_blocking_tasks() {
        let text = "[[upstream]]\naddress = \"https://up.example\"\nprofile = \"vcenter-8.0\"";
        let config = config::parse(text, Path::new(".")).unwrap();
        assert_eq!(pool(&config.upstreams[0]), "blocking_tasks");
        assert_eq!(pool(&upstream()), "");
    }
}
