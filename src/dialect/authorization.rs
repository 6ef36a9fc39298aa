//! The `Authorization` field: Basic (RFC 7617), Bearer (RFC 6750) and VMware's SIGN.

use std::io::Read as _;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode::Indifferent;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use flate2::read::GzDecoder;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde::Deserialize;

use super::credential::{Claim, Scheme};
use super::saml;
use super::user::MAX_NAME;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(Indifferent);
const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Base64 characters in which a user name and its colon stand, if there is one. A multiple of four.
const NAME_IN_BASE64: usize = (MAX_NAME * 4 + 1).div_ceil(3) * 4;

/// Largest payload of a token that is read, in base64 characters.
const MAX_PAYLOAD: usize = 16 * 1024;

/// Largest assertion that is unpacked from a SIGN token, bytes; those of vCenter have some 5 KiB.
const MAX_ASSERTION: u64 = 64 * 1024;

/// What the `Authorization` field claims.
pub(super) enum Said<'a> {
    Nothing,
    Claim(Claim<'a>),
    /// Several fields that differ.
    Unclear,
}

pub(super) fn read(headers: &HeaderMap) -> Said<'_> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = fields.next() else {
        return Said::Nothing;
    };
    if fields.any(|other| other != first) {
        return Said::Unclear;
    }
    let first = first.as_bytes().trim_ascii();
    let blank = memchr::memchr(b' ', first).unwrap_or(first.len());
    let (scheme, rest) = first.split_at_checked(blank).unwrap_or_default();
    let rest = rest.trim_ascii_start();
    let claim = if scheme.eq_ignore_ascii_case(b"basic") {
        claim(Scheme::Basic, rest, basic_user)
    } else if scheme.eq_ignore_ascii_case(b"bearer") {
        claim(Scheme::Bearer, rest, bearer_user)
    } else if scheme.eq_ignore_ascii_case(b"sign") {
        // The signature differs from request to request; the token stays the same.
        claim(Scheme::Sign, sign_token(rest).unwrap_or(rest), |_| None)
    } else {
        claim(Scheme::Other, first, |_| None)
    };
    Said::Claim(claim)
}

fn claim(scheme: Scheme, raw: &[u8], user: impl Fn(&[u8]) -> Option<String>) -> Claim<'_> {
    Claim::new(scheme, raw, user(raw))
}

/// The user of `base64(user:password)`. No more is decoded than a name can be long.
fn basic_user(encoded: &[u8]) -> Option<String> {
    let start = encoded.get(..NAME_IN_BASE64).unwrap_or(encoded);
    let decoded = BASE64.decode(start).ok()?;
    let colon = memchr::memchr(b':', &decoded)?;
    name(std::str::from_utf8(decoded.get(..colon)?).ok()?)
}

/// The user that a JWT (RFC 7519) names. Its signature is not looked at: that is for the upstream.
pub(super) fn bearer_user(token: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        upn: Option<String>,
        preferred_username: Option<String>,
        sub: Option<String>,
    }
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(_), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    if payload.len() > MAX_PAYLOAD {
        return None;
    }
    let claims: Claims = serde_json::from_slice(&BASE64_URL.decode(payload).ok()?).ok()?;
    // `sub` is the one that is always there, and the one that may be a mere number.
    let said = claims.upn.or(claims.preferred_username).or(claims.sub)?;
    name(&said)
}

fn name(said: &str) -> Option<String> {
    let fits = !said.is_empty() && said.len() <= MAX_NAME * 4;
    fits.then(|| said.to_owned())
}

/// The subject of a SIGN token: a gzipped SAML assertion in base64 (VMware's SSO client library). Neither
/// its signature nor that of the request is looked at: that is for the upstream.
pub(super) fn sign_user(token: &[u8]) -> Option<String> {
    if token.len() > MAX_PAYLOAD {
        return None;
    }
    let packed = BASE64.decode(token).ok()?;
    let mut assertion = Vec::new();
    let mut unpacked = GzDecoder::new(&*packed).take(MAX_ASSERTION + 1);
    unpacked.read_to_end(&mut assertion).ok()?;
    if assertion.len() as u64 > MAX_ASSERTION {
        return None;
    }
    name(&saml::subject(&assertion)?)
}

/// The value of `token="…"`, the first parameter in all that VMware's clients send.
fn sign_token(parameters: &[u8]) -> Option<&[u8]> {
    parameters
        .split(|byte| *byte == b',')
        .find_map(|parameter| {
            let (name, value) = parameter.trim_ascii().split_at_checked(6)?;
            if !name.eq_ignore_ascii_case(b"token=") {
                return None;
            }
            value.strip_prefix(b"\"")?.strip_suffix(b"\"")
        })
}
