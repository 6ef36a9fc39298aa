//! The live page: one file, nothing fetched from elsewhere, names written as text and never as markup.

use http::header::CONTENT_SECURITY_POLICY;
use http::{Response, StatusCode};

use super::answer;

/// Only what stands in the page itself may run, it may ask only this listener, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `GET /`.
pub(super) fn page() -> Response<Vec<u8>> {
    let html = include_bytes!("page.html").to_vec();
    let page = answer::of(StatusCode::OK, "text/html; charset=utf-8", html);
    answer::with(page, CONTENT_SECURITY_POLICY, POLICY)
}
