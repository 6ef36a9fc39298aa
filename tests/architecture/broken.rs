//! Trees made up to break one rule each: the rules must name exactly that fault, and find none in a clean tree.

use std::collections::BTreeMap;

use crate::rules::{Rule, faults, rooms};

/// A small tree that keeps every rule, and comes near to breaking each.
fn clean() -> BTreeMap<String, String> {
    let files = [
        (
            "src/lib.rs",
            "//! The map.\n/// Words.\npub mod call;\n/// Count.\npub mod limit;\n/// Up.\npub mod listen;\n",
        ),
        (
            "src/main.rs",
            "//! The command.\nfn main() { tidegate::listen::run() }\n",
        ),
        (
            "src/call/mod.rs",
            "//! Words; not crate::listen.\npub(crate) mod class;\npub fn toml() -> &'static str { \"crate::limit\" }\n",
        ),
        (
            "src/call/class.rs",
            "//! A class.\nuse super::toml as word;\n#[expect(dead_code, reason = \"shown\")]\nfn allow(_: u8) {}\n",
        ),
        (
            "src/limit/mod.rs",
            "//! Count.\nuse crate::{call::{class::Class, toml}, limit::rate::Rate};\npub mod rate;\n",
        ),
        (
            "src/limit/rate.rs",
            "//! A rate.\nuse governor::Quota;\nuse super::super::call;\nmod tests { use super::super::rate; use super::*; }\n",
        ),
        (
            "src/listen/mod.rs",
            "//! Sockets.\nuse pingora_core::server::Server;\nfn f(x: crate::limit::rate::Rate) {}\n",
        ),
        ("tests/path.rs", "//! A path test.\nuse tidegate::limit;\n"),
    ];
    let mut tree = BTreeMap::from(files.map(|(path, text)| (path.to_owned(), text.to_owned())));
    // Put together here, so that this file itself names none.
    let (work, scratch) = ("work", "tmp");
    let near = format!(
        "Keep state below /var/lib. /api/{work}/x and $(mktemp -d)/{scratch}/x are no machine's."
    );
    tree.insert("README.md".to_owned(), near);
    tree
}

/// Breaks the clean tree by one file and expects exactly one fault, of `rule`, in `file`, whose words hold `word`.
fn breaks(rule: Rule, path: &str, text: &str, file: &str, word: &str) {
    let mut tree = clean();
    tree.insert(path.to_owned(), text.to_owned());
    let found = faults(&tree);
    assert_eq!(
        found.len(),
        1,
        "{path} with {text:?} gives one fault, got {found:#?}"
    );
    assert_eq!(
        (found[0].rule, found[0].file.as_str()),
        (rule, file),
        "{text:?}"
    );
    assert!(
        found[0].what.contains(word),
        "{:?} does not say {word:?}",
        found[0].what
    );
}

#[test]
fn a_clean_tree_has_no_fault() {
    assert_eq!(faults(&clean()), []);
    assert_eq!(rooms(&clean()), ["call", "limit", "listen"]);
}

#[test]
fn an_upward_arrow_is_found_however_it_is_written() {
    let ways = [
        "use crate::listen::Socket;",
        "use crate::{call::{self, class}, listen::{Socket, peer::Peer}};",
        "fn f() { crate::listen::run() }",
        "fn f(x: &dyn Fn(crate::listen::Socket)) {}",
        "pub use super::listen;",
        "use super::{call, listen::Socket};",
        "#[cfg(test)]\nmod tests { use super::super::listen; }",
        "macro_rules! m { () => { $crate::listen::run() }; }",
        "fn f() { /* fine */ let _ = \"fine\"; <crate::listen::Socket as Drop>::drop() }",
    ];
    for way in ways {
        breaks(
            Rule::Arrow,
            "src/limit/mod.rs",
            &format!("//! Count.\n{way}\n"),
            "src/limit/mod.rs",
            "limit uses listen",
        );
    }
    breaks(
        Rule::Arrow,
        "src/call/a/b.rs",
        "//! Deep.\nuse super::super::super::limit;\n",
        "src/call/a/b.rs",
        "call uses limit",
    );
}

#[test]
fn a_name_that_is_no_room_is_found() {
    breaks(
        Rule::Arrow,
        "src/limit/mod.rs",
        "//! Count.\nuse crate::shared::X;\n",
        "src/limit/mod.rs",
        "crate::shared",
    );
    breaks(
        Rule::Arrow,
        "src/limit/mod.rs",
        "//! Count.\nuse crate as other;\n",
        "src/limit/mod.rs",
        "crate::*",
    );
    breaks(
        Rule::Arrow,
        "src/limit/mod.rs",
        "//! Count.\nuse crate::*;\n",
        "src/limit/mod.rs",
        "crate::*",
    );
}

#[test]
fn a_long_file_is_found() {
    let long = format!("//! Long.\n{}", "// more\n".repeat(400));
    breaks(
        Rule::Length,
        "src/call/long.rs",
        &long,
        "src/call/long.rs",
        "401 lines",
    );
    breaks(
        Rule::Length,
        "tests/long.rs",
        &long,
        "tests/long.rs",
        "401 lines",
    );
    let mut tree = clean();
    tree.insert(
        "src/call/long.rs".to_owned(),
        format!("//! Full.\n{}", "// more\n".repeat(399)),
    );
    assert_eq!(faults(&tree), [], "400 lines are allowed");
}

#[test]
fn a_file_that_does_not_say_what_it_is_for_is_found() {
    for text in [
        "use std::fmt;\n",
        "\n//! Late.\n",
        "//!\n//! Empty.\n",
        "// Not a doc.\n",
        "",
    ] {
        breaks(
            Rule::Opening,
            "src/call/silent.rs",
            text,
            "src/call/silent.rs",
            "`//!`",
        );
    }
}

#[test]
fn an_outside_crate_in_the_wrong_room_is_found() {
    let cases = [
        (
            "call",
            "use pingora_http::RequestHeader;",
            "call uses pingora_http",
        ),
        ("call", "use pingora::prelude::*;", "call uses pingora"),
        (
            "limit",
            "fn f() -> pingora_error::Result<()> {}",
            "limit uses pingora_error",
        ),
        ("limit", "use {std::fmt, toml::Value};", "limit uses toml"),
        ("limit", "fn f() { ::toml::from_str(x) }", "limit uses toml"),
        ("listen", "use sqlx as db;", "listen uses sqlx"),
        ("listen", "use governor::{Quota};", "listen uses governor"),
        (
            "listen",
            "extern crate prometheus;",
            "listen uses prometheus",
        ),
    ];
    for (room, line, word) in cases {
        let path = format!("src/{room}/mod.rs");
        breaks(
            Rule::Crate,
            &path,
            &format!("//! A room.\n{line}\n"),
            &path,
            word,
        );
    }
    breaks(
        Rule::Crate,
        "src/main.rs",
        "//! The command.\nuse toml::Value;\n",
        "src/main.rs",
        "only config may",
    );
}

#[test]
fn a_room_and_its_listing_go_together() {
    breaks(
        Rule::Map,
        "src/extra/mod.rs",
        "//! Not listed.\n",
        "src/lib.rs",
        "src/extra is not listed",
    );
    breaks(
        Rule::Map,
        "src/extra.rs",
        "//! Not listed.\n",
        "src/lib.rs",
        "src/extra is not listed",
    );
    let more = format!("{}pub mod gone;\n", clean()["src/lib.rs"]);
    breaks(
        Rule::Map,
        "src/lib.rs",
        &more,
        "src/lib.rs",
        "gone is listed",
    );
}

#[test]
fn a_name_that_says_nothing_is_found() {
    for name in ["util", "common", "helpers", "manager", "types"] {
        let path = format!("src/call/{name}.rs");
        breaks(Rule::EmptyName, &path, "//! Things.\n", &path, name);
    }
    breaks(
        Rule::EmptyName,
        "src/call/utils/a.rs",
        "//! Things.\n",
        "src/call/utils/a.rs",
        "utils",
    );
    breaks(
        Rule::EmptyName,
        "src/call/mod.rs",
        "//! Words.\nmod common { }\n",
        "src/call/mod.rs",
        "common",
    );
}

#[test]
fn unsafe_and_bare_allow_are_found() {
    for line in [
        "fn f() { unsafe { g() } }",
        "#[unsafe(no_mangle)]\nfn f() {}",
    ] {
        breaks(
            Rule::Forbidden,
            "src/call/mod.rs",
            &format!("//! Words.\n{line}\n"),
            "src/call/mod.rs",
            "`unsafe`",
        );
    }
    for line in [
        "#[allow(dead_code)]\nfn f() {}",
        "#![allow(clippy::all)]",
        "#[cfg_attr(test, allow(x))]\nfn f() {}",
    ] {
        breaks(
            Rule::Forbidden,
            "src/call/mod.rs",
            &format!("//! Words.\n{line}\n"),
            "src/call/mod.rs",
            "bare `allow`",
        );
    }
}

#[test]
fn one_machine_and_registries_are_found() {
    for (folder, file) in [
        ("work", "README.md"),
        ("root", "benches/load/run"),
        ("tmp", "src/call/x.rs"),
    ] {
        let text = format!("//! Reads /{folder}/x/y\n");
        breaks(Rule::Machine, file, &text, file, &format!("/{folder}/"));
    }
    for host in [
        ["crates", "io"].join("."),
        ["pypi", "org"].join("."),
        ["deb", "debian", "org"].join("."),
    ] {
        breaks(
            Rule::Machine,
            "tests/run",
            &format!("fetch https://{host}/x\n"),
            "tests/run",
            &host,
        );
    }
}
