//! The README says what the code says.

#[path = "support/mod.rs"]
mod support;

use std::path::Path;

use support::client::Client;
use support::script::scripted;

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

#[test]
fn its_table_of_letters_is_the_codes() {
    for line in tidegate::observe::Ending::table().lines() {
        assert!(readme().contains(line), "missing in README.md: {line}");
    }
}

#[test]
fn every_limit_that_a_profile_enforces_stands_in_it() {
    for profile in [
        "vcenter-7.0",
        "vcenter-8.0",
        "vcenter-8.0u3",
        "nsx-4",
        "nsx-v",
        "avi",
        "skytap",
        "generic",
    ] {
        let text = format!(
            "[state]\nurl = \"memory\"\n[[upstream]]\nname = \"a\"\naddress = \"http://127.0.0.1:1\"\nprofile = \"{profile}\""
        );
        let config = tidegate::config::parse(&text, Path::new(".")).unwrap();
        for limit in &config.upstreams[0].limits {
            let name = format!("`{}`", limit.name);
            assert!(
                readme().contains(&name),
                "{profile}: {name} is not in README.md"
            );
        }
        assert!(readme().contains(&format!("`{profile}`")), "{profile}");
    }
}

#[test]
fn its_two_commands_stand_in_it() {
    let first = "apt-get update && apt-get install -y cmake && cargo run --release -- demo";
    assert!(readme().contains(first));
    assert!(readme().lines().any(|line| line == "tests/run"));
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|char| char.is_alphanumeric() || " -_".contains(*char));
    kept.map(|char| if char == ' ' { '-' } else { char })
        .collect()
}

/// The targets of the links in a text.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1);
    targets.filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

#[test]
fn its_links_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for page in ["README.md", "config/tasks.md"] {
        let text = std::fs::read_to_string(root.join(page)).unwrap();
        let inside = |target: &&str| !target.starts_with("http");
        let mut seen = 0;
        for link in links(&text).filter(inside) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let file = match file {
                "" => root.join(page),
                file => root.join(page).parent().unwrap().join(file),
            };
            assert!(file.exists(), "{page}: {link}");
            if !heading.is_empty() {
                let text = std::fs::read_to_string(&file).unwrap();
                let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
                let mut anchors = headings.map(|line| anchor(line.trim_start_matches('#')));
                assert!(anchors.any(|one| one == heading), "{page}: {link}");
            }
            seen += 1;
        }
        assert!(seen > 0, "{page}");
    }
}

/// What the small Cisco DNA Center answers: an intent is begun, and its end is told by the third question.
fn dna_center() -> impl Fn(&str) -> &'static str {
    let polls = std::sync::atomic::AtomicUsize::new(0);
    move |request| match request.split(' ').nth(1).unwrap() {
        "/dna/intent/api/v1/network-device" => {
            "HTTP/1.1 202 Accepted\r\nContent-Length: 29\r\n\r\n{\"response\":{\"taskId\":\"t-1\"}}"
        }
        "/dna/intent/api/v1/task/t-1"
            if polls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 =>
        {
            r#"{"response":{"progress":"Adding","isError":false}}"#
        }
        "/dna/intent/api/v1/task/t-1" => {
            r#"{"response":{"progress":"Added","isError":false,"endTime":2}}"#
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_api_that_it_adds_by_a_file_is_done_by_tasks() {
    let readme = readme();
    let mut blocks = readme
        .split("```toml\n")
        .filter_map(|rest| rest.split("```").next());
    let shown = blocks
        .find(|block| block.starts_with("name  = \"dna-center\""))
        .unwrap();
    assert!(shown.lines().count() < 40, "in under 40 lines");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shown-in-readme.toml");
    std::fs::write(&file, shown).unwrap();
    let lines = format!(
        "dialect_files = [\"{}\"]\n[[upstream.route]]\nname = \"intents\"\nclass = \"blocking\"\n\
         match = {{ method = \"POST\", path = \"/dna/intent/api/v1/**\" }}\n",
        file.display()
    );
    let gate = support::gate(&support::plain(scripted(dna_center()).await, &lines));
    let ask = async |line: &str, fields: &str| {
        let mut client = Client::connect(gate.http()[0]).await;
        let head = format!(
            "{line} HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer me\r\n{fields}"
        );
        client.send(head + "Content-Length: 2\r\n\r\n{}").await;
        client.answer().await.unwrap()
    };
    let ticket = ask(
        "POST /dna/intent/api/v1/network-device",
        "Prefer: respond-async\r\n",
    )
    .await;
    let task = ticket.header("location").unwrap();
    let over = ask(&format!("GET {task}"), "Prefer: wait=25\r\n")
        .await
        .json();
    assert_eq!(
        (&over["state"], &over["mode"]),
        (&"COMPLETED".into(), &"native".into()),
        "{over}"
    );
    let result = ask(&format!("GET {task}/result"), "").await;
    assert_eq!(
        (result.status, &result.json()["response"]["progress"]),
        (200, &"Added".into())
    );
}
