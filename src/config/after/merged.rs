//! Rules that would never be followed: those of calls that go up merged with others and are to be undone by what is found.
//!
//! What is found after a merged call may be the work of another request that went up in it, so nothing of it is ever undone. A
//! rule that has it undone all the same is a fault, and not a surprise on the day on which it was to help.

use crate::config::adapter::Adapter;
use crate::config::policy::{Convert, Match, Route};
use crate::config::reader::Reader;
use crate::config::types::Upstream;

/// Notes the first route whose rule has something found and undone after calls that may go up merged.
pub(in crate::config) fn merged(r: &Reader<'_>, upstream: &Upstream) {
    if upstream.merge_period.is_none() || !r.sound(&["adapters", "dialect_files", "route"]) {
        return;
    }
    let mut adapters = upstream.adapters.iter().filter(|one| one.merge.is_some());
    let found = adapters.find_map(|one| Some((one, unheard(one, &upstream.routes)?)));
    if let Some((adapter, route)) = found {
        let Match { method, path, .. } = &adapter.matches;
        let calls = [method.as_deref(), path.as_deref()];
        let calls: Vec<&str> = calls.into_iter().flatten().collect();
        let problem = format!(
            "{} says compensate with {{found:…}}, and its calls may go up merged with others (async_patch_merge_period): after those nothing is looked for or undone, as it may be another's work; take the rule away, put a route for {} without it before this one, or say async = \"never\" for it",
            route.name,
            calls.join(" ")
        );
        r.fault("route", &problem);
    }
}

/// The first route with such a rule that calls of this adapter may take.
fn unheard<'u>(adapter: &Adapter, routes: &'u [Route]) -> Option<&'u Route> {
    for route in routes {
        if !may_take(&route.matches, &adapter.matches) {
            continue;
        }
        let mut undone = route
            .after
            .iter()
            .filter_map(|rule| rule.compensate.as_ref());
        if route.convert != Convert::Never && undone.any(super::Compensate::needs_find) {
            return Some(route);
        }
        // Nothing is left for those behind it.
        if takes_all(&route.matches, &adapter.matches) {
            return None;
        }
    }
    None
}

/// Whether a call that the adapter is for may be one of the route.
fn may_take(route: &Match, calls: &Match) -> bool {
    let is_of_body = route.service.is_some() || route.operation.is_some();
    !is_of_body && is_same_method(route, calls) && fits(route, calls, may_meet)
}

/// Whether every call that the adapter is for is one of the route.
fn takes_all(route: &Match, calls: &Match) -> bool {
    let is_open = route.query.is_empty() && route.header.is_empty();
    is_open && fits(route, calls, covers)
}

fn is_same_method(route: &Match, calls: &Match) -> bool {
    let both = route.method.as_ref().zip(calls.method.as_ref());
    both.is_none_or(|(one, other)| one == other)
}

fn fits(route: &Match, calls: &Match, by: fn(&str, &str) -> bool) -> bool {
    let both = route.path.as_deref().zip(calls.path.as_deref());
    both.is_none_or(|(one, other)| by(one, other))
}

/// Whether some path is of both patterns.
fn may_meet(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (segments(one), segments(other));
    loop {
        match (one.next(), other.next()) {
            (Some("**"), _) | (_, Some("**")) | (None, None) => return true,
            (Some("*"), Some(_)) | (Some(_), Some("*")) => {}
            (Some(one), Some(other)) if one.eq_ignore_ascii_case(other) => {}
            _ => return false,
        }
    }
}

/// Whether every path of the second pattern is one of the first.
fn covers(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (segments(one), segments(other));
    loop {
        match (one.next(), other.next()) {
            (Some("**"), _) | (None, None) => return true,
            (_, Some("**")) => return false,
            (Some("*"), Some(_)) => {}
            (Some(one), Some(other)) if one.eq_ignore_ascii_case(other) => {}
            _ => return false,
        }
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_suffix('/').unwrap_or(path).split('/')
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::config;

    const FIND: &str = "state = [\"EXPIRED\"]\noutcome = \"unknown\"\ncompensate = { method = \"DELETE\", target = \"/api/x/{found:uuid}\", find = { get = \"/api/x\", json = \"/uuid\" } }";
    const KNOWN: &str = "state = [\"FAILED\"]\noutcome = \"known\"\nstatus = [500]\ncompensate = { method = \"DELETE\", target = \"/api/x/{answer:uuid}\" }";

    /// What is wrong with an upstream that merges for this long and has these routes: match, further lines, rule.
    fn faults(period: &str, routes: &[(&str, &str, &str)]) -> Vec<String> {
        let mut text = format!(
            "[[upstream]]\naddress = \"http://a\"\nprofile = \"avi\"\nasync_patch_merge_period = \"{period}\"\n"
        );
        for (nth, (matches, lines, rule)) in routes.iter().enumerate() {
            text += &format!(
                "[[upstream.route]]\nname = \"r{nth}\"\nclass = \"blocking\"\nmatch = {{ {matches} }}\n{lines}\n"
            );
            if !rule.is_empty() {
                text += &format!("[[upstream.route.after]]\n{rule}\n");
            }
        }
        match config::parse(&text, Path::new(".")) {
            Ok(_) => Vec::new(),
            Err(faults) => faults
                .as_slice()
                .iter()
                .map(|fault| format!("{}: {}", fault.key, fault.problem))
                .collect(),
        }
    }

    const POOLS: &str = "method = \"PATCH\", path = \"/api/pool/*\"";

    #[test]
    fn what_is_to_be_found_and_undone_after_a_merged_call_is_a_fault() {
        for matches in [
            POOLS,
            "path = \"/api/**\"",
            "method = \"PATCH\"",
            "path = \"/API/pool/*/\"",
            "path = \"/api/*/pool-1\"",
            "method = \"PATCH\", path = \"/api/pool/*\", query = { x = \"1\" }",
        ] {
            let faults = faults("30s", &[(matches, "", FIND)]);
            assert_eq!(faults.len(), 1, "{matches}: {faults:?}");
            assert!(
                faults[0].starts_with("upstream[0].route: r0 says compensate with {found:…}")
                    && faults[0].contains("put a route for PATCH /api/pool/* without it"),
                "{faults:?}"
            );
        }
    }

    #[test]
    fn what_never_goes_up_merged_or_is_undone_by_its_answer_is_none() {
        for routes in [
            &[(POOLS, "", KNOWN)][..],
            &[(POOLS, "async = \"never\"", FIND)],
            &[("method = \"POST\", path = \"/api/**\"", "", FIND)],
            &[("path = \"/api/pool\"", "", FIND)],
            &[("path = \"/api/pool/*/x\"", "", FIND)],
            &[("operation = \"get\"", "", FIND)],
            // One before takes all of them.
            &[(POOLS, "", ""), ("path = \"/api/**\"", "", FIND)],
            &[("path = \"/api/pool/**\"", "", KNOWN), (POOLS, "", FIND)],
        ] {
            assert_eq!(faults("30s", routes), [""; 0], "{routes:?}");
        }
        assert_eq!(faults("off", &[(POOLS, "", FIND)]), [""; 0]);
        // One before takes some of them.
        let some = "path = \"/api/pool/pool-1\"";
        let both = [(some, "", ""), (POOLS, "", FIND)];
        assert_eq!(faults("30s", &both).len(), 1);
    }
}
