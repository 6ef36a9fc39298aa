//! A kept answer as one whole message (RFC 9112), for those who take `application/http`.

use http::StatusCode;
use http::header::{HeaderName, HeaderValue};

use super::headers::{MESSAGE, of};
use crate::answer::Answer;
use crate::task::port;

/// 200, with the whole message as its body: the status line outside is the gate's, so nothing else speaks of it.
pub(super) fn enclosed(kept: &port::Answer, fields: Vec<(HeaderName, HeaderValue)>) -> Answer {
    let mut message = status_line(kept.status);
    for (name, value) in fields {
        line(&mut message, name.as_str(), value.as_bytes());
    }
    if has_length(kept.status) {
        let length = kept.body.len().to_string();
        line(&mut message, "content-length", length.as_bytes());
    }
    message.extend_from_slice(b"\r\n");
    message.extend_from_slice(&kept.body);
    of(200, MESSAGE, message)
}

fn status_line(status: u16) -> Vec<u8> {
    let reason = StatusCode::from_u16(status).ok();
    let reason = reason.and_then(|status| status.canonical_reason());
    format!("HTTP/1.1 {status} {}\r\n", reason.unwrap_or("")).into_bytes()
}

fn line(message: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        message.extend_from_slice(part);
    }
}

/// RFC 9110 section 8.6: not with 1xx and 204; with 304 it would speak of another body.
const fn has_length(status: u16) -> bool {
    !matches!(status, 100..=199 | 204 | 304)
}
