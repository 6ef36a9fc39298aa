//! Who goes up with whom, and who waits.

use std::time::SystemTime;

use super::plan::{Item, plan};
use crate::config::{self, Merge};
use crate::dialect::adapter::Patch;
use crate::task::id::TaskId;

/// How Avi's patches are merged, with these bounds.
pub(super) fn merge(largest: usize, at_most: usize, one_action: bool) -> Merge {
    let text = "[[upstream]]\naddress = \"http://a\"\nprofile = \"avi\"";
    let config = config::parse(text, std::path::Path::new(".")).unwrap();
    let merge = config.upstreams[0].adapters[0].merge.clone().unwrap();
    Merge {
        largest,
        at_most,
        one_action,
        ..merge
    }
}

/// A patch of `share` with this version: `+1 -2` adds the server 1 and deletes 2.
pub(super) fn item(share: &str, pin: &str, changes: &str) -> Item {
    Item::new(&patch(changes), share.to_owned(), pin.to_owned())
}

/// The patch alone.
pub(super) fn patch(changes: &str) -> Patch {
    let text = "[[upstream]]\naddress = \"http://a\"\nprofile = \"avi\"";
    let config = config::parse(text, std::path::Path::new(".")).unwrap();
    let entries = |sign: char| {
        let own = changes.split(' ').filter_map(|one| one.strip_prefix(sign));
        let entries = own.map(|n| format!(r#"{{"ip":{{"addr":"10.0.0.{n}","type":"V4"}}}}"#));
        entries.collect::<Vec<_>>().join(",")
    };
    let list = |name: &str, sign: char| {
        let entries = entries(sign);
        (!entries.is_empty()).then(|| format!(r#""{name}":{{"servers":[{entries}]}}"#))
    };
    let both = [list("add", '+'), list("delete", '-')];
    let body: Vec<String> = both.into_iter().flatten().collect();
    let body = format!("{{{}}}", body.join(","));
    let adapter = &config.upstreams[0].adapters[0];
    Patch::read(adapter, "/api/pool/p", body.as_bytes()).unwrap()
}

/// The calls that come of these, as places in the list.
fn calls(merge: &Merge, items: &[Item], blocked: &[Item]) -> Vec<Vec<usize>> {
    let ids: Vec<TaskId> = (0..items.len())
        .map(|_| TaskId::new(SystemTime::UNIX_EPOCH))
        .collect();
    let blocked = blocked.iter().flat_map(|one| one.keys.iter());
    let planned = plan(merge, ids.iter().copied().zip(items), blocked);
    let place = |id: &TaskId| ids.iter().position(|one| one == id).unwrap();
    let calls = planned.iter();
    calls.map(|call| call.iter().map(place).collect()).collect()
}

fn usual() -> Merge {
    merge(1 << 20, 1000, false)
}

#[test]
fn one_owner_s_patches_are_one_call() {
    let items = ["+1", "-1 +2", "+1", "-9"].map(|one| item("a", "v", one));
    assert_eq!(calls(&usual(), &items, &[]), [[0, 1, 2, 3]]);
    assert!(calls(&usual(), &[], &[]).is_empty());
}

#[test]
fn owners_go_up_apart_and_only_what_changes_the_same_keeps_its_order() {
    let of = |one: (&str, &str)| item(one.0, "v", one.1);
    let apart = [("a", "+1"), ("b", "+2"), ("a", "+3"), ("b", "+4")].map(of);
    assert_eq!(calls(&usual(), &apart, &[]), [[0, 2], [1, 3]]);
    let crossed = [
        ("a", "+1"),
        ("b", "-1"),
        ("a", "+1"),
        ("a", "+5"),
        ("b", "+6"),
    ]
    .map(of);
    // The third may not go with the first: the second is between them. What comes later goes with the last of its own.
    assert_eq!(
        calls(&usual(), &crossed, &[]),
        [vec![0], vec![1, 4], vec![2, 3]]
    );
}

#[test]
fn another_version_waits_and_so_does_who_changes_the_same() {
    let of = |one: (&str, &str)| item("a", one.0, one.1);
    let items = [
        ("1", "+1"),
        ("2", "+2"),
        ("1", "+2 +3"),
        ("1", "+3"),
        ("1", "+4"),
    ]
    .map(of);
    assert_eq!(calls(&usual(), &items, &[]), [[0, 4]]);
    let in_doubt = [item("a", "1", "+1")];
    // The first waits for what is in doubt; the version of the period is that of the first that does not.
    assert_eq!(calls(&usual(), &items, &in_doubt), [[1]]);
}

#[test]
fn more_than_fits_goes_up_in_several_calls() {
    let items: Vec<Item> = (0..7).map(|n| item("a", "v", &format!("+{n}"))).collect();
    let by_count = calls(&merge(1 << 20, 3, false), &items, &[]);
    assert_eq!(by_count, [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
    let size = items[0].size;
    let by_size = calls(&merge(2 * size, 1000, false), &items, &[]);
    assert_eq!(by_size, [vec![0, 1], vec![2, 3], vec![4, 5], vec![6]]);
}

#[test]
fn where_a_body_has_one_action_calls_have() {
    let items = ["+1", "-2", "+3", "-1", "+1", "+4 -5"].map(|one| item("a", "v", one));
    let calls = calls(&merge(1 << 20, 1000, true), &items, &[]);
    // The second addition of 1 stays behind the deletion of it; what has both actions is by itself.
    assert_eq!(calls, [vec![0, 2], vec![1, 3], vec![4], vec![5]]);
}
