//! Which bodies are merged, what comes of them, and what a resource shows of them.

use std::path::Path;

use serde_json::{Value, json};

use super::merge::*;
use crate::config::{self, Adapter};

fn avi() -> Adapter {
    let text = "[[upstream]]\naddress = \"http://a\"\nprofile = \"avi\"";
    let config = config::parse(text, Path::new(".")).unwrap();
    config.upstreams[0].adapters[0].clone()
}

fn read(body: &Value) -> Option<Patch> {
    Patch::read(&avi(), "/api/pool/p", body.to_string().as_bytes())
}

fn server(address: &str) -> Value {
    json!({"ip": {"addr": address, "type": "V4"}})
}

fn of(action: &str, servers: &[Value]) -> Value {
    json!({action: {"servers": servers}})
}

#[test]
fn only_servers_with_ipv4_that_are_added_or_deleted_are_merged() {
    let one = server("10.0.0.1");
    for body in [
        of("add", std::slice::from_ref(&one)),
        of("delete", std::slice::from_ref(&one)),
        json!({"add": {"servers": [one]}, "delete": {"servers": [server("10.0.0.2")]}}),
        of(
            "add",
            &[json!({"ip": {"addr": "10.0.0.1", "type": "V4"}, "port": 99999, "ratio": 2})],
        ),
    ] {
        assert!(read(&body).is_some(), "{body}");
    }
    for body in [
        json!({}),
        json!([]),
        of("add", &[]),
        of("replace", std::slice::from_ref(&one)),
        json!({"add": {"servers": [one], "name": "x"}}),
        json!({"add": {"name": "x"}}),
        json!({"add": {"servers": one}}),
        json!({"add": {"servers": [one]}, "delete": {"servers": [one]}}),
        of("add", &[json!("10.0.0.1")]),
        of("add", &[json!({"ip": {"addr": "::1", "type": "V6"}})]),
        of("add", &[json!({"ip": {"addr": "10.0.0.1"}})]),
        of("add", &[server("10.0.0.01")]),
        of("add", &[server("www.example.com")]),
        of(
            "add",
            &[json!({"ip": {"addr": "10.0.0.1", "type": "V4"}, "port": "80"})],
        ),
        of(
            "add",
            &[json!({"ip": {"addr": "10.0.0.1", "type": "V4"}, "port": -1})],
        ),
    ] {
        assert_eq!(read(&body), None, "{body}");
    }
    assert_eq!(Patch::read(&avi(), "/api/pool/p", b"{"), None);
}

#[test]
fn the_last_word_on_each_server_holds() {
    let adapter = avi();
    let merge = adapter.merge.as_ref().unwrap();
    let with = |address: &str, port: u16, ratio: u8| json!({"ip": {"addr": address, "type": "V4"}, "port": port, "ratio": ratio});
    let patches = [
        of("add", &[with("10.0.0.1", 80, 1), with("10.0.0.2", 80, 1)]),
        of("delete", &[server("10.0.0.1"), with("10.0.0.2", 80, 9)]),
        // Another port is another server.
        of("add", &[with("10.0.0.1", 81, 2), with("10.0.0.1", 80, 3)]),
    ];
    let read: Vec<Patch> = patches.iter().map(|body| read(body).unwrap()).collect();
    let body: Value = serde_json::from_slice(&merged_patch(merge, &read)).unwrap();
    let expected = json!({
        "add": {"servers": [with("10.0.0.1", 80, 3), with("10.0.0.1", 81, 2)]},
        "delete": {"servers": [with("10.0.0.2", 80, 9), server("10.0.0.1")]},
    });
    assert_eq!(body, expected);
    assert_eq!(read[0].only(), Some(Action::Add));
    assert_eq!(read[1].keys().count(), 2);
}

#[test]
fn a_resource_shows_what_was_done_of_it() {
    let adapter = avi();
    let merge = adapter.merge.as_ref().unwrap();
    let patches = [
        of("add", &[server("10.0.0.1")]),
        of("delete", &[server("10.0.0.1")]),
        of(
            "add",
            &[json!({"ip": {"addr": "10.0.0.2", "type": "V4"}, "ratio": 2})],
        ),
    ];
    let read: Vec<Patch> = patches.iter().map(|body| read(body).unwrap()).collect();
    let shown = |servers: Value| {
        let pool = json!({"uuid": "p", "servers": servers});
        shown_of(merge, read.iter(), pool.to_string().as_bytes())
    };
    use Shows::{Done, NotDone};
    // The controller says more of a server than it was told.
    let more = json!({"ip": {"addr": "10.0.0.2", "type": "V4"}, "ratio": 2, "enabled": true});
    assert_eq!(shown(json!([more])), Some(vec![Done, Done, Done]));
    let other = json!({"ip": {"addr": "10.0.0.2", "type": "V4"}, "ratio": 3});
    assert_eq!(shown(json!([other])), Some(vec![Done, Done, NotDone]));
    // What the first wanted is not asked any more: it is done if what took its place is.
    assert_eq!(
        shown(json!([server("10.0.0.1")])),
        Some(vec![NotDone, NotDone, NotDone])
    );
    assert_eq!(shown(Value::Null), Some(vec![Done, Done, NotDone]));
    assert_eq!(shown(json!("none")), None);
    assert_eq!(shown_of(merge, read.iter(), b"<html>"), None);
}

#[test]
fn what_says_more_in_its_head_is_not_merged() {
    for (name, alone) in [("if-match", true), ("x-avi-tenant", false)] {
        let headers = http::HeaderMap::from_iter([(
            http::HeaderName::from_static(name),
            http::HeaderValue::from_static("\"1\""),
        )]);
        assert_eq!(goes_alone(&headers), alone, "{name}");
    }
}
