//! Golden pairs: what was refused, and the exact bytes of the answer in the words of its API.
//!
//! `NAME.golden` opens with a comment that says the request, then what is known of the refusal, a line
//! `---`, status and content type, an empty line and the body; or `none` where a problem is answered.

mod adapters;
mod allocations;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use quick_xml::events::Event;
use tidegate::call::{Dialect, Spoken};
use tidegate::dialect::refusal::{Refused, Statuses, words};

#[test]
fn refusals_are_worded_as_the_golden_pairs_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dialect");
    let mut seen = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "golden") {
            let text = std::fs::read_to_string(&path).unwrap();
            let dialect = check(&text, &path.display().to_string());
            *seen.entry(dialect.as_str()).or_insert(0) += 1;
        }
    }
    let dialects: Vec<_> = Dialect::ALL.iter().map(|one| one.as_str()).collect();
    assert!(
        dialects.iter().all(|one| seen.contains_key(one)),
        "only {seen:?}"
    );
}

fn check(text: &str, file: &str) -> Dialect {
    let (asked, answered) = text.split_once("---\n").expect(file);
    let asked: BTreeMap<&str, &str> = asked
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(" = ").expect(file))
        .collect();
    let dialect = Dialect::parse(asked["dialect"]).expect(file);
    let refused = Refused {
        limit: asked["limit"],
        status: asked["status"].parse().unwrap(),
        message: asked["message"],
        user: asked.get("user").copied(),
        rate: asked.get("rate").map(|rate| self::rate(rate)),
        rpc_id: asked.get("id").copied(),
    };
    let worded = words(
        dialect,
        spoken(asked["spoken"]),
        &refused,
        Statuses::default(),
    );
    let said = worded.map_or_else(
        || "none\n".to_owned(),
        |worded| {
            let body = std::str::from_utf8(&worded.body).unwrap();
            check_form(worded.content_type, body, refused.message);
            format!("{} {}\n\n{body}\n", worded.status, worded.content_type)
        },
    );
    assert_eq!(said, answered, "{file}");
    dialect
}

/// A second reader understands the body, and finds the message in it.
fn check_form(content_type: &str, body: &str, message: &str) {
    if content_type == "application/json" {
        let parsed: serde_json::Value = serde_json::from_str(body).unwrap();
        assert!(parsed.to_string().contains(message));
        return;
    }
    let mut reader = quick_xml::Reader::from_str(body);
    let mut texts = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Text(text) => texts.push(text.xml10_content().into_owned()),
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(texts.iter().any(|text| text == message), "{texts:?}");
}

fn rate(text: &str) -> (u64, Duration) {
    let (limit, seconds) = text.trim_end_matches(" s").split_once(" in ").unwrap();
    let window = Duration::from_secs(seconds.parse().unwrap());
    (limit.parse().unwrap(), window)
}

fn spoken(word: &str) -> Spoken {
    match word {
        "api" => Spoken::Api,
        "rest" => Spoken::Rest,
        "rpc" => Spoken::Rpc,
        "soap" => Spoken::Soap,
        "plain" => Spoken::Plain,
        other => panic!("{other} is no form"),
    }
}
