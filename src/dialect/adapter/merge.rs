//! Many requests made one: those that add and delete entries of one list, known by their keys.
//!
//! An entry that is added takes the place of the one that has its key, and the later word on a key is the one that holds. So the
//! last change of each key, done in any order, does what all of them do one by one.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use http::HeaderMap;
use serde_json::{Map, Value};

use super::origin::Origin;
use super::seen::below;
use super::start::fits_body;
use crate::config::{Adapter, KeyKind, KeyPart, Merge};

/// What tells an entry from the others: the values at the places of its key, as JSON writes them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey(Box<str>);

/// What is done with the entry of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// It is put in.
    Add,
    /// It is taken away.
    Delete,
}

/// A request that can be made one with others.
#[derive(Debug, Clone, PartialEq)]
pub struct Patch {
    /// By key: no key comes twice.
    changes: Vec<(EntryKey, Action, Value)>,
    size: usize,
}

/// What a resource shows of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shows {
    /// It is as the change makes it.
    Done,
    /// It is not.
    NotDone,
}

/// Fields by which a request says more than its body: on what condition it is done, or that it is signed.
const ALONE: [&str; 8] = [
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "content-digest",
    "content-md5",
    "digest",
    "signature-input",
];

/// Whether a request with these fields means something by itself alone, and is not merged.
#[must_use]
pub fn goes_alone(headers: &HeaderMap) -> bool {
    ALONE.iter().any(|name| headers.contains_key(*name))
}

impl Patch {
    /// Reads the body of a request for `target`; none where it is not one that can be merged: it has something else than
    /// additions and deletions, an entry without a key that is known how to compare, the same entry added and deleted,
    /// or nothing at all.
    #[must_use]
    pub fn read(adapter: &Adapter, target: &str, body: &[u8]) -> Option<Self> {
        let merge = adapter.merge.as_ref()?;
        let origin = Origin::new(adapter, target, body);
        if body.len() > merge.largest || !fits_body(adapter, &origin) {
            return None;
        }
        let actions = origin.body?;
        let mut patch = Self {
            changes: Vec::new(),
            size: body.len(),
        };
        let mut places = HashMap::new();
        for (name, fields) in actions.as_object()? {
            let action = match name {
                name if *name == merge.add => Action::Add,
                name if *name == merge.delete => Action::Delete,
                _ => return None,
            };
            let fields = fields.as_object().filter(|fields| fields.len() == 1)?;
            for entry in fields.get(&merge.list)?.as_array()? {
                patch.change(merge, &mut places, action, entry)?;
            }
        }
        (!patch.changes.is_empty()).then_some(patch)
    }

    fn change(
        &mut self,
        merge: &Merge,
        places: &mut HashMap<EntryKey, usize>,
        action: Action,
        entry: &Value,
    ) -> Option<()> {
        let key = key_of(&merge.key, entry)?;
        if let Some(place) = places.get(&key) {
            let there = self.changes.get_mut(*place)?;
            // Which of the two comes first, no document says.
            if there.1 != action {
                return None;
            }
            there.2 = entry.clone();
        } else {
            places.insert(key.clone(), self.changes.len());
            self.changes.push((key, action, entry.clone()));
        }
        Some(())
    }

    /// The keys that it changes, each once.
    pub fn keys(&self) -> impl Iterator<Item = &EntryKey> {
        self.changes.iter().map(|(key, _, _)| key)
    }

    /// Its only action; none where it has both.
    #[must_use]
    pub fn only(&self) -> Option<Action> {
        let first = self.changes.first()?.1;
        let is_same = |(_, action, _): &(EntryKey, Action, Value)| *action == first;
        self.changes.iter().all(is_same).then_some(first)
    }

    /// Bytes that it takes of a merged body, at most.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }
}

/// The body that does what these do one after the other; the later word on a key holds.
#[must_use]
pub fn merged_patch<'p>(merge: &Merge, patches: impl IntoIterator<Item = &'p Patch>) -> Vec<u8> {
    let mut places: HashMap<&EntryKey, usize> = HashMap::new();
    let mut last: Vec<(Action, &Value)> = Vec::new();
    for (key, action, entry) in patches.into_iter().flat_map(|patch| &patch.changes) {
        let place = *places.entry(key).or_insert(last.len());
        match last.get_mut(place) {
            Some(there) => *there = (*action, entry),
            None => last.push((*action, entry)),
        }
    }
    let mut body = Map::new();
    for (name, wanted) in [(&merge.add, Action::Add), (&merge.delete, Action::Delete)] {
        let entries = last.iter().filter(|(action, _)| *action == wanted);
        let entries: Vec<Value> = entries.map(|(_, entry)| (*entry).clone()).collect();
        if !entries.is_empty() {
            let fields = Map::from_iter([(merge.list.clone(), Value::Array(entries))]);
            body.insert(name.clone(), Value::Object(fields));
        }
    }
    Value::Object(body).to_string().into_bytes()
}

/// What `resource`, as the API shows it, says of each of these, which went up as one in this order. `None` where it is no
/// such resource.
///
/// Of several changes of a key the last alone shows. Of a request whose every word was taken back by later ones nothing shows:
/// it is done if those are. What is added is there if all that it says is said of the entry; the API may say more.
#[must_use]
pub fn shown_of<'p>(
    merge: &Merge,
    patches: impl DoubleEndedIterator<Item = &'p Patch>,
    resource: &[u8],
) -> Option<Vec<Shows>> {
    let resource: Value = serde_json::from_slice(resource).ok()?;
    let list = match resource.as_object()?.get(&merge.list) {
        None | Some(Value::Null) => &[][..],
        Some(list) => list.as_array()?,
    };
    let keyed = list
        .iter()
        .filter_map(|entry| Some((key_of(&merge.key, entry)?, entry)));
    let there: HashMap<EntryKey, &Value> = keyed.collect();
    let mut later: HashMap<&EntryKey, Shows> = HashMap::new();
    let mut shown = Vec::new();
    for patch in patches.rev() {
        let mut all = Shows::Done;
        let mut own = Vec::new();
        for (key, action, entry) in &patch.changes {
            let found = later.get(key).copied().unwrap_or_else(|| {
                let found = shows(*action, entry, there.get(key).copied());
                own.push((key, found));
                found
            });
            if found == Shows::NotDone {
                all = Shows::NotDone;
            }
        }
        later.extend(own);
        shown.push(all);
    }
    shown.reverse();
    Some(shown)
}

fn shows(action: Action, entry: &Value, there: Option<&Value>) -> Shows {
    let is_done = match action {
        Action::Add => there.is_some_and(|there| says(there, entry)),
        Action::Delete => there.is_none(),
    };
    if is_done { Shows::Done } else { Shows::NotDone }
}

/// Whether `there` says all that `wanted` does.
fn says(there: &Value, wanted: &Value) -> bool {
    match (there, wanted) {
        (Value::Object(there), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, value)| there.get(name).is_some_and(|there| says(there, value))),
        (there, wanted) => there == wanted,
    }
}

/// The key of an entry; none where one of its places says what is not known how to compare.
fn key_of(parts: &[KeyPart], entry: &Value) -> Option<EntryKey> {
    let mut key = String::new();
    for part in parts {
        let value = below(entry, &part.at).unwrap_or(&Value::Null);
        let fits = match (part.is, value) {
            (_, Value::Null) => part.optional,
            (KeyKind::Ipv4, Value::String(text)) => text.parse::<Ipv4Addr>().is_ok(),
            (KeyKind::Text, Value::String(_)) => true,
            (KeyKind::Whole, Value::Number(number)) => number.is_u64(),
            _ => false,
        };
        if !fits {
            return None;
        }
        key.push_str(&value.to_string());
        key.push(' ');
    }
    Some(EntryKey(key.into()))
}
