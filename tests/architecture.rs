//! The architecture, held to what it says of itself: the order of rooms is read from `src/lib.rs`, the rules are in
//! `architecture/rules.rs`, and `architecture/broken.rs` breaks each of them on purpose.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

#[path = "architecture/broken.rs"]
mod broken;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

/// What is not ours, or is made anew by tools.
const NOT_OURS: [&str; 4] = ["target", "node_modules", "__pycache__", "Cargo.lock"];

/// Files and folders that begin with a dot are the tools' own, but for these.
const OURS_THOUGH_HIDDEN: [&str; 5] = [
    ".ci",
    ".config",
    ".clippy.toml",
    ".rustfmt.toml",
    ".gitignore",
];

/// Every text file of the project, by its path from the project's root.
fn tree() -> io::Result<BTreeMap<String, String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let hidden = name.starts_with('.') && !OURS_THOUGH_HIDDEN.contains(&name.as_str());
            if hidden || NOT_OURS.contains(&name.as_str()) {
                continue;
            }
            let path = entry.path();
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let from_root = path.strip_prefix(root).unwrap_or(&path);
                files.insert(from_root.to_string_lossy().into_owned(), text);
            }
        }
    }
    Ok(files)
}

#[test]
fn the_tree_keeps_its_rules() {
    let tree = tree().expect("the project can be read");
    assert!(
        tree.contains_key("src/lib.rs"),
        "the walk finds the map of rooms"
    );
    let rooms = rules::rooms(&tree);
    assert!(rooms.len() > 1, "the map lists rooms, found {rooms:?}");
    let faults = rules::faults(&tree);
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        lines.join("\n")
    );
}
