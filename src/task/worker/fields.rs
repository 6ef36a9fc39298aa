//! What is kept of the fields of an answer, and how it is kept.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, FORWARDED, HeaderMap, HeaderName};

use crate::call::field;
use crate::dialect::credential::is_handed_out;
use crate::forward::headers::Rewriter;
use crate::forward::{OwnAnswer, Upstream};
use crate::task::port::Answer;
use crate::task::record::{ResultHead, Source};

/// The answer as it is kept for the client whose request had the fields `asked`: without what is of one connection, and what
/// hands credentials out, as a result is read by whoever owns the task, perhaps much later; unless its route `lists` that.
pub(super) fn kept(
    mut answer: OwnAnswer,
    asked: &HeaderMap,
    rewriter: &Rewriter,
    lists: &[String],
) -> Answer {
    if let Some((tls, authority)) = gate(asked) {
        rewriter.kept(&mut answer.headers, tls, authority.as_bytes());
    }
    let of_one_hop = field::named_by_connection(&answer.headers);
    let is_listed = |name: &HeaderName| lists.iter().any(|one| one == name.as_str());
    let is_kept = |name: &HeaderName| {
        !field::is_made_anew(name)
            && !of_one_hop.contains(name)
            && (!is_handed_out(name) || is_listed(name))
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

/// What the route of this name lists.
pub(super) fn listed<'u>(upstream: &'u Upstream, route: &str) -> &'u [String] {
    let mut routes = upstream.config().routes.iter();
    let route = routes.find(|one| *one.name == *route);
    route.map_or(&[], |route| &route.work.keep_headers)
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
        kept_as(fields, forwarded, &[])
    }

    fn kept_as(
        fields: &[(&'static str, &str)],
        forwarded: &str,
        lists: &[&str],
    ) -> Vec<(String, String)> {
        let text = "[[upstream]]\naddress = \"https://vc1.example\"";
        let config = crate::config::parse(text, Path::new(".")).unwrap();
        let answer = OwnAnswer {
            status: 200,
            headers: headers(fields),
            body: Bytes::new(),
        };
        let asked = headers(&[("forwarded", forwarded)]);
        let lists: Vec<String> = lists.iter().map(|name| (*name).to_owned()).collect();
        let kept = kept(answer, &asked, &Rewriter::new(&config.upstreams[0]), &lists);
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
    fn what_hands_credentials_out_is_kept_only_where_it_is_listed() {
        let fields = [
            ("set-cookie", "a=b; Domain=vc1.example"),
            ("x-auth-token", "secret"),
            ("x-subject-token", "secret"),
            ("x-vcloud-authorization", "secret"),
            ("x-vmware-vcloud-access-token", "secret"),
            ("x-csrftoken", "secret"),
        ];
        let forwarded = "for=192.0.2.1;proto=https;host=\"gate.example\"";
        assert_eq!(kept_of(&fields, forwarded), []);
        let mut kept = kept_as(&fields, forwarded, &["set-cookie", "x-csrftoken"]);
        kept.sort();
        let wanted = [
            ("set-cookie", "a=b; Domain=gate.example"),
            ("x-csrftoken", "secret"),
        ];
        let wanted = wanted.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(kept, wanted);
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
