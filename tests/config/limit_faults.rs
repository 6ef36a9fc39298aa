//! Each kind of fault of limits, matches and routes: a text, the exact key, and words of the fault.

use crate::{MINIMAL, one_fault};

/// Lines of the limit `x`, the key at fault inside it, words of the fault.
const LIMIT: &[(&str, &str, &str)] = &[
    ("limit = 1", ".counts", "generic has no limit of this name"),
    (
        "counts = \"requests\"",
        ".limit",
        "a new limit needs how many",
    ),
    (
        "counts = \"request\"\nlimit = 1",
        ".counts",
        "did you mean \"requests\"?",
    ),
    (
        "counts = \"requests\"\nlimit = -1",
        ".limit",
        "from 0 to 1000000",
    ),
    (
        "counts = \"requests\"\nlimit = \"10\"",
        ".limit",
        "is a string; a whole number",
    ),
    (
        "counts = \"requests\"\nlimit = 1\nwindow = \"0s\"",
        ".window",
        "out of range",
    ),
    (
        "counts = \"requests\"\nlimit = 1\nwindow = \"1\"",
        ".window",
        "no unit",
    ),
    (
        "counts = \"requests\"\nlimit = 10\nburst = 0",
        ".burst",
        "from 1 to 1000000",
    ),
    (
        "counts = \"requests\"\nlimit = 10\nburst = 11",
        ".burst",
        "is more than limit = 10",
    ),
    (
        "counts = \"requests_in_flight\"\nlimit = 1\nburst = 1",
        ".burst",
        "belongs to rates",
    ),
    (
        "counts = \"sessions\"\nlimit = 1\nwindow = \"1s\"",
        ".window",
        "belongs to rates",
    ),
    (
        "counts = \"requests\"\nlimit = 1\nkey = \"everyone\"",
        ".key",
        "\"all\", \"user\", \"address\", \"session\"",
    ),
    (
        "counts = \"upstream_connections\"\nlimit = 1\nkey = \"user\"",
        ".key",
        "belongs to no caller",
    ),
    (
        "counts = \"response_bytes\"\nlimit = 1\nkey = \"address\"",
        ".key",
        "the size of one answer",
    ),
    (
        "counts = \"sessions\"\nlimit = 1\nkey = \"session\"",
        ".key",
        "a session holds one session",
    ),
    (
        "counts = \"response_bytes\"\nlimit = \"1MB\"",
        ".limit",
        "unknown unit",
    ),
    (
        "counts = \"response_bytes\"\nlimit = 1\nfull = { status = 503 }",
        ".full",
        "is a 502",
    ),
    (
        "counts = \"response_bytes\"\nlimit = 1\nwait = { line = 1 }",
        ".wait",
        "makes it no smaller",
    ),
    (
        "counts = \"sessions\"\nlimit = 1\nwait = { line = 1 }",
        ".wait",
        "a session lasts for hours",
    ),
    (
        "counts = \"requests\"\nlimit = 1\nmode = \"on\"",
        ".mode",
        "\"enforce\", \"shadow\", \"off\"",
    ),
    (
        "counts = \"requests\"\nlimit = 1\nfull = { status = 500 }",
        ".full.status",
        "429 or 503 is wanted",
    ),
    (
        "counts = \"requests\"\nlimit = 1\nfull = { code = 429 }",
        ".full.code",
        "unknown key",
    ),
    (
        "counts = \"requests\"\nlimit = 1\nwait = { at_most = \"1s\" }",
        ".wait.line",
        "without it nobody waits",
    ),
    (
        "counts = \"requests\"\nlimit = 1\nwait = { line = 1, at_most = \"2h\" }",
        ".wait.at_most",
        "out of range",
    ),
    (
        "counts = \"requests\"\nlimit = 1\nmatch = { class = [\"rst\"] }",
        ".match.class[0]",
        "did you mean \"rest\"?",
    ),
    (
        "counts = \"requests\"\nlimit = 1\nmatch = { class = \"rest\" }",
        ".match.class",
        "a list in [ ]",
    ),
    (
        "counts = \"requests\"\nlimit = 1\nmatch = { class = [] }",
        ".match.class",
        "would match nothing",
    ),
    (
        "counts = \"requests\"\nlimit = 1\nmatch = { route = [\"none\"] }",
        ".match.route[0]",
        "is no route",
    ),
    (
        "counts = \"requests\"\nlimit = 1\nmatch = { paht = \"/\" }",
        ".match.paht",
        "did you mean `path`?",
    ),
    (
        "counts = \"requests\"\nlimit = 1\nwnidow = \"1s\"",
        ".wnidow",
        "did you mean `window`?",
    ),
];

/// A pattern of a match, the key at fault, words of the fault.
const MATCH: &[(&str, &str, &str)] = &[
    ("path = \"api\"", "path", "does not start with a slash"),
    ("path = \"/a//b\"", "path", "an empty segment"),
    ("path = \"/a/../b\"", "path", "a segment . or .."),
    ("path = \"/a/**/b\"", "path", "at the end alone"),
    ("path = \"/a/b*\"", "path", "a * inside a segment"),
    ("path = \"/a?b=c\"", "path", "a query goes into match.query"),
    ("path = \"/a;b\"", "path", "holds ';'"),
    ("path = \"/é\"", "path", "holds 'é'"),
    ("path = \"/a%2\"", "path", "a % without two"),
    ("method = \"post\"", "method", "write \"POST\""),
    ("method = \"GET POST\"", "method", "is no method"),
    ("service = \"com.*.x\"", "service", "a * at the end alone"),
    ("operation = \"a b\"", "operation", "is no operation"),
    (
        "query = { a = 1 }",
        "query.a",
        "is a whole number; a string",
    ),
    (
        "query = { a = \"x\\ny\" }",
        "query.a",
        "a control character",
    ),
    (
        "header = { \"a b\" = \"x\" }",
        "header.\"a b\"",
        "no name of a header field",
    ),
    ("header = \"x\"", "header", "a table is wanted"),
];

/// Lines of a route, the key at fault inside it, words of the fault.
const ROUTE: &[(&str, &str, &str)] = &[
    (
        "class = \"rest\"\nmatch = { path = \"/\" }",
        ".name",
        "needs a name",
    ),
    (
        "name = \"A\"\nclass = \"rest\"\nmatch = { path = \"/\" }",
        ".name",
        "is no name",
    ),
    (
        "name = \"a\"\nmatch = { path = \"/\" }",
        ".class",
        "what its calls are",
    ),
    ("name = \"a\"\nclass = \"rest\"", ".match", "would hide all"),
    (
        "name = \"a\"\nclass = \"rest\"\nmatch = {}",
        ".match",
        "would hide all",
    ),
    (
        "name = \"a\"\nclass = \"rest\"\nmatch = { class = [\"rest\"] }",
        ".match.class",
        "unknown key",
    ),
    (
        "name = \"a\"\nclass = \"rest\"\nasync = \"prefer\"\nmatch = { path = \"/\" }",
        ".async",
        "blocking\" alone",
    ),
    (
        "name = \"a\"\nclass = \"rest\"\ndeadline = \"1h\"\nmatch = { path = \"/\" }",
        ".deadline",
        "blocking\" alone",
    ),
    (
        "name = \"a\"\nclass = \"blocking\"\nasync = \"yes\"\nmatch = { path = \"/\" }",
        ".async",
        "\"never\", \"prefer\", \"wait\", \"always\"",
    ),
    (
        "name = \"a\"\nclass = \"blocking\"\ndeadline = \"1d\"\nmatch = { path = \"/\" }",
        ".deadline",
        "unknown unit",
    ),
];

#[test]
fn of_a_limit() {
    for (lines, key, part) in LIMIT {
        one_fault(
            &format!("{MINIMAL}[upstream.limits.x]\n{lines}"),
            &format!("upstream[0].limits.x{key}"),
            part,
        );
    }
}

#[test]
fn of_a_match_in_limits_and_routes_alike() {
    for (line, key, part) in MATCH {
        let limit = format!(
            "{MINIMAL}[upstream.limits.x]\ncounts = \"requests\"\nlimit = 1\nmatch = {{ {line} }}"
        );
        one_fault(&limit, &format!("upstream[0].limits.x.match.{key}"), part);
        let route = format!(
            "{MINIMAL}[[upstream.route]]\nname = \"a\"\nclass = \"rest\"\nmatch = {{ {line} }}"
        );
        one_fault(&route, &format!("upstream[0].route[0].match.{key}"), part);
    }
}

#[test]
fn of_a_route() {
    for (lines, key, part) in ROUTE {
        one_fault(
            &format!("{MINIMAL}[[upstream.route]]\n{lines}"),
            &format!("upstream[0].route[0]{key}"),
            part,
        );
    }
    let route = "[[upstream.route]]\nname = \"a\"\nclass = \"rest\"\nmatch = { path = \"/\" }\n";
    one_fault(
        &format!("{MINIMAL}{route}{route}"),
        "upstream[0].route[1].name",
        "taken by another route",
    );
    let deep = format!("match = {{ path = {:?} }}", "/a".repeat(65));
    one_fault(
        &format!("{MINIMAL}[[upstream.route]]\nname = \"a\"\nclass = \"rest\"\n{deep}"),
        "upstream[0].route[0].match.path",
        "more than 64 segments",
    );
    one_fault(
        &format!("{MINIMAL}route = 1"),
        "upstream[0].route",
        "write [[upstream.route]]",
    );
}

#[test]
fn of_the_names_of_limits() {
    let lines = "counts = \"requests\"\nlimit = 1";
    for name in ["Rate", "\"a b\"", "\"\"", "rate-1"] {
        let text = format!("{MINIMAL}[upstream.limits.{name}]\n{lines}");
        one_fault(
            &text,
            &format!("upstream[0].limits.{name}"),
            "is no name of a limit",
        );
    }
    let own = format!("{MINIMAL}[upstream.limits.connections_http]\n{lines}");
    one_fault(
        &own,
        "upstream[0].limits.connections_http",
        "set listen.max_connections",
    );
    let own = format!("{MINIMAL}[upstream.limits.adaptive_concurrency]\n{lines}");
    one_fault(
        &own,
        "upstream[0].limits.adaptive_concurrency",
        "switch it on with adaptive",
    );
    one_fault(
        &format!("{MINIMAL}[upstream.limits]\nx = 5"),
        "upstream[0].limits.x",
        "a table is wanted",
    );
}

#[test]
fn a_mistyped_name_is_told_the_profiles_own() {
    let text = format!(
        "{MINIMAL}profile = \"vcenter-8.0\"\n[upstream.limits.request_rat]\ncounts = \"requests\""
    );
    one_fault(
        &text,
        "upstream[0].limits.request_rat.limit",
        "did you mean `request_rate`?",
    );
}

#[test]
fn of_too_many() {
    let limits: Vec<String> = (0..63)
        .map(|n| format!("[upstream.limits.x{n}]\ncounts = \"requests\"\nlimit = 1\n"))
        .collect();
    one_fault(
        &format!("{MINIMAL}{}", limits.concat()),
        "upstream[0].limits",
        "makes 64 limits",
    );
    let routes: Vec<String> =
        (0..1001).map(|n| format!("[[upstream.route]]\nname = \"r{n}\"\nclass = \"rest\"\nmatch = {{ path = \"/{n}\" }}\n")).collect();
    one_fault(
        &format!("{MINIMAL}{}", routes.concat()),
        "upstream[0].route",
        "makes 1001 routes",
    );
    let proxies = vec!["\"10.0.0.1\""; 1025].join(",");
    one_fault(
        &format!("[listen]\ntrusted_proxies = [{proxies}]\n{MINIMAL}"),
        "listen.trusted_proxies",
        "has 1025 elements",
    );
}
