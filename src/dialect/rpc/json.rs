//! JSON (RFC 8259), byte by byte: an object, whole or in pieces, with little memory.

use arrayvec::ArrayVec;

use super::BadBody;
use super::capture::Capture;
use super::text::Text;

/// Deepest nesting of objects and arrays. vAPI's own structures take three levels for each of theirs.
pub(super) const MAX_DEPTH: usize = 256;

const NOT_JSON: BadBody = BadBody("is not JSON");

/// What a byte brought to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    ObjectBegins,
    ArrayBegins,
    Ends,
    Key,
    Text,
    Number,
    Null,
    Bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    Array,
}

/// What may come next.
#[derive(Debug, Clone, Copy)]
enum State {
    Value,
    FirstElement,
    FirstKey,
    NextKey,
    Colon,
    Comma,
    Text { text: Text, is_key: bool },
    Number(Number),
    Literal { rest: &'static [u8], token: Token },
    Done,
}

/// Where in a number the last byte stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

/// What a byte did.
pub(super) enum Fed {
    Nothing,
    Token(Token),
    /// It ended a number, and is to be fed again for itself.
    Before(Token),
}

/// The tokenizer.
pub(super) struct Json {
    state: State,
    open: ArrayVec<Container, MAX_DEPTH>,
    pub(super) capture: Capture,
}

impl Json {
    pub(super) const fn new() -> Self {
        Self {
            state: State::Value,
            open: ArrayVec::new_const(),
            capture: Capture::new(),
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// How many of `bytes` stand inside a string and need not be looked at.
    pub(super) fn plain(&self, bytes: &[u8]) -> usize {
        match &self.state {
            State::Text { text, .. } if self.capture.keep == super::capture::Keep::Nothing => {
                text.plain(bytes)
            }
            _ => 0,
        }
    }

    /// Takes one byte.
    pub(super) fn feed(&mut self, byte: u8) -> Result<Fed, BadBody> {
        match self.state {
            State::Text { mut text, is_key } => {
                self.capture.raw(byte);
                let is_over = text.feed(byte, &mut self.capture)?;
                self.state = State::Text { text, is_key };
                return Ok(if is_over {
                    self.text_ended(is_key)
                } else {
                    Fed::Nothing
                });
            }
            State::Number(number) => return self.number(number, byte),
            State::Literal { rest, token } => return self.literal(rest, token, byte),
            _ if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') => return Ok(Fed::Nothing),
            State::FirstElement if byte == b']' => return self.ends(Container::Array),
            State::Value | State::FirstElement => return self.value(byte),
            State::FirstKey if byte == b'}' => return self.ends(Container::Object),
            State::FirstKey | State::NextKey if byte == b'"' => {
                self.begin_text(byte, true);
            }
            State::Colon if byte == b':' => self.state = State::Value,
            State::Comma => return self.comma(byte),
            State::Done => return Err(BadBody("goes on behind the call")),
            State::FirstKey | State::NextKey | State::Colon => return Err(NOT_JSON),
        }
        Ok(Fed::Nothing)
    }

    fn value(&mut self, byte: u8) -> Result<Fed, BadBody> {
        if self.open.is_empty() && byte != b'{' {
            return Err(match byte {
                b'[' => BadBody("is a batch of calls"),
                0xEF => BadBody("begins with a byte order mark"),
                _ => BadBody("is not a JSON object"),
            });
        }
        self.state = match byte {
            b'{' => return self.begins(Container::Object),
            b'[' => return self.begins(Container::Array),
            b'"' => {
                self.begin_text(byte, false);
                return Ok(Fed::Nothing);
            }
            b'-' => State::Number(Number::Minus),
            b'0' => State::Number(Number::Zero),
            b'1'..=b'9' => State::Number(Number::Integer),
            b'n' => literal(b"ull", Token::Null),
            b't' => literal(b"rue", Token::Bool),
            b'f' => literal(b"alse", Token::Bool),
            _ => return Err(NOT_JSON),
        };
        self.capture.raw(byte);
        Ok(Fed::Nothing)
    }

    fn begin_text(&mut self, quote: u8, is_key: bool) {
        self.capture.raw(quote);
        self.state = State::Text {
            text: Text::new(),
            is_key,
        };
    }

    fn text_ended(&mut self, is_key: bool) -> Fed {
        if is_key {
            self.state = State::Colon;
            return Fed::Token(Token::Key);
        }
        self.state = State::Comma;
        Fed::Token(Token::Text)
    }

    fn begins(&mut self, container: Container) -> Result<Fed, BadBody> {
        let pushed = self.open.try_push(container);
        pushed.map_err(|_| BadBody("is nested too deeply"))?;
        let (state, token) = match container {
            Container::Object => (State::FirstKey, Token::ObjectBegins),
            Container::Array => (State::FirstElement, Token::ArrayBegins),
        };
        self.state = state;
        Ok(Fed::Token(token))
    }

    fn ends(&mut self, container: Container) -> Result<Fed, BadBody> {
        if self.open.pop() != Some(container) {
            return Err(NOT_JSON);
        }
        self.state = if self.open.is_empty() {
            State::Done
        } else {
            State::Comma
        };
        Ok(Fed::Token(Token::Ends))
    }

    fn comma(&mut self, byte: u8) -> Result<Fed, BadBody> {
        match (byte, self.open.last()) {
            (b',', Some(Container::Object)) => self.state = State::NextKey,
            (b',', Some(Container::Array)) => self.state = State::Value,
            (b'}', _) => return self.ends(Container::Object),
            (b']', _) => return self.ends(Container::Array),
            _ => return Err(NOT_JSON),
        }
        Ok(Fed::Nothing)
    }

    fn literal(&mut self, rest: &'static [u8], token: Token, byte: u8) -> Result<Fed, BadBody> {
        self.capture.raw(byte);
        match rest.split_first() {
            Some((first, [])) if *first == byte => {
                self.state = State::Comma;
                Ok(Fed::Token(token))
            }
            Some((first, rest)) if *first == byte => {
                self.state = State::Literal { rest, token };
                Ok(Fed::Nothing)
            }
            _ => Err(NOT_JSON),
        }
    }

    fn number(&mut self, number: Number, byte: u8) -> Result<Fed, BadBody> {
        use Number::{
            Exponent, ExponentDigits, ExponentSign, Fraction, Integer, Minus, Point, Zero,
        };
        let next = match (number, byte) {
            (Minus, b'0') => Zero,
            (Minus, b'1'..=b'9') | (Integer, b'0'..=b'9') => Integer,
            (Zero | Integer, b'.') => Point,
            (Point | Fraction, b'0'..=b'9') => Fraction,
            (Zero | Integer | Fraction, b'e' | b'E') => Exponent,
            (Exponent, b'+' | b'-') => ExponentSign,
            (Exponent | ExponentSign | ExponentDigits, b'0'..=b'9') => ExponentDigits,
            (Zero | Integer | Fraction | ExponentDigits, _) => {
                self.state = State::Comma;
                return Ok(Fed::Before(Token::Number));
            }
            _ => return Err(NOT_JSON),
        };
        self.capture.raw(byte);
        self.state = State::Number(next);
        Ok(Fed::Nothing)
    }
}

const fn literal(rest: &'static [u8], token: Token) -> State {
    State::Literal { rest, token }
}
