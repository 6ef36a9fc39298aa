//! Text with `*` in it: which client a `User-Agent` names, what a header field of a refusal says.

use super::node::Node;
use super::value::text;

/// Longest pattern, bytes.
const LONGEST: usize = 256;
/// Longest text that is compared, bytes. Its product with [`LONGEST`] is the most work that one comparison can cost.
const LONGEST_TEXT: usize = 1024;

/// A pattern in which `*` stands for any number of bytes; letters of ASCII match in either case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(Box<str>);

/// A pattern for the `User-Agent` of a client.
pub type AgentPattern = Glob;

impl Glob {
    /// Whether all of `text` is meant. Allocates nothing. A text of more than 1024 bytes is never meant.
    #[must_use]
    pub fn matches(&self, text: &[u8]) -> bool {
        if text.len() > LONGEST_TEXT {
            return false;
        }
        let (mut pattern, mut rest) = (self.0.as_bytes(), text);
        // Behind the last `*` that was met, and the text that it has not taken yet.
        let mut retry: Option<(&[u8], &[u8])> = None;
        loop {
            match (pattern, rest) {
                ([b'*', after @ ..], _) => {
                    retry = Some((after, rest));
                    pattern = after;
                }
                ([], []) => return true,
                ([wanted, after @ ..], [have, left @ ..]) if wanted.eq_ignore_ascii_case(have) => {
                    (pattern, rest) = (after, left);
                }
                // Let the last `*` take one byte more. Earlier ones never need to: what they would take, it can.
                _ => match retry {
                    Some((after, [_, left @ ..])) => {
                        retry = Some((after, left));
                        (pattern, rest) = (after, left);
                    }
                    _ => return false,
                },
            }
        }
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A pattern as the file has it.
pub(super) fn glob(node: &Node) -> Result<Glob, String> {
    let pattern = text(node)?;
    if pattern.is_empty() {
        return Err("is empty; a text is wanted, * stands for any part of it".to_owned());
    }
    if pattern.len() > LONGEST {
        return Err(format!(
            "has {} bytes; at most {LONGEST} are allowed",
            pattern.len()
        ));
    }
    if pattern.chars().any(char::is_control) {
        return Err("holds a control character, which no header field has".to_owned());
    }
    Ok(Glob(pattern.into_boxed_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, text: &[u8]) -> bool {
        Glob(pattern.into()).matches(text)
    }

    #[test]
    fn a_star_is_any_part_and_letters_match_in_either_case() {
        for (pattern, text, want) in [
            ("govmomi*", "govmomi/0.33.0", true),
            ("govmomi*", "GOVMOMI", true),
            ("govmomi*", "a govmomi", false),
            ("*", "", true),
            ("a", "", false),
            ("a", "ab", false),
            ("Python/* aiohttp/*", "Python/3.11 aiohttp/3.9.1", true),
            ("Python/* aiohttp/*", "Python-urllib/3.11", false),
            ("*ab*ab", "abab", true),
            ("*ab*ab", "aab", false),
            ("**a**", "bab", true),
            ("a*a", "a", false),
            ("a?c", "abc", false),
        ] {
            assert_eq!(matches(pattern, text.as_bytes()), want, "{pattern} {text}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_compared_and_very_long_ones_are_not() {
        assert!(matches("a*b", b"a\xFF\xFEb"));
        assert!(matches("*", &[b'a'; 1024]));
        assert!(!matches("*", &[b'a'; 1025]));
    }

    /// The rule itself: a `*` takes any number of bytes.
    fn by_the_rule(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', after @ ..] => (0..=text.len()).any(|taken| by_the_rule(after, &text[taken..])),
            [wanted, after @ ..] => text.split_first().is_some_and(|(have, left)| {
                wanted.eq_ignore_ascii_case(have) && by_the_rule(after, left)
            }),
        }
    }

    proptest! {
        #[test]
        fn it_is_the_rule(pattern in "[abA*]{0,8}", text in "[abA]{0,10}") {
            prop_assert_eq!(matches(&pattern, text.as_bytes()), by_the_rule(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
