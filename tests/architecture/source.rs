//! Rust source as far as the rules need it: tokens without comments and literals, and the paths they spell.

/// A token and the line it stands on, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Line, counted from 1.
    pub line: usize,
    /// An identifier, `::`, or one other character.
    pub text: String,
}

/// A path as written (`crate::limit::Rate`), or one leaf of a `use` tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spelled {
    /// Line of its last segment.
    pub line: usize,
    /// Its segments; a glob is `*`.
    pub segments: Vec<String>,
    /// How many inline modules enclose it.
    pub inline: usize,
}

/// The tokens of `text`, without comments, string, character and number literals.
pub fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut found, mut line, mut i) = (Vec::new(), 1, 0);
    while i < chars.len() {
        let end = match (at(i), at(i + 1)) {
            ('/', '/') => end_of_line(&chars, i),
            ('/', '*') => end_of_block(&chars, i),
            ('"', _) => end_of_string(&chars, i),
            ('\'', _) => end_of_quote(&chars, i),
            (c, _) if c.is_ascii_digit() => run(&chars, i),
            (c, _) if is_word(c) => {
                let end = run(&chars, i);
                if let Some(end) = end_of_prefixed(&chars, i, end) {
                    end
                } else {
                    found.push(Token {
                        line,
                        text: chars[i..end].iter().collect(),
                    });
                    end
                }
            }
            (':', ':') => {
                found.push(Token {
                    line,
                    text: "::".to_owned(),
                });
                i + 2
            }
            (c, _) => {
                if !c.is_whitespace() {
                    found.push(Token {
                        line,
                        text: c.to_string(),
                    });
                }
                i + 1
            }
        };
        line += chars[i..end].iter().filter(|c| **c == '\n').count();
        i = end;
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where the run of word characters that starts at `i` ends.
fn run(chars: &[char], i: usize) -> usize {
    i + chars[i..].iter().take_while(|c| is_word(**c)).count()
}

fn end_of_line(chars: &[char], i: usize) -> usize {
    i + chars[i..].iter().take_while(|c| **c != '\n').count()
}

/// Block comments nest.
fn end_of_block(chars: &[char], mut i: usize) -> usize {
    let mut depth = 0_usize;
    while i < chars.len() {
        match chars[i..].get(..2) {
            Some(['/', '*']) => {
                depth += 1;
                i += 2;
            }
            Some(['*', '/']) => {
                depth -= 1;
                i += 2;
            }
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    i
}

fn end_of_string(chars: &[char], i: usize) -> usize {
    let mut j = i + 1;
    while j < chars.len() {
        match chars[j] {
            '\\' => j += 2,
            '"' => return j + 1,
            _ => j += 1,
        }
    }
    chars.len()
}

/// A character literal to its closing quote; of a lifetime or label only the quote.
fn end_of_quote(chars: &[char], i: usize) -> usize {
    match chars.get(i + 1..) {
        Some(['\\', _, rest @ ..]) => i + 3 + rest.iter().take_while(|c| **c != '\'').count() + 1,
        Some([_, '\'', ..]) => i + 3,
        _ => i + 1,
    }
    .min(chars.len())
}

/// The end of a literal whose prefix is the word `start..word`: `r"…"`, `br#"…"#`, `b"…"`, `c"…"`, `b'…'`.
fn end_of_prefixed(chars: &[char], start: usize, word: usize) -> Option<usize> {
    let prefix: String = chars[start..word].iter().collect();
    let hashes = chars[word..].iter().take_while(|c| **c == '#').count();
    match (prefix.as_str(), chars.get(word + hashes)) {
        ("r" | "br" | "cr", Some('"')) => {
            let closing: Vec<char> = std::iter::once('"')
                .chain(std::iter::repeat_n('#', hashes))
                .collect();
            let body = word + hashes + 1;
            let found = chars[body..]
                .windows(closing.len())
                .position(|w| w == closing);
            Some(found.map_or(chars.len(), |at| body + at + closing.len()))
        }
        ("b" | "c", Some('"')) if hashes == 0 => Some(end_of_string(chars, word)),
        ("b", Some('\'')) if hashes == 0 => Some(end_of_quote(chars, word)),
        _ => None,
    }
}

/// Every path that `tokens` spell, `use` trees opened into their leaves. Single identifiers outside `use` are no paths.
pub fn paths(tokens: &[Token]) -> Vec<Spelled> {
    let text = |i: usize| tokens.get(i).map_or("", |t| t.text.as_str());
    let (mut found, mut modules, mut depth, mut i) = (Vec::new(), Vec::new(), 0_usize, 0);
    while i < tokens.len() {
        let inline = modules.len();
        match text(i) {
            "{" => {
                depth += 1;
                if i >= 2 && text(i - 2) == "mod" {
                    modules.push(depth);
                }
            }
            "}" => {
                if modules.last() == Some(&depth) {
                    modules.pop();
                }
                depth = depth.saturating_sub(1);
            }
            // `use<'a>` in a bound captures lifetimes and imports nothing.
            "use" if text(i + 1) != "<" => {
                i = use_tree(tokens, i + 1, &[], inline, &mut found);
                continue;
            }
            word if word.starts_with(is_word) && text(i + 1) == "::" && !continues(tokens, i) => {
                let mut segments = vec![word.to_owned()];
                while text(i + 1) == "::" && text(i + 2).starts_with(is_word) {
                    i += 2;
                    segments.push(text(i).to_owned());
                }
                found.push(Spelled {
                    line: tokens[i].line,
                    segments,
                    inline,
                });
            }
            _ => {}
        }
        i += 1;
    }
    found
}

/// Whether the word at `i` goes on with a path that began before it (`a::`, `<T as U>::`).
fn continues(tokens: &[Token], i: usize) -> bool {
    let text = |at: usize| tokens.get(at).map_or("", |t| t.text.as_str());
    i >= 2 && text(i - 1) == "::" && (text(i - 2) == ">" || text(i - 2).starts_with(is_word))
}

/// Opens the `use` tree at `i` below `prefix`; returns where it ends.
fn use_tree(
    tokens: &[Token],
    mut i: usize,
    prefix: &[String],
    inline: usize,
    found: &mut Vec<Spelled>,
) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |t| t.text.as_str());
    let mut segments = prefix.to_vec();
    loop {
        match text(i) {
            "::" => i += 1,
            "{" => {
                i += 1;
                while !matches!(text(i), "}" | "") {
                    i = use_tree(tokens, i, &segments, inline, found);
                    if text(i) == "," {
                        i += 1;
                    }
                }
                return i + 1;
            }
            "as" => i += 2,
            word if word == "*" || word.starts_with(is_word) => {
                segments.push(word.to_owned());
                i += 1;
            }
            _ => break,
        }
    }
    if let Some(last) = tokens.get(i.saturating_sub(1)) {
        found.push(Spelled {
            line: last.line,
            segments,
            inline,
        });
    }
    // Always forward, whatever stands here, so that no text can hold the caller in place.
    if matches!(text(i), "," | "}") {
        i
    } else {
        i + 1
    }
}

#[cfg(test)]
mod tests {
    use super::{paths, tokens};

    fn spelled(text: &str) -> Vec<String> {
        paths(&tokens(text))
            .into_iter()
            .map(|path| path.segments.join("::"))
            .collect()
    }

    #[test]
    fn literals_and_comments_hide_what_they_hold() {
        let hidden = r##"
            // crate::a
            /* crate::b /* crate::c */ crate::d */
            let _ = ("crate::e \" crate::f", r#"crate::g " crate::h"#, b"crate::i", 'x', '\'', b'\\', c"crate::j");
            fn f<'a>(x: &'a str) { 'outer: loop { break 'outer; } }
            let _ = 1.0e3 + 0xff_u8;
        "##;
        assert_eq!(spelled(hidden), Vec::<String>::new());
        assert_eq!(spelled("f('\\u{1F}', crate::seen::X)"), ["crate::seen::X"]);
    }

    #[test]
    fn use_trees_open_into_their_leaves() {
        let text = "use crate::{call::{Class, Refusal as R}, limit, admit::*};\nuse ::toml::Value;\nuse b as c;";
        let leaves = [
            "crate::call::Class",
            "crate::call::Refusal",
            "crate::limit",
            "crate::admit::*",
            "toml::Value",
            "b",
        ];
        assert_eq!(spelled(text), leaves);
    }

    #[test]
    fn paths_are_found_wherever_they_stand() {
        let text = "fn f(x: crate::a::T) -> <T as b::U>::V { macro!(crate::c::d!()); x::<crate::e::F>::g(); }";
        assert_eq!(
            spelled(text),
            ["crate::a::T", "b::U", "crate::c::d", "x", "crate::e::F"]
        );
    }

    #[test]
    fn lines_and_inline_modules_are_counted() {
        let found = paths(&tokens(
            "use a::b;\nmod tests {\n  mod deep {\n use super::c;\n }\n}\nuse d::e;",
        ));
        let seen: Vec<_> = found.iter().map(|p| (p.line, p.inline)).collect();
        assert_eq!(seen, [(1, 0), (4, 2), (7, 0)]);
    }

    #[test]
    fn unfinished_text_ends() {
        for text in [
            "use a::{b",
            "\"open",
            "/* open",
            "'",
            "r#\"open",
            "use",
            "b'",
            "'\\",
        ] {
            let _ = spelled(text);
        }
    }
}
