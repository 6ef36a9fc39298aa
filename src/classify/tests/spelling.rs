//! Properties: no spelling of a target is let off more than its plain form.

use proptest::prelude::*;

use super::*;
use crate::classify::strict::strictness;

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

/// One way to spell a query differently, or to say more in it.
#[derive(Debug, Clone)]
enum QueryTwist {
    Encode { at: usize },
    Case { at: usize },
    Tilde { at: usize },
    Add { first: bool, pair: &'static str },
}

fn query_twist() -> impl Strategy<Value = QueryTwist> {
    let pairs = vec![
        "vmw-task=true",
        "vmw-task=false",
        "action=clone",
        "action=get",
        "~action=get",
        "action=cancel",
        "x=1;vmw-task=true",
        "x",
        "",
    ];
    prop_oneof![
        (0_usize..64).prop_map(|at| QueryTwist::Encode { at }),
        (0_usize..64).prop_map(|at| QueryTwist::Case { at }),
        (0_usize..4).prop_map(|at| QueryTwist::Tilde { at }),
        (any::<bool>(), prop::sample::select(pairs))
            .prop_map(|(first, pair)| QueryTwist::Add { first, pair }),
    ]
}

fn apply_to_query(query: &str, twist: &QueryTwist) -> String {
    let letters: Vec<usize> = query
        .char_indices()
        .filter(|(place, c)| {
            let in_escape =
                (1..=2).any(|back| *place >= back && query.as_bytes()[place - back] == b'%');
            c.is_ascii_alphabetic() && !in_escape
        })
        .map(|(place, _)| place)
        .collect();
    let put = |at: usize, how: fn(u8) -> String| match letters.get(at % letters.len().max(1)) {
        Some(place) => {
            let (start, end) = (&query[..*place], &query[place + 1..]);
            format!("{start}{}{end}", how(query.as_bytes()[*place]))
        }
        None => query.to_owned(),
    };
    match *twist {
        QueryTwist::Encode { at } => put(at, |byte| format!("%{byte:02x}")),
        QueryTwist::Case { at } => put(at, |byte| char::from(byte).to_uppercase().to_string()),
        QueryTwist::Tilde { at } => {
            let mut pairs: Vec<String> = query.split('&').map(str::to_owned).collect();
            let at = at % pairs.len();
            pairs[at] = format!("~{}", pairs[at]);
            pairs.join("&")
        }
        QueryTwist::Add { first: true, pair } => format!("{pair}&{query}"),
        QueryTwist::Add { first: false, pair } => format!("{query}&{pair}"),
    }
}

/// Request lines of every class, whose query has no `vmw-task`.
const LINES: [&str; 16] = [
    "POST /api/vcenter/vm?action=clone",
    "POST /rest/vcenter/vm?action=instant-clone",
    "POST /api/vcenter/vm/vm-1?action=relocate",
    "DELETE /api/vcenter/vm/vm-1",
    "POST /api/vcenter/ovf/library-item/x?action=deploy",
    "POST /rest/com/vmware/vcenter/ovf/library-item/id:x?~action=deploy",
    "POST /api/session",
    "POST /rest/com/vmware/cis/session",
    "DELETE /api/session",
    "GET /api/cis/tasks/t:1",
    "POST /api/cis/tasks/t:1?action=cancel",
    "GET /api/cis/tagging/tag",
    "POST /api",
    "POST /sdk",
    "POST /sdk/vim25/8.0.1.0/SessionManager/SessionManager/Login",
    "GET /ui/webconsole/x",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// The exemptions, which a query has to be plain for, are tried in `routes`: here the twists may
    /// add what an exemption asks for, but never in a way that every reader reads alike.
    #[test]
    fn no_spelling_of_a_call_is_classed_more_loosely(
        line in prop::sample::select(LINES.to_vec()),
        path_twists in prop::collection::vec(twist(), 0..4),
        query_twists in prop::collection::vec(query_twist(), 0..4),
    ) {
        let table = vcenter();
        let (method, target) = line.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path_twists.iter().fold(path.to_owned(), |path, twist| apply(&path, twist));
        let query = query_twists.iter().fold(query.to_owned(), |query, twist| apply_to_query(&query, twist));
        let spelled = format!("{method} {path}?{query}");
        let plain = ask(table, line).unwrap();
        if let Ok(asked) = ask(table, &spelled) {
            let asks_for_a_task = query.split('&').any(|pair| pair == "vmw-task=true");
            let asks_for_a_read = query.split('&').any(|pair| pair == "~action=get");
            let favoured = [Class::Logout, Class::Task].contains(&plain.class);
            let exempt = asks_for_a_task || asks_for_a_read;
            prop_assert!(
                strictness(asked.class) >= strictness(plain.class) || exempt,
                "{} is {}, {} is {}", line, plain.class, &spelled, asked.class
            );
            // A favour is had by the plain spelling alone.
            prop_assert!(
                ![Class::Logout, Class::Task].contains(&asked.class) || favoured || asks_for_a_read,
                "{} is {}", &spelled, asked.class
            );
            prop_assert!(asked.operation_in_body >= plain.operation_in_body, "{}", &spelled);
        }
    }
}
