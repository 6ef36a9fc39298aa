//! Fills the holes of texts.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::LONGEST_HANDLE;
use super::origin::Origin;
use crate::config::{Escape, Fill, Form, Hole, Part, Piece, Pieces, Template};

/// What a segment of a path may have as it stands: unreserved characters, and the colon that vCenter's names have.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');
/// Longest target that is made, bytes.
const LONGEST_TARGET: usize = 8 * 1024;
/// Longest text that is made of a template, bytes.
const LONGEST_TEXT: usize = 16 << 20;

/// A target. `None` where something is missing, or would make another path of it.
pub(super) fn target(pieces: &Pieces, origin: &Origin<'_>, handle: &str) -> Option<String> {
    let mut target = String::new();
    for piece in &pieces.0 {
        match piece {
            Piece::Text(text) => target.push_str(text),
            Piece::Hole(Hole::Id) => target.push_str(&segment(handle)?),
            Piece::Hole(Hole::Url) => target.push_str(handle),
            Piece::Hole(Hole::Target) => target.push_str(origin.target),
            Piece::Hole(Hole::Path) => target.push_str(origin.path),
            Piece::Hole(Hole::Star(star)) => target.push_str(origin.star(*star)?),
            Piece::Hole(hole @ (Hole::Body(_) | Hole::Query(_))) => {
                target.push_str(&segment(&origin.says(hole)?)?);
            }
        }
    }
    is_target(&target).then_some(target)
}

/// A text that something is compared with.
pub(super) fn text(pieces: &Pieces, origin: &Origin<'_>) -> Option<String> {
    let mut text = String::new();
    for piece in &pieces.0 {
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Hole(hole) => text.push_str(&origin.says(hole)?),
        }
    }
    Some(text)
}

/// `name` as one segment of a path.
pub(super) fn segment(name: &str) -> Option<String> {
    let is_one = !name.is_empty() && name.len() <= LONGEST_HANDLE && name != "." && name != "..";
    is_one.then(|| utf8_percent_encode(name, SEGMENT).to_string())
}

/// Whether a text can be sent as a target: from the root, visible ASCII, and no way up out of where it seems to be.
pub(super) fn is_target(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\';
    let is_up = |segment: &str| {
        let segment = segment.to_ascii_lowercase().replace("%2e", ".");
        segment == "." || segment == ".."
    };
    target.starts_with('/')
        && !target.starts_with("//")
        && target.len() <= LONGEST_TARGET
        && target.bytes().all(plain)
        && !path.split('/').any(is_up)
}

/// A text of a template, whose holes `says` fills.
pub(super) fn template(template: &Template, says: impl Fn(&Fill) -> Option<Value>) -> String {
    let mut made = String::new();
    for line in &template.lines {
        if let Some(line) = self::line(line, template.escape, &says) {
            if made.len().saturating_add(line.len()) > LONGEST_TEXT {
                break;
            }
            made.push_str(&line);
        }
    }
    made
}

/// One line; `None` when something optional in it is not there.
fn line(parts: &[Part], escape: Escape, says: &impl Fn(&Fill) -> Option<Value>) -> Option<String> {
    let mut line = String::new();
    for part in parts {
        match part {
            Part::Text(text) => line.push_str(text),
            Part::Fill(fill) => {
                let value = says(fill).filter(|value| !value.is_null());
                if value.is_none() && fill.optional {
                    return None;
                }
                line.push_str(&written(value, fill.form, escape));
            }
        }
    }
    Some(line)
}

/// A value as it stands in a template.
pub(super) fn written(value: Option<Value>, form: Form, escape: Escape) -> String {
    if form == Form::Json && escape == Escape::Json {
        return value.unwrap_or_default().to_string();
    }
    let text = match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
    };
    match (form, escape) {
        (Form::Word, _) => {
            let plain = |c: &char| c.is_ascii_alphanumeric() || "_.-".contains(*c);
            text.to_ascii_lowercase().chars().filter(plain).collect()
        }
        (_, Escape::Json) => {
            let quoted = Value::String(text).to_string();
            let inside = quoted
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'));
            inside.unwrap_or_default().to_owned()
        }
        (_, Escape::Xml) => xml(&text),
        (_, Escape::Plain) => text.chars().filter(|c| !c.is_control()).collect(),
    }
}

/// Text inside an element; characters that XML 1.0 has not are left out.
pub(super) fn xml(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => escaped.push(c),
            c if c.is_control() || matches!(c, '\u{FFFE}' | '\u{FFFF}') => {}
            c => escaped.push(c),
        }
    }
    escaped
}
