//! What is known of a request once it is over: plain data, borrowed from whoever held it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use http::Version;

use crate::call::Class;

use super::Ending;

/// One request, from its first byte to its last. Holds no header and no body.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Listener it came in by (label `listener`).
    pub listener: &'a str,
    /// Where it went; `None` when it was refused before that was known.
    pub upstream: Option<Destination<'a>>,
    /// Class of the call; [`Class::Other`] when it was refused before that was known.
    pub class: Class,
    /// Method as received; empty when the head could not be read.
    pub method: &'a str,
    /// Target as received, query included; the access log takes credentials out of it.
    pub target: &'a [u8],
    /// Status that was sent to the client; 0 when none was.
    pub status: u16,
    /// The true client address, after `trusted_proxies`.
    pub client: IpAddr,
    /// The other end of the socket.
    pub socket: SocketAddr,
    /// HTTP version of the client's side.
    pub version: Version,
    /// Whether the client's side is TLS.
    pub tls: bool,
    /// `X-Request-ID`, passed or made.
    pub request_id: &'a str,
    /// When its first byte came.
    pub started: SystemTime,
    /// From its first byte to the end.
    pub duration: Duration,
    /// From dispatch to the end of the upstream's answer; `None` when nothing was sent up.
    pub upstream_duration: Option<Duration>,
    /// How long it waited in lines.
    pub wait: Duration,
    /// Bytes of the request body.
    pub received_bytes: u64,
    /// Bytes of the response body.
    pub sent_bytes: u64,
    /// The limit that refused it.
    pub limit: Option<&'a str>,
    /// Whether the upstream socket had carried a call before.
    pub reused: bool,
    /// How often it was sent up again.
    pub retries: u32,
    /// Who ended it, in which phase.
    pub ending: Ending,
}

/// The upstream of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination<'a> {
    /// Its place among the upstreams [`super::Meters`] was made for.
    pub index: usize,
    /// Its name.
    pub name: &'a str,
}

/// Number of values of the label `method`.
pub(super) const METHODS: usize = 10;

/// Words of the label `method`; whatever else a client sends counts as the last.
pub(super) const METHOD_LABELS: [&str; METHODS] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "other",
];

/// The place of `method` in [`METHOD_LABELS`].
pub(super) fn method_index(method: &str) -> usize {
    match method {
        "GET" => 0,
        "HEAD" => 1,
        "POST" => 2,
        "PUT" => 3,
        "DELETE" => 4,
        "CONNECT" => 5,
        "OPTIONS" => 6,
        "TRACE" => 7,
        "PATCH" => 8,
        _ => METHODS - 1,
    }
}

/// A record with plain values, to be changed by each test where it matters.
#[cfg(test)]
pub(super) fn sample() -> Record<'static> {
    use std::net::Ipv4Addr;
    Record {
        listener: "http",
        upstream: Some(Destination {
            index: 0,
            name: "vc1",
        }),
        class: Class::Rest,
        method: "GET",
        target: b"/api/vcenter/vm",
        status: 200,
        client: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        socket: SocketAddr::from(([10, 0, 0, 1], 53412)),
        version: Version::HTTP_11,
        tls: false,
        request_id: "r-1",
        started: SystemTime::UNIX_EPOCH + Duration::from_millis(1_772_360_102_651),
        duration: Duration::from_micros(12_345),
        upstream_duration: Some(Duration::from_micros(10_100)),
        wait: Duration::ZERO,
        received_bytes: 0,
        sent_bytes: 512,
        limit: None,
        reused: true,
        retries: 0,
        ending: Ending::NORMAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_method_has_its_label_and_the_rest_share_one() {
        for (index, label) in METHOD_LABELS.iter().enumerate() {
            assert_eq!(method_index(label), index);
        }
        assert_eq!(method_index("BREW"), METHODS - 1);
        assert_eq!(
            method_index("get"),
            METHODS - 1,
            "methods are case-sensitive"
        );
        assert_eq!(method_index(""), METHODS - 1);
    }
}
