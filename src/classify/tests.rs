//! Classes, and that no spelling gets out of one.

use http::Method;
use proptest::prelude::*;

use super::{BadTarget, Classified, Pattern, classify};
use crate::call::Class;

fn get(target: &str) -> Result<Classified<'_>, BadTarget> {
    classify(&Method::GET, target)
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
             /API/vcenter/vm /rest /api/",
        ),
        (
            Class::Soap,
            "/sdk /sdk/vimService /sdk/vim25/8.0.1.0/x /sdk/vimServiceVersions.xml",
        ),
        (
            Class::Transfer,
            "/folder/vm/a.vmdk?dcPath=x /nfc/5/disk-0.vmdk /cls/data/1/a.iso /guestFile?id=1 /folder \
             /appliance/support-bundle /nfc/ /folder/a%20b/c.iso",
        ),
        (
            Class::Other,
            "/ /ui/ /sts/STSService /apix/y /FOLDER/x /folders /websso/SAML2 /x/api",
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
    let post = |target| classify(&Method::POST, target).unwrap().class;
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
            "/x/..;/api|/api//../x|/a%2fb/../api|/x;/.;y/api|/a/..%2f../b|/folder/..%2Fapi",
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
        assert!(tagging.matches(got.path, &got.normal_path), "{target}");
    }
}

/// One way to spell a path differently.
#[derive(Debug, Clone)]
enum Twist {
    Encode {
        at: usize,
        upper: bool,
    },
    Double {
        at: usize,
    },
    Dot {
        at: usize,
        encoded: bool,
    },
    Detour {
        at: usize,
        encoded: u8,
        through: &'static str,
    },
    Parameter {
        at: usize,
    },
    Case {
        at: usize,
    },
}

fn twist() -> impl Strategy<Value = Twist> {
    let at = || 0_usize..64;
    prop_oneof![
        (at(), any::<bool>()).prop_map(|(at, upper)| Twist::Encode { at, upper }),
        at().prop_map(|at| Twist::Double { at }),
        (at(), any::<bool>()).prop_map(|(at, encoded)| Twist::Dot { at, encoded }),
        (
            at(),
            0_u8..4,
            prop::sample::select(vec!["x", "folder", "nfc", "ui"])
        )
            .prop_map(|(at, encoded, through)| Twist::Detour {
                at,
                encoded,
                through
            }),
        at().prop_map(|at| Twist::Parameter { at }),
        at().prop_map(|at| Twist::Case { at }),
    ]
}

/// Applies a twist at the n-th slash or letter, so that every result means the same path.
fn apply(path: &str, twist: &Twist) -> String {
    let pick = |wanted: fn(char) -> bool, at: usize| {
        let places: Vec<usize> = path
            .char_indices()
            .filter(|(_, c)| wanted(*c))
            .map(|(place, _)| place)
            .collect();
        places[at % places.len()]
    };
    let slash = |at| pick(|c| c == '/', at);
    let insert = |place: usize, text: &str| format!("{}{}{}", &path[..place], text, &path[place..]);
    let letter = |at| {
        let place = pick(|c| c.is_ascii_alphabetic(), at);
        let in_escape = (1..=2).any(|back| place >= back && path.as_bytes()[place - back] == b'%');
        (!in_escape).then_some(place)
    };
    match *twist {
        Twist::Double { at } => insert(slash(at), "/"),
        Twist::Dot { at, encoded } => insert(slash(at), if encoded { "/%2e" } else { "/." }),
        Twist::Detour {
            at,
            encoded,
            through,
        } => {
            let back = ["..", "%2e.", ".%2E", "%2E%2e"][usize::from(encoded)];
            insert(slash(at), &format!("/{through}/{back}"))
        }
        Twist::Parameter { at } => {
            let place = slash(at);
            if place == 0 {
                path.to_owned()
            } else {
                insert(place, ";x=y")
            }
        }
        Twist::Encode { at, upper } => letter(at).map_or(path.to_owned(), |place| {
            let escape = format!("%{:02x}", path.as_bytes()[place]);
            let escape = if upper { escape.to_uppercase() } else { escape };
            format!("{}{escape}{}", &path[..place], &path[place + 1..])
        }),
        Twist::Case { at } => letter(at).map_or(path.to_owned(), |place| {
            format!(
                "{}{}{}",
                &path[..place],
                path[place..=place].to_uppercase(),
                &path[place + 1..]
            )
        }),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_spelling_leaves_rest(
        base in prop::sample::select(vec!["/api/vcenter/vm", "/rest/vcenter/vm/vm-1", "/policy/api/v1/infra"]),
        twists in prop::collection::vec(twist(), 0..6),
    ) {
        let spelled = twists.iter().fold(base.to_owned(), |path, twist| apply(&path, twist));
        match get(&spelled) {
            Ok(got) => {
                prop_assert_eq!(got.class, Class::Rest, "{}", &spelled);
                prop_assert!(got.normal_path.eq_ignore_ascii_case(base), "{} became {}", &spelled, got.normal_path);
            }
            // Parameters or doubled slashes where a detour leads through: refused, not let off.
            Err(why) => {
                prop_assert_eq!(why, BadTarget::Ambiguous, "{}", &spelled);
                let blurs = |twist: &Twist| matches!(twist, Twist::Parameter { .. } | Twist::Double { .. });
                prop_assert!(twists.iter().any(blurs), "{}", &spelled);
            }
        }
    }

    #[test]
    fn nothing_panics_and_normal_is_final(target in "[/.%;a-f0-9A-F2eE?\\\\é ]{0,40}") {
        for target in [target.clone(), format!("/{target}")] {
            if let Ok(got) = get(&target) {
                let again = get(&got.normal_path).unwrap();
                prop_assert_eq!(&again.normal_path, &got.normal_path, "{}", &target);
                prop_assert_eq!(again.path, &*got.normal_path);
            }
        }
    }

    #[test]
    fn any_text_gets_an_answer(target in any::<String>()) {
        if let Ok(got) = get(&target) {
            prop_assert!(target.contains(got.path), "a path out of nowhere");
        }
    }
}
