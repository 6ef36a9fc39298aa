//! The rules by Prometheus' own tool, each alert in the README, and each where it fires and where it must not.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::{files, root, tool};

/// Runs promtool; what it printed, if it was content.
fn promtool(arguments: &[&str], files: &[impl AsRef<Path>]) -> String {
    let output = Command::new(tool("TIDEGATE_PROMTOOL"))
        .args(arguments)
        .args(files.iter().map(AsRef::as_ref))
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// What follows `key` on lines of the rule files.
pub fn stated(key: &str) -> Vec<String> {
    let texts = files("prometheus").into_iter().map(read);
    texts
        .flat_map(|text| {
            let lines = text.lines();
            lines
                .filter_map(|line| line.trim().strip_prefix(key).map(str::to_owned))
                .collect::<Vec<_>>()
        })
        .collect()
}

pub fn read(file: impl AsRef<Path>) -> String {
    std::fs::read_to_string(file).unwrap()
}

fn alerts() -> BTreeSet<String> {
    let all = stated("- alert: ");
    let distinct: BTreeSet<String> = all.iter().cloned().collect();
    assert!(!all.is_empty() && all.len() == distinct.len(), "{all:?}");
    distinct
}

#[test]
fn every_rule_file_is_valid() {
    let said = promtool(&["check", "rules"], &files("prometheus"));
    let rules = stated("- alert: ").len() + stated("- record: ").len();
    let found: usize = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix("SUCCESS: ")?.split(' ').next())
        .map(|count| count.parse::<usize>().unwrap())
        .sum();
    assert_eq!(found, rules, "{said}");
}

#[test]
fn every_alert_fires_and_does_not() {
    let file = root().join("tests/dashboards/alerts.test.yml");
    promtool(&["test", "rules"], &[&file]);
    let (mut fires, mut rests) = (BTreeSet::new(), BTreeSet::new());
    let mut alert = String::new();
    for line in read(file).lines() {
        match line.trim().split_once(':') {
            Some(("alertname", name)) => name.trim().clone_into(&mut alert),
            Some(("exp_alerts", " []")) => _ = rests.insert(alert.clone()),
            Some(("exp_alerts", "")) => _ = fires.insert(alert.clone()),
            _ => {}
        }
    }
    assert_eq!((&fires, &rests), (&alerts(), &alerts()));
}

#[test]
fn the_readme_says_what_to_do_about_every_alert_and_no_other() {
    let readme = read(root().join("README.md"));
    let (_, section) = readme.split_once("\n## Dashboards and alerts\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let (alert, rest) = (
            cells.next()?.trim_end_matches('`'),
            cells.collect::<Vec<_>>(),
        );
        assert!(
            rest.len() == 3 && rest[..2].iter().all(|cell| cell.len() > 20),
            "{line} says when and what to do"
        );
        Some(alert.to_owned())
    });
    let rows: Vec<String> = rows.collect();
    let distinct: BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(distinct, alerts());
    assert_eq!(rows.len(), distinct.len(), "one line each: {rows:?}");
    for file in ["config/grafana/overview.json", "config/prometheus"] {
        assert!(section.contains(file), "{file} is not in the section");
    }
}
