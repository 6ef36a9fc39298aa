//! What a request shows of who makes it.

use std::borrow::Cow;
use std::fmt;

use http::header::{AUTHORIZATION, SET_COOKIE};
use http::{HeaderMap, HeaderName};

use super::MAX_TOKEN;
use super::authorization::{self, Said};
use super::cookie::{self, Sent};
use crate::call::{Dialect, SessionKind, Spoken};

const API_SESSION: HeaderName = HeaderName::from_static("vmware-api-session-id");
const XSRF_TOKEN: HeaderName = HeaderName::from_static("x-xsrf-token");
const CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrftoken");
/// What Redfish (DSP0266) and `OpenStack` (Identity API v3) take in place of `Authorization`.
pub(super) const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// Cookies that hold a session of vCenter's REST.
const API_COOKIES: [&str; 1] = ["vmware-api-session-id"];
/// Cookies that hold a session of vCenter's SOAP.
const SOAP_COOKIES: [&str; 1] = ["vmware_soap_session"];
/// Cookies that hold a session of NSX.
pub(super) const NSX_COOKIES: [&str; 1] = ["JSESSIONID"];
/// Cookies that hold a session of Avi; its clients send the same value under both.
pub(super) const AVI_COOKIES: [&str; 2] = ["avi-sessionid", "sessionid"];

/// Fields by which an upstream hands out a session or a token, or renews one: vCenter, NSX, Avi, Redfish (`X-Auth-Token`),
/// that of Keystone (`X-Subject-Token`), VMware Cloud Director, and what RFC 7615 and cookies have for everybody.
static HANDED_OUT: [HeaderName; 14] = [
    SET_COOKIE,
    HeaderName::from_static("set-cookie2"),
    AUTHORIZATION,
    HeaderName::from_static("authentication-info"),
    HeaderName::from_static("proxy-authentication-info"),
    API_SESSION,
    XSRF_TOKEN,
    CSRF_TOKEN,
    HeaderName::from_static("x-csrf-token"),
    AUTH_TOKEN,
    HeaderName::from_static("x-subject-token"),
    HeaderName::from_static("x-service-token"),
    HeaderName::from_static("x-vcloud-authorization"),
    HeaderName::from_static("x-vmware-vcloud-access-token"),
];

/// Whether this field of an answer hands credentials out: whoever reads the answer later is not to have them.
#[must_use]
pub fn is_handed_out(field: &HeaderName) -> bool {
    HANDED_OUT.contains(field)
}

/// What a request shows of who makes it.
#[derive(Debug, PartialEq, Eq)]
pub enum Credential<'a> {
    /// Nothing.
    None,
    /// The token of a session.
    Session(Token<'a>),
    /// A name and its proof, or a token that is no session's.
    Claim(Claim<'a>),
    /// Two that differ, or one that servers read differently: nobody knows which one will hold.
    Conflict,
}

/// The token of a login session, borrowed from the request. `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    kind: SessionKind,
    bytes: &'a [u8],
}

impl<'a> Token<'a> {
    /// A token that stood elsewhere, as in the body of a JSON-RPC call. `None` when it is empty or
    /// longer than [`MAX_TOKEN`].
    #[must_use]
    pub fn new(kind: SessionKind, bytes: &'a [u8]) -> Option<Self> {
        let fits = !bytes.is_empty() && bytes.len() <= MAX_TOKEN;
        fits.then_some(Self { kind, bytes })
    }

    /// Which family of sessions it belongs to.
    #[must_use]
    pub const fn kind(&self) -> SessionKind {
        self.kind
    }

    /// The token, without quotes around it: what a hash is taken of.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl fmt::Debug for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, ***)", self.kind.as_str())
    }
}

/// The scheme of an `Authorization` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// User and password (RFC 7617).
    Basic,
    /// A bearer token (RFC 6750).
    Bearer,
    /// VMware's `SIGN token="…"`, a gzipped SAML assertion.
    Sign,
    /// Any other.
    Other,
}

/// What an `Authorization` field claims; nothing of it is proven. `Debug` does not show the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim<'a> {
    scheme: Scheme,
    raw: &'a [u8],
    user: Option<String>,
}

impl<'a> Claim<'a> {
    pub(super) const fn new(scheme: Scheme, raw: &'a [u8], user: Option<String>) -> Self {
        Self { scheme, raw, user }
    }

    /// The scheme.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The secret as it was sent, without the scheme: what a hash is taken of.
    #[must_use]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The user it names, as it was written, where that can be read. Of a signed token it is unpacked for
    /// that: ask only for those that are not known.
    #[must_use]
    pub fn user(&self) -> Option<Cow<'_, str>> {
        match self.scheme {
            Scheme::Sign => authorization::sign_user(self.raw).map(Cow::Owned),
            _ => self.user.as_deref().map(Cow::Borrowed),
        }
    }
}

impl fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, user, .. } = self;
        write!(f, "Claim({scheme:?}, {user:?}, ***)")
    }
}

/// What a request shows of who makes it. A session's token goes before an `Authorization` field
/// beside it, and is found without allocating; a login's own claim is what [`claim`] says.
#[must_use]
pub fn read(dialect: Dialect, spoken: Spoken, headers: &HeaderMap) -> Credential<'_> {
    match session(dialect, spoken, headers) {
        Credential::None if dialect == Dialect::Generic => generic(headers),
        Credential::None => claim(headers),
        found => found,
    }
}

/// Of an API of which nothing is known: `Authorization`, or the token that stands in its place.
fn generic(headers: &HeaderMap) -> Credential<'_> {
    let fields = headers.get_all(AUTH_TOKEN).iter();
    let values = fields.map(|field| match field.as_bytes().trim_ascii() {
        b"" => Sent::No,
        value => Sent::Once(value),
    });
    match (claim(headers), values.fold(Sent::No, also)) {
        (claimed, Sent::No) => claimed,
        (Credential::None, Sent::Once(token)) if token.len() <= MAX_TOKEN => {
            Credential::Claim(Claim::new(Scheme::Bearer, token, None))
        }
        _ => Credential::Conflict,
    }
}

/// What the `Authorization` field alone claims.
#[must_use]
pub fn claim(headers: &HeaderMap) -> Credential<'_> {
    match authorization::read(headers) {
        Said::Nothing => Credential::None,
        Said::Claim(claim) => Credential::Claim(claim),
        Said::Unclear => Credential::Conflict,
    }
}

/// The token that a request shows against forgery beside its session (`X-XSRF-TOKEN` of NSX,
/// `X-CSRFToken` of Avi): ending the session takes it too.
#[must_use]
pub fn proof(dialect: Dialect, headers: &HeaderMap) -> Option<&[u8]> {
    let name = match dialect {
        Dialect::Nsx => XSRF_TOKEN,
        Dialect::Avi => CSRF_TOKEN,
        _ => return None,
    };
    let value = headers.get(name)?.as_bytes();
    (!value.is_empty() && value.len() <= MAX_TOKEN).then_some(value)
}

fn session(dialect: Dialect, spoken: Spoken, headers: &HeaderMap) -> Credential<'_> {
    let (kind, in_header, cookies): (_, _, &[&str]) = match (dialect, spoken) {
        (Dialect::Vcenter, Spoken::Api | Spoken::Rest | Spoken::Rpc) => {
            (SessionKind::Rest, true, &API_COOKIES)
        }
        // VI-JSON, under the same path, has its session in the header.
        (Dialect::Vcenter, Spoken::Soap) => (SessionKind::Soap, true, &SOAP_COOKIES),
        // Datastore files and the like take the session of either.
        (Dialect::Vcenter, Spoken::Plain) => return plain_vcenter(headers),
        (Dialect::Nsx | Dialect::NsxV, _) => (SessionKind::Rest, false, &NSX_COOKIES),
        (Dialect::Avi, _) => (SessionKind::Rest, false, &AVI_COOKIES),
        (Dialect::Skytap | Dialect::Generic, _) => return Credential::None,
    };
    let mut found = Sent::No;
    if in_header {
        found = also(found, header(headers));
    }
    for name in cookies {
        found = also(found, cookie::sent(headers, name));
    }
    token(kind, &found)
}

fn plain_vcenter(headers: &HeaderMap) -> Credential<'_> {
    let soap = SOAP_COOKIES
        .iter()
        .map(|name| cookie::sent(headers, name))
        .fold(Sent::No, also);
    let rest = API_COOKIES
        .iter()
        .map(|name| cookie::sent(headers, name))
        .fold(header(headers), also);
    match (rest, soap) {
        (rest, Sent::No) => token(SessionKind::Rest, &rest),
        (Sent::No, soap) => token(SessionKind::Soap, &soap),
        (rest, soap) => token(SessionKind::Soap, &also(rest, soap)),
    }
}

/// The fields `vmware-api-session-id`.
fn header(headers: &HeaderMap) -> Sent<'_> {
    let fields = headers.get_all(API_SESSION).iter();
    let values = fields.map(|field| match field.as_bytes().trim_ascii() {
        b"" => Sent::No,
        value => Sent::Once(value),
    });
    values.fold(Sent::No, also)
}

fn also<'a>(one: Sent<'a>, other: Sent<'a>) -> Sent<'a> {
    match (one, other) {
        (Sent::No, found) | (found, Sent::No) => found,
        (Sent::Once(a), Sent::Once(b)) if a == b => Sent::Once(a),
        _ => Sent::Unclear,
    }
}

fn token<'a>(kind: SessionKind, found: &Sent<'a>) -> Credential<'a> {
    match found {
        Sent::No => Credential::None,
        Sent::Once(bytes) => {
            Token::new(kind, bytes).map_or(Credential::Conflict, Credential::Session)
        }
        Sent::Unclear => Credential::Conflict,
    }
}

#[cfg(test)]
#[path = "credential_tests.rs"]
mod tests;
