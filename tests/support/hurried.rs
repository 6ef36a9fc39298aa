//! The built-in dialects, in a hurry: they poll many times a second.

use std::path::{Path, PathBuf};

/// Where the built-in dialect of this name stands, in a hurry: it polls many times a second.
pub fn hurried(dialect: &str) -> PathBuf {
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/dialects/{dialect}.toml"));
    let text = std::fs::read_to_string(source).unwrap();
    let hurried = in_place(&text, "every = \"", "100ms..200ms");
    let hurried = in_place(&hurried, "apart = \"", "100ms");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("hurried-{dialect}-of-{}.toml", std::process::id()));
    // Several tests may write it at once, each the same.
    let mine = file.with_extension(format!("{:?}", std::thread::current().id()));
    std::fs::write(
        &mine,
        hurried.replacen(&format!("\"{dialect}\""), "\"hurried\"", 1),
    )
    .unwrap();
    std::fs::rename(&mine, &file).unwrap();
    file
}

/// `text` with what stands behind each `key`, up to the closing quote, replaced.
fn in_place(text: &str, key: &str, value: &str) -> String {
    let mut parts = text.split(key);
    let mut made = parts.next().unwrap().to_owned();
    for part in parts {
        let (_, rest) = part.split_once('"').unwrap();
        made += &format!("{key}{value}\"{rest}");
    }
    made
}
