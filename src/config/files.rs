//! The files a configuration names: where they are, and whether what has to be there is there.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::node::Node;
use super::types::Secret;
use super::value::text;

/// Largest file read while checking, bytes.
pub(super) const LARGEST: u64 = 1 << 20;
/// Largest secret, bytes.
const LARGEST_SECRET: usize = 4096;

/// What a PEM file has to hold.
#[derive(Clone, Copy)]
pub(super) enum Pem {
    /// One certificate or more.
    Certificate,
    /// A private key, of any kind.
    Key,
}

/// A path, relative ones taken from the folder of the configuration. The file need not exist.
pub(super) fn path(base: &Path) -> impl Fn(&Node) -> Result<PathBuf, String> {
    move |node| match text(node)?.as_str() {
        "" => Err("is empty; a path is wanted".to_owned()),
        path if path.contains('\0') => Err("holds a zero byte; a path is wanted".to_owned()),
        path => Ok(base.join(path)),
    }
}

/// A path to a PEM file that can be read now and holds what it should.
pub(super) fn pem(base: &Path, wanted: Pem) -> impl Fn(&Node) -> Result<PathBuf, String> {
    move |node| {
        let file = path(base)(node)?;
        check_pem(&file, wanted)?;
        Ok(file)
    }
}

/// Whether `file` is a PEM file that can be read now and holds what it should.
pub(super) fn check_pem(file: &Path, wanted: Pem) -> Result<(), String> {
    let content = read(file)?;
    let has = |label: &str| {
        content
            .lines()
            .any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(label))
    };
    match wanted {
        Pem::Certificate if !has(" CERTIFICATE-----") => Err(format!(
            "{} holds no PEM certificate (-----BEGIN CERTIFICATE-----)",
            file.display()
        )),
        Pem::Key if has(" ENCRYPTED PRIVATE KEY-----") => Err(format!(
            "the key in {} is encrypted; a key without passphrase is wanted",
            file.display()
        )),
        Pem::Key if !has("PRIVATE KEY-----") => Err(format!(
            "{} holds no PEM private key (-----BEGIN PRIVATE KEY-----)",
            file.display()
        )),
        _ => Ok(()),
    }
}

/// A secret: `file:PATH`, read now. Never written into the configuration itself.
pub(super) fn secret(base: &Path) -> impl Fn(&Node) -> Result<Secret, String> {
    move |node| {
        let reference = text(node)?;
        let Some(path) = reference
            .strip_prefix("file:")
            .filter(|path| !path.is_empty() && !path.contains('\0'))
        else {
            return Err("is no reference to a file; secrets stay out of this file, write \"file:/path/to/secret\"".to_owned());
        };
        let path = base.join(path);
        let content = read(&path)?;
        let secret = content.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(format!("{} is empty", path.display()));
        }
        // It is compared with what a header carries, and a header carries one line of visible characters.
        if secret.len() > LARGEST_SECRET || !secret.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!(
                "{} is no secret: one line of at most {LARGEST_SECRET} visible ASCII characters is wanted",
                path.display()
            ));
        }
        Ok(Secret::new(secret))
    }
}

/// The text of a file of at most [`LARGEST`] bytes.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let kind =
        std::fs::metadata(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    // Opening a pipe would wait for somebody to write into it.
    if !kind.is_file() {
        return Err(format!("{shown} is no plain file"));
    }
    let mut content = Vec::new();
    let file = File::open(path).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    file.take(LARGEST + 1)
        .read_to_end(&mut content)
        .map_err(|error| format!("{shown} cannot be read: {error}"))?;
    if u64::try_from(content.len()).unwrap_or(u64::MAX) > LARGEST {
        return Err(format!("{shown} is larger than 1 MiB"));
    }
    String::from_utf8(content).map_err(|error| {
        format!(
            "{shown} is no UTF-8 text (byte {})",
            error.utf8_error().valid_up_to()
        )
    })
}
