//! Rules that are read, and rules that are faults.

use std::path::Path;

use super::*;
use crate::config::{self, Faults};

/// A file with a key that signs.
fn secret() -> String {
    let name = format!("tidegate-after-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, "an-unguessable-key-of-32-letters").unwrap();
    path.to_string_lossy().into_owned()
}

/// A route with these lines, and one rule with those.
fn route(lines: &str, rule: &str) -> Result<config::Config, Faults> {
    let text = format!(
        "[tasks]\nwebhooks = [\"https://pager.example/\"]\nwebhook_secret = \"file:{}\"\n\
         [[upstream]]\naddress = \"http://a\"\n[[upstream.route]]\nname = \"r\"\nclass = \"blocking\"\n\
         match = {{ method = \"POST\", path = \"/api/*/vm\" }}\n{lines}\n[[upstream.route.after]]\n{rule}",
        secret()
    );
    config::parse(&text, Path::new("."))
}

fn rule(lines: &str, rule: &str) -> After {
    match route(lines, rule) {
        Ok(mut config) => config.upstreams[0].routes[0].after.remove(0),
        Err(faults) => panic!("{faults}"),
    }
}

/// Keys of the faults, below the rule, and what is said of the first.
fn faults(lines: &str, rule: &str) -> (Vec<String>, String) {
    let faults = route(lines, rule).unwrap_err();
    let below = |key: &str| {
        let key = key.strip_prefix("upstream[0].route[0].");
        key.unwrap_or_default().to_owned()
    };
    let keys = faults.as_slice().iter().map(|fault| below(&fault.key));
    let first = faults.as_slice()[0].problem.clone();
    (keys.collect(), first)
}

const PROBE: &str = "probe = { get = \"/api/vm?names={/name}\", json = \"/0/vm\" }";

#[test]
fn a_retry_has_bounds_though_none_are_said() {
    let rule = rule(
        "",
        "state = [\"FAILED\"]\noutcome = \"not-applied\"\nretry = { times = 3 }",
    );
    let retry = rule.retry.unwrap();
    assert_eq!(
        (retry.times, retry.factor, retry.jitter_ppm),
        (3, 2, 200_000)
    );
    assert_eq!(retry.first, Duration::from_secs(2));
    assert_eq!(retry.cap, Duration::from_mins(1));
    assert_eq!(retry.within, Duration::from_hours(1));
    assert_eq!((rule.alert, rule.compensate), (false, None));
}

#[test]
fn a_deletion_of_what_is_found_takes_the_route_s_probe() {
    let undo = "state = [\"FAILED\", \"EXPIRED\"]\noutcome = \"unknown\"\nwebhook = \"https://pager.example/x\"\n\
                compensate = { method = \"DELETE\", target = \"/api/{1}/vm/{found:0.vm}?of={/name}&x={?x}\" }";
    let rule = rule(PROBE, undo);
    let undo = rule.compensate.unwrap();
    assert_eq!(undo.done, [404, 410]);
    assert!(undo.target.needs_find() && undo.find.is_none());
    assert_eq!(
        undo.target.to_string(),
        "/api/{1}/vm/{found:0.vm}?of={/name}&x={?x}"
    );
    assert_eq!(rule.states, [Ending::Failed, Ending::Expired]);
}

#[test]
fn what_would_be_done_twice_is_a_fault() {
    let once = [
        "",
        "replay = \"at-most-once\"",
        "upstream_key = true\nreplay = \"at-most-once\"",
    ];
    for lines in once {
        for conditions in [
            "",
            "outcome = \"known\"\nstatus = [409]",
            "outcome = \"unknown\"",
        ] {
            let bad = format!("state = [\"FAILED\"]\nretry = {{ times = 1 }}\n{conditions}");
            let (keys, said) = faults(lines, &bad);
            assert_eq!(keys, ["after[0].retry"], "{lines} {conditions}");
            assert!(said.contains("twice"), "{said}");
        }
        let proven = "state = [\"FAILED\"]\nretry = { times = 1 }\nstatus = [409]\nerror = [\"BUSY\"]\nrefusal = true";
        assert!(route(lines, proven).is_ok());
    }
    for lines in ["replay = \"at-least-once\"", "upstream_key = true"] {
        assert!(route(lines, "state = [\"FAILED\"]\nretry = { times = 1 }").is_ok());
        let late = "state = [\"EXPIRED\"]\nretry = { times = 1 }";
        assert!(route(lines, late).is_ok());
        let never_began = format!("{late}\noutcome = \"not-applied\"");
        assert_eq!(faults(lines, &never_began).0, ["after[0].retry"]);
    }
}

#[test]
fn what_would_be_undone_blindly_is_a_fault() {
    let undo = |target: &str, conditions: &str| {
        format!(
            "state = [\"FAILED\"]\n{conditions}\ncompensate = {{ method = \"DELETE\", target = \"{target}\" }}"
        )
    };
    let is_bad = |lines: &str, target: &str, conditions: &str, word: &str| {
        let (keys, said) = faults(lines, &undo(target, conditions));
        assert!(
            keys.iter()
                .all(|key| key.starts_with("after[0].compensate")),
            "{keys:?}"
        );
        assert!(said.contains(word), "{said}");
    };
    is_bad(PROBE, "/api/vm/{/name}", "outcome = \"unknown\"", "blindly");
    is_bad(PROBE, "/api/vm/{/name}", "status = [500]", "blindly");
    is_bad(
        PROBE,
        "/api/vm/{found:0.vm}",
        "outcome = \"not-applied\"",
        "nothing to make up for",
    );
    is_bad(
        PROBE,
        "/api/vm/{found:0.vm}",
        "outcome = \"known\"",
        "every refusal",
    );
    is_bad(
        PROBE,
        "/api/vm/{found:0.vm}/{answer:id}",
        "outcome = \"unknown\"",
        "answer",
    );
    is_bad(
        "",
        "/api/vm/{found:0.vm}",
        "outcome = \"unknown\"",
        "nothing is asked",
    );
    is_bad(
        PROBE,
        "/api/vm/{2}",
        "outcome = \"known\"\nstatus = [500]",
        "stands for nothing",
    );
    is_bad(
        PROBE,
        "/api/vm/{id}",
        "outcome = \"known\"\nstatus = [500]",
        "stands for nothing",
    );
    is_bad(
        PROBE,
        "{/name}",
        "outcome = \"known\"\nstatus = [500]",
        "root",
    );
    for method in ["GET", "HEAD", "delete"] {
        let bad = undo("/api/vm/{found:0.vm}", "outcome = \"unknown\"").replace("DELETE", method);
        assert_eq!(faults(PROBE, &bad).0, ["after[0].compensate.method"]);
    }
    let good = undo("/api/vm/{answer:id}", "outcome = \"known\"\nstatus = [500]");
    assert!(route("", &good).is_ok());
}

#[test]
fn every_fault_is_found_at_once() {
    let bad = "state = [\"COMPLETED\", \"FAILED\"]\nstatus = []\noutcome = \"perhaps\"\nwebhook = \"https://evil.example/\"\n\
               retry = { first = \"5s\", cap = \"1s\", factor = 99 }\ncompensate = { target = \"/a\", body = \"{\", boddy = 1 }\nalarm = true";
    let (keys, _) = faults("", bad);
    for key in [
        "after[0].state[0]",
        "after[0].status",
        "after[0].outcome",
        "after[0].webhook",
        "after[0].retry.times",
        "after[0].retry.factor",
        "after[0].compensate.method",
        "after[0].compensate.body",
        "after[0].compensate.boddy",
        "after[0].alarm",
    ] {
        assert!(keys.iter().any(|have| have == key), "{key} in {keys:?}");
    }
    assert_eq!(
        faults("", "state = [\"FAILED\"]").0,
        ["after[0].state"],
        "it does nothing"
    );
    assert_eq!(faults("", "alert = true").0, ["after[0].state"]);
    let held = "class = \"crud\"";
    let text = format!(
        "[[upstream]]\naddress = \"http://a\"\n[[upstream.route]]\nname = \"r\"\n{held}\nmatch = {{ path = \"/a\" }}\n[[upstream.route.after]]\nstate = [\"FAILED\"]\nalert = true"
    );
    assert!(config::parse(&text, Path::new(".")).is_err());
}

#[test]
fn rules_are_shown_as_they_are_written_and_said_in_plain_words() {
    let undo = "state = [\"FAILED\", \"EXPIRED\"]\noutcome = \"unknown\"\nalert = true\nwebhook = \"https://pager.example/x\"\n\
                compensate = { method = \"DELETE\", target = \"/api/vm/{found:0.vm}\" }\n[[upstream.route.after]]\n\
                state = [\"FAILED\"]\nstatus = [409]\nerror = [\"BUSY\"]\nrefusal = true\nretry = { times = 3 }";
    let config = route(PROBE, undo).unwrap();
    let shown = config::effective(&config);
    let rule = &shown["upstream"][0]["route"][0]["after"][0];
    assert_eq!(rule["state"], serde_json::json!(["FAILED", "EXPIRED"]));
    assert_eq!(rule["compensate"]["target"], "/api/vm/{found:0.vm}");
    assert_eq!(rule["compensate"]["done"], serde_json::json!([404, 410]));
    assert_eq!(rule["retry"], serde_json::Value::Null);
    let retry = &shown["upstream"][0]["route"][0]["after"][1]["retry"];
    assert_eq!(retry["jitter"], 0.2);
    let said = config::describe(&config);
    for words in [
        "a task that would end FAILED or EXPIRED, its answer lost: counted and logged as an alert, https://pager.example/x is told; made up for once, by a task of its own: GET /api/vm?names={/name} is asked, and if it finds something DELETE /api/vm/{found:0.vm}",
        "answered 409, with the error BUSY (which proves that nothing was executed): tried again up to 3 times, after 2 s and then 2 times as long each time",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
}
