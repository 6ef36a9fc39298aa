//! What merged patches do, beside what they do one by one: any patches, to any pool.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate::config::{self, Adapter};
use tidegate::dialect::adapter::{Patch, Shows, merged_patch, shown_of};

use crate::rig::{POOL, one_by_one};
use crate::vendors::avi_patch::in_order;

fn adapter() -> Adapter {
    let text = "[[upstream]]\naddress = \"http://a.example\"\nprofile = \"avi\"";
    let config = config::parse(text, Path::new(".")).unwrap();
    config.upstreams[0].adapters[0].clone()
}

/// Few addresses and ports, so that patches meet.
fn servers() -> impl Strategy<Value = Vec<Value>> {
    let server = (
        0..6_u8,
        prop::option::of(80..83_u16),
        prop::option::of(1..4_u8),
        any::<bool>(),
    );
    let server = server.prop_map(|(address, port, ratio, named)| {
        let mut server = json!({"ip": {"addr": format!("10.0.0.{address}"), "type": "V4"}});
        if let Some(port) = port {
            server["port"] = json!(port);
        }
        if let Some(ratio) = ratio {
            server["ratio"] = json!(ratio);
        }
        if named {
            server["hostname"] = json!("www.example.com");
        }
        server
    });
    prop::collection::vec(server, 0..6)
}

fn patches() -> impl Strategy<Value = Vec<Value>> {
    let patch = (servers(), servers(), 0..3_u8).prop_map(|(adds, deletes, which)| {
        let mut patch = json!({});
        if which != 1 {
            patch["add"] = json!({"servers": adds});
        }
        if which != 0 {
            patch["delete"] = json!({"servers": deletes});
        }
        patch
    });
    prop::collection::vec(patch, 0..20)
}

proptest! {
    #[test]
    fn merged_patches_do_what_they_do_one_by_one(there in servers(), patches in patches()) {
        let adapter = adapter();
        let merge = adapter.merge.as_ref().unwrap();
        let read = |patch: &Value| Patch::read(&adapter, "/api/pool/pool-1", patch.to_string().as_bytes());
        // What is not merged, as what adds and deletes the same server, goes up by itself.
        let (patches, read): (Vec<_>, Vec<_>) =
            patches.iter().filter_map(|patch| Some((patch, read(patch)?))).unzip();
        // A pool has each server once.
        let empty = json!({"uuid": POOL, "name": "web", "servers": []});
        let pool = one_by_one(&empty, [&json!({"add": {"servers": there}})]);
        let expected = one_by_one(&pool, patches.iter().copied());
        let mut merged = pool.clone();
        if !read.is_empty() {
            let body: Value = serde_json::from_slice(&merged_patch(merge, &read)).unwrap();
            merged = one_by_one(&pool, [&body]);
            // In whichever order its two actions are done.
            let mut apart = pool.clone();
            for action in ["delete", "add"] {
                if let Some(fields) = body.get(action) {
                    apart = one_by_one(&apart, [&json!({action: fields})]);
                }
            }
            prop_assert_eq!(in_order(&apart), in_order(&expected));
            let size: usize = read.iter().map(Patch::size).sum();
            prop_assert!(body.to_string().len() <= size + 64, "no more than was said of it");
        }
        prop_assert_eq!(in_order(&merged), in_order(&expected));
        let shown = shown_of(merge, read.iter(), merged.to_string().as_bytes()).unwrap();
        prop_assert!(shown.iter().all(|shows| *shows == Shows::Done), "{:?}", shown);
    }

    #[test]
    fn nothing_that_a_client_sends_breaks_it(body in "[{}\\[\\]\",:a-z0-9. ]{0,80}") {
        let adapter = adapter();
        drop(Patch::read(&adapter, "/api/pool/pool-1", body.as_bytes()));
        drop(shown_of(adapter.merge.as_ref().unwrap(), [].iter(), body.as_bytes()));
    }
}
