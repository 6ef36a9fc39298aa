//! Texts with holes that the request fills: `/api/cis/tasks/{id}`, `/servers/{1}`, `{/runstate}`.

use std::fmt;

use super::spot::pointer;
use crate::config::node::{Node, Value};
use crate::config::value::text;

/// Longest text, bytes.
const LONGEST: usize = 2048;
/// Most holes of one text.
const MOST_HOLES: usize = 16;
const WANTED: &str = "{id} stands for the task's name, {url} for one that is a URL, {target} for the call's path and query, {path} for its path, {1} for what its first * took, {/place} for what its JSON body has there, {?name} for a parameter of its query";

/// A text with holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pieces(pub Vec<Piece>);

/// Text, or a hole in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text as it stands.
    Text(String),
    /// What fills it.
    Hole(Hole),
}

/// What fills a hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hole {
    /// The task's name, as one segment.
    Id,
    /// The task's name, which is a path itself.
    Url,
    /// Path and query of the call.
    Target,
    /// Path of the call.
    Path,
    /// What the star took that is this one, from 1.
    Star(usize),
    /// What the call's JSON body has at this place.
    Body(Vec<String>),
    /// A parameter of the call's query.
    Query(String),
}

impl Pieces {
    /// Whether the task's name is taken for a path of its own.
    #[must_use]
    pub fn is_of_url(&self) -> bool {
        self.holes().any(|hole| *hole == Hole::Url)
    }

    pub(super) fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Hole(hole) => Some(hole),
            Piece::Text(_) => None,
        })
    }
}

impl fmt::Display for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Hole(hole) => hole.fmt(f),
        })
    }
}

impl fmt::Display for Hole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id => f.write_str("{id}"),
            Self::Url => f.write_str("{url}"),
            Self::Target => f.write_str("{target}"),
            Self::Path => f.write_str("{path}"),
            Self::Star(star) => write!(f, "{{{star}}}"),
            Self::Body(place) => write!(f, "{{/{}}}", place.join("/")),
            Self::Query(name) => write!(f, "{{?{name}}}"),
        }
    }
}

/// A target for which `stars` stars of the path may be named.
pub(super) fn target(stars: usize) -> impl Fn(&Node) -> Result<Pieces, String> {
    move |node| {
        let written = text(node)?;
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\';
        if written.len() > LONGEST || !written.bytes().all(plain) {
            return Err("has characters that no target has, or too many".to_owned());
        }
        let pieces = pieces(&written, stars)?;
        let from_root = match pieces.0.first() {
            Some(Piece::Text(text)) => text.starts_with('/') && !text.starts_with("//"),
            Some(Piece::Hole(hole)) => matches!(hole, Hole::Url | Hole::Target | Hole::Path),
            None => false,
        };
        if from_root {
            Ok(pieces)
        } else {
            Err(format!(
                "does not start at the root; a path is wanted, in which {WANTED}"
            ))
        }
    }
}

/// A text, number or flag that something is compared with.
pub(super) fn wanted(stars: usize) -> impl Fn(&Node) -> Result<Pieces, String> {
    move |node| match &node.value {
        Value::Flag(flag) => Ok(Pieces(vec![Piece::Text(flag.to_string())])),
        Value::Whole(number) => Ok(Pieces(vec![Piece::Text(number.to_string())])),
        _ => pieces(&text(node)?, stars),
    }
}

/// What the request may say: one hole.
pub(super) fn asked(stars: usize) -> impl Fn(&Node) -> Result<Hole, String> {
    move |node| {
        let pieces = pieces(&text(node)?, stars)?;
        match pieces.0.as_slice() {
            [Piece::Hole(hole @ (Hole::Body(_) | Hole::Query(_)))] => Ok(hole.clone()),
            _ => Err(
                "is nothing that a request says; \"{/place}\" or \"{?name}\" is wanted".to_owned(),
            ),
        }
    }
}

fn pieces(text: &str, stars: usize) -> Result<Pieces, String> {
    if text.len() > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes"));
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind
            .split_once('}')
            .ok_or_else(|| format!("has a {{ that nothing closes; {WANTED}"))?;
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        let hole = hole(name, stars)
            .ok_or_else(|| format!("has {{{name}}}, which stands for nothing; {WANTED}"))?;
        pieces.push(Piece::Hole(hole));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    if pieces.len() > 2 * MOST_HOLES {
        return Err(format!("has more than {MOST_HOLES} holes"));
    }
    Ok(Pieces(pieces))
}

/// What a hole of this name stands for, where so many stars may be named.
pub(in crate::config) fn hole(name: &str, stars: usize) -> Option<Hole> {
    match name {
        "id" => Some(Hole::Id),
        "url" => Some(Hole::Url),
        "target" => Some(Hole::Target),
        "path" => Some(Hole::Path),
        _ if name.starts_with('/') => pointer(name).map(Hole::Body),
        _ if name.len() > 1 && name.starts_with('?') => {
            name.get(1..).map(|name| Hole::Query(name.to_owned()))
        }
        _ => {
            let star = name
                .parse()
                .ok()
                .filter(|star| (1..=stars).contains(star))?;
            Some(Hole::Star(star))
        }
    }
}
