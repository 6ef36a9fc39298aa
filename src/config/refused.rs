//! `[[upstream.refused]]`: what an answer looks like by which the upstream refuses a call that it did not execute.

use memchr::memmem;

use super::glob::{Glob, glob};
use super::node::Node;
use super::pattern::is_header_name;
use super::reader::Reader;
use super::route::own_name;
use super::value::{text, whole_u32};

/// Most signatures of an upstream, the profile's included.
const MOST_SIGNATURES: usize = 32;
/// Longest text that a body is searched for, bytes.
const LONGEST: usize = 256;
/// Statuses that say by themselves that nothing was done: Locked (RFC 4918 section 11.3), Too Many Requests (RFC 6585 section 4).
const PROOF: [u16; 2] = [423, 429];

/// What proves that the upstream refused a call without executing it, so that the call may be sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalSignature {
    /// What it is called in logs.
    pub name: String,
    /// Status of the answer.
    pub status: u16,
    /// A header field of the answer.
    pub header: Option<HeaderSign>,
    /// Text that the first [`RefusalSignature::LOOKED_AT`] bytes of the body contain, letter for letter.
    pub body: Option<String>,
}

/// A header field that has to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderSign {
    /// Its name, lower case.
    pub name: String,
    /// What it says; anything when `None`.
    pub value: Option<Glob>,
}

impl RefusalSignature {
    /// How much of a body is looked at, bytes.
    pub const LOOKED_AT: usize = 4096;

    /// Whether an answer is such a refusal. `header` gives the value of a field by its name in lower case, `body` is the
    /// beginning of the body; what lies behind its first [`RefusalSignature::LOOKED_AT`] bytes is not looked at.
    pub fn matches<'a>(
        &self,
        status: u16,
        header: impl FnOnce(&str) -> Option<&'a [u8]>,
        body: &[u8],
    ) -> bool {
        let says = |sign: &HeaderSign| {
            header(&sign.name).is_some_and(|have| {
                sign.value
                    .as_ref()
                    .is_none_or(|wanted| wanted.matches(have))
            })
        };
        let looked_at = body.get(..Self::LOOKED_AT).unwrap_or(body);
        self.status == status
            && self.header.as_ref().is_none_or(says)
            && self
                .body
                .as_ref()
                .is_none_or(|wanted| memmem::find(looked_at, wanted.as_bytes()).is_some())
    }
}

/// Reads the upstream's own signatures and then the profile's.
pub(super) fn refusals(own: &Reader<'_>, profile: &Reader<'_>) -> Vec<RefusalSignature> {
    let mut signatures = section(own);
    signatures.extend(section(profile));
    if signatures.len() > MOST_SIGNATURES {
        own.fault(
            "refused",
            &format!(
                "makes {} signatures with the profile's; at most {MOST_SIGNATURES} are allowed",
                signatures.len()
            ),
        );
    }
    signatures
}

fn section(r: &Reader<'_>) -> Vec<RefusalSignature> {
    let mut signatures: Vec<RefusalSignature> = Vec::new();
    for one in r.tables("refused") {
        let Some(signature) = signature(&one) else {
            continue;
        };
        if signatures.iter().any(|other| other.name == signature.name) {
            one.fault(
                "name",
                "is taken by another signature; every signature needs a name of its own",
            );
        }
        signatures.push(signature);
    }
    signatures
}

fn signature(r: &Reader<'_>) -> Option<RefusalSignature> {
    let name = r.get("name", own_name);
    let status = r.get("status", status);
    let header = header(r);
    let body = r.get("body", body);
    r.finish();
    for (key, wanted) in [
        ("name", "a signature needs a name"),
        (
            "status",
            "write the status of such an answer, as status = 503",
        ),
    ] {
        if !r.has(key) {
            r.fault(key, &format!("is missing; {wanted}"));
        }
    }
    let is_bare = !r.has("header") && !r.has("body");
    if is_bare && status.is_some_and(|status| !PROOF.contains(&status)) {
        r.fault("status", "alone is no proof that nothing was executed, and a call that was must not be sent again; say header or body as well");
    }
    Some(RefusalSignature {
        name: name?,
        status: status?,
        header,
        body,
    })
}

fn status(node: &Node) -> Result<u16, String> {
    let status = whole_u32(400..=599)(node)?;
    Ok(u16::try_from(status).unwrap_or_default())
}

fn header(r: &Reader<'_>) -> Option<HeaderSign> {
    let h = r.table("header");
    let name = h.get("name", |node: &Node| {
        let name = text(node)?;
        if is_header_name(&name) {
            Ok(name.to_ascii_lowercase())
        } else {
            Err("is no name of a header field".to_owned())
        }
    });
    let value = h.get("value", glob);
    h.finish();
    if r.has("header") && r.sound(&["header"]) && !h.has("name") {
        h.fault(
            "name",
            "is missing; write which field, as name = \"retry-after\"",
        );
    }
    name.map(|name| HeaderSign { name, value })
}

fn body(node: &Node) -> Result<String, String> {
    let body = text(node)?;
    if (1..=LONGEST).contains(&body.len()) {
        Ok(body)
    } else {
        Err(format!(
            "has {} bytes; 1 to {LONGEST} are wanted",
            body.len()
        ))
    }
}
