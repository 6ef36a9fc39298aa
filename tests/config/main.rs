//! The operator's file: what loads, what is refused and with which words, what it comes to.

mod certificates;
mod dialect_words;
mod dialects;
mod faults;
mod files;
mod limit_faults;
mod many;
mod merging;
mod overlay;
mod properties;
mod said;
mod stack;
mod upstream_faults;
mod waiting;

use std::path::{Path, PathBuf};

use tidegate::config::{Config, Faults, Limit, parse};

/// The smallest valid file.
const MINIMAL: &str = "[[upstream]]\nname = \"u\"\naddress = \"https://api.example\"\n";

/// Checks `text` with the repository's root as the folder paths start from.
fn read(text: &str) -> Result<Config, Faults> {
    parse(text, Path::new(env!("CARGO_MANIFEST_DIR")))
}

/// The configuration in `text`, which has to be valid.
fn good(text: &str) -> Config {
    read(text).unwrap_or_else(|faults| panic!("{faults}\nin\n{text}"))
}

/// What is wrong with `text`, which has to be something.
fn bad(text: &str) -> Faults {
    match read(text) {
        Ok(_) => panic!("this should be at fault:\n{text}"),
        Err(faults) => faults,
    }
}

/// Holds that `text` has exactly one fault, at `key`, whose words contain `part`.
#[track_caller]
fn one_fault(text: &str, key: &str, part: &str) {
    let faults = bad(text);
    let [fault] = faults.as_slice() else {
        panic!("not one fault but {faults}\nin\n{text}")
    };
    assert_eq!(fault.key, key, "{fault}");
    assert!(fault.problem.contains(part), "{part:?} is not in: {fault}");
}

/// Lines of an upstream that reads a vCenter's own numbers, with an account to do so.
fn reading() -> String {
    let folder = folder("account", &[("password", "secret\n")]);
    format!(
        "utilization = \"30s\"\naccount = {{ user = \"gate\", password = \"file:{}/password\" }}\n",
        folder.display()
    )
}

/// The limit `name` of the first upstream.
fn limit<'a>(config: &'a Config, name: &str) -> &'a Limit {
    let limits = &config.upstreams[0].limits;
    limits
        .iter()
        .find(|limit| &*limit.name == name)
        .unwrap_or_else(|| panic!("no limit {name}"))
}

/// A folder of this test's own with `files` in it.
fn folder(test: &str, files: &[(&str, &str)]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("config")
        .join(test);
    std::fs::create_dir_all(&folder).unwrap();
    for (name, content) in files {
        std::fs::write(folder.join(name), content).unwrap();
    }
    folder
}
