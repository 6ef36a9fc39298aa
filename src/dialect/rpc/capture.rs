//! What is kept of a value while it goes by.

/// How a value is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// Not at all.
    Nothing,
    /// The text of a string, its escapes resolved.
    Text,
    /// A number or string as it is written.
    Raw,
}

/// What is kept of the value that goes by, up to a bound. Never printed: it may be a secret.
pub(super) struct Capture {
    pub(super) keep: Keep,
    bytes: Vec<u8>,
    most: usize,
    is_over: bool,
}

impl Capture {
    pub(super) const fn new() -> Self {
        Self {
            keep: Keep::Nothing,
            bytes: Vec::new(),
            most: 0,
            is_over: false,
        }
    }

    /// Gets ready for the next value, of which at most `most` bytes are kept.
    pub(super) fn expect(&mut self, keep: Keep, most: usize) {
        self.keep = keep;
        self.most = most;
        self.is_over = false;
        self.bytes.clear();
    }

    pub(super) fn text(&mut self, bytes: &[u8]) {
        if self.keep == Keep::Text {
            self.push(bytes);
        }
    }

    pub(super) fn raw(&mut self, byte: u8) {
        if self.keep == Keep::Raw {
            self.push(&[byte]);
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.is_over |= self.bytes.len() + bytes.len() > self.most;
        if !self.is_over {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// What was kept; `None` when it was longer than the bound.
    pub(super) fn kept(&self) -> Option<&str> {
        // The tokenizer lets only UTF-8 through.
        let text = std::str::from_utf8(&self.bytes).ok()?;
        (!self.is_over).then_some(text)
    }
}
