//! The request that began a task: what later requests and comparisons take from it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::LARGEST;
use super::seen::{below, scalar};
use crate::config::{Adapter, Hole};

/// The request that began a task, as the client sent it.
#[derive(Debug, Clone)]
pub struct Origin<'a> {
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) target: &'a str,
    /// What the stars of the adapter's path took, in order.
    stars: Vec<&'a str>,
    pub(super) body: Option<Value>,
}

impl<'a> Origin<'a> {
    /// A request that `adapter` is for. `target` is its path and query, or a whole URL; `body` may be empty where nothing of it
    /// is asked for.
    #[must_use]
    pub fn new(adapter: &Adapter, target: &'a str, body: &[u8]) -> Self {
        Self::along(adapter.matches.path.as_deref(), target, body)
    }

    /// A request whose path is that of `pattern`.
    #[must_use]
    pub fn along(pattern: Option<&str>, target: &'a str, body: &[u8]) -> Self {
        let target = from_root(target);
        let (path, query) = target
            .split_once('?')
            .map_or((target, None), |(path, query)| (path, Some(query)));
        let pattern = pattern.unwrap_or_default();
        let taken = pattern.split('/').zip(path.split('/'));
        let small = Some(body).filter(|body| !body.is_empty() && body.len() <= LARGEST);
        Self {
            path,
            query,
            target,
            stars: taken
                .filter(|(wanted, _)| *wanted == "*")
                .map(|(_, have)| have)
                .collect(),
            body: small.and_then(|body| serde_json::from_slice(body).ok()),
        }
    }

    /// What fills a hole that the request fills, decoded.
    pub(super) fn says(&self, hole: &Hole) -> Option<Cow<'_, str>> {
        match hole {
            Hole::Id | Hole::Url => None,
            Hole::Target => Some(self.target.into()),
            Hole::Path => Some(self.path.into()),
            Hole::Star(star) => self.star(*star).map(decoded),
            Hole::Body(place) => below(self.body.as_ref()?, place)
                .and_then(scalar)
                .map(Cow::Owned),
            Hole::Query(name) => self.parameter(name).map(decoded),
        }
    }

    /// What a star took, as it was written.
    pub(super) fn star(&self, star: usize) -> Option<&'a str> {
        let taken = self.stars.get(star.checked_sub(1)?).copied()?;
        (!taken.is_empty() && taken != "." && taken != "..").then_some(taken)
    }

    /// Whether a segment of the path says this.
    pub(super) fn has_segment(&self, text: &str) -> bool {
        !text.is_empty() && self.path.split('/').any(|segment| decoded(segment) == text)
    }

    /// A parameter of the query, as it was written.
    fn parameter(&self, name: &str) -> Option<&'a str> {
        let pairs = self.query?.split('&');
        let mut pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs
            .find(|(have, _)| *have == name)
            .map(|(_, value)| value)
    }
}

fn decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text).decode_utf8_lossy()
}

/// A target without scheme and authority.
pub(super) fn from_root(target: &str) -> &str {
    let Some((_, rest)) = target
        .split_once("://")
        .filter(|_| !target.starts_with('/'))
    else {
        return target;
    };
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/")
}
