//! What a resource was before it was changed: as much of it as later readings are compared with, and none of its values.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::origin::Origin;
use super::reading::{Verdict, read};
use super::seen::{Found, Seen};
use crate::config::{Became, Native, Says, Spot, Test};

/// Bytes of a mark.
const MARK: usize = 16;
/// Longest text that is read back, bytes.
const LONGEST: usize = 16 * 1024;

/// What a resource was before it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Earlier {
    /// A mark of what stood at each place whose change counts, by the place.
    marks: BTreeMap<String, String>,
    /// It was as the request wants it.
    as_asked: bool,
}

impl Earlier {
    /// What `seen` was, as far as `native` asks for changes of it.
    #[must_use]
    pub fn of(native: &Native, origin: &Origin<'_>, seen: &Seen<'_>) -> Self {
        let tests = native.accept.iter().flat_map(|one| &one.tests);
        let changes = tests.filter_map(|test| match test {
            Test::At(spot, Says::Changed) => Some(spot),
            _ => None,
        });
        let marks = changes.map(|spot| (spot.to_string(), mark(seen.at(spot).as_ref())));
        Self {
            marks: marks.collect(),
            as_asked: matches!(
                read(native, origin, seen, None).verdict,
                Verdict::State(Became::Completed, _)
            ),
        }
    }

    /// Whether it was as the request wants it already: then its being so proves nothing.
    #[must_use]
    pub const fn was_as_asked(&self) -> bool {
        self.as_asked
    }

    /// Whether something else stands at a place now. Of a place that was not looked at nothing is known.
    pub(super) fn differs(&self, spot: &Spot, now: Option<&Found<'_>>) -> bool {
        let earlier = self.marks.get(&spot.to_string());
        earlier.is_some_and(|earlier| *earlier != mark(now))
    }

    /// In a text that holds nothing of the resource itself.
    #[must_use]
    pub fn to_text(&self) -> String {
        json!({"marks": self.marks, "as_asked": self.as_asked}).to_string()
    }

    /// What [`Earlier::to_text`] wrote; `None` where it is something else.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let small = Some(text).filter(|text| text.len() <= LONGEST)?;
        let value: Value = serde_json::from_str(small).ok()?;
        let marks = value.get("marks")?.as_object()?.iter();
        let marks = marks.map(|(place, mark)| Some((place.clone(), mark.as_str()?.to_owned())));
        Some(Self {
            marks: marks.collect::<Option<_>>()?,
            as_asked: value.get("as_asked")?.as_bool()?,
        })
    }
}

fn mark(found: Option<&Found<'_>>) -> String {
    let value = found.map(Found::json).unwrap_or_default();
    let hash = Sha256::digest(value.to_string().as_bytes());
    BASE64_STANDARD_NO_PAD.encode(hash.get(..MARK).unwrap_or_default())
}
