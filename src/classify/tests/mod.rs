//! Classes, and that no spelling gets out of one.

mod limits;
mod routes;
mod spelling;

use std::path::Path;
use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, Method};

use super::{Asked, BadTarget, Pattern, Table};
use crate::call::{Class, Dialect, Operation, Spoken};
use crate::config;

/// A table without routes.
fn bare() -> Table {
    Table::new(Dialect::Vcenter, &[])
}

/// The routes of an upstream with this profile and these lines.
fn upstream(profile: &str, lines: &str) -> config::Upstream {
    let text = format!(
        "[[upstream]]\naddress = \"https://api.example\"\nprofile = \"{profile}\"\n{lines}"
    );
    let mut config = config::parse(&text, Path::new(".")).unwrap();
    config.upstreams.remove(0)
}

/// A table with these lines, each `class name: match`.
fn table(lines: &[&str]) -> Table {
    let route = |line: &&str| {
        let (about, matches) = line.split_once(": ").unwrap();
        let (class, name) = about.split_once(' ').unwrap();
        format!("[[upstream.route]]\nname = {name:?}\nclass = {class:?}\nmatch = {{ {matches} }}\n")
    };
    let lines: String = lines.iter().map(route).collect();
    Table::new(Dialect::Vcenter, &upstream("generic", &lines).routes)
}

fn vcenter() -> &'static Table {
    static TABLE: LazyLock<Table> =
        LazyLock::new(|| Table::new(Dialect::Vcenter, &upstream("vcenter-8.0", "").routes));
    &TABLE
}

/// What `table` says of a request line, as `POST /api/session`.
fn ask<'t>(table: &Table, line: &'t str) -> Result<Asked<'t>, BadTarget> {
    ask_with(table, line, &[])
}

/// The same with these fields.
fn ask_with<'t>(
    table: &Table,
    line: &'t str,
    fields: &[(&'static str, &str)],
) -> Result<Asked<'t>, BadTarget> {
    let (method, target) = line.split_once(' ').unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), value.parse().unwrap());
    }
    table.target(&method.parse().unwrap(), target, &headers)
}

fn get(target: &str) -> Result<Asked<'_>, BadTarget> {
    bare().target(&Method::GET, target, &HeaderMap::new())
}

fn class(target: &str) -> Class {
    get(target).unwrap().class
}

fn normal(target: &str) -> String {
    get(target).unwrap().normal_path.into_owned()
}

#[test]
fn paths_have_their_classes() {
    let expected = [
        (
            Class::Rest,
            "/api /api/vcenter/vm /rest/com/vmware/cis/session /policy/api/v1/infra /api/4.0/edges \
             /API/vcenter/vm /rest /api/ /global-manager/api/v1/x",
        ),
        (
            Class::Soap,
            "/sdk /sdk/vimService /sdk/vim25/8.0.1.0/x /sdk/vimServiceVersions.xml \
             /pbm/sdk /pbm /sms/sdk /vslm/sdk /vsanHealth /vsan /eam/sdk",
        ),
        (
            Class::Transfer,
            "/folder/vm/a.vmdk?dcPath=x /nfc/5/disk-0.vmdk /cls/data/1/a.iso /guestFile?id=1 /folder \
             /appliance/support-bundle /nfc/ /folder/a%20b/c.iso",
        ),
        (
            Class::Other,
            "/ /ui/ /sts/STSService /apix/y /FOLDER/x /folders /websso/SAML2 /x/api /lookupservice/sdk \
             /sso-adminserver/sdk/vsphere.local /eam/vib",
        ),
    ];
    for (wanted, targets) in expected {
        for target in targets.split(' ') {
            assert_eq!(class(target), wanted, "{target}");
        }
    }
}

#[test]
fn json_rpc_is_a_post_to_the_root_of_the_api() {
    let post = |target| {
        let asked = bare().target(&Method::POST, target, &HeaderMap::new());
        asked.unwrap().class
    };
    assert_eq!(
        [
            post("/api"),
            post("/api/"),
            post("/api?x=1"),
            post("/%61pi"),
            post("//api")
        ],
        [Class::Rpc; 5]
    );
    assert_eq!(
        [post("/api/session"), post("/rest"), class("/api")],
        [Class::Rest; 3]
    );
}

#[test]
fn all_forms_of_a_target() {
    for (target, path, query) in [
        ("/api/x?a=b?c", "/api/x", Some("a=b?c")),
        ("http://vc.example/api/x?a", "/api/x", Some("a")),
        ("HTTPS://vc.example:443", "/", None),
        ("http://vc.example?q", "/", Some("q")),
        ("*", "*", None),
    ] {
        let got = get(target).unwrap();
        assert_eq!((got.path, got.query), (path, query), "{target}");
    }
    for target in [
        "",
        "api/x",
        "vc.example:443",
        "ftp://h/api",
        "http:///api",
        "?x",
        "**",
    ] {
        assert_eq!(get(target), Err(BadTarget::Form), "{target}");
    }
}

#[test]
fn what_no_honest_client_sends_is_refused() {
    use BadTarget::{Ambiguous, Backslash, Character, Encoding};
    let cases = [
        (
            Encoding,
            "/api/%|/api/%4|/api/%g1|/x%%41|/api?x=100%|/api?%zz|/%é1",
        ),
        (
            Character,
            "/a b|/a\tb|/a\0|/a%00|/a%0d%0ab|/a%7f|/a#b|/a?b#c|/a?x=%00|/a?\n",
        ),
        (Backslash, "/api\\x|/api%5cx|/x/..%5Capi|/a?b\\c"),
        (
            Ambiguous,
            "/x/..;/api|/api//../x|/a%2fb/../api|/x;/.;y/api|/api;a=b%2Fvm|/api/vcenter/vm;x%2fpower|/a/..%2f../b|/folder/..%2Fapi",
        ),
    ];
    for (why, targets) in cases {
        for target in targets.split('|') {
            assert_eq!(get(target), Err(why), "{target}");
        }
    }
    assert!(
        get("/api?user=CORP%5cjoe&text=a%0Ab").is_ok(),
        "text in a query value is just text"
    );
}

#[test]
fn normal_forms() {
    for (target, wanted) in [
        ("/api/vcenter/vm", "/api/vcenter/vm"),
        ("/%61pi/v%63enter", "/api/vcenter"),
        ("//api///vcenter/", "/api/vcenter/"),
        ("/api/./a/../b/.", "/api/b/"),
        ("/../../api", "/api"),
        ("/api;v=1/vm;x=%2e/y", "/api/vm/y"),
        ("/api/a%2fb%3a%3Ac", "/api/a/b%3A%3Ac"),
        ("/x%2f%2Fapi", "/x/api"),
        ("/%2e%2E/%2e/api", "/api"),
        ("/..", "/"),
        ("/a/..", "/"),
        ("/;x", "/"),
        ("/.well-known/x", "/.well-known/x"),
        ("/a/b...c/...", "/a/b...c/..."),
        ("/%2561pi", "/%2561pi"),
        ("/urn%3avmomi%3Ax", "/urn%3Avmomi%3Ax"),
    ] {
        assert_eq!(normal(target), wanted, "{target}");
    }
}

#[test]
fn a_normal_path_is_not_copied() {
    use std::borrow::Cow;
    for target in [
        "/api/vcenter/vm?x=%41",
        "/folder/a%20b/c.vmdk",
        "/api/cis/tagging/tag/urn%3Avmomi%3Atag%25",
        "/.well-known",
        "/",
    ] {
        assert!(
            matches!(get(target).unwrap().normal_path, Cow::Borrowed(_)),
            "{target}"
        );
    }
}

#[test]
fn the_stricter_spelling_holds_either_way() {
    for target in [
        "/api/../folder/x",
        "/folder/../api/x",
        "/api/%2e%2e/ui",
        "/ui/%2e%2e/api",
    ] {
        assert_eq!(class(target), Class::Rest, "{target}");
    }
    assert_eq!(class("/folder/../ui/x"), Class::Other, "let off nothing");
    assert_eq!(class("/sdk/../folder/x"), Class::Soap);
    // An upstream that resolves before it decodes serves /api/%2e%2e/x here.
    assert_eq!(class("/x/../api/%2e%2e/y"), Class::Rest);
}

#[test]
fn a_pattern_is_not_dodged_by_spelling() {
    let tagging = Pattern::new("/api/cis/tagging/**").unwrap();
    for target in [
        "/api//cis/%74agging/tag",
        "/api/x/../cis/tagging",
        "/api;a/cis;b/tagging/x",
        "/api/cis%2Ftagging",
    ] {
        let got = get(target).unwrap();
        let spellings = [got.path, &got.normal_path, &got.dots_path];
        assert!(
            spellings.iter().any(|path| tagging.matches(path)),
            "{target}"
        );
    }
}
