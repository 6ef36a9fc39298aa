//! Station 2, what is asked: the class of a call, by its path in both its spellings.
//!
//! A target can be spelled in many ways that an upstream takes for the same (`/%61pi`, `//api`,
//! `/x/../api`), and upstreams differ in which. So a call is classed by its path as it was received
//! and by its path in normal form, and the **stricter** outcome holds. The target itself goes up as
//! it was received. What two upstreams could take for two different paths is refused: see [`BadTarget`].

mod normal;
mod pattern;
mod route;

pub use pattern::Pattern;

use std::borrow::Cow;
use std::net::IpAddr;

use http::Method;

use crate::call::{Call, Class};
use normal::{Spellings, check_query, spellings};
use route::{class_of, stricter};

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classified<'a> {
    /// Its class, the stricter of its spellings.
    pub class: Class,
    /// The path as it was received, without query, scheme and authority.
    pub path: &'a str,
    /// The path in normal form: the same slice as `path` when that is normal already.
    pub normal_path: Cow<'a, str>,
    /// The query as it was received, without the question mark.
    pub query: Option<&'a str>,
}

impl Classified<'_> {
    /// The call as the limits see it, coming from `address`.
    #[must_use]
    pub fn call(&self, address: IpAddr) -> Call<'_> {
        Call {
            class: self.class,
            path: self.path,
            normal_path: &self.normal_path,
            address,
        }
    }
}

/// A target that is answered with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// Neither a path, an absolute http URL nor `*`.
    #[error("the request target is no path, no http URL and not *")]
    Form,
    /// A percent sign without two hexadecimal digits after it.
    #[error("the request target has a percent sign without two hexadecimal digits")]
    Encoding,
    /// A control character or a space, plain or encoded, or a fragment.
    #[error("the request target has a control character, a space or a fragment")]
    Character,
    /// A backslash: some upstreams take it for a slash.
    #[error("the request target has a backslash")]
    Backslash,
    /// Dot segments beside doubled slashes, matrix parameters or encoded slashes, such that it
    /// depends on the reader which path is meant.
    #[error("the request target can be read as two different paths")]
    Ambiguous,
}

/// Classes a request by its method and the path of its target, which may be in origin form
/// (`/path?query`), absolute form (`http://host/path?query`) or `*`.
///
/// Nothing is allocated when the path is in normal form already, as it usually is.
///
/// # Errors
///
/// [`BadTarget`] for targets that no honest client sends.
pub fn classify<'a>(method: &Method, target: &'a str) -> Result<Classified<'a>, BadTarget> {
    let (path, query) = split(target)?;
    if let Some(query) = query {
        check_query(query)?;
    }
    if path == "*" {
        return Ok(Classified {
            class: Class::Other,
            path,
            normal_path: Cow::Borrowed(path),
            query,
        });
    }
    let class = class_of(method, path);
    let (class, normal_path) = match spellings(path)? {
        Spellings::Normal => (class, Cow::Borrowed(path)),
        Spellings::Several {
            normal,
            dots_as_written,
        } => {
            let class = stricter(class, class_of(method, &normal));
            let class = stricter(class, class_of(method, &dots_as_written));
            (
                class,
                if normal == path {
                    Cow::Borrowed(path)
                } else {
                    Cow::Owned(normal)
                },
            )
        }
    };
    Ok(Classified {
        class,
        path,
        normal_path,
        query,
    })
}

/// Path and query of a target.
fn split(target: &str) -> Result<(&str, Option<&str>), BadTarget> {
    if target.starts_with('/') || target == "*" {
        return Ok(cut_query(target));
    }
    let (scheme, rest) = target.split_once("://").ok_or(BadTarget::Form)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(BadTarget::Form);
    }
    let (before_query, query) = cut_query(rest);
    let authority_ends = before_query.find('/').unwrap_or(before_query.len());
    match before_query.split_at_checked(authority_ends) {
        None | Some(("", _)) => Err(BadTarget::Form),
        Some((_, "")) => Ok(("/", query)),
        Some((_, path)) => Ok((path, query)),
    }
}

fn cut_query(text: &str) -> (&str, Option<&str>) {
    text.split_once('?')
        .map_or((text, None), |(path, query)| (path, Some(query)))
}

#[cfg(test)]
mod tests;
