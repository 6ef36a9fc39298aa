//! Texts that a task fills which ended badly: `/api/vcenter/vm/{found:0.vm}`, `{"id":"${answer:value.id}"}`.

use std::fmt;

use crate::config::adapter::{Hole, Spot, hole};
use crate::config::node::Node;
use crate::config::value::text;

/// Longest text, bytes.
const LONGEST: usize = 4096;
/// Most holes of one text.
const MOST_HOLES: usize = 16;
const WANTED: &str = "path stands for the path of the call, 1 for what the first * of its route took, /place for what its JSON body has there, ?name for a parameter of its query, answer:place for what the upstream's answer to it has there, found:place for what the answer to `find` has there";

/// A text with holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blanks {
    /// Text and holes, in order.
    pub bits: Vec<Bit>,
    written: String,
}

/// Text, or a hole in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bit {
    /// Text as it stands.
    Text(String),
    /// What the call itself says.
    Call(Hole),
    /// What the upstream's answer to it has at this place.
    Answer(Spot),
    /// What the answer to the question has at this place, as it is written.
    Found(String),
}

impl Blanks {
    /// Whether it depends on what is found.
    #[must_use]
    pub fn needs_find(&self) -> bool {
        self.bits.iter().any(|bit| matches!(bit, Bit::Found(_)))
    }

    /// Whether it depends on what the upstream answered.
    pub(super) fn needs_answer(&self) -> bool {
        self.bits.iter().any(|bit| matches!(bit, Bit::Answer(_)))
    }
}

impl fmt::Display for Blanks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// A target, in which `{…}` are holes, for which so many stars of the route's path may be named.
pub(super) fn target(stars: usize) -> impl Fn(&Node) -> Result<Blanks, String> {
    move |node| {
        let written = text(node)?;
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\';
        if !written.bytes().all(plain) {
            return Err("has characters that no target has".to_owned());
        }
        let blanks = blanks(written, "{", stars)?;
        let from_root = match blanks.bits.first() {
            Some(Bit::Text(text)) => text.starts_with('/') && !text.starts_with("//"),
            Some(Bit::Call(hole)) => *hole == Hole::Path,
            _ => false,
        };
        if from_root {
            Ok(blanks)
        } else {
            Err(format!(
                "does not start at the root; a path is wanted, with holes as {{1}}, in which {WANTED}"
            ))
        }
    }
}

/// A body of JSON, in which `${…}` are holes inside its strings.
pub(super) fn body(stars: usize) -> impl Fn(&Node) -> Result<Blanks, String> {
    move |node| {
        let blanks = blanks(text(node)?, "${", stars)?;
        let tried = blanks.bits.iter().map(|bit| match bit {
            Bit::Text(text) => text.as_str(),
            _ => "x",
        });
        let tried: String = tried.collect();
        match serde_json::from_str::<serde_json::Value>(&tried) {
            Ok(_) => Ok(blanks),
            Err(_) => Err("is no JSON; holes as ${/name} stand inside of strings".to_owned()),
        }
    }
}

fn blanks(written: String, open: &str, stars: usize) -> Result<Blanks, String> {
    if written.len() > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes"));
    }
    let mut bits = Vec::new();
    let mut rest = written.as_str();
    while let Some((before, behind)) = rest.split_once(open) {
        let (name, after) = behind
            .split_once('}')
            .ok_or_else(|| format!("has a {open} that nothing closes; in a hole {WANTED}"))?;
        if !before.is_empty() {
            bits.push(Bit::Text(before.to_owned()));
        }
        let bit = bit(name, stars).ok_or_else(|| {
            format!("has {open}{name}}}, which stands for nothing; in a hole {WANTED}")
        })?;
        bits.push(bit);
        rest = after;
    }
    if !rest.is_empty() {
        bits.push(Bit::Text(rest.to_owned()));
    }
    if bits.len() > 2 * MOST_HOLES {
        return Err(format!("has more than {MOST_HOLES} holes"));
    }
    Ok(Blanks { bits, written })
}

fn bit(name: &str, stars: usize) -> Option<Bit> {
    if let Some(place) = name.strip_prefix("answer:") {
        return place.parse().ok().map(Bit::Answer);
    }
    if let Some(place) = name.strip_prefix("found:") {
        place.parse::<Spot>().ok()?;
        return Some(Bit::Found(place.to_owned()));
    }
    match hole(name, stars)? {
        Hole::Id | Hole::Url | Hole::Target => None,
        hole => Some(Bit::Call(hole)),
    }
}
