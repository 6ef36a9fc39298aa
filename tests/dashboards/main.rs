//! Dashboards and rules: read by Prometheus' own tools, and asked of a live Prometheus that scrapes a gate.
//!
//! `tests/run` installs Prometheus and says where by TIDEGATE_PROMTOOL and TIDEGATE_PROMETHEUS. Without these the
//! tests fail: a check that is skipped shows nothing.

#[path = "../support/mod.rs"]
mod support;

mod dashboard;
mod gate;
mod live;
mod named;
mod promql;
mod rules;
mod server;

use std::path::{Path, PathBuf};

fn tool(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable);
    path.unwrap_or_else(|| panic!("{variable} is not set: run the tests by tests/run"))
        .into()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of `config/FOLDER`, in order.
fn files(folder: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root().join("config").join(folder)).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "config/{folder} is empty");
    files
}

/// A folder of its own for one test.
fn folder(name: &str) -> PathBuf {
    let folder =
        std::env::temp_dir().join(format!("tidegate-dashboards-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
