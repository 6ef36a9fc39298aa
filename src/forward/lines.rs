//! The header lines that the gate adds of its own, as bytes that go on the wire behind the client's.
//!
//! `X-Forwarded-For`, `Forwarded` (RFC 7239), `X-Forwarded-Proto`, `X-Forwarded-Host`, `X-Request-ID`
//! and `Via` (RFC 9110 section 7.6.3): put into Pingora's two header maps they cost a sixth of all
//! that the gate does for a request; as one run of bytes before the blank line they cost a copy.
//! Each is either a list, where a further line is a further member, or absent from what the client
//! sent.

use http::{HeaderName, HeaderValue};
use pingora_http::RequestHeader;

use super::headers::{Hop, X_FORWARDED_HOST, X_FORWARDED_PROTO, X_REQUEST_ID};

/// Room for the lines of a usual request.
const USUAL: usize = 384;

/// Lines for one request; each ends in CR LF.
#[derive(Debug, Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// What is added to `head`, from which the fields that may not be believed are gone already.
    pub(super) fn new(head: &RequestHeader, hop: Hop<'_>, request_id: &HeaderValue) -> Self {
        let mut lines = Self(Vec::with_capacity(USUAL));
        let peer = hop.peer_text.as_bytes();
        let scheme = hop.scheme().as_bytes();
        lines.put(&[b"X-Forwarded-For: ", peer]);
        let node: [&[u8]; 3] = if hop.peer.is_ipv6() {
            [b"\"[", peer, b"]\""]
        } else {
            [b"", peer, b""]
        };
        let [open, peer, close] = node;
        let host = Some(hop.authority).filter(|host| is_plain(host));
        match host {
            Some(host) => lines.put(&[
                b"Forwarded: for=",
                open,
                peer,
                close,
                b";proto=",
                scheme,
                b";host=\"",
                host,
                b"\"",
            ]),
            None => lines.put(&[b"Forwarded: for=", open, peer, close, b";proto=", scheme]),
        }
        let has = |name: &HeaderName| hop.trusted && head.headers.contains_key(name);
        if !has(&X_FORWARDED_PROTO) {
            lines.put(&[b"X-Forwarded-Proto: ", scheme]);
        }
        if let Some(host) = host
            && !has(&X_FORWARDED_HOST)
        {
            lines.put(&[b"X-Forwarded-Host: ", host]);
        }
        if !head.headers.contains_key(&X_REQUEST_ID) {
            lines.put(&[b"X-Request-ID: ", request_id.as_bytes()]);
        }
        let via: &[u8] = if hop.http2 {
            b"Via: 2 tidegate"
        } else {
            b"Via: 1.1 tidegate"
        };
        lines.put(&[via]);
        lines
    }

    /// Each as a field.
    pub(super) fn fields(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let lines = self.0.split(|byte| *byte == b'\n');
        lines.filter_map(|line| {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at_checked(colon)?;
            let value = value.strip_prefix(b": ")?.trim_ascii_end();
            let name = HeaderName::from_bytes(name).ok()?;
            Some((name, HeaderValue::from_bytes(value).ok()?))
        })
    }

    fn put(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.0.extend_from_slice(part);
        }
        self.0.extend_from_slice(b"\r\n");
    }

    /// `head`, a whole HTTP/1 head, with these lines at its end; `None` when it is no whole head.
    pub(super) fn join(&self, head: &[u8]) -> Option<Vec<u8>> {
        let before = head.strip_suffix(b"\r\n")?;
        if !before.ends_with(b"\r\n") {
            return None;
        }
        let mut whole = Vec::with_capacity(head.len() + self.0.len());
        whole.extend_from_slice(before);
        whole.extend_from_slice(&self.0);
        whole.extend_from_slice(b"\r\n");
        Some(whole)
    }
}

/// Whether an authority may stand in a quoted string and on a line of its own.
fn is_plain(authority: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    !authority.is_empty() && authority.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(authority: &[u8], peer: std::net::IpAddr) -> (String, Hop<'_>) {
        let hop = Hop {
            peer,
            peer_text: "",
            trusted: false,
            tls: true,
            http2: true,
            authority,
        };
        (peer.to_string(), hop)
    }

    fn lines(authority: &[u8], peer: &str) -> String {
        let (text, hop) = hop(authority, peer.parse().unwrap());
        let hop = Hop {
            peer_text: &text,
            ..hop
        };
        let head = RequestHeader::build("GET", b"/", None).unwrap();
        let lines = Lines::new(&head, hop, &HeaderValue::from_static("r-1"));
        String::from_utf8(lines.0).unwrap()
    }

    #[test]
    fn every_line_is_there_once() {
        assert_eq!(
            lines(b"gate:8443", "10.0.0.1"),
            "X-Forwarded-For: 10.0.0.1\r\n\
             Forwarded: for=10.0.0.1;proto=https;host=\"gate:8443\"\r\n\
             X-Forwarded-Proto: https\r\nX-Forwarded-Host: gate:8443\r\n\
             X-Request-ID: r-1\r\nVia: 2 tidegate\r\n"
        );
    }

    #[test]
    fn an_ipv6_node_is_bracketed_and_quoted() {
        assert!(lines(b"gate", "fe80::1").contains("for=\"[fe80::1]\";proto"));
    }

    #[test]
    fn an_authority_that_would_break_a_line_is_left_out() {
        for authority in [&b""[..], b"a\r\nX-Evil: 1", b"a\"b", b"a b", b"\xFF"] {
            let lines = lines(authority, "10.0.0.1");
            assert_eq!(lines.lines().count(), 5, "{lines}");
            assert!(!lines.contains("host=") && !lines.contains("X-Forwarded-Host"));
        }
    }

    #[test]
    fn they_go_before_the_blank_line_of_a_whole_head_only() {
        let lines = Lines(b"A: b\r\n".to_vec());
        let whole = lines.join(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!(whole, b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n");
        assert_eq!(lines.join(b"GET / HTTP/1.1\r\n"), None);
        assert_eq!(lines.join(b""), None);
    }
}
