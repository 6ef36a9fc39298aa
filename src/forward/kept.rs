//! The fields of a request that is kept, to go up later: the same as if it went up now.

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST};
use http::{HeaderMap, HeaderValue};
use pingora_error::Result;
use pingora_http::RequestHeader;

use super::headers::{Hop, Rewriter};
use crate::call::field;

impl Rewriter {
    /// The end-to-end fields of `head` as they go up, with those that the gate adds: without `Content-Length` and
    /// `Expect`, and with `Host` where it is the client's own that goes up.
    ///
    /// # Errors
    /// When Pingora refuses a header.
    pub fn kept_request(
        &self,
        head: &RequestHeader,
        hop: Hop<'_>,
        request_id: &HeaderValue,
    ) -> Result<HeaderMap> {
        let mut head = head.clone();
        let lines = self.request(&mut head, hop, request_id)?;
        let mut fields = head.headers.clone();
        strip(&mut fields);
        if self.sends_own_host() {
            fields.remove(HOST);
        } else if let Ok(authority) = HeaderValue::from_bytes(hop.authority) {
            fields.insert(HOST, authority);
        }
        for (name, value) in lines.fields() {
            fields.append(name, value);
        }
        Ok(fields)
    }
}

/// Takes away what is for this hop alone, or names one that is (RFC 9110 section 7.6.1), and makes one cookie field of
/// what HTTP/2 may send in crumbs (RFC 9113 section 8.2.3).
fn strip(fields: &mut HeaderMap) {
    let named = field::named_by_connection(fields);
    for name in named.iter().chain(&field::OF_ONE_HOP) {
        fields.remove(name);
    }
    fields.remove(CONTENT_LENGTH);
    fields.remove(EXPECT);
    let crumbs: Vec<&[u8]> = fields
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1
        && let Ok(mut whole) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        whole.set_sensitive(true);
        fields.insert(COOKIE, whole);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use http::HeaderName;

    use super::*;

    fn kept(host: &str, fields: &[(&'static str, &str)]) -> HeaderMap {
        let text = format!("[[upstream]]\naddress = \"http://up.example:81\"\nhost = \"{host}\"");
        let config = crate::config::parse(&text, Path::new(".")).unwrap();
        let mut head = RequestHeader::build("POST", b"/x", None).unwrap();
        for (name, value) in fields {
            head.append_header(*name, *value).unwrap();
        }
        let hop = Hop {
            peer: "10.0.0.1".parse().unwrap(),
            peer_text: "10.0.0.1",
            trusted: false,
            tls: false,
            http2: false,
            authority: b"gate.example",
        };
        let rewriter = Rewriter::new(&config.upstreams[0]);
        let id = HeaderValue::from_static("r-1");
        rewriter.kept_request(&head, hop, &id).unwrap()
    }

    #[test]
    fn what_is_of_one_hop_stays_behind_and_what_the_gate_adds_is_there() {
        let fields = kept(
            "upstream",
            &[
                ("host", "gate.example"),
                ("connection", "close, x-hop"),
                ("x-hop", "1"),
                ("keep-alive", "5"),
                ("te", "trailers"),
                ("expect", "100-continue"),
                ("content-length", "3"),
                ("x-forwarded-for", "made up"),
                ("cookie", "a=1"),
                ("cookie", "b=2"),
                ("x-own", "stays"),
            ],
        );
        let mut names: Vec<&str> = fields.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "cookie",
                "forwarded",
                "via",
                "x-forwarded-for",
                "x-forwarded-host",
                "x-forwarded-proto",
                "x-own",
                "x-request-id"
            ]
        );
        assert_eq!(fields["cookie"], "a=1; b=2");
        assert_eq!(fields["x-forwarded-for"], "10.0.0.1");
        assert_eq!(fields["x-request-id"], "r-1");
    }

    #[test]
    fn the_host_is_kept_where_it_is_the_clients_that_goes_up() {
        let fields = kept("client", &[("host", "gate.example")]);
        assert_eq!(fields["host"], "gate.example");
        assert!(!kept("name.example", &[]).contains_key("host"));
    }
}
