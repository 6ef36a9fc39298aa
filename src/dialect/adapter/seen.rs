//! An answer once it is read: what stands at a place in it.

use http::HeaderMap;
use serde_json::Value;

use super::LARGEST;
use super::tree::Tree;
use crate::config::Spot;

/// An answer as it came.
#[derive(Debug, Clone, Copy)]
pub struct Answered<'a> {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// Its whole body.
    pub body: &'a [u8],
}

/// An answer once it is read.
#[derive(Debug, Clone)]
pub struct Seen<'a> {
    pub(super) status: u16,
    headers: Option<&'a HeaderMap>,
    pub(super) body: Body,
}

/// What a body is.
#[derive(Debug, Clone)]
pub(super) enum Body {
    Json(Value),
    Xml(Tree),
    /// Nothing, or nothing that is understood.
    Other,
}

impl Body {
    pub(super) fn read(body: &[u8]) -> Self {
        let start = body.trim_ascii_start();
        let start = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start);
        match start.first() {
            Some(b'<') if body.len() <= LARGEST => Tree::read(body).map_or(Self::Other, Self::Xml),
            Some(_) if body.len() <= LARGEST => {
                serde_json::from_slice(start).map_or(Self::Other, Self::Json)
            }
            _ => Self::Other,
        }
    }
}

/// What stands at a place.
pub(super) enum Found<'s> {
    Json(&'s Value),
    Text(&'s str),
}

impl Found<'_> {
    /// A text, number or flag as text; `None` for `null`, lists and maps.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some((*text).to_owned()),
            Self::Json(value) => scalar(value),
        }
    }

    /// Whether there is a text, list or map with something in it, or another value than `null`.
    pub(super) fn is_something(&self) -> bool {
        match self {
            Self::Text(text) => !text.is_empty(),
            Self::Json(Value::Null) => false,
            Self::Json(Value::String(text)) => !text.is_empty(),
            Self::Json(Value::Array(list)) => !list.is_empty(),
            Self::Json(Value::Object(map)) => !map.is_empty(),
            Self::Json(_) => true,
        }
    }

    pub(super) fn json(&self) -> Value {
        match self {
            Self::Text(text) => Value::String((*text).to_owned()),
            Self::Json(value) => (*value).clone(),
        }
    }
}

/// A text, number or flag as text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// What stands at `steps` below `value`.
pub(super) fn below<'v>(value: &'v Value, steps: &[String]) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| match value {
        Value::Object(map) => map.get(step),
        Value::Array(list) => list.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

impl<'a> Seen<'a> {
    /// Reads an answer; what is not understood of its body is nothing.
    #[must_use]
    pub fn new(answered: &Answered<'a>) -> Self {
        Self {
            status: answered.status,
            headers: Some(answered.headers),
            body: Body::read(answered.body),
        }
    }

    /// One task out of an answer that told of many.
    pub(super) fn entry(body: Body) -> Self {
        Self {
            status: 200,
            headers: None,
            body,
        }
    }

    /// One task out of an answer that told of many, as JSON; none where it is no such, or an answer by itself.
    #[must_use]
    pub fn entry_json(&self) -> Option<String> {
        match &self.body {
            Body::Json(value) if self.headers.is_none() => Some(value.to_string()),
            _ => None,
        }
    }

    /// What stands at a place.
    pub(super) fn at(&self, spot: &Spot) -> Option<Found<'_>> {
        match (spot, &self.body) {
            (Spot::Json(steps), Body::Json(value)) => below(value, steps).map(Found::Json),
            (Spot::Xml(path), Body::Xml(tree)) => {
                tree.at(path).first().map(|one| Found::Text(one.said()))
            }
            (Spot::Header(name), _) => self.field(name).map(Found::Text),
            (Spot::LastSegment, _) => self
                .field("location")
                .and_then(last_segment)
                .map(Found::Text),
            _ => None,
        }
    }

    /// The text of the first of `spots` that has one.
    pub(super) fn first(&self, spots: &[Spot]) -> Option<String> {
        let mut texts = spots.iter().filter_map(|spot| self.at(spot)?.text());
        texts.find(|text| !text.is_empty())
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.headers?.get(name)?.to_str().ok().map(str::trim)
    }
}

/// The last segment of a URL's path.
fn last_segment(url: &str) -> Option<&str> {
    let path = url.split(['?', '#']).next()?;
    let last = path.trim_end_matches('/').rsplit('/').next()?;
    (!last.is_empty()).then_some(last)
}
