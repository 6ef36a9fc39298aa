//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07), and the keys of calls that are held.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderMap;
use sha2::{Digest, Sha256};

use crate::limit::Mutex;
use crate::task::{IDEMPOTENCY_KEY, Owner};

/// Longest key.
const LONGEST: usize = 255;

/// A field that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoKey;

/// The key of a request, where it has one: a string of RFC 9651, or as it stands.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<String>, NoKey> {
    let mut fields = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return if headers.contains_key(IDEMPOTENCY_KEY) {
            Err(NoKey)
        } else {
            Ok(None)
        };
    };
    let text = field.to_str().map_err(|_| NoKey)?.trim();
    let key = match text.strip_prefix('"') {
        Some(rest) => unquoted(rest).ok_or(NoKey)?,
        None => text.to_owned(),
    };
    let is_bare = !text.starts_with('"');
    let fits = |byte: u8| byte.is_ascii_graphic() && !(is_bare && b"\",;\\".contains(&byte));
    if key.is_empty() || key.len() > LONGEST || !key.bytes().all(fits) {
        return Err(NoKey);
    }
    Ok(Some(key))
}

/// What stands before the closing quote, which has to be the end.
fn unquoted(rest: &str) -> Option<String> {
    let mut key = String::with_capacity(rest.len());
    let mut chars = rest.chars();
    loop {
        match chars.next()? {
            '"' => return chars.next().is_none().then_some(key),
            '\\' => key.push(chars.next().filter(|char| matches!(char, '"' | '\\'))?),
            char => key.push(char),
        }
    }
}

/// What a key is for: it means something else for every other operation.
pub(super) fn scope(method: &str, upstream: &str, path: &str, query: Option<&str>) -> Arc<str> {
    match query {
        Some(query) => format!("{method} {upstream}{path}?{query}").into(),
        None => format!("{method} {upstream}{path}").into(),
    }
}

/// A key in its scope, as one number.
type Mark = [u8; 32];

/// Keys of calls that are under way, and of how many calls each is: who sends one of them again meanwhile is told to wait.
#[derive(Debug, Clone, Default)]
pub(in crate::proxy) struct Running(Arc<Mutex<HashMap<Mark, usize>>>);

/// One of them, until this is dropped.
#[derive(Debug)]
pub(in crate::proxy) struct Held {
    of: Running,
    marks: Vec<Mark>,
}

impl Running {
    /// Notes a key of whoever may be any of `owners`; none where it is there.
    pub(super) fn hold(&self, owners: &[Owner], scope: &str, key: &str) -> Option<Held> {
        let (held, is_first) = self.join(owners, scope, key);
        is_first.then_some(held)
    }

    /// Notes a key, though it may be there; whether it was not.
    pub(super) fn join(&self, owners: &[Owner], scope: &str, key: &str) -> (Held, bool) {
        let marks: Vec<Mark> = owners.iter().map(|owner| mark(owner, scope, key)).collect();
        let mut held = self.0.lock();
        let is_first = !marks.iter().any(|mark| held.contains_key(mark));
        for mark in &marks {
            *held.entry(*mark).or_default() += 1;
        }
        drop(held);
        let of = self.clone();
        (Held { of, marks }, is_first)
    }

    /// Whether it is there.
    pub(super) fn holds(&self, owners: &[Owner], scope: &str, key: &str) -> bool {
        let held = self.0.lock();
        let mut marks = owners.iter().map(|owner| mark(owner, scope, key));
        marks.any(|mark| held.contains_key(&mark))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.of.0.lock();
        for mark in &self.marks {
            if let Some(count) = held.get_mut(mark) {
                *count -= 1;
                if *count == 0 {
                    held.remove(mark);
                }
            }
        }
    }
}

fn mark(owner: &Owner, scope: &str, key: &str) -> Mark {
    let mut hash = Sha256::new();
    for part in [&owner.0, scope, key] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[&str]) -> Result<Option<String>, NoKey> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(IDEMPOTENCY_KEY, field.parse().unwrap());
        }
        of(&headers)
    }

    #[test]
    fn a_key_is_a_string_in_quotes_or_without() {
        let key = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["\"8e03-5\""]), key("8e03-5"));
        assert_eq!(read(&["8e03-5"]), key("8e03-5"));
        assert_eq!(read(&[r#""a\"b\\c""#]), key(r#"a"b\c"#));
        assert_eq!(read(&[&"k".repeat(255)]), key(&"k".repeat(255)));
    }

    #[test]
    fn anything_else_is_no_key() {
        for field in [
            "",
            "\"\"",
            "\"a",
            "\"a\"b",
            "\"a\";x=1",
            "a b",
            "\"a b\"",
            "a,b",
            r#""a\b""#,
        ] {
            assert_eq!(read(&[field]), Err(NoKey), "{field}");
        }
        assert_eq!(read(&[&"k".repeat(256)]), Err(NoKey));
        assert_eq!(read(&["a", "a"]), Err(NoKey), "two fields");
    }

    #[test]
    fn a_key_is_held_once_for_each_owner_and_operation() {
        let running = Running::default();
        let [alice, bob, session] =
            ["user:alice", "user:bob", "session:1"].map(|name| [Owner(name.into())]);
        let both = [&alice[..], &session[..]].concat();
        let held = running.hold(&both, "POST up/x", "k");
        assert!(held.is_some() && running.hold(&alice, "POST up/x", "k").is_none());
        assert!(running.holds(&session, "POST up/x", "k"));
        assert!(running.holds(&alice, "POST up/x", "k"));
        assert!(!running.holds(&bob, "POST up/x", "k"));
        assert!(!running.holds(&alice, "POST up/x", "other"));
        drop(held);
        assert!(!running.holds(&alice, "POST up/x", "k"));
        let (one, is_first) = running.join(&both, "POST up/x", "k");
        let (other, is_second) = running.join(&alice, "POST up/x", "k");
        assert!(is_first && !is_second);
        drop(one);
        assert!(running.holds(&alice, "POST up/x", "k"));
        drop(other);
        assert!(running.0.lock().is_empty());
    }
}
