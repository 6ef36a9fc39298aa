//! Whether a query holds a parameter, over every way to read it.
//!
//! Readers differ in what they do with a key that comes twice (the first holds, or the last), with
//! `%61` and `+` in keys, with letters in another case, with `;` between pairs, and with the tilde
//! before `action` that the older REST form of vCenter has. So a parameter is there for certain only
//! when it comes once and as it is written in the route, and it may be there in any other spelling.

use memchr::{memchr, memchr3};

use super::sure::Sure;

/// Whether `query` says `key=value`.
pub(super) fn says(query: Option<&str>, key: &str, value: &str) -> Sure {
    let Some(query) = query else {
        return Sure::No;
    };
    let bytes = query.as_bytes();
    let odd = memchr3(b'%', b'+', b';', bytes).is_some() || memchr(b'~', bytes).is_some();
    let mut seen = Seen::default();
    for pair in query.split('&') {
        seen.note(pair, key, value, odd);
    }
    if odd && memchr(b';', bytes).is_some() {
        seen.odd = true;
        for pair in query.split(['&', ';']) {
            seen.note(pair, key, value, odd);
        }
    }
    seen.verdict()
}

/// What was seen of one key.
#[derive(Default)]
struct Seen {
    /// How often the key came.
    times: u32,
    /// Once with the value, in some spelling of it.
    with_value: bool,
    /// A key or its value was not spelled as wanted.
    odd: bool,
}

impl Seen {
    fn note(&mut self, pair: &str, key: &str, value: &str, odd: bool) {
        let (name, rest) = pair.split_once('=').unwrap_or((pair, ""));
        if name != key {
            if !may_be(bare(name), bare(key), odd) {
                return;
            }
            self.odd = true;
        }
        self.times += 1;
        if rest == value {
            self.with_value = true;
        } else {
            self.odd = true;
            self.with_value |= may_be(rest, value, odd);
        }
    }

    fn verdict(&self) -> Sure {
        match self {
            Self {
                with_value: false, ..
            } => Sure::No,
            Self {
                times: 1,
                odd: false,
                ..
            } => Sure::Yes,
            _ => Sure::Maybe,
        }
    }
}

/// A key without the tilde of the older REST form.
fn bare(key: &str) -> &str {
    key.trim_start_matches('~')
}

/// Whether some reader takes `text` for `wanted`: as it stands or decoded, in either case of letters,
/// with or without spaces around it. Only an `odd` query can be decoded to something else.
fn may_be(text: &str, wanted: &str, odd: bool) -> bool {
    text.eq_ignore_ascii_case(wanted)
        || (odd && text.len() > wanted.len() && decodes_to(text, wanted))
}

fn decodes_to(text: &str, wanted: &str) -> bool {
    let space = |byte: &u8| *byte <= b' ';
    let tilde = |byte: &u8| *byte == b'~' && !wanted.starts_with('~');
    let mut left = Decoded(text.as_bytes()).skip_while(space).skip_while(tilde);
    for wanted in wanted.bytes() {
        if !left
            .next()
            .is_some_and(|byte| byte.eq_ignore_ascii_case(&wanted))
        {
            return false;
        }
    }
    left.all(|byte| space(&byte))
}

/// The bytes of a part of a query once it is decoded.
struct Decoded<'q>(&'q [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(match first {
            b'+' => b' ',
            b'%' => {
                let Some((byte, after)) = super::normal::hex_pair(rest).zip(rest.get(2..)) else {
                    return Some(b'%');
                };
                self.0 = after;
                byte
            }
            byte => *byte,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_as_it_is_written_is_there() {
        for query in [
            "action=clone",
            "vmw-task=true&action=clone",
            "action=clone&names=web%2001",
        ] {
            assert_eq!(says(Some(query), "action", "clone"), Sure::Yes, "{query}");
        }
        assert_eq!(says(Some("~action=get"), "~action", "get"), Sure::Yes);
        assert_eq!(says(Some("n=a%20b"), "n", "a%20b"), Sure::Yes);
    }

    #[test]
    fn in_another_spelling_it_may_be() {
        for query in [
            "action=clone&action=clone",
            "action=x&action=clone",
            "action=clone&action=x",
            "action=clone&action",
            "ACTION=clone",
            "action=CLONE",
            "action=cl%6Fne",
            "%61ction=clone",
            "~action=clone",
            "%7Eaction=clone",
            "~~%7E~action=clone",
            "action=+clone",
            "action=clone%20",
            "%20action=clone",
            "x=1;action=clone",
            "action=clone;x=1",
            "action=clone&x=1;y=2",
            "action=clone&ACTION=x",
        ] {
            assert_eq!(says(Some(query), "action", "clone"), Sure::Maybe, "{query}");
        }
        assert_eq!(says(Some("action=get"), "~action", "get"), Sure::Maybe);
    }

    #[test]
    fn otherwise_it_is_not_there() {
        for query in [
            "",
            "action",
            "action=",
            "action=clones",
            "actions=clone",
            "x=action=clone",
            "action=c%6Cone%",
            "reaction=clone",
            "action=cl+one",
        ] {
            assert_eq!(says(Some(query), "action", "clone"), Sure::No, "{query}");
        }
        assert_eq!(says(None, "action", "clone"), Sure::No);
        assert_eq!(says(Some("action"), "action", ""), Sure::Yes);
    }
}
