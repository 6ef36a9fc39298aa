//! Which asynchronous form of its upstream a call has, and where the gate comes in: behind the back of a client that blocks,
//! or in the upstream's place for one that asks for a form which is not there.

use http::{HeaderMap, Method};

use crate::classify::{Asked, How};
use crate::config::{Adapter, Convert};
use crate::dialect::adapter::goes_alone;
use crate::forward::Upstream;

/// A call that asks for a task of the vendor's kind, which the gate stands in for.
pub(super) struct Faced {
    /// Place of its adapter in the upstream's list.
    pub(super) place: usize,
    /// What is asked for without that: path and query.
    pub(super) target: String,
}

/// Place of the adapter by whose form a call that did not ask for it is to be done: one that the upstream has beside a blocking
/// form, and of an upstream that is asynchronous by itself only where its route has clients wait. Who knows such an upstream
/// follows its tasks, and gets them as they are.
pub(super) fn offered(
    asked: &Asked<'_>,
    (method, headers): (&Method, &HeaderMap),
    (upstream, policy): (&Upstream, Convert),
) -> Option<usize> {
    if !upstream.config().native {
        return None;
    }
    let fitting = upstream.forms().find(asked, method, headers)?;
    let is_offered = match fitting.how {
        How::Offered | How::Gated => !merges(upstream, fitting.place),
        How::Inherent => policy == Convert::Wait,
        How::AskedFor | How::Emulated => false,
    };
    is_offered.then_some(fitting.place)
}

/// Whether calls of this adapter are gathered by the gate, and not by the upstream.
fn merges(upstream: &Upstream, place: usize) -> bool {
    let adapter = upstream.config().adapters.get(place);
    upstream.config().merge_period.is_some()
        && adapter.is_some_and(|adapter| adapter.merge.is_some())
}

/// A call that the gate makes one with others, if its body allows that.
pub(super) struct Merging {
    /// Place of its adapter in the upstream's list.
    pub(super) place: usize,
    /// What is asked for, in the blocking form: path and query.
    pub(super) target: String,
    /// The client asks for it by the vendor's own parameter.
    pub(super) by_parameter: bool,
}

/// Whether a call asks for what the gate gathers: by its vendor's parameter, or by `prefers`.
pub(super) fn merging(
    asked: &Asked<'_>,
    (method, headers): (&Method, &HeaderMap),
    upstream: &Upstream,
    prefers: bool,
) -> Option<Merging> {
    upstream.config().merge_period?;
    let fitting = upstream.forms().find(asked, method, headers)?;
    let place = fitting.place;
    let is_sealed = || upstream.forms().is_sealed(place, headers);
    if !merges(upstream, place) || goes_alone(headers) || is_sealed() {
        return None;
    }
    let adapter = upstream.config().adapters.get(place)?;
    let by_parameter = fitting.how == How::AskedFor;
    let target = match (fitting.how, asked.query) {
        (How::AskedFor, Some(query)) => without(adapter, asked.path, query),
        (How::Offered, Some(query)) if prefers => format!("{}?{query}", asked.path),
        (How::Offered, None) if prefers => asked.path.to_owned(),
        _ => return None,
    };
    Some(Merging {
        place,
        target,
        by_parameter,
    })
}

/// Whether a call that does not block may ask for a task that the gate makes: only where the upstream's own are not used, or
/// where the gate gathers what the upstream would.
pub(in crate::proxy) fn may_stand_in(asked: &Asked<'_>, upstream: &Upstream) -> bool {
    let stands_in = asked.query.is_some() && !upstream.config().native;
    (stands_in && !upstream.faces().is_empty()) || upstream.config().merge_period.is_some()
}

/// What a call asks for beside its vendor's task, where the gate makes that task.
pub(super) fn faced(
    asked: &Asked<'_>,
    (method, headers): (&Method, &HeaderMap),
    upstream: &Upstream,
) -> Option<Faced> {
    let query = asked.query.filter(|_| !upstream.faces().is_empty())?;
    let fitting = upstream.forms().find(asked, method, headers)?;
    let stands_in = match fitting.how {
        How::Emulated => true,
        How::AskedFor => !upstream.config().native,
        How::Offered | How::Inherent | How::Gated => false,
    };
    let adapter = upstream.config().adapters.get(fitting.place)?;
    if !stands_in || adapter.face.is_none() || upstream.forms().is_sealed(fitting.place, headers) {
        return None;
    }
    Some(Faced {
        place: fitting.place,
        target: without(adapter, asked.path, query),
    })
}

/// The target without the parameter that asks for the task. It is there once, as the adapter writes it.
fn without(adapter: &Adapter, path: &str, query: &str) -> String {
    let asks = |pair: &&str| {
        let said = pair.split_once('=').unwrap_or((pair, ""));
        let mut own = adapter.parameter.iter();
        own.any(|(name, value)| said == (name.as_str(), value.as_str()))
    };
    let left: Vec<&str> = query.split('&').filter(|pair| !asks(pair)).collect();
    match left.join("&").as_str() {
        "" => path.to_owned(),
        left => format!("{path}?{left}"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use http::header::AUTHORIZATION;

    use super::*;
    use crate::config;

    fn upstream(lines: &str) -> std::sync::Arc<Upstream> {
        let text = format!("[[upstream]]\naddress = \"http://a.example\"\n{lines}");
        let config = config::parse(&text, Path::new(".")).unwrap();
        Upstream::build(&config.upstreams[0], 0, 1).unwrap()
    }

    fn stood_in(upstream: &Upstream, target: &str, headers: &HeaderMap) -> Option<String> {
        let method = &Method::POST;
        let asked = upstream.table().target(method, target, headers).unwrap();
        faced(&asked, (method, headers), upstream).map(|faced| faced.target)
    }

    #[test]
    fn the_gate_stands_in_where_the_upstream_has_no_such_form() {
        let vcenter = upstream("profile = \"vcenter-8.0\"");
        let none = HeaderMap::new();
        let register = "/api/vcenter/vm?vmw-task=true&action=register";
        let bare = Some("/api/vcenter/vm?action=register".to_owned());
        assert_eq!(stood_in(&vcenter, register, &none), bare);
        for target in [
            "/api/vcenter/vm?action=register",
            "/api/vcenter/vm?action=clone&vmw-task=true",
            "/api/vcenter/folder?vmw-task=true",
        ] {
            assert_eq!(stood_in(&vcenter, target, &none), None, "{target}");
        }
        let signed = HeaderMap::from_iter([(AUTHORIZATION, "SIGN token=\"a\"".parse().unwrap())]);
        assert_eq!(stood_in(&vcenter, register, &signed), None);
    }

    #[test]
    fn native_forms_that_are_switched_off_are_stood_in_for() {
        let nsx = upstream("profile = \"nsx-v\"\nnative = false");
        let none = HeaderMap::new();
        let found = stood_in(&nsx, "/api/4.0/edges?async=true", &none);
        assert_eq!(found.as_deref(), Some("/api/4.0/edges"));
        let (method, target) = (&Method::POST, "/api/4.0/edges");
        let asked = nsx.table().target(method, target, &none).unwrap();
        let prefer = Convert::Prefer;
        assert_eq!(offered(&asked, (method, &none), (&nsx, prefer)), None);
        let nsx = upstream("profile = \"nsx-v\"");
        let asked = nsx.table().target(method, target, &none).unwrap();
        assert!(offered(&asked, (method, &none), (&nsx, prefer)).is_some());
    }

    #[test]
    fn what_is_asynchronous_by_itself_is_waited_for_only_where_the_route_says_so() {
        let redfish = upstream("adapters = [\"redfish\"]");
        let none = HeaderMap::new();
        let (method, target) = (&Method::POST, "/redfish/v1/Systems/1/Actions/Reset");
        let asked = redfish.table().target(method, target, &none).unwrap();
        let found = |policy| offered(&asked, (method, &none), (&redfish, policy));
        assert_eq!(found(Convert::Prefer), None);
        assert_eq!(found(Convert::Wait), Some(0));
    }
}
