//! What is kept of the fields of an answer, and how it is kept.

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, FORWARDED, HeaderMap, HeaderName, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

use crate::forward::OwnAnswer;
use crate::forward::headers::Rewriter;
use crate::task::port::Answer;
use crate::task::record::{ResultHead, Source};

/// Fields of one connection (RFC 9110 section 7.6.1), those that the writer makes anew, and those by which an upstream
/// hands out or changes credentials: a result is read by whoever owns the task, perhaps much later.
const NOT_KEPT: [HeaderName; 16] = [
    CONNECTION,
    CONTENT_LENGTH,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("set-cookie2"),
    HeaderName::from_static("authentication-info"),
    HeaderName::from_static("vmware-api-session-id"),
    HeaderName::from_static("x-csrftoken"),
    HeaderName::from_static("x-xsrf-token"),
];

/// The answer as it is kept for the client whose request had the fields `asked`.
pub(super) fn kept(mut answer: OwnAnswer, asked: &HeaderMap, rewriter: &Rewriter) -> Answer {
    if let Some((tls, authority)) = gate(asked) {
        rewriter.kept(&mut answer.headers, tls, authority.as_bytes());
    }
    let of_one_hop: Vec<String> = named(&answer.headers).collect();
    let is_kept = |name: &HeaderName| {
        !NOT_KEPT.contains(name) && !of_one_hop.iter().any(|one| one == name.as_str())
    };
    let fields = answer.headers.iter().filter(|(name, _)| is_kept(name));
    Answer {
        status: answer.status,
        headers: fields
            .map(|(name, value)| {
                (
                    name.as_str().to_owned(),
                    Bytes::copy_from_slice(value.as_bytes()),
                )
            })
            .collect(),
        body: answer.body,
    }
}

/// Fields that `Connection` names.
fn named(headers: &HeaderMap) -> impl Iterator<Item = String> + '_ {
    let values = headers.get_all(CONNECTION).iter();
    let texts = values.filter_map(|value| value.to_str().ok());
    texts
        .flat_map(|text| text.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
}

/// How the client reached the gate: whether by TLS, and the authority it asked for. The gate wrote so itself, as the last
/// `Forwarded` (RFC 7239).
fn gate(asked: &HeaderMap) -> Option<(bool, &str)> {
    let last = asked.get_all(FORWARDED).iter().next_back()?;
    let last = last.to_str().ok()?.rsplit(',').next()?;
    let member = |name: &str| {
        let mut members = last.split(';').map(str::trim);
        members.find_map(|member| Some(member.strip_prefix(name)?.trim_matches('"')))
    };
    Some((member("proto=")? == "https", member("host=")?))
}

/// What is known of an answer without reading it.
pub(super) fn head(answer: &Answer, source: Source) -> ResultHead {
    let of_type = |(name, _): &&(String, Bytes)| *name == *CONTENT_TYPE.as_str();
    let content_type = answer.headers.iter().find(of_type);
    ResultHead {
        status: answer.status,
        content_type: content_type.map(|(_, value)| String::from_utf8_lossy(value).into_owned()),
        bytes: answer.body.len() as u64,
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn kept_of(fields: &[(&'static str, &str)], forwarded: &str) -> Vec<(String, String)> {
        let text = "[[upstream]]\naddress = \"https://vc1.example\"";
        let config = crate::config::parse(text, Path::new(".")).unwrap();
        let answer = OwnAnswer {
            status: 200,
            headers: headers(fields),
            body: Bytes::new(),
        };
        let asked = headers(&[("forwarded", forwarded)]);
        let kept = kept(answer, &asked, &Rewriter::new(&config.upstreams[0]));
        let text = |value: &Bytes| String::from_utf8(value.to_vec()).unwrap();
        kept.headers
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    }

    #[test]
    fn only_what_is_the_client_s_is_kept() {
        let kept = kept_of(
            &[
                ("content-type", "application/json"),
                ("connection", "close, X-Hop"),
                ("x-hop", "1"),
                ("set-cookie", "a=b"),
                ("vmware-api-session-id", "secret"),
                ("x-xsrf-token", "secret"),
                ("transfer-encoding", "chunked"),
                ("x-own", "1"),
                ("x-own", "2"),
            ],
            "for=192.0.2.1;proto=https;host=\"gate.example\"",
        );
        let expected = [
            ("content-type", "application/json"),
            ("x-own", "1"),
            ("x-own", "2"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(kept, expected);
    }

    #[test]
    fn where_it_points_is_what_the_client_can_ask_for() {
        let there = [("location", "https://vc1.example/api/vm/7")];
        let own =
            "for=10.0.0.1;host=\"other\";proto=http, for=192.0.2.1;proto=https;host=\"gate:8443\"";
        assert_eq!(kept_of(&there, own)[0].1, "https://gate:8443/api/vm/7");
        assert_eq!(
            kept_of(&there, "for=192.0.2.1")[0].1,
            "https://vc1.example/api/vm/7"
        );
    }
}
