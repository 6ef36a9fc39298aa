//! What patterns and names inside `match` may look like. How they match is the classifier's affair.

use super::node::Node;
use super::value::text;

/// Most segments of a path pattern: what reads them goes one step down for each.
const MOST_SEGMENTS: usize = 64;

/// A path pattern: `*` is one segment, `**` any number of them, at the end only.
pub(super) fn path(node: &Node) -> Result<String, String> {
    const WANTED: &str = "a path is wanted, as \"/api/cis/tagging/**\"";
    let path = text(node)?;
    let Some(rest) = path.strip_prefix('/') else {
        return Err(format!("does not start with a slash; {WANTED}"));
    };
    if let Some(c) = path
        .chars()
        .find(|c| !c.is_ascii_graphic() || matches!(c, '?' | '#' | '\\' | ';'))
    {
        return Err(format!(
            "holds {c:?}, which no path in normal form has; {WANTED}, and a query goes into match.query"
        ));
    }
    if rest.split('/').count() > MOST_SEGMENTS {
        return Err(format!("has more than {MOST_SEGMENTS} segments; {WANTED}"));
    }
    let mut segments = rest.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        check_segment(segment, is_last).map_err(|problem| format!("{problem}; {WANTED}"))?;
    }
    Ok(path)
}

fn check_segment(segment: &str, is_last: bool) -> Result<(), &'static str> {
    match segment {
        "**" if !is_last => Err("has ** before its end; it may stand at the end alone"),
        "*" | "**" => Ok(()),
        "" if !is_last => Err("has an empty segment (//)"),
        "." | ".." => Err("has a segment . or .., which no path in normal form has"),
        _ if segment.contains('*') => Err(
            "has a * inside a segment; * stands for one whole segment, ** for any number at the end",
        ),
        _ if !escapes_are_whole(segment) => Err("has a % without two hexadecimal digits behind it"),
        _ => Ok(()),
    }
}

fn escapes_are_whole(segment: &str) -> bool {
    segment
        .split('%')
        .skip(1)
        .all(|after| after.len() >= 2 && after.bytes().take(2).all(|b| b.is_ascii_hexdigit()))
}

/// A JSON-RPC service pattern: `*` at the end matches the rest.
pub(super) fn service(node: &Node) -> Result<String, String> {
    let service = text(node)?;
    let stem = service.strip_suffix('*').unwrap_or(&service);
    let fits = !service.is_empty()
        && stem
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-$".contains(&b));
    if fits {
        Ok(service)
    } else {
        Err("is no service; letters, digits and . _ - $ are wanted, a * at the end alone, as \"com.vmware.cis.tagging.*\"".to_owned())
    }
}

/// A JSON-RPC or SOAP operation.
pub(super) fn operation(node: &Node) -> Result<String, String> {
    let operation = text(node)?;
    let fits = !operation.is_empty()
        && operation
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-$".contains(&b));
    if fits {
        Ok(operation)
    } else {
        Err(
            "is no operation; letters, digits and . _ - $ are wanted, as \"CloneVM_Task\""
                .to_owned(),
        )
    }
}

/// A method, upper case.
pub(super) fn method(node: &Node) -> Result<String, String> {
    let method = text(node)?;
    if !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase()) {
        return Ok(method);
    }
    let upper = method.to_ascii_uppercase();
    if upper != method && upper.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(format!(
            "is not in upper case, and methods tell cases apart; write {upper:?}"
        ));
    }
    Err("is no method; upper case letters are wanted, as \"POST\"".to_owned())
}

/// Whether `name` can be the name of a header field (RFC 9110 section 5.6.2).
pub(super) fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// The value of a header field or query parameter.
pub(super) fn value(node: &Node) -> Result<String, String> {
    let value = text(node)?;
    if value.chars().any(char::is_control) {
        Err("holds a control character".to_owned())
    } else {
        Ok(value)
    }
}

/// The name of a limit or route: `[a-z0-9_]+` for limits, with `-` for routes.
pub(super) fn is_plain_name(name: &str, and: &[u8]) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || and.contains(&b))
}
