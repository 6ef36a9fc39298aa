//! The check of an HTTP/1 request head, line by line, as its bytes arrive.
//!
//! Stricter than the parser behind it: everything that two parsers could read in two ways is refused
//! (RFC 9112 sections 2.2, 3.2, 5.1, 5.2, 6.1 and 11.2), and every line is judged before the bytes that
//! end it are handed on, so the parser never sees a complete head that breaks a rule.

use memchr::memchr;

/// Most field lines of a head; the parser behind takes no more.
const MAX_FIELDS: u16 = 256;
/// Empty lines borne before the request line (RFC 9112 section 2.2).
const MAX_LEADING_BLANKS: u8 = 4;

/// What the bytes so far come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing wrong yet, more must come.
    Partial,
    /// A complete and valid head.
    Complete(Head),
    /// A head that may not pass.
    Invalid(Fault),
}

/// A complete head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// Its length, bytes, the empty line at its end included.
    pub(super) len: usize,
    /// How the body is framed.
    pub(super) framing: Framing,
}

/// How the body of a request is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// No body.
    None,
    /// That many bytes, more than none.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// What is wrong with a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Larger than allowed, or too many fields: 431.
    TooLarge,
    /// It breaks HTTP: 400.
    Malformed(&'static str),
}

/// Reads one head; made anew for each.
#[derive(Debug)]
pub(super) struct Scanner {
    max: usize,
    /// Start of the first line not judged yet.
    line_at: usize,
    /// Up to here there is no line end after `line_at`.
    searched: usize,
    blanks: u8,
    fields: u16,
    version: Option<Version>,
    hosts: u8,
    length: Option<u64>,
    chunked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

type Check = Result<(), Fault>;

impl Scanner {
    /// For a head of at most `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            line_at: 0,
            searched: 0,
            blanks: 0,
            fields: 0,
            version: None,
            hosts: 0,
            length: None,
            chunked: false,
        }
    }

    /// Judges the head in `bytes`: all bytes since its first, with everything seen by earlier calls.
    pub(super) fn scan(&mut self, bytes: &[u8]) -> Verdict {
        while let Some(found) = memchr(b'\n', bytes.get(self.searched..).unwrap_or_default()) {
            let feed = self.searched + found;
            let line = bytes.get(self.line_at..feed).unwrap_or_default();
            self.line_at = feed + 1;
            self.searched = self.line_at;
            if self.line_at > self.max {
                return Verdict::Invalid(Fault::TooLarge);
            }
            match self.line(line) {
                Ok(None) => {}
                Ok(Some(framing)) => {
                    return Verdict::Complete(Head {
                        len: self.line_at,
                        framing,
                    });
                }
                Err(fault) => return Verdict::Invalid(fault),
            }
        }
        self.searched = bytes.len();
        if bytes.len() > self.max {
            return Verdict::Invalid(Fault::TooLarge);
        }
        Verdict::Partial
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<Framing>, Fault> {
        let line = line
            .strip_suffix(b"\r")
            .ok_or(Fault::Malformed("a line ends in a bare LF"))?;
        match (self.version, line) {
            (None, []) => self.leading_blank().map(|()| None),
            (None, line) => self.request_line(line).map(|()| None),
            (Some(version), []) => self.finish(version).map(Some),
            (Some(version), line) => self.field(version, line).map(|()| None),
        }
    }

    fn leading_blank(&mut self) -> Check {
        self.blanks = self.blanks.saturating_add(1);
        if self.blanks > MAX_LEADING_BLANKS {
            return Err(Fault::Malformed("empty lines instead of a request"));
        }
        Ok(())
    }

    fn request_line(&mut self, line: &[u8]) -> Check {
        const WRONG: Fault = Fault::Malformed("the request line is malformed");
        let mut words = line.split(|&byte| byte == b' ');
        let method = words.next().ok_or(WRONG)?;
        let target = words.next().ok_or(WRONG)?;
        let version = words.next().ok_or(WRONG)?;
        if words.next().is_some() {
            return Err(Fault::Malformed(
                "the request line has a raw space in its target",
            ));
        }
        if !is_token(method) || target.is_empty() || !all_in(TARGET, target) {
            return Err(WRONG);
        }
        if !target.is_ascii() && std::str::from_utf8(target).is_err() {
            return Err(Fault::Malformed("the target is not UTF-8"));
        }
        self.version = Some(match version {
            b"HTTP/1.1" => Version::Http11,
            b"HTTP/1.0" => Version::Http10,
            _ => {
                return Err(Fault::Malformed(
                    "the version is neither HTTP/1.1 nor HTTP/1.0",
                ));
            }
        });
        Ok(())
    }

    fn field(&mut self, version: Version, line: &[u8]) -> Check {
        self.fields = self.fields.saturating_add(1);
        if self.fields > MAX_FIELDS {
            return Err(Fault::TooLarge);
        }
        if matches!(line, [b' ' | b'\t', ..]) {
            return Err(Fault::Malformed("a field is folded over two lines"));
        }
        let (name, value) = memchr(b':', line)
            .and_then(|colon| line.split_at_checked(colon))
            .ok_or(Fault::Malformed("a field has no colon"))?;
        if !is_token(name) {
            return Err(Fault::Malformed("a field name is not a token"));
        }
        let value = value.get(1..).unwrap_or_default();
        if has_control(value) {
            return Err(Fault::Malformed("a field value has a control byte"));
        }
        // Only spaces and tabs are left that it could trim.
        let value = value.trim_ascii();
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.transfer_encoding(version, value)
            }
            _ => Ok(()),
        }
    }

    fn host(&mut self, value: &[u8]) -> Check {
        self.hosts = self.hosts.saturating_add(1);
        if self.hosts > 1 {
            return Err(Fault::Malformed("more than one Host"));
        }
        if !all_in(HOST, value) {
            return Err(Fault::Malformed("Host is not an authority"));
        }
        Ok(())
    }

    fn content_length(&mut self, value: &[u8]) -> Check {
        const WRONG: Fault = Fault::Malformed("Content-Length is not one number");
        if self.length.is_some() {
            return Err(Fault::Malformed("more than one Content-Length"));
        }
        if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
            return Err(WRONG);
        }
        let text = std::str::from_utf8(value).map_err(|_| WRONG)?;
        self.length = Some(text.parse().map_err(|_| WRONG)?);
        Ok(())
    }

    fn transfer_encoding(&mut self, version: Version, value: &[u8]) -> Check {
        if version == Version::Http10 {
            return Err(Fault::Malformed("Transfer-Encoding on HTTP/1.0"));
        }
        if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Fault::Malformed("Transfer-Encoding is not exactly chunked"));
        }
        self.chunked = true;
        Ok(())
    }

    fn finish(&self, version: Version) -> Result<Framing, Fault> {
        if version == Version::Http11 && self.hosts == 0 {
            return Err(Fault::Malformed("no Host"));
        }
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Fault::Malformed("Content-Length beside Transfer-Encoding")),
            (None, true) => Ok(Framing::Chunked),
            (None | Some(0), false) => Ok(Framing::None),
            (Some(length), false) => Ok(Framing::Length(length)),
        }
    }
}

/// What each byte may stand in, a bit for each of the sets below: heads are read byte by byte, and a
/// look-up for each costs less than the comparisons it stands for.
const SETS: [u8; 256] = sets();
/// `tchar` (RFC 9110 section 5.6.2).
const TOKEN: u8 = 1;
/// An authority without user information (RFC 3986 section 3.2).
const HOST: u8 = 2;
/// Anything but controls and spaces.
const TARGET: u8 = 4;

#[expect(
    clippy::indexing_slicing,
    reason = "done by the compiler, which would stop at a place that is not there"
)]
const fn sets() -> [u8; 256] {
    let mut sets = [0; 256];
    let mut one = 0_u8;
    loop {
        let byte = one as usize;
        let alphanumeric = one.is_ascii_alphanumeric();
        if alphanumeric || is_one_of(one, b"!#$%&'*+-.^_`|~") {
            sets[byte] |= TOKEN;
        }
        if alphanumeric || is_one_of(one, b"-._~%!$&'()*+;=:[]") {
            sets[byte] |= HOST;
        }
        if one > b' ' && one != 0x7f {
            sets[byte] |= TARGET;
        }
        if one == u8::MAX {
            return sets;
        }
        one += 1;
    }
}

#[expect(
    clippy::indexing_slicing,
    reason = "done by the compiler, which would stop at a place that is not there"
)]
const fn is_one_of(byte: u8, bytes: &[u8]) -> bool {
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

/// Whether every byte is in `set`.
fn all_in(set: u8, bytes: &[u8]) -> bool {
    let common = bytes.iter().fold(set, |common, &byte| {
        common & SETS.get(usize::from(byte)).copied().unwrap_or_default()
    });
    common == set
}

/// At least one `tchar`.
fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && all_in(TOKEN, bytes)
}

/// A control byte other than a tab. Folded without a branch, so that it is done many bytes at a time.
fn has_control(bytes: &[u8]) -> bool {
    let bad = bytes.iter().fold(0, |bad, &byte| {
        bad | u8::from((byte < 0x20 && byte != b'\t') || byte == 0x7f)
    });
    bad != 0
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
