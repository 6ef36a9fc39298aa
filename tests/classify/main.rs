//! Which calls are what, by the profiles as they are shipped.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may stop where it stands"
)]

mod differential;
mod jetty;
mod products;
mod vcenter;

use std::path::Path;

use http::HeaderMap;
use tidegate::call::{Class, Operation};
use tidegate::classify::{Asked, BadTarget, Table};

/// The route table of a built-in profile.
fn table(profile: &str) -> Table {
    let text = format!("[[upstream]]\naddress = \"https://a.example\"\nprofile = \"{profile}\"");
    let config = tidegate::config::parse(&text, Path::new(".")).unwrap();
    let upstream = &config.upstreams[0];
    Table::new(upstream.speech.dialect, &upstream.routes)
}

/// What `table` says of a request line, as `POST /api/session`.
fn ask<'t>(table: &Table, line: &'t str) -> Result<Asked<'t>, BadTarget> {
    let (method, target) = line.split_once(' ').unwrap();
    table.target(&method.parse().unwrap(), target, &HeaderMap::new())
}

/// Holds that `table` gives `line` this class, by this route; an empty name stands for none.
#[track_caller]
fn is(table: &Table, line: &str, class: Class, route: &str) {
    let asked = ask(table, line).unwrap();
    let by = asked.route_name(table).unwrap_or_default();
    assert_eq!((asked.class, by), (class, route), "{line}");
}

/// The same of an operation that stands in the body.
#[track_caller]
fn operation_is(table: &Table, line: &str, operation: Operation<'_>, class: Class, route: &str) {
    let asked = ask(table, line).unwrap();
    assert!(asked.operation_in_body, "{line}");
    let method = line.split(' ').next().unwrap().parse().unwrap();
    let asked = table
        .operation(asked, &method, &HeaderMap::new(), operation)
        .unwrap();
    let by = asked.route_name(table).unwrap_or_default();
    assert_eq!((asked.class, by), (class, route), "{line} {operation:?}");
}
