//! The README says what the code says.

use std::path::Path;

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
