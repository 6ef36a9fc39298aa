//! A walk through the beginning of an XML document that a stranger sent: bounded, and without any of
//! what makes XML dangerous (document types, entities of one's own, other encodings).

use std::borrow::Cow;

use arrayvec::ArrayVec;
use quick_xml::errors::{Error, IllFormedError, SyntaxError};
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

/// Deepest nesting of elements. Assertions inside a SOAP header go some twelve deep.
const MAX_DEPTH: usize = 64;

/// Longest text of one element that is gathered, in bytes.
const MAX_TEXT: usize = 1024;

/// Names of elements that mean something to a reader here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    Assertion,
    Body,
    Envelope,
    ExtensionKey,
    Fault,
    Header,
    MissingSet,
    NameId,
    Other,
    PropSet,
    ReturnValue,
    Subject,
    UserName,
    Value,
}

impl Tag {
    fn of(name: &str) -> Self {
        match name {
            "Assertion" => Self::Assertion,
            "Body" => Self::Body,
            "Envelope" => Self::Envelope,
            "extensionKey" => Self::ExtensionKey,
            "Fault" => Self::Fault,
            "Header" => Self::Header,
            "missingSet" => Self::MissingSet,
            // SAML 2.0 and 1.1.
            "NameID" | "NameIdentifier" => Self::NameId,
            "propSet" => Self::PropSet,
            "returnval" => Self::ReturnValue,
            "Subject" => Self::Subject,
            "userName" => Self::UserName,
            "val" => Self::Value,
            _ => Self::Other,
        }
    }
}

/// Why a walk ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The document is over.
    End,
    /// What is there of the document is over, not the document.
    More,
    /// It is none, or one that nobody needs.
    Bad(&'static str),
}

/// One step of a walk.
pub(super) enum Step<'s, 'a> {
    /// An element begins. Its name has no prefix; its namespace is empty when it has none.
    Open {
        namespace: &'s str,
        start: BytesStart<'a>,
    },
    /// A piece of text.
    Text(Cow<'a, str>),
    /// The element ends.
    Close,
}

/// A walk through as much of a document as is there.
pub(super) struct Walk<'a> {
    reader: NsReader<&'a [u8]>,
    length: usize,
    path: ArrayVec<Tag, MAX_DEPTH>,
    is_leaving: bool,
    was_inside: bool,
}

impl<'a> Walk<'a> {
    /// Starts at the first byte of a document. A byte order mark of UTF-8 may stand there.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Stop> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            // The end may cut a character.
            Err(error) if error.error_len().is_none() => bytes
                .get(..error.valid_up_to())
                .and_then(|start| std::str::from_utf8(start).ok())
                .unwrap_or_default(),
            Err(_) => return Err(Stop::Bad("is not UTF-8")),
        };
        // UTF-16 and UTF-32 have these, also without a mark.
        if text.contains('\0') {
            return Err(Stop::Bad("is not UTF-8"));
        }
        let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
        let mut reader = NsReader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Ok(Self {
            reader,
            length: text.len(),
            path: ArrayVec::new(),
            is_leaving: false,
            was_inside: false,
        })
    }

    /// The next step, and the elements from the root down to where it is made: at the end of an
    /// element still with that one.
    pub(super) fn next(&mut self) -> Result<(&[Tag], Step<'_, 'a>), Stop> {
        if std::mem::take(&mut self.is_leaving) {
            self.path.pop();
        }
        loop {
            let event = self.reader.read_event();
            match event.map_err(|error| self.judge(&error))? {
                Event::Start(start) => return self.open(start),
                Event::End(_) => {
                    self.is_leaving = true;
                    return Ok((&self.path, Step::Close));
                }
                Event::Text(text) => return self.text(text.xml10_content()),
                Event::CData(text) => return self.text(text.xml10_content()),
                Event::GeneralRef(reference) => {
                    let c = character(&reference)?;
                    return self.text(Cow::Owned(c.to_string()));
                }
                Event::Decl(declaration) => check_encoding(&declaration)?,
                Event::DocType(_) => return Err(Stop::Bad("has a document type")),
                Event::Comment(_) | Event::PI(_) | Event::Empty(_) => {}
                Event::Eof => {
                    let is_over = self.was_inside && self.path.is_empty();
                    return Err(if is_over { Stop::End } else { Stop::More });
                }
            }
        }
    }

    fn open(&mut self, start: BytesStart<'a>) -> Result<(&[Tag], Step<'_, 'a>), Stop> {
        if self.path.is_empty() && self.was_inside {
            return Err(Stop::Bad("has more than one root"));
        }
        self.was_inside = true;
        let tag = Tag::of(start.local_name().into_inner());
        self.path
            .try_push(tag)
            .map_err(|_| Stop::Bad("is nested too deeply"))?;
        let namespace = match self.reader.resolver().resolve_element(start.name()).0 {
            ResolveResult::Bound(Namespace(namespace)) => namespace,
            ResolveResult::Unbound => "",
            ResolveResult::Unknown(_) => return Err(Stop::Bad("has a prefix without a namespace")),
        };
        // References in it are not resolved here: nobody writes them.
        if namespace.contains('&') {
            return Err(Stop::Bad("has a reference in a namespace"));
        }
        Ok((&self.path, Step::Open { namespace, start }))
    }

    fn text(&self, text: Cow<'a, str>) -> Result<(&[Tag], Step<'_, 'a>), Stop> {
        if self.path.is_empty() && !text.trim_ascii().is_empty() {
            return Err(Stop::Bad("is not XML"));
        }
        Ok((&self.path, Step::Text(text)))
    }

    /// Whether an error may only mean that the rest is not there yet.
    fn judge(&self, error: &Error) -> Stop {
        let at_end =
            usize::try_from(self.reader.buffer_position()).is_ok_and(|at| at >= self.length);
        match error {
            Error::Syntax(SyntaxError::UnclosedDoctype) => Stop::Bad("has a document type"),
            // After `<!` anything may follow; what then stands there is looked at.
            Error::Syntax(SyntaxError::InvalidBangMarkup) if !self.ends_in_bang() => {
                Stop::Bad("is not XML")
            }
            Error::Syntax(_) => Stop::More,
            Error::IllFormed(IllFormedError::UnclosedReference) if at_end => Stop::More,
            _ => Stop::Bad("is not XML"),
        }
    }

    fn ends_in_bang(&self) -> bool {
        let rest = self.reader.get_ref();
        rest.is_empty() || *rest == b"<!" || *rest == b"!"
    }
}

/// The character that a reference stands for: one of the five, or one by its number.
fn character(reference: &BytesRef<'_>) -> Result<char, Stop> {
    match &**reference {
        "amp" => return Ok('&'),
        "apos" => return Ok('\''),
        "gt" => return Ok('>'),
        "lt" => return Ok('<'),
        "quot" => return Ok('"'),
        _ => {}
    }
    match reference.resolve_char_ref() {
        Ok(Some(c)) => Ok(c),
        _ => Err(Stop::Bad("has an unknown entity")),
    }
}

fn check_encoding(declaration: &BytesDecl<'_>) -> Result<(), Stop> {
    match declaration.encoding() {
        None => Ok(()),
        Some(Ok(name))
            if ["utf-8", "us-ascii"]
                .iter()
                .any(|one| name.eq_ignore_ascii_case(one)) =>
        {
            Ok(())
        }
        Some(_) => Err(Stop::Bad("is not UTF-8")),
    }
}

/// The text of one element, as it comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    text: String,
    is_too_long: bool,
}

impl Gathered {
    pub(super) fn add(&mut self, piece: &str) {
        self.is_too_long |= self.text.len() + piece.len() > MAX_TEXT;
        if !self.is_too_long {
            self.text.push_str(piece);
        }
    }

    /// The text without blanks around it, unless it is empty or too long.
    pub(super) fn finish(self) -> Option<String> {
        let text = self.text.trim();
        let is_text = !self.is_too_long && !text.is_empty();
        is_text.then(|| text.to_owned())
    }
}
