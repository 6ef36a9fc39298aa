//! `config/tidegate.toml` documents every key there is, shows its default, and documents nothing else.

use std::collections::BTreeSet;
use std::path::Path;

use super::node::{self, Table, Value};
use super::{check, parse};

const FILE: &str = include_str!("../../config/tidegate.toml");
const DIALECT: &str = include_str!("../../config/dialect.toml");

/// Tables whose keys are names the operator chooses.
const FREE: [&str; 20] = [
    ".limits",
    ".match.query",
    ".match.header",
    ".domains",
    ".weights",
    ".set_header",
    "].body.each",
    "].merge.key",
    ".json",
    ".statuses",
    ".words",
    ".started.header",
    ".unknown.header",
    ".status.header",
    ".cancel.header",
    ".cancel.refused.header",
    ".result.header",
    ".error.header",
    ".list.only",
    ".list.without",
];

#[test]
fn every_key_is_documented_and_nothing_else() {
    let one_of_each = "[[upstream]]\n[upstream.limits.any]\n[[upstream.route]]\n[[upstream.route.after]]\n[[upstream.client]]\n[[upstream.refused]]\n";
    let (_, mut known, _) = check(&node::parse(one_of_each, None).unwrap(), Path::new("."));
    // These stand in the files of profiles and dialects, not in this one.
    known.retain(|key| !key.starts_with("profile.") && !key.starts_with("dialect."));
    let mut documented = BTreeSet::new();
    collect(
        &node::parse(&uncommented(), None).unwrap(),
        "",
        &mut documented,
    );
    let missing: Vec<_> = known.difference(&documented).collect();
    let unknown: Vec<_> = documented.difference(&known).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "not documented: {missing:?}; documented but unknown: {unknown:?}"
    );
    assert!(known.len() > 70, "only {} keys were asked for", known.len());
}

#[test]
fn every_key_of_a_dialect_is_documented_and_nothing_else() {
    let with = "[[upstream]]\naddress = \"https://a.example\"\ndialect_files = [\"dialect.toml\"]";
    let (config, asked, faults) = check(&node::parse(with, None).unwrap(), Path::new("config"));
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(config.upstreams[0].adapters.len(), 4);
    // Conditions are the same wherever they stand; what stands in bodies is asked for to be refused.
    let plain = |key: &str| {
        key.replace(".before.busy[]", ".accept[]")
            .replace(".find.fits[]", ".accept[]")
            .replace(".and[]", "")
    };
    let is_head =
        |key: &&str| !key.ends_with(".match.service") && !key.ends_with(".match.operation");
    let of_dialects = asked.iter().filter_map(|key| key.strip_prefix("dialect."));
    let known: BTreeSet<_> = of_dialects.filter(is_head).map(plain).collect();
    let mut documented = BTreeSet::new();
    collect(&node::parse(DIALECT, None).unwrap(), "", &mut documented);
    let documented: BTreeSet<_> = documented.iter().map(|key| plain(key)).collect();
    let missing: Vec<_> = known.difference(&documented).collect();
    let unknown: Vec<_> = documented.difference(&known).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "not documented: {missing:?}; documented but unknown: {unknown:?}"
    );
    assert!(
        known.len() > 130,
        "only {} keys were asked for",
        known.len()
    );
}

#[test]
fn what_it_shows_are_the_defaults() {
    let here = Path::new("config");
    let defaults = parse(
        "[[upstream]]\naddress = \"https://vcenter.example:443\"",
        here,
    )
    .unwrap();
    assert_eq!(parse(FILE, here).unwrap(), defaults);
}

#[test]
fn what_is_commented_out_is_valid_but_for_files_that_are_not_here() {
    let faults = parse(&uncommented(), Path::new("config")).unwrap_err();
    let mut keys: Vec<_> = faults
        .as_slice()
        .iter()
        .map(|fault| fault.key.as_str())
        .collect();
    keys.dedup();
    let files = [
        "listen.certificate",
        "listen.private_key",
        "listen.client_ca",
        "tasks.webhook_secret",
    ];
    let admin = ["admin.token", "admin.certificate", "admin.private_key"];
    // The first one excludes `verify`, and says so.
    let upstream = [
        "upstream[0].insecure.skip_verify",
        "upstream[0].account.password",
    ];
    // The file allows no receivers.
    let told = ["upstream[0].route[0].after[1].webhook"];
    let all = [&files[..], &admin, &upstream, &told].concat();
    assert_eq!(keys, all, "{faults}");
}

/// The file with every example in force: "#key" without a blank is an example, "# text" explains.
fn uncommented() -> String {
    let mut text = String::new();
    for line in FILE.lines() {
        let example = line
            .strip_prefix('#')
            .filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '['));
        text.push_str(example.unwrap_or(line));
        text.push('\n');
    }
    text
}

fn collect(table: &Table, path: &str, keys: &mut BTreeSet<String>) {
    let is_free = FREE.iter().any(|free| path.ends_with(free));
    for (key, node) in table {
        let key = if is_free { "*" } else { key };
        let path = if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        };
        keys.insert(path.clone());
        match &node.value {
            Value::Table(inner) => collect(inner, &path, keys),
            Value::List(list) => {
                for item in list {
                    if let Value::Table(inner) = &item.value {
                        collect(inner, &format!("{path}[]"), keys);
                    }
                }
            }
            _ => {}
        }
    }
}
