//! Which calls an asynchronous form of the upstream is for, and which of them ask for it themselves.

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};

use super::asked::Asked;
use super::condition::{Conditions, Said};
use super::pattern::Pattern;
use super::query;
use super::sure::Sure;
use crate::config::Adapter;

/// Fields that hold a signature over the message (RFC 9421, and the draft before it).
const SIGNATURES: [&str; 2] = ["signature-input", "signature"];

/// The asynchronous forms of one upstream, compiled once.
///
/// A call takes the first that is for it in **every** reading. Where one may be for it in some reading alone, none is: what is in
/// doubt goes up as it was received.
#[derive(Debug)]
pub struct Forms(Box<[Form]>);

#[derive(Debug)]
struct Form {
    path: Option<Pattern>,
    /// The path ends in a slash, as it is written.
    slash: bool,
    conditions: Conditions,
    parameters: Box<[(Box<str>, Box<str>)]>,
    never: Box<[Box<str>]>,
    manner: Manner,
}

/// How the upstream has a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Not at all: the gate stands in for it.
    Missing,
    /// It has to be asked for.
    Asked,
    /// By itself.
    Inherent,
    /// By itself, of what is looked at before.
    Looked,
}

impl Manner {
    fn of(adapter: &Adapter) -> Self {
        match &adapter.native {
            None => Self::Missing,
            Some(native) if native.before.is_some() => Self::Looked,
            Some(native) if native.rewrite.is_none() => Self::Inherent,
            Some(_) => Self::Asked,
        }
    }
}

/// The form that is for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fitting {
    /// Its place in the upstream's list.
    pub place: usize,
    /// How it can be used.
    pub how: How,
}

/// How a form can be used for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The client asks for it itself.
    AskedFor,
    /// The client asks for it itself, and the upstream has none: the gate stands in.
    Emulated,
    /// The gate may ask for it in the client's place.
    Offered,
    /// The upstream is asynchronous by itself: there is nothing to be asked for.
    Inherent,
    /// As that, and what it changes is looked at before: the gate has the call wait for its turn.
    Gated,
}

impl Forms {
    /// Compiles the adapters of an upstream.
    #[must_use]
    pub fn new(adapters: &[Adapter]) -> Self {
        Self(adapters.iter().map(Form::new).collect())
    }

    /// The form that is for a call; `asked` is the same call as the route table judged it.
    #[must_use]
    pub fn find(&self, asked: &Asked<'_>, method: &Method, headers: &HeaderMap) -> Option<Fitting> {
        let said = Said::new(method, asked.query, Some(headers), None);
        for (place, form) in self.0.iter().enumerate() {
            match form.on(asked).and(|| form.conditions.hold(&said)) {
                Sure::No => {}
                Sure::Maybe => return None,
                Sure::Yes => {
                    let how = form.how(asked, headers)?;
                    return Some(Fitting { place, how });
                }
            }
        }
        None
    }

    /// Whether a call shows a proof that covers what the form at `place` would change of it.
    #[must_use]
    pub fn is_sealed(&self, place: usize, headers: &HeaderMap) -> bool {
        let form = self.0.get(place);
        form.is_none_or(|form| form.is_signed(headers))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Form {
    fn new(adapter: &Adapter) -> Self {
        let boxed = |(name, value): &(String, String)| (Box::from(&**name), Box::from(&**value));
        Self {
            path: adapter.matches.path.as_deref().and_then(Pattern::new),
            slash: adapter
                .matches
                .path
                .as_ref()
                .is_some_and(|path| path.ends_with('/')),
            conditions: Conditions::new(&adapter.matches),
            parameters: adapter.parameter.iter().map(boxed).collect(),
            never: adapter
                .never_rewrite
                .iter()
                .map(|scheme| Box::from(&**scheme))
                .collect(),
            manner: Manner::of(adapter),
        }
    }

    /// Whether the path is its own in all spellings, in some, or in none.
    fn on(&self, asked: &Asked<'_>) -> Sure {
        let Some(path) = &self.path else {
            return Sure::No;
        };
        let spellings = || std::iter::once(&*asked.normal_path).chain(asked.other_paths());
        // What stars take goes into later requests: it has to be spelled in one way.
        let exact = asked.path == asked.normal_path;
        match (
            spellings().all(|one| path.matches(one)),
            spellings().any(|one| path.matches(one)),
        ) {
            (true, _)
                if exact
                    && self.slash == asked.path.ends_with('/')
                    && is_written(path, asked.path) =>
            {
                Sure::Yes
            }
            (_, true) => Sure::Maybe,
            _ => Sure::No,
        }
    }

    /// `None` where it is in doubt whether the client asks, or the call must not be changed.
    fn how(&self, asked: &Asked<'_>, headers: &HeaderMap) -> Option<How> {
        let says = |(name, value): &(Box<str>, Box<str>)| query::says(asked.query, name, value);
        let asks = self.parameters.iter().map(says).max().unwrap_or(Sure::No);
        match (asks, self.manner) {
            (Sure::Yes, Manner::Missing) => Some(How::Emulated),
            (Sure::Yes, _) => Some(How::AskedFor),
            (Sure::No, Manner::Inherent) => Some(How::Inherent),
            // Questions about the resource are another request than the one that is signed.
            (Sure::No, Manner::Looked) => (!self.is_signed(headers)).then_some(How::Gated),
            // A parameter of the same name that says something else is the client's own word on it.
            (Sure::No, Manner::Asked) => {
                (!self.is_declined(asked) && !self.is_signed(headers)).then_some(How::Offered)
            }
            (Sure::Maybe, _) | (Sure::No, Manner::Missing) => None,
        }
    }

    fn is_declined(&self, asked: &Asked<'_>) -> bool {
        let pairs = asked.query.unwrap_or_default().split(['&', ';']);
        let mut names = pairs.map(|pair| pair.split('=').next().unwrap_or_default());
        names.any(|name| {
            let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
            let name = name.trim().trim_start_matches('~');
            self.parameters
                .iter()
                .any(|(own, _)| name.eq_ignore_ascii_case(own))
        })
    }

    /// Whether the call shows a proof that covers what would be changed.
    fn is_signed(&self, headers: &HeaderMap) -> bool {
        let mut schemes = headers.get_all(AUTHORIZATION).iter().map(|field| {
            let field = field.as_bytes().trim_ascii_start();
            field
                .split(|byte| matches!(byte, b' ' | b'\t' | b','))
                .next()
                .unwrap_or_default()
        });
        let never = |scheme: &[u8]| {
            self.never
                .iter()
                .any(|one| one.as_bytes().eq_ignore_ascii_case(scheme))
        };
        schemes.any(never) || SIGNATURES.iter().any(|name| headers.contains_key(*name))
    }
}

/// Whether the words of the pattern stand in the path as they are written, case and all.
fn is_written(pattern: &Pattern, path: &str) -> bool {
    let have = path.strip_prefix('/').unwrap_or(path).split('/');
    let mut both = pattern.segments().zip(have);
    both.all(|(wanted, have)| wanted.is_none_or(|wanted| wanted == have))
}

#[cfg(test)]
mod tests;
