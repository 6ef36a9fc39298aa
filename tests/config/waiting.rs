//! The keys that say who waits, how long, and what an upstream's own refusal is: readings and faults.

use std::num::NonZeroU32;
use std::time::Duration;

use tidegate::config::{Adaptive, Priority, RefusalSignature, Upstream, parse};

use crate::{MINIMAL, folder, good, one_fault};

fn upstream(lines: &str) -> Upstream {
    good(&format!("{MINIMAL}{lines}")).upstreams.remove(0)
}

#[test]
fn the_defaults() {
    let u = upstream("");
    assert_eq!(
        (u.adaptive, u.blackout, u.learn, u.utilization),
        (Adaptive::Off, Duration::from_secs(10), true, None)
    );
    assert!(u.weights.is_empty() && u.clients.is_empty() && u.refusals.is_empty());
}

#[test]
fn what_is_written_is_read() {
    let u = upstream(
        &(crate::reading()
            + "dialect = \"vcenter\"\nadaptive = \"gradient\"\nblackout = \"0s\"\nlearn = false\nweights = { \" CI@vsphere.local\" = 3 }\n[[upstream.route]]\nname = \"a\"\nclass = \"rest\"\nmatch = { path = \"/a\" }\npriority = \"batch\"\n[[upstream.route]]\nname = \"b\"\nclass = \"rest\"\nmatch = { path = \"/b\" }"),
    );
    assert_eq!(
        (u.adaptive, u.blackout, u.learn, u.utilization),
        (
            Adaptive::Gradient,
            Duration::ZERO,
            false,
            Some(Duration::from_secs(30))
        )
    );
    assert_eq!(u.weights["ci@vsphere.local"], NonZeroU32::new(3).unwrap());
    let priorities: Vec<_> = u.routes.iter().map(|route| route.priority).collect();
    assert_eq!(priorities, [Priority::Batch, Priority::Interactive]);
}

/// Lines of an upstream, the key at fault, words of the fault.
const FAULTS: &[(&str, &str, &str)] = &[
    (
        "adaptive = \"on\"",
        "adaptive",
        "\"off\", \"gradient\" is wanted",
    ),
    ("blackout = \"6m\"", "blackout", "from 0s to 5m"),
    ("learn = \"yes\"", "learn", "true or false"),
    (
        "dialect = \"vcenter\"\nutilization = \"1s\"",
        "utilization",
        "from 5s to 10m is allowed; or write \"off\"",
    ),
    (
        "dialect = \"vcenter\"\nutilization = true",
        "utilization",
        "\"off\" or how often",
    ),
    (
        "dialect = \"nsx\"\nutilization = \"30s\"",
        "utilization",
        "this upstream speaks nsx",
    ),
    (
        "dialect = \"vcenter\"\nutilization = \"30s\"",
        "utilization",
        "needs account",
    ),
    (
        "account = { user = \"a\" }",
        "account.password",
        "is missing",
    ),
    ("weights = { a = 0 }", "weights.a", "from 1 to 100"),
    ("weights = { a = 101 }", "weights.a", "from 1 to 100"),
    ("weights = { \" \" = 1 }", "weights.\" \"", "is no user"),
    (
        "weights = { A = 1, a = 2 }",
        "weights.a",
        "stands here already",
    ),
    ("weights = 3", "weights", "a table is wanted"),
    ("client = 1", "client", "write [[upstream.client]]"),
    ("refused = 1", "refused", "write [[upstream.refused]]"),
    (
        "[[upstream.route]]\nname = \"a\"\nclass = \"rest\"\nmatch = { path = \"/a\" }\npriority = \"high\"",
        "route[0].priority",
        "\"interactive\", \"batch\" is wanted",
    ),
];

/// Lines of a client, the key at fault, words of the fault.
const CLIENT: &[(&str, &str, &str)] = &[
    (
        "user_agent = \"a\"\npatience = \"1m\"",
        "name",
        "needs a name",
    ),
    (
        "name = \"A b\"\nuser_agent = \"a\"\npatience = \"1m\"",
        "name",
        "is no name",
    ),
    (
        "name = \"a\"\npatience = \"1m\"",
        "user_agent",
        "is known by it",
    ),
    (
        "name = \"a\"\nuser_agent = \"\"\npatience = \"1m\"",
        "user_agent",
        "is empty",
    ),
    (
        "name = \"a\"\nuser_agent = \"a\\nb\"\npatience = \"1m\"",
        "user_agent",
        "a control character",
    ),
    (
        "name = \"a\"\nuser_agent = \"a\"",
        "patience",
        "how long the client itself waits",
    ),
    (
        "name = \"a\"\nuser_agent = \"a\"\npatience = \"0s\"",
        "patience",
        "out of range",
    ),
    (
        "name = \"a\"\nuser_agent = \"a\"\npatience = \"1m\"\npatient = 1",
        "patient",
        "unknown key",
    ),
];

/// Lines of a signature, the key at fault, words of the fault.
const REFUSED: &[(&str, &str, &str)] = &[
    ("status = 429", "name", "needs a name"),
    ("name = \"A\"\nstatus = 429", "name", "is no name"),
    (
        "name = \"a\"\nbody = \"x\"",
        "status",
        "write the status of such an answer",
    ),
    (
        "name = \"a\"\nstatus = 200\nbody = \"x\"",
        "status",
        "from 400 to 599",
    ),
    ("name = \"a\"\nstatus = 503", "status", "alone is no proof"),
    (
        "name = \"a\"\nstatus = 429\nbody = \"\"",
        "body",
        "1 to 256 are wanted",
    ),
    (
        "name = \"a\"\nstatus = 503\nheader = {}",
        "header.name",
        "is missing",
    ),
    (
        "name = \"a\"\nstatus = 503\nheader = { name = \"a b\" }",
        "header.name",
        "no name of a header field",
    ),
    (
        "name = \"a\"\nstatus = 503\nheader = { name = \"a\", value = \"\" }",
        "header.value",
        "is empty",
    ),
    (
        "name = \"a\"\nstatus = 503\nheader = { name = \"a\", vale = \"b\" }",
        "header.vale",
        "did you mean `value`?",
    ),
    (
        "name = \"a\"\nstatus = 503\nheader = 1",
        "header",
        "a table is wanted",
    ),
];

#[test]
fn every_fault_has_its_key_and_its_words() {
    for (lines, key, part) in FAULTS {
        one_fault(
            &format!("{MINIMAL}{lines}"),
            &format!("upstream[0].{key}"),
            part,
        );
    }
    for (table, faults) in [("client", CLIENT), ("refused", REFUSED)] {
        for (lines, key, part) in faults {
            let text = format!("{MINIMAL}[[upstream.{table}]]\n{lines}");
            one_fault(&text, &format!("upstream[0].{table}[0].{key}"), part);
        }
    }
    let long = "a".repeat(257);
    one_fault(
        &format!(
            "{MINIMAL}[[upstream.client]]\nname = \"a\"\nuser_agent = \"{long}\"\npatience = \"1m\""
        ),
        "upstream[0].client[0].user_agent",
        "has 257 bytes; at most 256",
    );
}

#[test]
fn names_are_unique_and_there_are_not_too_many() {
    let client = |name: &str| {
        format!("[[upstream.client]]\nname = \"{name}\"\nuser_agent = \"a\"\npatience = \"1m\"\n")
    };
    let refused = |name: &str| format!("[[upstream.refused]]\nname = \"{name}\"\nstatus = 429\n");
    let both = |one: &dyn Fn(&str) -> String| format!("{MINIMAL}{}{}", one("x"), one("x"));
    one_fault(
        &both(&client),
        "upstream[0].client[1].name",
        "taken by another client",
    );
    one_fault(
        &both(&refused),
        "upstream[0].refused[1].name",
        "taken by another signature",
    );
    let many = |one: &dyn Fn(&str) -> String, count: usize| {
        let all: String = (0..count).map(|n| one(&format!("x{n}"))).collect();
        format!("{MINIMAL}{all}")
    };
    one_fault(&many(&client, 65), "upstream[0].client", "makes 65 clients");
    good(&many(&refused, 32));
    one_fault(
        &many(&refused, 33),
        "upstream[0].refused",
        "makes 33 signatures",
    );
    let users: Vec<_> = (0..1001).map(|n| format!("u{n} = 1")).collect();
    one_fault(
        &format!("{MINIMAL}weights = {{ {} }}", users.join(", ")),
        "upstream[0].weights",
        "names 1001 users",
    );
}

#[test]
fn own_clients_and_signatures_come_before_the_profiles() {
    let profile = "name = \"p\"\nlearn = false\nblackout = \"1s\"\n[[client]]\nname = \"theirs\"\nuser_agent = \"*\"\npatience = \"2s\"\n[[refused]]\nname = \"theirs\"\nstatus = 423\n";
    let base = folder("waiting", &[("p.toml", profile)]);
    let text = format!(
        "{MINIMAL}profile = \"./p.toml\"\nblackout = \"2s\"\n[[upstream.client]]\nname = \"mine\"\nuser_agent = \"govc*\"\npatience = \"5m\"\n[[upstream.refused]]\nname = \"mine\"\nstatus = 429\n"
    );
    let u = parse(&text, &base).unwrap().upstreams.remove(0);
    let clients: Vec<_> = u.clients.iter().map(|client| &*client.name).collect();
    let refusals: Vec<_> = u.refusals.iter().map(|one| &*one.name).collect();
    assert_eq!(clients, ["mine", "theirs"]);
    assert_eq!(refusals, ["mine", "theirs"]);
    assert_eq!((u.learn, u.blackout), (false, Duration::from_secs(2)));
    let patience = |agent: &[u8]| {
        let found = u.clients.iter().find(|one| one.user_agent.matches(agent));
        found.map(|one| one.patience.as_secs())
    };
    assert_eq!(patience(b"GOVC/0.30"), Some(300));
    assert_eq!(patience(b"curl/8"), Some(2));
}

#[test]
fn the_weights_of_users_are_no_affair_of_a_profile() {
    let base = folder(
        "weights",
        &[("p.toml", "name = \"p\"\nweights = { a = 1 }\n")],
    );
    let faults = parse(&format!("{MINIMAL}profile = \"./p.toml\""), &base).unwrap_err();
    assert!(faults.to_string().contains("profile.weights"), "{faults}");
}

#[test]
fn a_signature_is_all_that_it_says() {
    let u = upstream(
        "[[upstream.refused]]\nname = \"all\"\nstatus = 503\nheader = { name = \"X-By\", value = \"gate*\" }\nbody = \"Too many\"\n[[upstream.refused]]\nname = \"field\"\nstatus = 503\nheader = { name = \"retry-after\" }\n[[upstream.refused]]\nname = \"status\"\nstatus = 423",
    );
    let [all, field, status] = u.refusals.as_slice() else {
        panic!("{:?}", u.refusals)
    };
    let by = |name: &str| (name == "x-by").then_some(&b"Gateway"[..]);
    let none = |_: &str| None::<&[u8]>;
    assert!(all.matches(503, by, b"{\"error\":\"Too many calls\"}"));
    assert!(!all.matches(500, by, b"Too many"));
    assert!(!all.matches(503, none, b"Too many"));
    assert!(!all.matches(503, |_| Some(&b"upstream"[..]), b"Too many"));
    assert!(!all.matches(503, by, b"too many"));
    let at = |before: usize| [&vec![b' '; before][..], b"Too many"].concat();
    assert!(all.matches(503, by, &at(RefusalSignature::LOOKED_AT - 8)));
    assert!(!all.matches(503, by, &at(RefusalSignature::LOOKED_AT - 7)));
    assert!(field.matches(503, |_| Some(&b""[..]), b""));
    assert!(!field.matches(503, none, b"retry-after"));
    assert!(status.matches(423, none, b""));
}

#[test]
fn no_user_has_a_colon() {
    let account = crate::reading().replace("user = \"gate\"", "user = \"a:b\"");
    let text = format!("{MINIMAL}dialect = \"vcenter\"\n{account}");
    one_fault(&text, "upstream[0].account.user", "without a colon");
}
