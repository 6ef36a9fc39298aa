//! The user that a login's body claims to be, where it is a form or JSON.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode;
use serde::Deserialize;

use crate::call::Dialect;

/// Longest body that is read.
const MAX_BODY: usize = 64 * 1024;

/// The user that the body of a login of NSX (a form with `j_username`), Avi (a form or JSON with
/// `username`) or vim25's JSON form (`userName`) names. `None` for another type, another dialect, a body
/// that names two users or is longer than 64 KiB.
pub(super) fn user(dialect: Dialect, headers: &HeaderMap, body: &[u8]) -> Option<String> {
    if body.len() > MAX_BODY {
        return None;
    }
    let field = match dialect {
        Dialect::Nsx => "j_username",
        Dialect::Avi => "username",
        Dialect::Vcenter => return of_vim25(body),
        _ => return None,
    };
    let content_type = headers
        .get(CONTENT_TYPE)
        .map_or(&b""[..], |value| value.as_bytes());
    // Whatever a client calls it: Avi's own SDK names no type for its JSON.
    if dialect == Dialect::Avi && body.trim_ascii_start().starts_with(b"{") {
        return of_avi(body);
    }
    let is_form =
        content_type.is_empty() || has_type(content_type, b"application/x-www-form-urlencoded");
    if is_form { of_form(body, field) } else { None }
}

fn of_avi(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Login {
        username: String,
    }
    Some(serde_json::from_slice::<Login>(body).ok()?.username)
}

/// `LoginRequestType` of the Virtual Infrastructure JSON API.
fn of_vim25(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Login {
        #[serde(rename = "userName")]
        user_name: String,
    }
    Some(serde_json::from_slice::<Login>(body).ok()?.user_name)
}

fn has_type(content_type: &[u8], wanted: &[u8]) -> bool {
    content_type
        .split(|byte| *byte == b';')
        .next()
        .is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(wanted))
}

/// The one value of `field` in a form (WHATWG URL, application/x-www-form-urlencoded).
fn of_form(body: &[u8], field: &str) -> Option<String> {
    let mut found = None;
    for pair in body.split(|byte| *byte == b'&') {
        let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (name, value) = pair.split_at_checked(equals)?;
        if decoded(name)? != field {
            continue;
        }
        let value = decoded(value.get(1..).unwrap_or_default())?;
        if found.replace(value).is_some() {
            return None;
        }
    }
    found
}

fn decoded(part: &[u8]) -> Option<String> {
    let spaced: Vec<u8> = part
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    let decoded = percent_decode(&spaced).decode_utf8().ok()?;
    Some(decoded.into_owned())
}
