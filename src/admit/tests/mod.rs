//! Tests of the claim.

mod adaptive;
mod groups;
mod logins;
mod matches;
mod model;
mod refusal;
mod release;
mod shadow;
mod tasks;
mod waiting;
mod yields;

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::rule::Count;
use super::{Claim, LimitView, Stack};
use crate::call::{Call, Class, Refusal};
use crate::config::{self, Counts, Key, Limit, Match, Mode, Wait};
use crate::limit::Moment;

const SECOND: Duration = Duration::from_secs(1);

/// Milliseconds after the start.
fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

/// An enforced limit on every call.
fn limit(name: &str, counts: Counts, key: Key, ceiling: u64) -> Limit {
    let rate = counts == Counts::Requests;
    Limit {
        name: Arc::from(name),
        counts,
        key,
        matches: Match::default(),
        limit: ceiling,
        window: if rate { SECOND } else { Duration::ZERO },
        burst: if rate { ceiling } else { 0 },
        mode: Mode::Enforce,
        full_status: if rate { 429 } else { 503 },
        wait: Wait {
            line: 0,
            per_user: 0,
            at_most: SECOND,
        },
        not_enforced: None,
    }
}

fn sockets(name: &str, ceiling: u64) -> Limit {
    limit(name, Counts::UpstreamConnections, Key::All, ceiling)
}

fn seats(name: &str, ceiling: u64) -> Limit {
    limit(name, Counts::RequestsInFlight, Key::All, ceiling)
}

fn seats_each(name: &str, ceiling: u64) -> Limit {
    limit(name, Counts::RequestsInFlight, Key::Address, ceiling)
}

fn rate(name: &str, ceiling: u64) -> Limit {
    limit(name, Counts::Requests, Key::All, ceiling)
}

fn rate_each(name: &str, ceiling: u64) -> Limit {
    limit(name, Counts::Requests, Key::Address, ceiling)
}

fn bytes(name: &str, ceiling: u64) -> Limit {
    limit(name, Counts::ResponseBytes, Key::All, ceiling)
}

/// The same limit, only counting.
fn shadow(limit: Limit) -> Limit {
    Limit {
        mode: Mode::Shadow,
        ..limit
    }
}

/// The same limit, of calls of `class` only.
fn of_class(class: Class, mut limit: Limit) -> Limit {
    limit.matches.class = vec![class];
    limit
}

/// A stack of these limits.
fn stack(limits: Vec<Limit>) -> Arc<Stack> {
    let text = "[[upstream]]\naddress = \"https://api.example\"";
    let mut config = config::parse(text, Path::new(".")).unwrap();
    let mut upstream = config.upstreams.remove(0);
    upstream.limits = limits;
    Arc::new(Stack::build(&upstream))
}

/// A call on `/api/x`, of class rest, from the address that ends in `from`.
fn rest(from: u8) -> Call<'static> {
    call(Class::Rest, "/api/x", from)
}

fn call(class: Class, path: &'static str, from: u8) -> Call<'static> {
    Call::new(class, path, IpAddr::V4(Ipv4Addr::new(192, 0, 2, from)))
}

/// Every counter of the stack: units in use by everybody, or by each key, heaviest first.
fn counters(stack: &Stack, now: Moment) -> Vec<(String, Vec<u64>)> {
    let units = |count: &Count| match count {
        Count::Sockets { calls: seats, .. } | Count::Seats(seats) => vec![seats.in_use()],
        Count::Rate(rate) => vec![rate.in_use(now)],
        Count::KeyedSeats(keyed) => weights(keyed.heaviest(99, crate::limit::Cell::held).1),
        Count::KeyedRate(keyed, pace) => {
            weights(keyed.heaviest(99, |cell| cell.tokens(pace, now)).1)
        }
        Count::Bytes => Vec::new(),
    };
    let rules = stack.rules().iter();
    rules
        .map(|rule| (rule.name.to_string(), units(&rule.count)))
        .collect()
}

fn weights<K>(top: Vec<(K, u64)>) -> Vec<u64> {
    top.into_iter().map(|(_, weight)| weight).collect()
}

/// What the operator sees of one limit.
fn view(stack: &Stack, name: &str, now: Moment) -> LimitView {
    let mut views = stack.views(now).into_iter();
    views.find(|view| &*view.name == name).unwrap()
}

/// Holds that every counter is what its holders make it.
#[track_caller]
fn audited(stack: &Stack) {
    for (name, mismatch) in stack.audit() {
        assert_eq!(mismatch, 0, "{name}");
    }
}
