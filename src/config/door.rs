//! `[listen]`: the sockets clients and operators meet, and what they may cost.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::files::{Pem, pem};
use super::net::{network, socket};
use super::reader::Reader;
use super::types::{Admin, Certificate, Listen};
use super::value::{duration, size, whole_u32};

/// Longest deadline of a socket.
const DAY: Duration = Duration::from_hours(24);
/// Shortest deadline: zero would cut everything.
const LEAST: Duration = Duration::from_millis(1);
/// Most sockets one kind of listener may be allowed.
const MOST_SOCKETS: u32 = 1_000_000;
/// Most listeners of a kind.
const MOST_LISTENERS: usize = 64;

/// Reads `[listen]`.
pub(super) fn listen(top: &Reader<'_>) -> Listen {
    let r = top.table("listen");
    let seats = r.table("max_connections");
    let limit = |key, default| {
        r.get(key, duration(LEAST..=DAY))
            .unwrap_or(Duration::from_secs(default))
    };
    let listen = Listen {
        http: r
            .list("http", socket)
            .unwrap_or_else(|| vec![loopback(8080)]),
        https: r.list("https", socket).unwrap_or_default(),
        admin: r.get("admin", socket).unwrap_or_else(|| loopback(9900)),
        certificate: certificate(&r),
        client_ca: r.get("client_ca", pem(r.base(), Pem::Certificate)),
        max_connections_http: seats
            .get("http", whole_u32(0..=MOST_SOCKETS))
            .unwrap_or(2048),
        max_connections_https: seats
            .get("https", whole_u32(0..=MOST_SOCKETS))
            .unwrap_or(2048),
        handshake_timeout: limit("handshake_timeout", 10),
        header_timeout: limit("header_timeout", 10),
        idle_timeout: limit("idle_timeout", 75),
        body_timeout: limit("body_timeout", 60),
        body_deadline: limit("body_deadline", 600),
        max_header_bytes: r
            .get("max_header_bytes", size(256..=16 << 20))
            .unwrap_or(64 << 10),
        max_body_bytes: r
            .get("max_body_bytes", size(1..=1 << 40))
            .unwrap_or(64 << 20),
        trusted_proxies: r.list("trusted_proxies", network).unwrap_or_default(),
        proxy_protocol: r.list("proxy_protocol", socket).unwrap_or_default(),
    };
    check_addresses(&r, &listen);
    check_tls(&r, &listen);
    check_proxies(&r, &listen);
    seats.finish();
    r.finish();
    listen
}

/// The keys `certificate` and `private_key` of `[listen]` or `[admin]`: both or neither, and both readable.
pub(super) fn certificate(r: &Reader<'_>) -> Option<Certificate> {
    let chain = r.get("certificate", pem(r.base(), Pem::Certificate));
    let key = r.get("private_key", pem(r.base(), Pem::Key));
    match (r.has("certificate"), r.has("private_key")) {
        (true, false) => r.fault(
            "private_key",
            "is missing; a certificate needs its private key",
        ),
        (false, true) => r.fault(
            "certificate",
            "is missing; a private key needs its certificate",
        ),
        _ => {}
    }
    Some(Certificate {
        chain: chain?,
        key: key?,
    })
}

/// Off loopback the operator's door needs a token and TLS.
pub(super) fn check_operators_door(top: &Reader<'_>, listen: &Listen, admin: &Admin) {
    if listen.admin.ip().is_loopback() {
        return;
    }
    let (r, door) = (top.table("listen"), top.table("admin"));
    let mut missing = Vec::new();
    if admin.token.is_none() && !door.has("token") {
        missing.push("admin.token");
    }
    if admin.certificate.is_none() && !(door.has("certificate") || door.has("private_key")) {
        missing.push("admin.certificate and admin.private_key");
    }
    if !missing.is_empty() {
        r.fault(
            "admin",
            &format!(
                "is off loopback, which needs {}; or write \"127.0.0.1:9900\"",
                missing.join(", and ")
            ),
        );
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn check_addresses(r: &Reader<'_>, listen: &Listen) {
    for (key, list) in [("http", &listen.http), ("https", &listen.https)] {
        if list.len() > MOST_LISTENERS {
            r.fault(
                key,
                &format!(
                    "has {} listeners; at most {MOST_LISTENERS} are allowed",
                    list.len()
                ),
            );
        }
    }
    if !r.sound(&["http", "https", "admin"]) {
        return;
    }
    if listen.http.is_empty() && listen.https.is_empty() {
        r.fault("http", "is empty and so is listen.https; at least one listener is wanted, as [\"127.0.0.1:8080\"]");
    }
    let mut seen = vec![("listen.admin".to_owned(), listen.admin)];
    for (key, list) in [("http", &listen.http), ("https", &listen.https)] {
        for (index, address) in list.iter().enumerate() {
            if let Some((other, with)) = seen.iter().find(|(_, other)| collide(*other, *address)) {
                r.element_fault(key, index, &format!("is taken already by {other} ({with}); every listener needs an address of its own"));
            }
            seen.push((format!("listen.{key}[{index}]"), *address));
        }
    }
}

/// Whether both cannot be bound at once. Port 0 is a new port each time.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let wildcard = a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0
        && a.port() == b.port()
        && a.is_ipv4() == b.is_ipv4()
        && (a.ip() == b.ip() || wildcard)
}

fn check_tls(r: &Reader<'_>, listen: &Listen) {
    if !listen.https.is_empty() && !r.has("certificate") && !r.has("private_key") {
        r.fault("https", "needs listen.certificate and listen.private_key: a TLS listener has nothing to show without them");
    }
    if listen.https.is_empty() && r.has("client_ca") && r.sound(&["https"]) {
        r.fault(
            "client_ca",
            "asks for client certificates, but listen.https is empty",
        );
    }
}

fn check_proxies(r: &Reader<'_>, listen: &Listen) {
    if !r.sound(&["http", "https", "proxy_protocol", "trusted_proxies"]) {
        return;
    }
    for (index, address) in listen.proxy_protocol.iter().enumerate() {
        if !listen.http.contains(address) && !listen.https.contains(address) {
            let have: Vec<_> = listen
                .http
                .iter()
                .chain(&listen.https)
                .map(ToString::to_string)
                .collect();
            r.element_fault(
                "proxy_protocol",
                index,
                &format!(
                    "is no listener of listen.http or listen.https ({})",
                    have.join(", ")
                ),
            );
        }
    }
    if !listen.proxy_protocol.is_empty() && listen.trusted_proxies.is_empty() {
        r.fault(
            "proxy_protocol",
            "needs listen.trusted_proxies: the PROXY protocol is taken from a trusted proxy alone",
        );
    }
}
