//! The normal form of a path: the one spelling that stands for all that mean the same.

use super::BadTarget;

/// The spellings of a path that count beside the one received.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spellings {
    /// The path is in normal form: there is no other.
    Normal,
    /// There are others.
    Several {
        /// Unreserved characters decoded, encoded slashes taken for slashes, matrix parameters and
        /// doubled slashes dropped, dot segments resolved, hexadecimal digits in upper case.
        normal: String,
        /// Only the dot segments that are written as such resolved: what an upstream serves that
        /// does not decode before it resolves.
        dots_as_written: String,
    },
}

/// What a byte of a path is to us.
#[derive(Clone, Copy)]
enum Byte {
    Plain,
    Slash,
    Dot,
    /// Starts an escape, which may have another spelling.
    Percent,
    /// Starts something that has another spelling.
    Odd,
    Bad(BadTarget),
}

const fn meaning(byte: u8) -> Byte {
    match byte {
        ..=b' ' | 0x7F | b'#' => Byte::Bad(BadTarget::Character),
        b'\\' => Byte::Bad(BadTarget::Backslash),
        b'/' => Byte::Slash,
        b'.' => Byte::Dot,
        b'%' => Byte::Percent,
        b';' => Byte::Odd,
        _ => Byte::Plain,
    }
}

/// The spellings of `path`, which starts with a slash.
pub(super) fn spellings(path: &str) -> Result<Spellings, BadTarget> {
    let mut odd = false;
    let mut after_slash = false;
    for (at, byte) in path.bytes().enumerate() {
        let slash = match meaning(byte) {
            Byte::Plain => false,
            Byte::Slash => {
                odd |= after_slash;
                true
            }
            Byte::Dot => {
                odd |= after_slash;
                false
            }
            Byte::Percent => {
                odd |= !is_normal_escape(path.get(at + 1..at + 3));
                false
            }
            Byte::Odd => {
                odd = true;
                false
            }
            Byte::Bad(why) => return Err(why),
        };
        after_slash = slash;
    }
    if !odd {
        return Ok(Spellings::Normal);
    }
    let decoded = decode(path)?;
    if hides_a_slash(&decoded) {
        return Err(BadTarget::Ambiguous);
    }
    let normal = Reading::NORMAL.read(&decoded);
    if !Reading::others(&decoded).all(|other| other.read(&decoded) == normal) {
        return Err(BadTarget::Ambiguous);
    }
    let dots_as_written = rooted(&resolve(path.split('/').skip(1), |segment| segment));
    Ok(Spellings::Several {
        normal: rooted_like(&normal, &decoded),
        dots_as_written,
    })
}

/// Whether parameters hold an encoded slash. Who drops them first reads `/api;x%2Fvm` as `/api`, who
/// decodes first as `/api/vm`.
fn hides_a_slash(decoded: &str) -> bool {
    let mut parameters = decoded.split('/').filter_map(|one| one.split_once(';'));
    parameters.any(|(_, parameters)| parameters.contains("%2F"))
}

/// Whether `digits`, of an escape, stand for a byte that has no other spelling: neither unreserved
/// nor a slash, nor one that is refused. Many names of objects have such (`urn%3Avmomi%3A…`, `%20`).
fn is_normal_escape(digits: Option<&str>) -> bool {
    let digits = digits.unwrap_or_default().as_bytes();
    hex_pair(digits).is_some_and(|byte| {
        let plain = byte.is_ascii_alphanumeric() || b"-._~/\\".contains(&byte);
        !plain && !byte.is_ascii_control() && !digits.iter().any(u8::is_ascii_lowercase)
    })
}

/// Checks the encoding and the characters of a query. A backslash or a line break may be encoded
/// there: in a value they are just text.
pub(super) fn check_query(query: &str) -> Result<(), BadTarget> {
    let bad = |byte: u8| match meaning(byte) {
        Byte::Bad(why) => Some(why),
        _ => None,
    };
    if let Some(why) = query.bytes().find_map(bad) {
        return Err(why);
    }
    for part in query.split('%').skip(1) {
        if hex_pair(part.as_bytes()).ok_or(BadTarget::Encoding)? == 0 {
            return Err(BadTarget::Character);
        }
    }
    Ok(())
}

/// Decodes unreserved characters (RFC 3986 section 2.3) and writes other escapes in upper case.
fn decode(path: &str) -> Result<String, BadTarget> {
    let mut parts = path.split('%');
    let mut decoded = String::with_capacity(path.len());
    decoded.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let byte = hex_pair(part.as_bytes()).ok_or(BadTarget::Encoding)?;
        match byte {
            0..=0x1F | 0x7F => return Err(BadTarget::Character),
            b'\\' => return Err(BadTarget::Backslash),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                decoded.push(char::from(byte));
            }
            _ => {
                decoded.push('%');
                decoded.extend([hex_digit(byte >> 4), hex_digit(byte & 15)]);
            }
        }
        decoded.push_str(part.get(2..).unwrap_or_default());
    }
    Ok(decoded)
}

/// The digit of a value below 16.
fn hex_digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).map_or('0', |digit| digit.to_ascii_uppercase())
}

/// The byte that the first two characters write in hexadecimal digits.
pub(super) fn hex_pair(text: &[u8]) -> Option<u8> {
    let [high, low, ..] = *text else { return None };
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    Some(digit(high)? << 4 | digit(low)?)
}

/// How an upstream may read what RFC 3986 leaves open, when it resolves dot segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reading {
    /// An empty segment is one that `..` takes away.
    empty_counts: bool,
    /// `..;x` is an ordinary segment.
    parameters_count: bool,
    /// `a%2Fb` is one segment.
    encoded_slash_joins: bool,
}

impl Reading {
    /// The one whose outcome is the normal form.
    const NORMAL: Self = Self {
        empty_counts: false,
        parameters_count: false,
        encoded_slash_joins: false,
    };

    /// The readings that could end elsewhere: none without dot segments.
    fn others(decoded: &str) -> impl Iterator<Item = Self> {
        let segments = || {
            decoded
                .split('/')
                .skip(1)
                .flat_map(|segment| segment.split("%2F"))
        };
        let dots = segments().any(|segment| matches!(name(segment), "." | ".."));
        let (empty, parameters, joins) = (
            segments().any(|segment| name(segment).is_empty()),
            decoded.contains(';'),
            decoded.contains("%2F"),
        );
        (1_u8..8)
            .map(|bits| Self {
                empty_counts: bits & 1 != 0,
                parameters_count: bits & 2 != 0,
                encoded_slash_joins: bits & 4 != 0,
            })
            .filter(move |reading| {
                dots && reading.empty_counts <= empty
                    && reading.parameters_count <= parameters
                    && reading.encoded_slash_joins <= joins
            })
    }

    /// The segments that are left, each in normal form.
    fn read(self, decoded: &str) -> Vec<&str> {
        let name_of: fn(&str) -> &str = if self.parameters_count {
            |segment| segment
        } else {
            name
        };
        let split = decoded.split('/').skip(1);
        let segments: Vec<&str> = if self.encoded_slash_joins {
            split.collect()
        } else {
            split.flat_map(|segment| segment.split("%2F")).collect()
        };
        let counts = |segment: &&str| self.empty_counts || !name_of(segment).is_empty();
        let left = resolve(segments.into_iter().filter(counts), name_of);
        left.into_iter()
            .flat_map(|segment| segment.split("%2F"))
            .map(name)
            .filter(|name| !name.is_empty())
            .collect()
    }
}

/// A segment without its matrix parameters.
fn name(segment: &str) -> &str {
    segment.split_once(';').map_or(segment, |(name, _)| name)
}

/// Takes dot segments away, and what `..` takes with it; nothing lies above the root.
fn resolve<'p>(
    segments: impl Iterator<Item = &'p str>,
    name_of: impl Fn(&'p str) -> &'p str,
) -> Vec<&'p str> {
    let mut left = Vec::new();
    for segment in segments {
        match name_of(segment) {
            "." => {}
            ".." => {
                left.pop();
            }
            _ => left.push(segment),
        }
    }
    left
}

fn rooted(segments: &[&str]) -> String {
    format!("/{}", segments.join("/"))
}

/// With a slash at the end when the path names a folder: it ends in a slash or a dot segment.
fn rooted_like(segments: &[&str], decoded: &str) -> String {
    let mut path = rooted(segments);
    let last = decoded
        .rsplit('/')
        .next()
        .and_then(|segment| segment.rsplit("%2F").next())
        .map_or("", name);
    if matches!(last, "" | "." | "..") && path.len() > 1 {
        path.push('/');
    }
    path
}
