//! Profiles: what is known of a product and version, laid under the operator's own words.

use std::path::Path;
use std::sync::Arc;

use super::fault::{Fault, Origin};
use super::files;
use super::findings::Findings;
use super::node::{self, Table, Value};
use super::reader::Reader;
use super::value::text;

/// The profile of an upstream that names none.
pub(super) const DEFAULT: &str = "generic";

/// The profiles inside the program, by name.
pub(super) const BUILT_IN: [(&str, &str); 8] = [
    ("avi", include_str!("../../config/profiles/avi.toml")),
    (
        "generic",
        include_str!("../../config/profiles/generic.toml"),
    ),
    ("nsx-4", include_str!("../../config/profiles/nsx-4.toml")),
    ("nsx-v", include_str!("../../config/profiles/nsx-v.toml")),
    ("skytap", include_str!("../../config/profiles/skytap.toml")),
    (
        "vcenter-7.0",
        include_str!("../../config/profiles/vcenter-7.0.toml"),
    ),
    (
        "vcenter-8.0",
        include_str!("../../config/profiles/vcenter-8.0.toml"),
    ),
    (
        "vcenter-8.0u3",
        include_str!("../../config/profiles/vcenter-8.0u3.toml"),
    ),
];

/// Keys of an upstream that a profile may set; the rest (address, hosts, trust) belongs to the operator alone.
const MAY_SET: [&str; 16] = [
    "dialect",
    "adapters",
    "refusal",
    "session_idle",
    "limits",
    "route",
    "native",
    "connect_timeout",
    "response_timeout",
    "idle_timeout",
    "adaptive",
    "blackout",
    "learn",
    "utilization",
    "client",
    "refused",
];

/// Of these, lists: the profile's entries come behind the upstream's own instead of being replaced by them.
const LISTS: [&str; 3] = ["route", "client", "refused"];

/// Why there is no profile.
pub(super) enum Missing {
    /// The name or path leads nowhere: a fault of the upstream's `profile`.
    Unknown(String),
    /// The file is there and is no TOML.
    Broken(Fault),
}

/// The tables of a profile: a built-in one, or a file when `name` has a slash or ends in `.toml`.
pub(super) fn load(name: &str, base: &Path) -> Result<Table, Missing> {
    let label = Origin::profile(name);
    if let Some((_, text)) = BUILT_IN.into_iter().find(|(built_in, _)| *built_in == name) {
        return node::parse(text, Some(&label)).map_err(Missing::Broken);
    }
    let ends_in_toml = Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "toml");
    if !name.contains('/') && !ends_in_toml {
        let names: Vec<_> = BUILT_IN.into_iter().map(|(name, _)| name).collect();
        let problem = format!(
            "is no profile; built in are {}; a file of your own is written as \"./NAME.toml\"",
            names.join(", ")
        );
        return Err(Missing::Unknown(problem));
    }
    let content = files::read(&base.join(name)).map_err(Missing::Unknown)?;
    node::parse(&content, Some(&label)).map_err(Missing::Broken)
}

/// Checks the keys of a profile that are not an upstream's, and returns the ones to be laid under it.
pub(super) fn under(profile: &Table, findings: &Findings, upstream: &Arc<str>) -> Table {
    let r = Reader::file(findings, profile, upstream, "profile");
    for (key, wanted) in [("name", true), ("about", false)] {
        if r.get(key, text).is_none() && wanted && !r.has(key) {
            r.fault(key, "is missing; a profile says its name");
        }
    }
    r.pass_over(&MAY_SET);
    r.finish();
    let is_laid = |key: &str| MAY_SET.contains(&key) && !LISTS.contains(&key);
    profile
        .iter()
        .filter(|(key, _)| is_laid(key))
        .map(|(key, node)| (key.clone(), node.clone()))
        .collect()
}

/// The names of a profile's limits.
pub(super) fn limit_names(profile: &Table) -> Vec<String> {
    match profile.get("limits").map(|node| &node.value) {
        Some(Value::Table(limits)) => limits.keys().cloned().collect(),
        _ => Vec::new(),
    }
}
