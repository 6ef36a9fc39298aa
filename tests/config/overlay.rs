//! An upstream's words are laid over its profile's, key by key.

use std::time::Duration;

use tidegate::call::Class;
use tidegate::config::{Key, Mode, parse};

use crate::{folder, good, limit, one_fault};

fn over(lines: &str) -> tidegate::config::Config {
    good(&format!(
        "[[upstream]]\naddress = \"https://a.example\"\nprofile = \"vcenter-8.0\"\n{lines}"
    ))
}

#[test]
fn an_empty_overlay_changes_nothing() {
    let plain = over("");
    assert_eq!(over("limits = {}"), plain);
    assert_eq!(over("limits = { request_rate = {} }"), plain);
    assert_eq!(
        over("limits = { request_rate = { wait = {}, match = {}, full = {} } }"),
        plain
    );
    assert_eq!(over("route = []"), plain);
}

#[test]
fn only_the_keys_written_change() {
    let plain = over("");
    let changed =
        over("[upstream.limits.request_rate]\nlimit = 700\nburst = 70\nwait = { line = 300 }");
    let (before, after) = (
        limit(&plain, "request_rate"),
        limit(&changed, "request_rate"),
    );
    assert_eq!(
        (
            after.limit,
            after.burst,
            after.wait.line,
            after.wait.per_user
        ),
        (700, 70, 300, 300)
    );
    assert_eq!(
        (after.window, &after.matches, after.full_status),
        (before.window, &before.matches, before.full_status)
    );
    assert_eq!(after.wait.at_most, before.wait.at_most);
    let rest = |config: &tidegate::config::Config| {
        config.upstreams[0]
            .limits
            .iter()
            .filter(|l| &*l.name != "request_rate")
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(rest(&plain), rest(&changed));
}

#[test]
fn off_takes_a_limit_away_and_shadow_keeps_it() {
    let config = over(
        "[upstream.limits.response_bytes]\nmode = \"off\"\n[upstream.limits.soap_requests]\nmode = \"shadow\"",
    );
    assert!(
        config.upstreams[0]
            .limits
            .iter()
            .all(|limit| &*limit.name != "response_bytes")
    );
    assert_eq!(
        (
            limit(&config, "soap_requests").mode,
            limit(&config, "soap_requests").limit
        ),
        (Mode::Shadow, 640)
    );
}

#[test]
fn zero_blocks_whatever_burst_the_profile_has() {
    let base = folder(
        "zero",
        &[(
            "p.toml",
            "name = \"p\"\n[limits.r]\ncounts = \"requests\"\nlimit = 10\nburst = 5\n",
        )],
    );
    let text = "[[upstream]]\naddress = \"https://a.example\"\nprofile = \"./p.toml\"\n[upstream.limits.r]\nlimit = 0";
    let config = parse(text, &base).unwrap();
    assert_eq!(
        (limit(&config, "r").limit, limit(&config, "r").burst),
        (0, 0)
    );
}

#[test]
fn a_new_limit_has_the_defaults() {
    let config = over(
        "[upstream.limits.mine]\ncounts = \"requests\"\nlimit = 9\n[upstream.limits.held]\ncounts = \"requests_in_flight\"\nlimit = 0",
    );
    let mine = limit(&config, "mine");
    assert_eq!(
        (mine.key, mine.mode, mine.window, mine.burst),
        (Key::All, Mode::Enforce, Duration::from_secs(1), 9)
    );
    assert_eq!(
        (
            mine.full_status,
            mine.wait.line,
            mine.matches.class.as_slice()
        ),
        (429, 0, &[] as &[Class])
    );
    assert_eq!(
        (
            limit(&config, "held").full_status,
            limit(&config, "held").limit
        ),
        (503, 0)
    );
}

#[test]
fn limits_stand_in_the_order_of_their_names() {
    let config = over("[upstream.limits.aaa]\ncounts = \"requests\"\nlimit = 9");
    let names: Vec<_> = config.upstreams[0]
        .limits
        .iter()
        .map(|limit| limit.name.to_string())
        .collect();
    assert!(names.is_sorted() && names[0] == "aaa", "{names:?}");
}

#[test]
fn own_routes_come_before_the_profiles() {
    let route = "[[upstream.route]]\nname = \"vm-clone\"\nclass = \"blocking\"\nmatch = { path = \"/api/vcenter/vm\" }\nasync = \"always\"";
    let (plain, config) = (over(""), over(route));
    let routes = &config.upstreams[0].routes;
    assert_eq!(
        (routes[0].name.as_str(), routes[0].convert),
        ("vm-clone", tidegate::config::Convert::Always)
    );
    assert_eq!(routes[1..], plain.upstreams[0].routes);
}

#[test]
fn a_profile_may_set_time_outs_but_not_where_calls_go() {
    let files = [
        (
            "ok.toml",
            "name = \"ok\"\nidle_timeout = \"7s\"\nresponse_timeout = \"8s\"",
        ),
        (
            "address.toml",
            "name = \"address\"\naddress = \"https://evil.example\"",
        ),
        ("nameless.toml", "about = \"x\""),
        (
            "wrong.toml",
            "name = \"wrong\"\n[limits.r]\ncounts = \"requests\"\nlimit = 10\nwindow = 5\n",
        ),
        ("broken.toml", "name = \n"),
    ];
    let base = folder("profiles", &files);
    let with = |name: &str, lines: &str| {
        parse(
            &format!(
                "[[upstream]]\nname = \"u\"\naddress = \"https://a.example\"\nprofile = \"{name}\"\n{lines}"
            ),
            &base,
        )
    };
    let upstream = with("ok.toml", "response_timeout = \"9s\"")
        .unwrap()
        .upstreams
        .remove(0);
    assert_eq!(
        (upstream.idle_timeout, upstream.response_timeout),
        (Duration::from_secs(7), Duration::from_secs(9))
    );
    for (name, shown) in [
        (
            "address.toml",
            "profile.address (upstream u, profile address.toml, line 2): unknown key",
        ),
        ("nameless.toml", "profile.name (upstream u): is missing"),
        (
            "wrong.toml",
            "upstream[0].limits.r.window = 5 (upstream u, profile wrong.toml, line 5): is a whole number",
        ),
        (
            "./broken.toml",
            "profile.syntax (upstream u, profile ./broken.toml, line 1): no valid TOML",
        ),
    ] {
        let faults = with(name, "").unwrap_err();
        assert_eq!(faults.as_slice().len(), 1, "{faults}");
        assert!(
            faults.to_string().contains(shown),
            "{shown:?} is not in {faults}"
        );
    }
}

#[test]
fn a_burst_above_a_lowered_limit_says_whose_it_is() {
    let lines = "[[upstream]]\naddress = \"https://a.example\"\nprofile = \"vcenter-8.0\"\n[upstream.limits.request_rate]\nburst = 1600";
    one_fault(
        lines,
        "upstream[0].limits.request_rate.burst",
        "more than limit = 1500",
    );
}
