//! Where the gate is, as its client wrote it.

use pingora_proxy::Session;

use super::onward::hop;
use super::stage::Stage;

/// `scheme://authority` of the request; none where the authority may not stand in a URL.
pub(super) fn of(session: &Session, stage: &Stage) -> Option<String> {
    let hop = hop(session, stage);
    let headers = &session.req_header().headers;
    let said = |name: &str| {
        let value = headers.get(name).filter(|_| hop.trusted);
        value.and_then(|value| value.to_str().ok())
    };
    let scheme = match said("x-forwarded-proto") {
        Some(scheme @ ("http" | "https")) => scheme,
        _ if hop.tls => "https",
        _ => "http",
    };
    let own = std::str::from_utf8(hop.authority).ok();
    let authority = said("x-forwarded-host").or(own)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~:[]".contains(&byte);
    let fits = !authority.is_empty() && authority.bytes().all(is_plain);
    fits.then(|| format!("{scheme}://{authority}"))
}
