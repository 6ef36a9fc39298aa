//! What a login asks for, and what its answer says.

use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use serde_json::Value;

use super::credential::{AVI_COOKIES, NSX_COOKIES};
use super::{MAX_TOKEN, Secret, claimed, cookie, soap};
use crate::call::{Dialect, SessionKind, Spoken};

/// Most bytes of an answer that are needed.
pub const MAX_ANSWER: usize = 64 * 1024;

const API_SESSION: HeaderName = HeaderName::from_static("vmware-api-session-id");
const XSRF_TOKEN: HeaderName = HeaderName::from_static("x-xsrf-token");

/// What the answer to a login says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream opened a session.
    Opened(Opened),
    /// The upstream opened none.
    Refused,
    /// Whether it opened one cannot be told from the answer.
    Unknown,
}

/// A session that the upstream opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Which family it belongs to.
    pub kind: SessionKind,
    /// Its token.
    pub token: Secret,
    /// What has to be shown beside the token to end it (`X-XSRF-TOKEN` of NSX, `csrftoken` of Avi).
    pub proof: Option<Secret>,
    /// Whose it is, where the answer says so: this one is proven.
    pub user: Option<String>,
}

/// The user that the body of a login claims to be: of NSX (form `j_username`), Avi (`username`, a form
/// or JSON) and the JSON form of vim25 (`userName`). Others of vCenter stand in `Authorization`, or are
/// found by [`super::rpc`] and [`super::soap`].
#[must_use]
pub fn claimed_user(dialect: Dialect, headers: &HeaderMap, body: &[u8]) -> Option<String> {
    claimed::user(dialect, headers, body)
}

/// The answer to a login, and the token that the login itself showed.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub headers: &'a HeaderMap,
    /// Its body, not compressed; the first [`MAX_ANSWER`] bytes are looked at.
    pub body: &'a [u8],
    /// The session that the login was sent in: SOAP gives out a cookie before, and need not do so anew.
    pub shown: Option<&'a [u8]>,
}

/// What the answer to a login says.
#[must_use]
pub fn outcome(dialect: Dialect, spoken: Spoken, answer: &Answer<'_>) -> Outcome {
    let Answer { headers, body, .. } = *answer;
    let body = body.get(..MAX_ANSWER).unwrap_or(body);
    match answer.status {
        200..=299 => {}
        // A redirect is none of these answers; 502 and 504 are of one between us and the upstream,
        // which may have opened a session all the same.
        300..=399 | 502 | 504 => return Outcome::Unknown,
        _ => return Outcome::Refused,
    }
    let opened = match (dialect, spoken) {
        (Dialect::Vcenter, Spoken::Rpc) => return rpc(body),
        (Dialect::Vcenter, Spoken::Soap) => return soap(headers, body, answer.shown),
        (Dialect::Vcenter, Spoken::Api | Spoken::Rest) => rest(spoken, headers, body),
        (Dialect::Nsx, _) => nsx(headers),
        (Dialect::Avi, _) => avi(headers, body),
        // Every call of theirs carries its own credentials.
        (Dialect::Vcenter, Spoken::Plain)
        | (Dialect::NsxV | Dialect::Skytap | Dialect::Generic, _) => None,
    };
    opened.map_or(Outcome::Unknown, Outcome::Opened)
}

fn opened(kind: SessionKind, token: &[u8]) -> Option<Opened> {
    let fits = !token.is_empty() && token.len() <= MAX_TOKEN;
    fits.then(|| Opened {
        kind,
        token: Secret::new(token),
        proof: None,
        user: None,
    })
}

/// `"TOKEN"` under `/api`, `{"value":"TOKEN"}` under `/rest`; the header or cookie says the same.
fn rest(spoken: Spoken, headers: &HeaderMap, body: &[u8]) -> Option<Opened> {
    #[derive(Deserialize)]
    struct Wrapped {
        value: String,
    }
    let token = if spoken == Spoken::Rest {
        serde_json::from_slice(body).map(|Wrapped { value }| value)
    } else {
        serde_json::from_slice(body)
    };
    if let Ok(token) = token {
        return opened(SessionKind::Rest, token.as_bytes());
    }
    let header = headers.get(API_SESSION).map(HeaderValue::as_bytes);
    let token = header.or_else(|| cookie::set(headers, API_SESSION.as_str()))?;
    opened(SessionKind::Rest, token)
}

/// `result.output` holds the token, as a secret; an error comes with status 200 too.
fn rpc(body: &[u8]) -> Outcome {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return Outcome::Unknown;
    };
    if answer.get("error").is_some_and(|error| !error.is_null()) {
        return Outcome::Refused;
    }
    let result = answer.get("result");
    let output = result.and_then(|result| result.get("output"));
    let token = output.and_then(|output| output.get("SECRET").unwrap_or(output).as_str());
    if let Some(opened) = token.and_then(|token| opened(SessionKind::Rest, token.as_bytes())) {
        return Outcome::Opened(opened);
    }
    let is_error = result.and_then(|result| result.get("error")).is_some();
    if is_error {
        Outcome::Refused
    } else {
        Outcome::Unknown
    }
}

/// The token comes as a cookie, with VI-JSON as a header, or the login's own cookie goes on; the body
/// says whose it is.
fn soap(headers: &HeaderMap, body: &[u8], shown: Option<&[u8]>) -> Outcome {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct UserSession {
        user_name: String,
    }
    let answer = soap::answer(body);
    if answer.is_fault {
        return Outcome::Refused;
    }
    let header = headers.get(API_SESSION).map(HeaderValue::as_bytes);
    let given = cookie::set(headers, "vmware_soap_session").or(header);
    // Only a whole reply of SOAP says that the login was taken: any page may come with 200.
    let token = given.or(shown.filter(|_| answer.is_reply && answer.is_whole));
    let Some(mut opened) = token.and_then(|token| opened(SessionKind::Soap, token)) else {
        return Outcome::Unknown;
    };
    let of_json = || serde_json::from_slice::<UserSession>(body).ok();
    opened.user = answer.user.or_else(|| Some(of_json()?.user_name));
    Outcome::Opened(opened)
}

/// The token comes as a cookie, the proof as a header.
fn nsx(headers: &HeaderMap) -> Option<Opened> {
    let token = NSX_COOKIES
        .iter()
        .find_map(|name| cookie::set(headers, name))?;
    let mut opened = opened(SessionKind::Rest, token)?;
    let proof = headers.get(XSRF_TOKEN).map(HeaderValue::as_bytes);
    opened.proof = proof.map(Secret::new);
    Some(opened)
}

/// Both come as cookies. The body may say which one holds the token.
fn avi(headers: &HeaderMap, body: &[u8]) -> Option<Opened> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        session_cookie_name: Option<&'a str>,
    }
    let said = serde_json::from_slice::<Answer<'_>>(body)
        .ok()
        .and_then(|answer| answer.session_cookie_name)
        .filter(|name| AVI_COOKIES.contains(name));
    let mut names = said.into_iter().chain(AVI_COOKIES);
    let token = names.find_map(|name| cookie::set(headers, name))?;
    let mut opened = opened(SessionKind::Rest, token)?;
    opened.proof = cookie::set(headers, "csrftoken").map(Secret::new);
    Some(opened)
}

#[cfg(test)]
#[path = "login_tests.rs"]
mod tests;
