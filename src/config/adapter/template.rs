//! Bodies and fields that are made of what is known: `{"value":${json:result}}`.
//!
//! Lines are joined without breaks. A line with `${?…}` that stands for nothing is left out, so that what is optional is a
//! line of its own.

use super::spot::{Spot, parse};
use crate::config::nearest::nearest;

/// Longest template, bytes.
const LONGEST: usize = 16 * 1024;
/// Most holes of one template.
const MOST_HOLES: usize = 64;

/// A text with holes, by its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its lines.
    pub lines: Vec<Vec<Part>>,
    /// How what fills it is written.
    pub escape: Escape,
}

/// Text, or a hole in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text as it stands.
    Text(String),
    /// What fills it.
    Fill(Fill),
}

/// A hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// What it is filled with.
    pub what: What,
    /// The line goes when there is nothing.
    pub optional: bool,
    /// How it is written.
    pub form: Form,
}

/// What fills a hole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// What stands there in the reading.
    Spot(Spot),
    /// What the gate knows of a task.
    Fact(String),
}

/// How what fills a hole is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As text, escaped for where it stands.
    Text,
    /// As a JSON value.
    Json,
    /// In lower case, but for all that is neither letter, digit, `_`, `.` nor `-`.
    Word,
}

/// How text is escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// Inside a string of JSON.
    Json,
    /// Inside an element of XML.
    Xml,
    /// Not at all: a field, or plain text.
    Plain,
}

impl Escape {
    /// What bodies of this media type need.
    pub(super) fn of(content_type: &str) -> Self {
        if content_type.contains("json") {
            Self::Json
        } else if content_type.contains("xml") {
            Self::Xml
        } else {
            Self::Plain
        }
    }
}

/// What a template may be filled with.
#[derive(Clone, Copy)]
pub(super) enum Filled<'a> {
    /// Places of a reading.
    Reading,
    /// What the gate knows, by these names, and `words.NAME`.
    Facts(&'a [&'a str]),
    /// Places in the request's JSON body, what so many stars of its path took, and `words.NAME`.
    Request(usize),
}

/// Reads `text`. `json:…` alone, as other places do, stands for `${json:…}`.
pub(super) fn template(text: &str, escape: Escape, filled: Filled<'_>) -> Result<Template, String> {
    if text.len() > LONGEST {
        return Err(format!("is longer than {LONGEST} bytes"));
    }
    let is_bare_place = matches!(filled, Filled::Reading)
        && ["json:", "xml:", "header:", "location:"]
            .iter()
            .any(|kind| text.starts_with(kind));
    if is_bare_place {
        let fill = fill(text, filled)?;
        let lines = vec![vec![Part::Fill(fill)]];
        return Ok(Template { lines, escape });
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Result<Vec<_>, _> = lines.map(|line| parts(line, filled)).collect();
    let lines = lines?;
    let holes = lines
        .iter()
        .flatten()
        .filter(|part| matches!(part, Part::Fill(_)));
    if holes.count() > MOST_HOLES {
        return Err(format!("has more than {MOST_HOLES} holes"));
    }
    Ok(Template { lines, escape })
}

fn parts(line: &str, filled: Filled<'_>) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = line;
    while let Some((before, behind)) = rest.split_once("${") {
        let (name, after) = behind
            .split_once('}')
            .ok_or("has a ${ that nothing closes")?;
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        parts.push(Part::Fill(fill(name, filled)?));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

fn fill(name: &str, filled: Filled<'_>) -> Result<Fill, String> {
    let (name, optional) = name
        .strip_prefix('?')
        .map_or((name, false), |name| (name, true));
    let (name, is_word) = name
        .strip_prefix("word:")
        .map_or((name, false), |name| (name, true));
    let is_json = name.starts_with("json:");
    let what = match filled {
        Filled::Reading => What::Spot(parse(name)?),
        Filled::Facts(known) => {
            let fact = name.strip_prefix("json:").unwrap_or(name);
            if !known.contains(&fact) && !fact.starts_with("words.") {
                return Err(unknown(fact, known));
            }
            What::Fact(fact.to_owned())
        }
        Filled::Request(_) if is_json => What::Spot(parse(name)?),
        Filled::Request(stars) => {
            let is_star = |name: &str| name.parse().is_ok_and(|star| (1..=stars).contains(&star));
            if !name.starts_with("words.") && !is_star(name) {
                return Err(format!(
                    "has ${{{name}}}, which stands for nothing; known are json:PLACE, what the request's body has there, the numbers of stars, and words.NAME"
                ));
            }
            What::Fact(name.to_owned())
        }
    };
    let form = match (is_word, is_json) {
        (true, _) => Form::Word,
        (false, true) => Form::Json,
        (false, false) => Form::Text,
    };
    Ok(Fill {
        what,
        optional,
        form,
    })
}

fn unknown(fact: &str, known: &[&str]) -> String {
    let said = format!("has ${{{fact}}}, which stands for nothing");
    match nearest(fact, known.iter().copied()) {
        Some(near) => format!("{said}; did you mean ${{{near}}}?"),
        None => format!("{said}; known are {}, and words.NAME", known.join(", ")),
    }
}
