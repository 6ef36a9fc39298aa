//! What a route or limit asks of a call beside its path.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::query;
use super::sure::Sure;
use crate::call::Operation;
use crate::config::Match;

/// Fields by which some frameworks let a `POST` stand for another method. vCenter and its like
/// ignore them. Yet who knows what stands between: a call that carries one is judged by both methods,
/// and the stricter outcome holds.
static OVERRIDES: [HeaderName; 3] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
];

/// What a call says of itself beside its path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) method: &'a Method,
    query: Option<&'a str>,
    pub(super) headers: Option<&'a HeaderMap>,
    pub(super) operation: Option<Operation<'a>>,
    /// A field would change the method, for those who heed it.
    overridden: bool,
}

impl<'a> Said<'a> {
    pub(super) fn new(
        method: &'a Method,
        query: Option<&'a str>,
        headers: Option<&'a HeaderMap>,
        operation: Option<Operation<'a>>,
    ) -> Self {
        // Few fields start so: that is seen sooner than three names are looked up.
        let overridden = headers.is_some_and(|headers| {
            let mut names = headers
                .keys()
                .filter(|name| name.as_str().starts_with("x-"));
            names.any(|name| OVERRIDES.contains(name))
        });
        Self {
            method,
            query,
            headers,
            operation,
            overridden,
        }
    }

    /// Whether the method is `wanted`. A `HEAD` is a `GET` without its body.
    pub(super) fn has_method(&self, wanted: &Method) -> Sure {
        let read_as = |text: &str| text.eq_ignore_ascii_case(wanted.as_str());
        if self.method == wanted && !self.overridden {
            return Sure::Yes;
        }
        let maybe = read_as(self.method.as_str())
            || (wanted == Method::GET && self.method == Method::HEAD)
            || (self.overridden && self.overrides().any(read_as));
        if maybe { Sure::Maybe } else { Sure::No }
    }

    fn overrides(&self) -> impl Iterator<Item = &'a str> {
        let headers = self.headers.into_iter();
        headers
            .flat_map(|headers| OVERRIDES.iter().flat_map(|name| headers.get_all(name)))
            .filter_map(|value| Some(value.to_str().ok()?.trim()))
    }
}

/// What is asked of a call beside its path: all of it has to hold.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    method: Option<Method>,
    query: Box<[(Box<str>, Box<str>)]>,
    headers: Box<[(HeaderName, Box<str>)]>,
    service: Option<Service>,
    operation: Option<Box<str>>,
    /// Something is asked that no call can have.
    never: bool,
}

/// A JSON-RPC service, or the start of several.
#[derive(Debug)]
struct Service {
    stem: Box<str>,
    open: bool,
}

impl Conditions {
    pub(super) fn new(matches: &Match) -> Self {
        let method = matches.method.as_ref().map(|name| name.parse().ok());
        let names = matches.header.iter().map(|(name, _)| name.parse().ok());
        let values = matches.header.iter().map(|(_, value)| Box::from(&**value));
        let headers: Option<Box<[_]>> = names
            .zip(values)
            .map(|(name, value)| Some((name?, value)))
            .collect();
        let boxed = |(key, value): &(String, String)| (Box::from(&**key), Box::from(&**value));
        Self {
            never: method == Some(None) || headers.is_none(),
            method: method.flatten(),
            query: matches.query.iter().map(boxed).collect(),
            headers: headers.unwrap_or_default(),
            service: matches.service.as_deref().map(Service::new),
            operation: matches.operation.as_deref().map(Box::from),
        }
    }

    /// Whether it asks for what stands in a body.
    pub(super) fn needs_operation(&self) -> bool {
        self.service.is_some() || self.operation.is_some()
    }

    pub(super) fn hold(&self, said: &Said<'_>) -> Sure {
        let method = self.method.as_ref();
        Sure::from(!self.never)
            .and(|| method.map_or(Sure::Yes, |wanted| said.has_method(wanted)))
            .and(|| self.operation_holds(said.operation))
            .and(|| {
                let each = self.query.iter();
                each.fold(Sure::Yes, |sure, (key, value)| {
                    sure.and(|| query::says(said.query, key, value))
                })
            })
            .and(|| {
                let each = self.headers.iter();
                each.fold(Sure::Yes, |sure, (name, value)| {
                    sure.and(|| has_field(said.headers, name, value))
                })
            })
    }

    fn operation_holds(&self, operation: Option<Operation<'_>>) -> Sure {
        if !self.needs_operation() {
            return Sure::Yes;
        }
        let Some(said) = operation else {
            return Sure::No;
        };
        let operation = self.operation.as_deref();
        operation
            .map_or(Sure::Yes, |wanted| Sure::same(said.name, wanted))
            .and(|| match (&self.service, said.service) {
                (None, _) => Sure::Yes,
                (Some(wanted), Some(service)) => wanted.is(service),
                (Some(_), None) => Sure::No,
            })
    }
}

impl Service {
    fn new(pattern: &str) -> Self {
        let stem = pattern.strip_suffix('*');
        Self {
            stem: stem.unwrap_or(pattern).into(),
            open: stem.is_some(),
        }
    }

    fn is(&self, service: &str) -> Sure {
        if self.open {
            let start = service.get(..self.stem.len());
            start.map_or(Sure::No, |start| Sure::same(start, &self.stem))
        } else {
            Sure::same(service, &self.stem)
        }
    }
}

/// Whether a field has this value: for certain when it comes once and says just that, perhaps when
/// one of several, or one member of a list, does.
fn has_field(headers: Option<&HeaderMap>, name: &HeaderName, value: &str) -> Sure {
    let Some(headers) = headers else {
        return Sure::No;
    };
    let mut fields = headers.get_all(name).iter();
    match (fields.next(), fields.next()) {
        (Some(only), None) if only.as_bytes() == value.as_bytes() => return Sure::Yes,
        (None, _) => return Sure::No,
        _ => {}
    }
    let is_value = |text: &str| text.trim().eq_ignore_ascii_case(value);
    let some = |field: &HeaderValue| {
        let text = field.to_str().unwrap_or_default();
        let mut members = text.split(',').map(|one| one.split(';').next());
        is_value(text) || members.any(|member| member.is_some_and(is_value))
    };
    if headers.get_all(name).iter().any(some) {
        Sure::Maybe
    } else {
        Sure::No
    }
}
