//! What a PATCH of a pool means: each example of the guide, and merges against patches made one by one.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::vendors::avi_patch::{apply, in_order, key};

fn v4(address: &str) -> Value {
    json!({"ip": {"addr": address, "type": "V4"}})
}

#[test]
fn servers_are_added_and_the_rest_stays() {
    let pool = json!({"name": "p", "servers": [v4("1.1.1.9")]});
    let patch = json!({"add": {"servers": [v4("1.1.1.1"), v4("1.1.1.2")]}});
    let servers = [v4("1.1.1.9"), v4("1.1.1.1"), v4("1.1.1.2")];
    assert_eq!(
        apply(&pool, &patch),
        Ok(json!({"name": "p", "servers": servers}))
    );
}

#[test]
fn a_server_is_updated_by_its_key() {
    let pool = json!({"servers": [v4("1.1.1.1"), v4("1.1.1.2")]});
    let mut updated = v4("1.1.1.1");
    updated["ratio"] = json!(10);
    let patch = json!({"add": {"servers": [updated]}});
    let patched = apply(&pool, &patch).unwrap();
    assert_eq!(patched, json!({"servers": [updated, v4("1.1.1.2")]}));
    let mut other_port = v4("1.1.1.1");
    other_port["port"] = json!(81);
    let patch = json!({"add": {"servers": [other_port]}});
    let three = apply(&patched, &patch).unwrap();
    assert_eq!(three["servers"].as_array().unwrap().len(), 3);
}

#[test]
fn servers_are_replaced_and_other_fields_stay() {
    let pool = json!({"name": "p", "servers": [v4("1.1.1.1")]});
    let patch = json!({"replace": {"servers": [v4("3.3.3.3"), v4("3.3.3.4")]}});
    let patched = apply(&pool, &patch).unwrap();
    assert_eq!(
        patched,
        json!({"name": "p", "servers": [v4("3.3.3.3"), v4("3.3.3.4")]})
    );
}

#[test]
fn a_server_is_deleted_whatever_else_is_said_of_it() {
    let pool = json!({"servers": [v4("3.3.3.3"), v4("3.3.3.4")]});
    let gone = json!({"hostname": "www.example.com", "ip": {"addr": "3.3.3.3", "type": "V4"},
        "resolve_server_by_dns": true});
    let patch = json!({"delete": {"servers": [gone]}});
    let patched = apply(&pool, &patch).unwrap();
    assert_eq!(patched, json!({"servers": [v4("3.3.3.4")]}));
    assert_eq!(
        apply(&patched, &patch),
        Ok(patched.clone()),
        "twice is as once"
    );
}

#[test]
fn scalars_are_set_and_unset() {
    let pool = json!({"default_server_port": 80});
    let set = json!({"replace": {"request_queue_enabled": true, "default_server_port": 8080}});
    let patched = apply(&pool, &set).unwrap();
    assert_eq!(
        patched,
        json!({"request_queue_enabled": true, "default_server_port": 8080})
    );
    let added = json!({"add": {"request_queue_enabled": true, "default_server_port": 8080}});
    assert_eq!(
        apply(&pool, &added).unwrap(),
        patched,
        "add of a scalar is replace"
    );
    let unset = json!({"delete": {"default_server_port": 8080}});
    assert_eq!(
        apply(&patched, &unset).unwrap(),
        json!({"request_queue_enabled": true})
    );
}

#[test]
fn lists_of_references_have_themselves_for_keys() {
    let pool = json!({"health_monitor_refs": ["a", "b"]});
    let patch = json!({"add": {"health_monitor_refs": ["b", "c"]}, "delete": {"health_monitor_refs": ["a"]}});
    assert_eq!(
        apply(&pool, &patch).unwrap(),
        json!({"health_monitor_refs": ["b", "c"]})
    );
}

#[test]
fn fields_are_nested_once_and_no_deeper() {
    let pool = json!({"snmp": {"community": "a", "version": 2}});
    let patch = json!({"replace": {"snmp": {"community": "b"}}});
    let patched = apply(&pool, &patch).unwrap();
    assert_eq!(patched, json!({"snmp": {"community": "b", "version": 2}}));
    let deeper = json!({"replace": {"snmp": {"user": {"name": "x"}}}});
    assert!(apply(&pool, &deeper).is_err());
}

#[test]
fn what_is_no_patch_is_refused() {
    let pool = json!({"name": "p"});
    let bad = [
        json!({}),
        json!([]),
        json!({"put": {}}),
        json!({"add": []}),
        json!({"add": {"name": ["x"]}}),
        json!({"add": {"servers": [{}]}}),
        json!({"add": {"servers": [v4("1.1.1")]}}),
        json!({"add": {"servers": [{"ip": {"addr": "1.1.1.1"}, "port": 70000}]}}),
    ];
    for patch in bad {
        assert!(apply(&pool, &patch).is_err(), "{patch}");
    }
}

fn entry() -> impl Strategy<Value = Value> {
    let port = prop_oneof![Just(Value::Null), (80..83_u16).prop_map(|port| json!(port))];
    (0..4_u8, port, 1..4_u8).prop_map(|(last, port, ratio)| {
        let mut server = v4(&format!("10.0.0.{last}"));
        server["ratio"] = json!(ratio);
        if !port.is_null() {
            server["port"] = port;
        }
        server
    })
}

fn patch() -> impl Strategy<Value = Value> {
    let action = prop_oneof![Just("add"), Just("delete")];
    (action, prop::collection::vec(entry(), 0..4))
        .prop_map(|(action, servers)| json!({ action: {"servers": servers} }))
}

/// All in one: of each key the last entry alone.
fn merged(patches: &[Value]) -> Value {
    let mut last: BTreeMap<String, (&str, Value)> = BTreeMap::new();
    for patch in patches {
        let (action, fields) = patch.as_object().unwrap().iter().next().unwrap();
        for server in fields["servers"].as_array().unwrap() {
            let action = if action == "add" { "add" } else { "delete" };
            last.insert(key("servers", server).to_string(), (action, server.clone()));
        }
    }
    let of = |wanted: &str| -> Vec<Value> {
        let entries = last.values().filter(|(action, _)| *action == wanted);
        entries.map(|(_, server)| server.clone()).collect()
    };
    json!({"add": {"servers": of("add")}, "delete": {"servers": of("delete")}})
}

proptest! {
    /// Where the last entry of a key wins, a merge comes to what its patches come to one by one.
    #[test]
    fn a_merge_is_its_patches_in_order(
        there in prop::collection::vec(entry(), 0..5),
        patches in prop::collection::vec(patch(), 0..8),
    ) {
        // No key twice in a pool.
        let there = apply(&json!({}), &json!({"add": {"servers": there}})).unwrap();
        let mut one_by_one = there.clone();
        for patch in &patches {
            one_by_one = apply(&one_by_one, patch).unwrap();
        }
        let at_once = apply(&there, &merged(&patches)).unwrap();
        prop_assert_eq!(in_order(&at_once), in_order(&one_by_one));
    }
}
