//! The true client address: who `Forwarded` (RFC 7239) or `X-Forwarded-For` say it is, as far as trusted
//! proxies vouch for it.
//!
//! Each proxy appends the address it was called from, so the list is read from its right end, and an
//! entry is believed only when the hop that wrote it is trusted. What a client wrote itself stands left
//! of the first untrusted address and is never reached.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::FORWARDED;
use ipnet::IpNet;

const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The address to hold to account for a request that came from `peer`.
///
/// With both fields present that disagree, neither is believed: a proxy that appends to one passes the
/// other on as the client wrote it, and nothing tells which is which.
#[must_use]
pub fn true_client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    if trusted.is_empty() || !is_trusted(peer, trusted) {
        return peer;
    }
    let standard = headers
        .contains_key(FORWARDED)
        .then(|| walk(peer, &forwarded(headers), trusted));
    let common = headers
        .contains_key(X_FORWARDED_FOR)
        .then(|| walk(peer, &x_forwarded_for(headers), trusted));
    match (standard, common) {
        (Some(one), Some(other)) if one != other => peer,
        (Some(address), _) | (None, Some(address)) => address,
        (None, None) => peer,
    }
}

/// Whether `address` lies in one of the networks.
#[must_use]
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

/// From the right: through trusted hops to the first that is not; a hop that names no address ends it.
fn walk(peer: IpAddr, hops: &[Option<IpAddr>], trusted: &[IpNet]) -> IpAddr {
    let mut client = peer;
    for hop in hops.iter().rev() {
        let Some(address) = hop else { break };
        client = *address;
        if !is_trusted(client, trusted) {
            break;
        }
    }
    client
}

fn x_forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .map(|entry| address(entry.trim_ascii()))
        .collect()
}

fn forwarded(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let mut hops = Vec::new();
    for line in headers.get_all(FORWARDED) {
        for element in split_outside_quotes(line.as_bytes(), b',') {
            hops.push(forwarded_for(element));
        }
    }
    hops
}

/// The `for` of one element of `Forwarded`; none when it is absent, twice there, or no address.
fn forwarded_for(element: &[u8]) -> Option<IpAddr> {
    let mut values = split_outside_quotes(element, b';')
        .into_iter()
        .filter_map(|pair| {
            let at = pair.iter().position(|&byte| byte == b'=')?;
            let (name, value) = pair.split_at_checked(at)?;
            name.trim_ascii()
                .eq_ignore_ascii_case(b"for")
                .then(|| value.get(1..).unwrap_or_default().trim_ascii())
        });
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    match value.strip_prefix(b"\"") {
        Some(quoted) => address(quoted.strip_suffix(b"\"")?),
        None => address(value),
    }
}

/// Splits at `separator`, but not inside a quoted string.
fn split_outside_quotes(bytes: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    bytes
        .split(|&byte| {
            if escaped {
                escaped = false;
            } else if quoted && byte == b'\\' {
                escaped = true;
            } else if byte == b'"' {
                quoted = !quoted;
            } else {
                return byte == separator && !quoted;
            }
            false
        })
        .collect()
}

/// An IP address, with or without a port, in brackets or not.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let ip = if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']')?;
        is_port_or_nothing(after).then_some(())?;
        IpAddr::V6(inside.parse().ok()?)
    } else if let Ok(ip) = text.parse() {
        ip
    } else {
        let (host, port) = text.split_once(':')?;
        port.parse::<u16>().ok()?;
        IpAddr::V4(host.parse().ok()?)
    };
    Some(ip.to_canonical())
}

fn is_port_or_nothing(text: &str) -> bool {
    text.is_empty()
        || text
            .strip_prefix(':')
            .is_some_and(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn client(peer: &str, fields: &[(&str, &str)]) -> String {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"]
            .iter()
            .map(|net| net.parse().expect("a network"))
            .collect();
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).expect("a name"),
                HeaderValue::from_str(value).expect("a value"),
            );
        }
        true_client(peer.parse().expect("an address"), &headers, &trusted).to_string()
    }

    #[test]
    fn nobody_untrusted_is_believed() {
        assert_eq!(
            client("192.0.2.1", &[("x-forwarded-for", "10.0.0.9")]),
            "192.0.2.1"
        );
        assert_eq!(
            client("192.0.2.1", &[("forwarded", "for=10.0.0.9")]),
            "192.0.2.1"
        );
        assert_eq!(
            client("::ffff:192.0.2.1", &[("x-forwarded-for", "1.1.1.1")]),
            "192.0.2.1"
        );
    }

    #[test]
    fn the_first_untrusted_hop_from_the_right_is_the_client() {
        let xff = |value: &str| client("10.0.0.1", &[("x-forwarded-for", value)]);
        assert_eq!(xff("192.0.2.7"), "192.0.2.7");
        assert_eq!(xff("192.0.2.7, 10.1.1.1"), "192.0.2.7");
        assert_eq!(
            xff("1.1.1.1, 192.0.2.7, 10.1.1.1"),
            "192.0.2.7",
            "what the client wrote is not reached"
        );
        assert_eq!(
            xff("10.9.9.9, 10.1.1.1"),
            "10.9.9.9",
            "all trusted: the leftmost"
        );
        assert_eq!(xff("192.0.2.7:4711"), "192.0.2.7");
        assert_eq!(xff("[2001:db8::1]:4711"), "2001:db8::1");
        assert_eq!(xff("2001:db8::1"), "2001:db8::1");
        assert_eq!(xff("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(
            client("::ffff:10.0.0.1", &[("x-forwarded-for", "192.0.2.7")]),
            "192.0.2.7"
        );
    }

    #[test]
    fn several_lines_are_one_list() {
        let lines = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "192.0.2.7"),
        ];
        assert_eq!(client("10.0.0.1", &lines), "192.0.2.7");
        let lines = [("forwarded", "for=1.1.1.1"), ("forwarded", "for=192.0.2.7")];
        assert_eq!(client("10.0.0.1", &lines), "192.0.2.7");
    }

    #[test]
    fn what_names_no_address_ends_the_walk_at_the_last_one_vouched_for() {
        let xff = |value: String| client("10.0.0.1", &[("x-forwarded-for", &value)]);
        for nothing in [
            "unknown",
            "",
            ",",
            "1.2.3.4.5",
            "1.2.3.4:99999",
            "[::1",
            "a:b",
            "1.2.3.4:",
        ] {
            assert_eq!(
                xff(format!("1.1.1.1, {nothing}")),
                "10.0.0.1",
                "{nothing:?}"
            );
            assert_eq!(
                xff(format!("{nothing}, 10.2.2.2")),
                "10.2.2.2",
                "{nothing:?}"
            );
        }
    }

    #[test]
    fn forwarded_is_read_by_its_grammar() {
        let fwd = |value: &str| client("10.0.0.1", &[("forwarded", value)]);
        assert_eq!(
            fwd("for=192.0.2.60;proto=http;by=203.0.113.43"),
            "192.0.2.60"
        );
        assert_eq!(fwd("proto=http; For=\"192.0.2.60:80\""), "192.0.2.60");
        assert_eq!(fwd("for=\"[2001:db8:cafe::17]:4711\""), "2001:db8:cafe::17");
        assert_eq!(fwd("for=1.1.1.1, for=192.0.2.60"), "192.0.2.60");
        assert_eq!(fwd("for=_hidden"), "10.0.0.1");
        assert_eq!(fwd("for=unknown, for=10.3.3.3"), "10.3.3.3");
        assert_eq!(
            fwd("for=192.0.2.1;for=192.0.2.2"),
            "10.0.0.1",
            "said twice is said not at all"
        );
        assert_eq!(
            fwd("host=\"a, for=1.1.1.1\";for=192.0.2.60"),
            "192.0.2.60",
            "quotes hide a comma"
        );
        assert_eq!(
            fwd("host=\"\\\", for=1.1.1.1"),
            "10.0.0.1",
            "an open quote swallows the rest"
        );
    }

    #[test]
    fn two_fields_that_disagree_are_both_spoilt() {
        let both =
            |a: &str, b: &str| client("10.0.0.1", &[("forwarded", a), ("x-forwarded-for", b)]);
        assert_eq!(both("for=192.0.2.7", "192.0.2.7"), "192.0.2.7");
        assert_eq!(both("for=1.1.1.1", "192.0.2.7"), "10.0.0.1");
    }
}
