//! Strings of JSON (RFC 8259 section 7), byte by byte: escapes resolved, UTF-8 checked.

use super::BadBody;
use super::capture::Capture;

/// Where in a string the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Plain,
    /// Inside a character of several bytes: so many are to come, the next from this range.
    Character {
        left: u8,
        from: u8,
        to: u8,
    },
    Escape,
    Unicode {
        left: u8,
        value: u16,
    },
}

/// A string that goes by, without its quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    at: At,
    /// The first half of a surrogate pair.
    high: Option<u16>,
}

impl Text {
    pub(super) const fn new() -> Self {
        Self {
            at: At::Plain,
            high: None,
        }
    }

    /// How many of `bytes` only pass by when nothing of them is kept.
    pub(super) fn plain(self, bytes: &[u8]) -> usize {
        if self.at != At::Plain || self.high.is_some() {
            return 0;
        }
        let special = |byte: &u8| !(0x20..0x80).contains(byte) || matches!(byte, b'"' | b'\\');
        bytes.iter().position(special).unwrap_or(bytes.len())
    }

    /// Takes one byte; whether it was the quote at the end.
    pub(super) fn feed(&mut self, byte: u8, capture: &mut Capture) -> Result<bool, BadBody> {
        match self.at {
            At::Plain => return self.plain_byte(byte, capture),
            At::Character { left, from, to } => {
                if !(from..=to).contains(&byte) {
                    return Err(BadBody("is not UTF-8"));
                }
                capture.text(&[byte]);
                self.at = match left {
                    1 => At::Plain,
                    _ => character(left - 1),
                };
            }
            At::Escape => self.escape(byte, capture)?,
            At::Unicode { left, value } => {
                let digit = char::from(byte)
                    .to_digit(16)
                    .and_then(|digit| u16::try_from(digit).ok());
                let digit = digit.ok_or(BadBody("has a broken escape"))?;
                let value = value << 4 | digit;
                if left > 1 {
                    self.at = At::Unicode {
                        left: left - 1,
                        value,
                    };
                } else {
                    self.at = At::Plain;
                    self.unit(value, capture);
                }
            }
        }
        Ok(false)
    }

    fn plain_byte(&mut self, byte: u8, capture: &mut Capture) -> Result<bool, BadBody> {
        if byte == b'\\' {
            self.at = At::Escape;
            return Ok(false);
        }
        self.lone(capture);
        self.at = match byte {
            b'"' => return Ok(true),
            0..=0x1F => return Err(BadBody("has a control character in a string")),
            0x20..=0x7F => At::Plain,
            // Table 3-7 of Unicode: neither overlong forms nor surrogates.
            0xC2..=0xDF => character(1),
            0xE0 => At::Character {
                left: 2,
                from: 0xA0,
                to: 0xBF,
            },
            0xED => At::Character {
                left: 2,
                from: 0x80,
                to: 0x9F,
            },
            0xE1..=0xEF => character(2),
            0xF0 => At::Character {
                left: 3,
                from: 0x90,
                to: 0xBF,
            },
            0xF1..=0xF3 => character(3),
            0xF4 => At::Character {
                left: 3,
                from: 0x80,
                to: 0x8F,
            },
            _ => return Err(BadBody("is not UTF-8")),
        };
        capture.text(&[byte]);
        Ok(false)
    }

    fn escape(&mut self, byte: u8, capture: &mut Capture) -> Result<(), BadBody> {
        let resolved = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 0x08,
            b'f' => 0x0C,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                self.at = At::Unicode { left: 4, value: 0 };
                return Ok(());
            }
            _ => return Err(BadBody("has a broken escape")),
        };
        self.lone(capture);
        self.at = At::Plain;
        capture.text(&[resolved]);
        Ok(())
    }

    /// A UTF-16 unit that was written as an escape.
    fn unit(&mut self, unit: u16, capture: &mut Capture) {
        let pair = self.high.filter(|_| (0xDC00..0xE000).contains(&unit));
        if let Some(high) = pair {
            self.high = None;
            units(&[high, unit], capture);
            return;
        }
        self.lone(capture);
        if (0xD800..0xDC00).contains(&unit) {
            self.high = Some(unit);
        } else {
            units(&[unit], capture);
        }
    }

    /// The first half of a pair without the second. Python writes such for names of files that are
    /// no text; nothing that is looked for here is written so.
    fn lone(&mut self, capture: &mut Capture) {
        if self.high.take().is_some() {
            push(char::REPLACEMENT_CHARACTER, capture);
        }
    }
}

const fn character(left: u8) -> At {
    At::Character {
        left,
        from: 0x80,
        to: 0xBF,
    }
}

fn units(units: &[u16], capture: &mut Capture) {
    for c in char::decode_utf16(units.iter().copied()) {
        push(c.unwrap_or(char::REPLACEMENT_CHARACTER), capture);
    }
}

fn push(c: char, capture: &mut Capture) {
    capture.text(c.encode_utf8(&mut [0; 4]).as_bytes());
}
