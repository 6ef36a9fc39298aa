//! What `tidegate check` prints and what `GET /config` answers.

use serde_json::Value;
use tidegate::config::{Config, describe, effective};

use crate::{MINIMAL, good};

fn said(lines: &str) -> String {
    describe(&good(&format!("{MINIMAL}{lines}")))
}

/// Holds that the limit with `lines` is said in exactly these words.
#[track_caller]
fn limit_is_said(lines: &str, words: &str) {
    let said = said(&format!("[upstream.limits.x]\n{lines}"));
    assert!(
        said.contains(&format!("\n    x: {words}\n")),
        "{words:?} is not in\n{said}"
    );
}

#[test]
fn rates() {
    limit_is_said(
        "counts = \"requests\"\nlimit = 1500\nburst = 150\nmatch = { class = [\"rest\", \"rpc\"] }",
        "at most 1500 calls of class rest or rpc in any 1 s, wherever that starts, at most 150 back to back; over it 429. Gate-wide, exact.",
    );
    limit_is_said(
        "counts = \"requests\"\nlimit = 6\nwindow = \"60s\"\nfull = { status = 503 }",
        "at most 6 calls in any 60 s, wherever that starts, at most 6 back to back; over it 503. Gate-wide, exact.",
    );
    limit_is_said(
        "counts = \"requests\"\nkey = \"address\"\nlimit = 6\nwindow = \"60s\"\nburst = 3",
        "for each client address apart: 6 calls per 60 s on average, at most 3 back to back (GCRA: at most limit + burst = 9 in any 60 s); over it 429.",
    );
}

#[test]
fn what_is_held() {
    limit_is_said(
        "counts = \"upstream_connections\"\nlimit = 550\nmatch = { class = [\"rest\"] }",
        "at most 550 open sockets to the upstream for calls of class rest, idle ones too; over it 503. Gate-wide, exact.",
    );
    limit_is_said(
        "counts = \"requests_in_flight\"\nkey = \"address\"\nlimit = 4\nmatch = { path = \"/api/**\" }",
        "for each client address apart: at most 4 calls to /api/** at a time; over it 503. Exact.",
    );
    limit_is_said(
        "counts = \"response_bytes\"\nlimit = \"7MiB\"\nmatch = { class = [\"rest\", \"rpc\"] }",
        "at most 7 MiB in one answer to calls of class rest or rpc; over it 502, without Retry-After.",
    );
    limit_is_said(
        "counts = \"requests\"\nlimit = 0",
        "blocks: none passes of all calls; over it 429.",
    );
}

#[test]
fn who_waits() {
    limit_is_said(
        "counts = \"requests_in_flight\"\nlimit = 10\nwait = { line = 2000, per_user = 500, at_most = \"30s\" }",
        "at most 10 calls at a time; over it a call waits for its turn up to 30 s, at most 2000 in line, 500 of one user, then 503. Gate-wide, exact.",
    );
    limit_is_said(
        "counts = \"session_creations\"\nlimit = 10\nwait = { line = 5 }",
        "at most 10 logins at a time for all calls; over it a login waits for its turn up to 30 s, at most 5 in line, then 503. Gate-wide, exact.",
    );
    limit_is_said(
        "counts = \"requests\"\nlimit = 5\nmode = \"shadow\"\nwait = { line = 5 }",
        "at most 5 calls in any 1 s, wherever that starts, at most 5 back to back; over it 429. Gate-wide, exact. SHADOW: it counts and reports, and refuses nothing; nobody waits for it, its wait has no effect.",
    );
    limit_is_said(
        "counts = \"requests\"\nlimit = 0\nwait = { line = 5 }",
        "blocks: none passes of all calls; over it 429.",
    );
    limit_is_said(
        "counts = \"sessions\"\nlimit = 5\nwait = { line = 0 }",
        "at most 5 live login sessions for all calls; over it 503. Gate-wide, exact.",
    );
}

#[test]
fn what_happens_under_load() {
    let plain = said("");
    for part in [
        "  blackout             while it is down calls wait for it up to 10 s, then 503\n",
        "  learn                limits shrink for a while when it refuses calls itself, and never grow above",
        "  adaptive             off: the limits alone say",
    ] {
        assert!(plain.contains(part), "{part:?} is not in\n{plain}");
    }
    let full = said(
        &(crate::reading()
            + "dialect = \"vcenter\"\nblackout = \"0s\"\nlearn = false\nadaptive = \"gradient\"\nweights = { a = 3 }\n[[upstream.client]]\nname = \"c\"\nuser_agent = \"c/*\"\npatience = \"2s\"\n[[upstream.refused]]\nname = \"r\"\nstatus = 503\nheader = { name = \"A\", value = \"b*\" }\nbody = \"x\"\n[[upstream.route]]\nname = \"low\"\nclass = \"rest\"\nmatch = { path = \"/a\" }\npriority = \"batch\""),
    );
    for part in [
        "  blackout             while it is down calls are refused with 503 at once\n",
        "  learn                limits stay as they are",
        "  adaptive             gradient: below the limits",
        "  utilization          every 30 s it is asked what others use of it; as much less of its sockets is the gate's to give\n",
        "  weights              a has 3 calls in each turn of a line, others have 1\n",
        "  client               c (User-Agent \"c/*\") waits no longer than 2 s for an answer",
        "  refused              r: status 503 with header a: b* with \"x\" in its body was not executed",
        "    low: calls to /a are rest, in a line behind all that is not batch\n",
    ] {
        assert!(full.contains(part), "{part:?} is not in\n{full}");
    }
}

#[test]
fn keys_and_shadows_and_routes() {
    limit_is_said(
        "counts = \"sessions\"\nkey = \"user\"\nlimit = 550",
        "for each user apart: at most 550 live login sessions for all calls; over it 503. Exact.",
    );
    limit_is_said(
        "counts = \"requests\"\nlimit = 5\nmode = \"shadow\"",
        "at most 5 calls in any 1 s, wherever that starts, at most 5 back to back; over it 429. Gate-wide, exact. SHADOW: it counts and reports, and refuses nothing.",
    );
    let route = said(
        "[[upstream.route]]\nname = \"a\"\nclass = \"blocking\"\nmatch = { method = \"POST\", path = \"/a\" }\ndeadline = \"1h\"",
    );
    assert!(
        route.contains("routes (the first that matches wins)\n"),
        "{route}"
    );
    assert!(
        route.contains(
            "\n    a: calls with method POST to /a are blocking, async prefer, at most 1 h\n"
        ),
        "{route}"
    );
}

#[test]
fn what_a_route_says_of_keys_and_of_fields_that_are_kept() {
    let route = |lines: &str| {
        said(&format!(
            "[[upstream.route]]\nname = \"a\"\nclass = \"blocking\"\nmatch = {{ path = \"/a\" }}\n{lines}"
        ))
    };
    for (lines, words) in [
        ("upstream_key = false", "are blocking, async prefer\n"),
        (
            "upstream_key = \"forward\"",
            "are blocking, async prefer, the client's Idempotency-Key goes up\n",
        ),
        (
            "upstream_key = true",
            "are blocking, async prefer, the client's Idempotency-Key goes up, or the gate's own\n",
        ),
        (
            "keep_headers = [\"Set-Cookie\", \"x-auth-token\"]",
            "are blocking, async prefer, set-cookie, x-auth-token kept with the answer\n",
        ),
    ] {
        let said = route(lines);
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
}

#[test]
fn a_route_whose_clients_wait_says_for_what() {
    let route = "[[upstream.route]]\nname = \"a\"\nclass = \"blocking\"\nasync = \"wait\"\nmatch = { path = \"/a\" }\n";
    let words = "\n    a: calls to /a are blocking, async wait (clients are given the end of what the upstream does behind its answer)\n";
    let said = said(route);
    assert!(said.contains(words), "{words:?} is not in\n{said}");
    let shown = effective(&good(&format!("{MINIMAL}{route}")));
    assert!(shown.to_string().contains("\"async\":\"wait\""), "{shown}");
}

#[test]
fn the_gate_itself() {
    let said = said(
        "[listen]\nmax_connections = { https = 0 }\n[runtime]\ndrain = \"5s\"\n[state]\nurl = \"memory\"\n",
    );
    for part in [
        "  http                 127.0.0.1:8080\n",
        "  admin                127.0.0.1:9900 (plain, no token: POST and DELETE answer 403)\n",
        "  connections_http     at most 2048 open sockets at plain listeners, idle ones too; over it 503, then close. Gate-wide, exact.\n",
        "  connections_https    blocks: every TLS socket is answered 503 and closed.\n",
        "  header_timeout       at most 10 s for a request head",
        "  drain                after SIGTERM calls in flight may take 5 s more\n",
        "  state                in memory, gone with the process\n",
        "  tasks                under /-/tasks: blocking calls become tasks when their clients or routes ask for it\n",
        "  task_queue           at most 5000 tasks of an upstream that are not over; over it 503\n",
        "  task_queue_per_user  at most 1250 of these of one user; over it 429\n",
        "  results              kept for 24 h after the end of a task; with an Idempotency-Key a day at least; what was never executed for 1 h\n",
        "  finished tasks       at most 1000000, of one user 100000, with at most 10 GiB; beyond that those that expire first are forgotten (410)\n",
        "  webhooks             none\n",
        "\nUpstream u: https://api.example:443 (profile generic)\n",
        "  certificate          verified by the roots of the operating system\n",
    ] {
        assert!(said.contains(part), "{part:?} is not in\n{said}");
    }
}

#[test]
fn every_limit_of_every_profile_is_enforced() {
    for profile in [
        "vcenter-7.0",
        "vcenter-8.0",
        "vcenter-8.0u3",
        "nsx-4",
        "avi",
    ] {
        let text =
            format!("[[upstream]]\naddress = \"https://a.example\"\nprofile = \"{profile}\"");
        let said = describe(&good(&text));
        assert!(
            said.contains("request_rate: ") || profile == "vcenter-8.0u3",
            "{said}"
        );
        assert!(!said.contains("NOT ENFORCED"), "{profile}: {said}");
    }
}

#[test]
fn the_effective_configuration_reads_back_as_itself() {
    for text in [
        MINIMAL,
        include_str!("../../config/examples/tuned.toml"),
        include_str!("../../config/examples/vcenter.toml"),
        include_str!("../../config/examples/two-vcenters.toml"),
        include_str!("../../config/examples/behind-a-load-balancer.toml"),
        include_str!("../../config/examples/bench.toml"),
        include_str!("../../config/examples/waiting.toml"),
        EVERY_KEY_OF_WAITING,
    ] {
        let config = good(text);
        let mut again = good(&as_file(&config));
        for (one, before) in again.upstreams.iter_mut().zip(&config.upstreams) {
            one.profile.clone_from(&before.profile);
        }
        assert_eq!(again, config);
    }
}

/// What is not in any example.
const EVERY_KEY_OF_WAITING: &str = "[[upstream]]\naddress = \"https://a.example\"\ndialect = \"vcenter\"\nlearn = false\nadaptive = \"gradient\"\nblackout = \"0s\"\n[[upstream.refused]]\nname = \"r\"\nstatus = 503\nheader = { name = \"a\", value = \"b*\" }\nbody = \"x\"\n[[upstream.refused]]\nname = \"s\"\nstatus = 503\nheader = { name = \"a\" }\n";

/// The effective configuration as a file, over a profile that says nothing: everything has to come from the answer.
fn as_file(config: &Config) -> String {
    let profile = crate::folder("bare", &[("bare.toml", "name = \"bare\"")]).join("bare.toml");
    let mut value = effective(config);
    for upstream in value["upstream"].as_array_mut().unwrap() {
        // What adapters come to is for reading alone.
        upstream.as_object_mut().unwrap().remove("adapter");
        upstream["profile"] = Value::String(profile.to_string_lossy().into_owned());
    }
    toml::to_string(&value).unwrap()
}
