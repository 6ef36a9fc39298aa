//! Addresses, networks, hosts, URLs and fingerprints, as they are written in the file.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use super::node::Node;
use super::types::{Address, HostHeader};
use super::value::text;

/// A socket to listen on.
pub(super) fn socket(node: &Node) -> Result<SocketAddr, String> {
    let text = text(node)?;
    text.parse().map_err(|_| "is no address to listen on; an IP address and a port are wanted, as \"127.0.0.1:8080\" or \"[::]:8443\"".to_owned())
}

/// A network; a bare address is a network of one.
pub(super) fn network(node: &Node) -> Result<IpNet, String> {
    let text = text(node)?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address));
    }
    let network: IpNet = text.parse().map_err(|_| {
        "is no network; an address or a CIDR is wanted, as \"10.0.0.0/8\" or \"fd00::/8\""
            .to_owned()
    })?;
    if network.addr() == network.network() {
        return Ok(network);
    }
    Err(format!(
        "has bits set beyond its prefix; write {:?} if the whole network is meant",
        network.trunc().to_string()
    ))
}

/// `https://HOST[:PORT]` or `http://HOST[:PORT]`.
pub(super) fn address(node: &Node) -> Result<Address, String> {
    let text = text(node)?;
    let (tls, authority) = match text.split_once("://") {
        Some(("https", authority)) => (true, authority),
        Some(("http", authority)) => (false, authority),
        _ => {
            return Err(
                "needs http:// or https:// in front, as \"https://vcenter.example:443\"".to_owned(),
            );
        }
    };
    if authority.contains('@') {
        return Err("carries a user or password; the gate passes on what the client sends, write the host alone".to_owned());
    }
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    if authority.contains(['/', '?', '#']) {
        return Err(
            "carries a path; write scheme, host and port alone, as \"https://vcenter.example:443\""
                .to_owned(),
        );
    }
    let (host, port) = split_port(authority)?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .map_or_else(|| host.clone(), str::to_owned);
    Ok(Address {
        tls,
        host,
        port: port.unwrap_or(if tls { 443 } else { 80 }),
    })
}

/// A host clients ask for: lower case, no port; IPv6 in brackets, as `Host` carries it.
pub(super) fn host(node: &Node) -> Result<String, String> {
    let text = text(node)?;
    match split_port(&text)? {
        (host, None) => Ok(host),
        (host, Some(_)) => Err(format!(
            "carries a port; hosts are compared without one, write {host:?}"
        )),
    }
}

/// What `Host` is sent up.
pub(super) fn host_header(node: &Node) -> Result<HostHeader, String> {
    match text(node)?.as_str() {
        "upstream" => Ok(HostHeader::Upstream),
        "client" => Ok(HostHeader::Client),
        other => match split_port(other) {
            Ok((host, None)) => Ok(HostHeader::Name(host)),
            Ok((host, Some(port))) => Ok(HostHeader::Name(format!("{host}:{port}"))),
            Err(problem) => Err(format!("{problem}; or write \"upstream\" or \"client\"")),
        },
    }
}

/// A URL prefix webhooks may go to. The host has to be complete, or `https://a.example` would allow `https://a.example.evil`.
pub(super) fn webhook(node: &Node) -> Result<String, String> {
    let text = text(node)?;
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let Some(rest) = rest else {
        return Err("is no URL; a prefix is wanted, as \"https://cmdb.example/hooks/\"".to_owned());
    };
    let Some((authority, path)) = rest.split_once('/') else {
        return Err(
            "ends inside the host; end it with a slash at least, as \"https://cmdb.example/\""
                .to_owned(),
        );
    };
    if authority.contains('@') {
        return Err("carries a user or password; write the URL without".to_owned());
    }
    let (host, _) = split_port(authority)?;
    let is_here = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if text.starts_with("http://") && !is_here {
        return Err(
            "leaves this machine unencrypted; https:// is wanted, or a host on loopback".to_owned(),
        );
    }
    if path
        .bytes()
        .all(|b| b.is_ascii_graphic() && !b"?#\\".contains(&b))
        && !path.split('/').any(|segment| segment == "..")
    {
        Ok(text)
    } else {
        Err("has a path that is no plain path; no query, fragment, blank, backslash or .. is allowed".to_owned())
    }
}

/// 32 bytes in hexadecimal, with or without colons.
pub(super) fn fingerprint(text: &str) -> Result<[u8; 32], String> {
    const WANTED: &str = "the SHA-256 of the certificate is wanted, 64 hexadecimal digits, as \"fingerprint:sha256:AB:CD:…\"";
    let digits: String = match text.split(':').collect::<Vec<_>>() {
        parts if parts.len() == 32 && parts.iter().all(|part| part.len() == 2) => parts.concat(),
        parts if parts.len() == 1 => text.to_owned(),
        parts => {
            return Err(format!(
                "has {} parts between colons, not 32; {WANTED}",
                parts.len()
            ));
        }
    };
    let nibbles: Option<Vec<u8>> = digits
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let nibbles =
        nibbles.ok_or_else(|| format!("holds something that is no hexadecimal digit; {WANTED}"))?;
    let bytes: Vec<u8> = nibbles
        .chunks(2)
        .map(|pair| pair.iter().fold(0, |byte, nibble| byte << 4 | nibble))
        .collect();
    <[u8; 32]>::try_from(bytes)
        .ok()
        .filter(|_| nibbles.len() == 64)
        .ok_or_else(|| format!("has {} digits, not 64; {WANTED}", nibbles.len()))
}

/// The host, in lower case, and the port of an authority.
fn split_port(authority: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port = match port.map(str::parse::<u16>) {
        None => None,
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => {
            return Err(
                "has no valid port; 1 to 65535 is wanted, and an IPv6 address in brackets"
                    .to_owned(),
            );
        }
    };
    if is_host(host) {
        Ok((host.to_ascii_lowercase(), port))
    } else {
        Err(
            "names no host; a DNS name, an IPv4 address, or an IPv6 address in brackets is wanted"
                .to_owned(),
        )
    }
}

fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        return inner
            .strip_suffix(']')
            .is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok());
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    host.len() <= 253 && host.split('.').all(is_label)
}
