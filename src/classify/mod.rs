//! Station 2, what is asked: the class of a call, by the routes of its upstream.
//!
//! ```text
//!   head ─▶ Table::target ─▶ Asked: class by the target alone
//!                              │ operation_in_body (JSON-RPC, SOAP)
//!   body ─▶ service, operation ─▶ Table::operation ─▶ Asked: class
//! ```
//!
//! A target can be spelled in many ways that an upstream takes for the same (`/%61pi`, `//api`,
//! `/x/../api`, `?action=a&action=b`), and upstreams differ in which. So a call is judged in every
//! reading, and the **stricter** outcome holds. The target itself goes up as it was received. What two
//! upstreams could take for two different paths is refused: see [`BadTarget`].

mod adapter;
mod asked;
mod base;
mod condition;
mod normal;
mod pattern;
mod query;
mod strict;
mod sure;
mod table;
mod tree;
mod wanted;

pub use adapter::{Fitting, Forms, How};
pub use asked::Asked;
pub use pattern::Pattern;
pub use table::Table;
pub use wanted::Wanted;

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
    /// Dot segments beside doubled slashes, matrix parameters or encoded slashes, or an encoded slash
    /// inside of parameters, such that it depends on the reader which path is meant.
    #[error("the request target can be read as two different paths")]
    Ambiguous,
}

/// A service or operation that is answered with 400: empty, longer than 256 bytes, or with other
/// characters than letters, digits and `.`, `_`, `-`, `$`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the service or operation is no name")]
pub struct BadOperation;

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
