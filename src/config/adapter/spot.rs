//! Places in a message: `json:a.b[0]`, `xml:job/status`, `header:Location`, `location:last-segment`.

use std::fmt;
use std::str::FromStr;

use crate::config::node::Node;
use crate::config::pattern::is_header_name;
use crate::config::value::text;

/// Most steps of a path.
const MOST_STEPS: usize = 32;
/// Longest path, bytes.
const LONGEST: usize = 512;
const WANTED: &str = "a place is wanted, as \"json:a.b[0].c\", \"json:/a/b\" (RFC 6901), \"json:$\" (all of the body), \"xml:job/status\", \"xml:job/result[key=id]/value\", \"header:jobId\" or \"location:last-segment\"";

/// A place in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spot {
    /// In a JSON body: names of members and places in lists, from the root; the root itself when empty.
    Json(Vec<String>),
    /// In an XML body: elements from the root down.
    Xml(Vec<Element>),
    /// A header field, its name in lower case.
    Header(String),
    /// The last segment of `Location`.
    LastSegment,
}

/// An element of XML by its name, whatever its prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// Its name.
    pub name: String,
    /// A child that it has to have, and the text in that.
    pub with: Option<(String, String)>,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(steps) if steps.is_empty() => f.write_str("the whole body"),
            Self::Json(steps) => f.write_str(&steps.join(".")),
            Self::Xml(elements) => {
                let names = elements.iter().map(|one| match &one.with {
                    Some((child, text)) => format!("{}[{child}={text}]", one.name),
                    None => one.name.clone(),
                });
                f.write_str(&names.collect::<Vec<_>>().join("/"))
            }
            Self::Header(name) => write!(f, "header {name}"),
            Self::LastSegment => f.write_str("the last segment of Location"),
        }
    }
}

impl FromStr for Spot {
    type Err = String;

    /// Without a prefix it is a place in JSON.
    fn from_str(text: &str) -> Result<Self, String> {
        parse(text)
    }
}

/// A place as the file has it. Without a prefix it is one in JSON.
pub(super) fn spot(node: &Node) -> Result<Spot, String> {
    parse(&text(node)?)
}

/// Reads `text` as a place.
pub(super) fn parse(text: &str) -> Result<Spot, String> {
    if text.len() > LONGEST || text.chars().any(char::is_control) {
        return Err(format!("is too long or has control characters; {WANTED}"));
    }
    let (kind, path) = match text.split_once(':') {
        Some((kind @ ("json" | "xml" | "header" | "location"), path)) => (kind, path),
        _ => ("json", text),
    };
    let found = match kind {
        "json" => json(path).map(Spot::Json),
        "xml" => xml(path).map(Spot::Xml),
        "header" if is_header_name(path) => Some(Spot::Header(path.to_ascii_lowercase())),
        "location" if path == "last-segment" => Some(Spot::LastSegment),
        _ => None,
    };
    found.ok_or_else(|| format!("is no place; {WANTED}"))
}

fn json(path: &str) -> Option<Vec<String>> {
    let steps: Vec<String> = match path {
        "$" => Vec::new(),
        _ if path.starts_with('/') => pointer(path)?,
        _ => dotted(path.strip_prefix("$.").unwrap_or(path))?,
    };
    (steps.len() <= MOST_STEPS).then_some(steps)
}

/// A place by RFC 6901.
pub(super) fn pointer(path: &str) -> Option<Vec<String>> {
    let steps = path.strip_prefix('/')?.split('/');
    let steps: Vec<String> = steps
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect();
    (steps.len() <= MOST_STEPS).then_some(steps)
}

/// `a.b[0].c`.
fn dotted(path: &str) -> Option<Vec<String>> {
    let mut steps = Vec::new();
    for member in path.split('.') {
        let mut parts = member.split('[');
        let name = parts.next()?;
        if name.is_empty() || name.contains([']', '$']) {
            return None;
        }
        steps.push(name.to_owned());
        for index in parts {
            let index = index.strip_suffix(']')?;
            let is_index = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
            steps.push(is_index.then(|| index.to_owned())?);
        }
    }
    Some(steps)
}

fn xml(path: &str) -> Option<Vec<Element>> {
    let elements: Option<Vec<Element>> = path.split('/').map(element).collect();
    elements.filter(|elements| elements.len() <= MOST_STEPS)
}

fn element(text: &str) -> Option<Element> {
    let (name, with) = match text.split_once('[') {
        Some((name, rest)) => {
            let (child, text) = rest.strip_suffix(']')?.split_once('=')?;
            (name, Some((is_name(child)?, text.to_owned())))
        }
        None => (text, None),
    };
    Some(Element {
        name: is_name(name)?,
        with,
    })
}

fn is_name(text: &str) -> Option<String> {
    let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    (!text.is_empty() && text.chars().all(plain)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_in_every_spelling() {
        let steps = |list: &[&str]| Ok(Spot::Json(list.iter().map(ToString::to_string).collect()));
        assert_eq!(parse("json:$"), steps(&[]));
        assert_eq!(parse("status"), steps(&["status"]));
        assert_eq!(
            parse("json:messages[0].id"),
            steps(&["messages", "0", "id"])
        );
        assert_eq!(parse("$.a[1][2]"), steps(&["a", "1", "2"]));
        assert_eq!(parse("json:/a~1b/@odata.id"), steps(&["a/b", "@odata.id"]));
        assert_eq!(parse("header:jobId"), Ok(Spot::Header("jobid".into())));
        assert_eq!(parse("location:last-segment"), Ok(Spot::LastSegment));
        let Ok(Spot::Xml(path)) = parse("xml:edgeJob/result[key=edgeId]/value") else {
            panic!("no place")
        };
        assert_eq!(path[1].with, Some(("key".into(), "edgeId".into())));
        for wrong in [
            "",
            "a..b",
            "a[",
            "a[x]",
            "a[]",
            "xml:",
            "xml:a//b",
            "xml:a[b]",
            "header:",
            "header:a b",
            "location:x",
            "[0]",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
