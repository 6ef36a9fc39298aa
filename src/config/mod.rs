//! The operator's file: text → checked → plain data, every fault at once.
//!
//! ```text
//!   text ─▶ node ─▶ reader ─▶ door, gate, upstream ─▶ Config ─▶ describe   (tidegate check)
//!           tree,   values    one function a table    plain  └▶ effective  (GET /config)
//!           lines   by key,        ▲                  data
//!                   faults      profile, laid under
//! ```
//!
//! [`load`] and [`parse`] are the only ways to a [`Config`] from outside; what they return holds no wrong value.

/// `[upstream.account]`.
mod account;
/// `[[upstream.route.after]]`.
mod after;
/// Dialects: how an API is asynchronous in its own words.
mod adapter;
/// What `tidegate check` prints: the configuration in plain words.
mod describe;
/// Every key is documented, and nothing else.
#[cfg(test)]
mod documented;
/// `[listen]`.
mod door;
/// What `GET /config` answers.
mod effective;
/// Which limits this version enforces.
mod enforced;
/// What is wrong, and where.
mod fault;
/// Files that have to be there.
mod files;
/// What one check has found so far.
mod findings;
/// The gate's other tables.
mod gate;
/// Text with `*` in it.
mod glob;
/// `[upstream.limits.*]`.
mod limits;
/// Durations and sizes.
mod measure;
/// The word that was probably meant.
mod nearest;
/// Addresses, networks, hosts.
mod net;
/// The text as a tree.
mod node;
/// When the upstream is slow, full or down.
mod overload;
/// `[[upstream.client]]`.
mod patience;
/// Patterns inside `match`.
mod pattern;
/// Limits and routes once checked.
mod policy;
/// What is known of a product and version.
mod profile;
/// Typed values by key.
mod reader;
/// `[[upstream.refused]]`.
mod refused;
/// `[[upstream.route]]` and `match`.
mod route;
/// One limit in plain words.
mod say_limit;
mod say_route;
mod say_tasks;
/// What waits, in plain words.
mod say_waiting;
/// Keys that sign messages about tasks.
mod signing;
/// How an upstream speaks.
mod speech;
/// The configuration once checked.
pub mod types;
/// `[[upstream]]`.
mod upstream;
/// Names of users.
mod user;
/// Single values.
mod value;
mod verify;
/// Where messages about tasks may go.
mod webhook;
/// Words that stand for one of a few things.
mod words;
mod work;

pub use describe::describe;
pub use effective::effective;
pub use fault::{Fault, Faults, Origin, Place};
pub use signing::signing_keys;
pub use types::*;
pub use webhook::is_allowed;

use std::collections::BTreeSet;
use std::path::Path;

use findings::Findings;
use node::Table;
use reader::Reader;

/// Reads and checks the file at `path`.
///
/// # Errors
/// Everything that is wrong with it; a file that cannot be read is one fault.
pub fn load(path: &Path) -> Result<Config, Faults> {
    let text = files::read(path).map_err(|problem| Fault::new("file", "", &problem))?;
    let base = path
        .parent()
        .filter(|base| !base.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    parse(&text, base)
}

/// Checks `text`; relative paths in it start from `base`.
///
/// Certificates, keys and secrets that it names are read now, so that a missing one is a fault here and not later.
///
/// # Errors
/// Everything that is wrong with it; an error of syntax is one fault, with line and column.
pub fn parse(text: &str, base: &Path) -> Result<Config, Faults> {
    if text.len() as u64 > files::LARGEST {
        return Err(Fault::new("file", "", "holds more than 1 MiB of text").into());
    }
    let table = node::parse(text, None)?;
    let (config, _, faults) = check(&table, base);
    Faults::check(faults).map(|()| config)
}

/// The configuration, every key that was asked for, and the faults. With faults, the configuration is of no use.
fn check(table: &Table, base: &Path) -> (Config, BTreeSet<String>, Vec<Fault>) {
    let findings = Findings::new(base);
    let config = build(&Reader::top(&findings, table));
    let (asked, faults) = findings.into_parts();
    (config, asked, faults)
}

fn build(top: &Reader<'_>) -> Config {
    let config = Config {
        listen: door::listen(top),
        runtime: gate::runtime(top),
        state: gate::state(top),
        tasks: gate::tasks(top),
        headers: gate::headers(top),
        admin: gate::admin(top),
        log: gate::log(top),
        upstreams: upstream::upstreams(top),
    };
    let webhooks = &config.tasks.webhooks;
    top.findings().say_unmet(|url| is_allowed(url, webhooks));
    door::check_operators_door(top, &config.listen, &config.admin);
    top.finish();
    config
}
