//! The built-in dialects, in a hurry: they poll many times a second, believe an end soon, and soon give up looking for a start.

use std::path::{Path, PathBuf};

/// Where the built-in dialect of this name stands, in a hurry; it is called `hurried`, and goes before the profile's own.
pub fn hurried(dialect: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("hurried-{dialect}-of-{}.toml", std::process::id()));
    // Several tests may write it at once, each the same.
    let mine = file.with_extension(format!("{:?}", std::thread::current().id()));
    std::fs::write(&mine, text(dialect)).unwrap();
    std::fs::rename(&mine, &file).unwrap();
    file
}

/// Its text.
pub fn text(dialect: &str) -> String {
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("config/dialects/{dialect}.toml"));
    let text = std::fs::read_to_string(source).unwrap();
    let text = text.replacen(&format!("\"{dialect}\""), "\"hurried\"", 1);
    let text = in_place(&text, "every = \"", |every| {
        if every.contains("..") {
            "100ms..200ms"
        } else {
            "100ms"
        }
    });
    let text = in_place(&text, "apart = \"", |_| "100ms");
    let text = in_place(&text, "within  = \"", |_| "2s");
    let began = "\nstarted = \"start_time\"";
    let text = text.replace(began, &format!("{began}\nwithin  = \"2s\""));
    if text.contains("\nconfirm") {
        return text;
    }
    let (faces, adapters) = text.split_once("[[adapter]]").unwrap();
    let confirm = "\nconfirm = { apart = \"100ms\" }\nstarted ";
    let adapters = adapters.replacen("\nstarted ", confirm, 1);
    format!("{faces}[[adapter]]{adapters}")
}

/// `text` with what stands behind each `key`, up to the closing quote, replaced.
fn in_place(text: &str, key: &str, value: impl Fn(&str) -> &'static str) -> String {
    let mut parts = text.split(key);
    let mut made = parts.next().unwrap().to_owned();
    for part in parts {
        let (old, rest) = part.split_once('"').unwrap();
        made += &format!("{key}{}\"{rest}", value(old));
    }
    made
}
