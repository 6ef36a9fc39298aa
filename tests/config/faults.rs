//! Each kind of fault of the gate's own tables, of syntax and of the file: a text, the exact key, and words of the fault.

use crate::{MINIMAL, bad, one_fault};

/// Lines for a table of the gate, the key at fault, words of the fault.
type Case = (&'static str, &'static str, &'static str);

const LISTEN: &[Case] = &[
    (
        "[listen]\nhttp = \"127.0.0.1:8080\"",
        "listen.http",
        "a list in [ ] is wanted",
    ),
    (
        "[listen]\nhttp = [\"localhost:8080\"]",
        "listen.http[0]",
        "no address to listen on",
    ),
    (
        "[listen]\nhttp = [8080]",
        "listen.http[0]",
        "is a whole number; a string",
    ),
    (
        "[listen]\nhttp = []",
        "listen.http",
        "at least one listener",
    ),
    (
        "[listen]\nhttp = [\"127.0.0.1:80\", \"127.0.0.1:80\"]",
        "listen.http[1]",
        "taken already by listen.http[0]",
    ),
    (
        "[listen]\nhttp = [\"127.0.0.1:9900\"]",
        "listen.http[0]",
        "taken already by listen.admin",
    ),
    (
        "[listen]\nhttp = [\"0.0.0.0:9900\"]",
        "listen.http[0]",
        "taken already by listen.admin",
    ),
    (
        "[listen]\nheader_timeout = 10",
        "listen.header_timeout",
        "a duration in quotes",
    ),
    (
        "[listen]\nheader_timeout = \"10\"",
        "listen.header_timeout",
        "no unit",
    ),
    (
        "[listen]\nheader_timeout = \"0s\"",
        "listen.header_timeout",
        "from 1ms to 24h is allowed",
    ),
    (
        "[listen]\nheader_timeout = \"25h\"",
        "listen.header_timeout",
        "out of range",
    ),
    (
        "[listen]\nmax_header_bytes = \"64KB\"",
        "listen.max_header_bytes",
        "unknown unit \"KB\"",
    ),
    (
        "[listen]\nmax_header_bytes = 1",
        "listen.max_header_bytes",
        "from 256B to 16MiB",
    ),
    (
        "[listen]\nmax_body_bytes = -1",
        "listen.max_body_bytes",
        "is negative",
    ),
    (
        "[listen]\nmax_connections = 2048",
        "listen.max_connections",
        "a table is wanted",
    ),
    (
        "[listen]\nmax_connections = { http = -1 }",
        "listen.max_connections.http",
        "from 0 to 1000000",
    ),
    (
        "[listen]\nmax_connections = { htp = 1 }",
        "listen.max_connections.htp",
        "did you mean `http`?",
    ),
    (
        "[listen]\nmax_connections = { http = 99999999999999999999 }",
        "listen.max_connections.http",
        "beyond 64 bits",
    ),
    (
        "[listen]\ntrusted_proxies = [\"10.0.0.0/33\"]",
        "listen.trusted_proxies[0]",
        "is no network",
    ),
    (
        "[listen]\ntrusted_proxies = [\"10.0.0.1/8\"]",
        "listen.trusted_proxies[0]",
        "write \"10.0.0.0/8\"",
    ),
    (
        "[listen]\nproxy_protocol = [\"127.0.0.1:8080\"]",
        "listen.proxy_protocol",
        "needs listen.trusted_proxies",
    ),
    (
        "[listen]\ntrusted_proxies = [\"10.0.0.1\"]\nproxy_protocol = [\"127.0.0.1:1\"]",
        "listen.proxy_protocol[0]",
        "no listener of listen.http or listen.https (127.0.0.1:8080)",
    ),
    (
        "[listen]\ntrusted_proxies = [\"10.0.0.1\"]\nproxy_protocol = [\"127.0.0.1:9900\"]",
        "listen.proxy_protocol[0]",
        "is no listener",
    ),
    (
        "[listen]\nadmin = \"0.0.0.0:9900\"",
        "listen.admin",
        "needs admin.token, and admin.certificate and admin.private_key",
    ),
    (
        "[listen]\nheader_timout = \"5s\"",
        "listen.header_timout",
        "did you mean `header_timeout`?",
    ),
    (
        "[listen]\ncolour = 1",
        "listen.colour",
        "known here: admin, body_deadline",
    ),
    ("listen = 5", "listen", "a table is wanted"),
    ("[lsten]", "lsten", "did you mean `listen`?"),
];

const GATE: &[Case] = &[
    (
        "[runtime]\nthreads = 5000",
        "runtime.threads",
        "from 0 to 1024",
    ),
    (
        "[runtime]\nthreads = 1.5",
        "runtime.threads",
        "a number with a point; a whole number",
    ),
    (
        "[runtime]\ndrain = true",
        "runtime.drain",
        "is true or false; a duration",
    ),
    (
        "[state]\nurl = \"postgres://u:p@db/x\"",
        "state.url",
        "PostgreSQL, which this version does not have yet",
    ),
    (
        "[state]\nurl = \"sqlite://here.db\"",
        "state.url",
        "three slashes",
    ),
    ("[state]\nurl = \"redis\"", "state.url", "is no store"),
    ("[state]\nkey_file = \"\"", "state.key_file", "is empty"),
    (
        "[tasks]\nprefix = \"tasks\"",
        "tasks.prefix",
        "is no prefix",
    ),
    (
        "[tasks]\nprefix = \"/a/../b\"",
        "tasks.prefix",
        "is no prefix",
    ),
    (
        "[tasks]\nprefix = \"/a/\"",
        "tasks.prefix",
        "no slash at its end",
    ),
    (
        "[tasks]\npoll_min = \"0ms\"",
        "tasks.poll_min",
        "out of range",
    ),
    (
        "[tasks]\nwebhooks = [\"cmdb.example\"]",
        "tasks.webhooks[0]",
        "is no URL",
    ),
    (
        "[tasks]\nwebhooks = [\"https://ok.example/\", \"https://cmdb.example\"]",
        "tasks.webhooks[1]",
        "inside the host",
    ),
    (
        "[tasks]\nwebhooks = [\"https://u:p@cmdb.example/\"]",
        "tasks.webhooks[0]",
        "a user or password",
    ),
    (
        "[tasks]\nwebhooks = [\"http://cmdb.example/\"]",
        "tasks.webhooks[0]",
        "unencrypted",
    ),
    (
        "[tasks]\nwebhooks = [\"https://cmdb.example/a/../b\"]",
        "tasks.webhooks[0]",
        "no plain path",
    ),
    (
        "[tasks]\nwebhooks = [\"https://cmdb.example/\"]",
        "tasks.webhook_secret",
        "is missing",
    ),
    (
        "[tasks]\nwebhook_secret = \"hunter2\"",
        "tasks.webhook_secret",
        "no reference to a file",
    ),
    (
        "[headers]\nratelimit = \"yes\"",
        "headers.ratelimit",
        "without quotes",
    ),
    (
        "[admin]\ntoken = \"file:config/no-such-file\"",
        "admin.token",
        "cannot be read",
    ),
    (
        "[admin]\ntoken = \"file:config\"",
        "admin.token",
        "is no plain file",
    ),
    (
        "[admin]\nbreak_glass = { share = 1.5 }",
        "admin.break_glass.share",
        "from 0 to 1",
    ),
    (
        "[admin]\nbreak_glass = { share = nan }",
        "admin.break_glass.share",
        "from 0 to 1",
    ),
    (
        "[admin]\nbreak_glass = { users = [\" \"] }",
        "admin.break_glass.users[0]",
        "is no user",
    ),
    (
        "[admin]\nbreak_glass = { user = [] }",
        "admin.break_glass.user",
        "did you mean `users`?",
    ),
    (
        "[log]\nformat = \"jsn\"",
        "log.format",
        "did you mean \"json\"?",
    ),
    (
        "[log]\nlevel = \"loud\"",
        "log.level",
        "\"error\", \"warn\", \"info\", \"debug\", \"trace\"",
    ),
    (
        "[log]\naccess = \"stdot\"",
        "log.access",
        "did you mean \"stdout\"?",
    ),
    ("[log]\naccess = 1979-05-27", "log.access", "is a date"),
];

#[test]
fn of_the_listeners() {
    for (lines, key, part) in LISTEN {
        one_fault(&format!("{lines}\n{MINIMAL}"), key, part);
    }
}

#[test]
fn of_the_gate() {
    for (lines, key, part) in GATE {
        one_fault(&format!("{lines}\n{MINIMAL}"), key, part);
    }
}

#[test]
fn of_syntax() {
    for (text, place) in [
        ("a = 1\nb = = 2", "line 2, column 5"),
        ("[listen\n", "line 1"),
        ("x = \"é\" y", "line 1, column 9"),
        ("a = 1\na = 2", "line 2"),
    ] {
        one_fault(text, "syntax", place);
    }
}

#[test]
fn of_the_file_itself() {
    let large = format!("{MINIMAL}# {}", "x".repeat(1 << 20));
    one_fault(&large, "file", "more than 1 MiB");
    let folder = crate::folder("file", &[("large.toml", &large)]);
    for (name, part) in [
        ("large.toml", "larger than 1 MiB"),
        ("none.toml", "cannot be read"),
        (".", "no plain file"),
    ] {
        let faults = tidegate::config::load(&folder.join(name)).unwrap_err();
        assert!(faults.to_string().contains(part), "{faults}");
    }
    std::fs::write(folder.join("latin.toml"), b"# \xe9").unwrap();
    let faults = tidegate::config::load(&folder.join("latin.toml")).unwrap_err();
    assert!(
        faults.to_string().contains("no UTF-8 text (byte 2)"),
        "{faults}"
    );
}

#[test]
fn a_fault_shows_where_and_what_was_written_but_no_secret() {
    let text = "[listen]\nheader_timeout = \"10\"\n[admin]\ntoken = \"hunter2\"\ntokn = \"hunter3\"\n[state]\nurl = \"postgres://u:hunter4@db/x\"\n[[upstream]]\nname = \"vc1\"\naddress = \"https://u:hunter5@h\"\nidle_timeout = 5";
    let shown = bad(text).to_string();
    assert!(!shown.contains("hunter"), "{shown}");
    assert!(
        shown.contains("listen.header_timeout = \"10\" (line 2): has no unit"),
        "{shown}"
    );
    assert!(shown.contains("admin.token = *** (line 4): "), "{shown}");
    assert!(
        shown.contains("state.url = \"postgres://***@db/x\" (line 7): "),
        "{shown}"
    );
    assert!(
        shown.contains("upstream[0].idle_timeout = 5 (upstream vc1, line 11): "),
        "{shown}"
    );
    assert!(
        shown.starts_with("6 faults in the configuration:\n  listen.header_timeout"),
        "{shown}"
    );
}

/// Every table there is, as it is opened in a file.
const TABLES: [&str; 15] = [
    "",
    "[listen]",
    "[listen.max_connections]",
    "[runtime]",
    "[state]",
    "[tasks]",
    "[headers]",
    "[admin]",
    "[admin.break_glass]",
    "[log]",
    "[[upstream]]\naddress = \"https://a.example\"",
    "[[upstream]]\naddress = \"https://a.example\"\n[upstream.insecure]",
    "[[upstream]]\naddress = \"https://a.example\"\n[upstream.limits.x]\ncounts = \"requests\"\nlimit = 1\n[upstream.limits.x.wait]",
    "[[upstream]]\naddress = \"https://a.example\"\n[[upstream.route]]\nname = \"r\"\nclass = \"rest\"\nmatch.path = \"/\"",
    "[[upstream]]\naddress = \"https://a.example\"\n[[upstream.route]]\nname = \"r\"\nclass = \"rest\"\n[upstream.route.match]\npath = \"/\"",
];

#[test]
fn an_unknown_key_is_found_in_every_table() {
    for table in TABLES {
        let rest = if table.contains("[[upstream]]") {
            ""
        } else {
            MINIMAL
        };
        let faults = bad(&format!("{table}\nzzzzzzzz = 1\n{rest}"));
        let [fault] = faults.as_slice() else {
            panic!("not one fault but {faults}\nin\n{table}")
        };
        assert!(fault.key.ends_with("zzzzzzzz"), "{fault}");
        assert!(
            fault.problem.starts_with("unknown key; known here: "),
            "{fault}"
        );
    }
}
