//! What the gate changes in headers on the way up and on the way back.
//!
//! Up: `Host`, `Via` (RFC 9110 section 7.6.3), `Forwarded` (RFC 7239) and `X-Forwarded-*`,
//! `X-Request-ID`, and `Referer` and `Origin` where they name the gate. Back: `Location`, the fields in which an upstream names
//! its own task, and the `Domain` of `Set-Cookie`, where they name the upstream. Hop-by-hop fields are Pingora's part.

use std::net::IpAddr;

use http::header::{
    FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, ORIGIN, REFERER, SET_COOKIE,
};
use pingora_error::Result;
use pingora_http::{RequestHeader, ResponseHeader};

use super::lines::Lines;
use crate::call::field;
use crate::config::{self, HostHeader};

/// `X-Request-ID`: vCenter logs it as the operation id.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Fields whose URL a client follows: it has to lead through the gate again. The last two name a task of the upstream's own
/// (Azure Resource Manager, and services made after its guidelines).
static FOLLOWED: [HeaderName; 3] = [
    LOCATION,
    HeaderName::from_static("azure-asyncoperation"),
    HeaderName::from_static("operation-location"),
];

/// What the gate knows of the hop before it.
#[derive(Debug, Clone, Copy)]
pub struct Hop<'a> {
    /// The other end of the client's socket.
    pub peer: IpAddr,
    /// The same, as text.
    pub peer_text: &'a str,
    /// Whether it is one of `trusted_proxies`: what it says of those before it stays.
    pub trusted: bool,
    /// Whether the client speaks TLS to the gate.
    pub tls: bool,
    /// Whether the client speaks HTTP/2.
    pub http2: bool,
    /// The authority the client asked for: `Host`, or `:authority`.
    pub authority: &'a [u8],
}

impl Hop<'_> {
    pub(super) fn scheme(self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

/// The header rules of one upstream, made once.
#[derive(Debug)]
pub struct Rewriter {
    /// `Host` to send; `None` leaves the client's.
    host: Option<HeaderValue>,
    /// Origin (`https://vc:8443`) that replaces the gate's in `Referer` and `Origin`.
    origin: Option<String>,
    /// Authorities that mean the upstream, lower case.
    names: Vec<String>,
    /// Hosts of these, without port.
    hosts: Vec<String>,
}

impl Rewriter {
    /// The rules that `config` asks for.
    #[must_use]
    pub fn new(config: &config::Upstream) -> Self {
        let address = &config.address;
        let own = authority(&address.host, address.port, address.tls);
        let sent = match &config.host {
            HostHeader::Upstream => Some(own.clone()),
            HostHeader::Name(name) => Some(name.clone()),
            HostHeader::Client => None,
        };
        let scheme = if address.tls { "https" } else { "http" };
        let default_port = if address.tls { 443 } else { 80 };
        let mut names = vec![own.to_ascii_lowercase()];
        if address.port == default_port {
            names.push(format!(
                "{}:{default_port}",
                names.first().map_or("", String::as_str)
            ));
        }
        names.extend(sent.iter().map(|name| name.to_ascii_lowercase()));
        let mut hosts = vec![address.host.to_ascii_lowercase()];
        hosts.extend(
            sent.iter()
                .map(|name| without_port(name).to_ascii_lowercase()),
        );
        hosts.dedup();
        Self {
            host: sent
                .as_deref()
                .and_then(|name| HeaderValue::from_str(name).ok()),
            origin: sent.map(|name| format!("{scheme}://{name}")),
            names,
            hosts,
        }
    }

    /// `Host` of the gate's own calls.
    pub(super) fn own_host(&self) -> HeaderValue {
        let own = self.names.first().map_or("", String::as_str);
        self.host
            .clone()
            .unwrap_or_else(|| HeaderValue::from_str(own).unwrap_or(HeaderValue::from_static("")))
    }

    /// Whether `Host` goes up as the configuration says, not as the client sent it.
    pub(super) const fn sends_own_host(&self) -> bool {
        self.host.is_some()
    }

    /// Makes the client's request head fit for the upstream; the lines are to be sent behind it.
    ///
    /// # Errors
    /// When Pingora refuses a header.
    pub fn request(
        &self,
        head: &mut RequestHeader,
        hop: Hop<'_>,
        request_id: &HeaderValue,
    ) -> Result<Lines> {
        if !hop.trusted {
            strip_forwarding(head);
        }
        if let Some(origin) = &self.origin {
            for name in [REFERER, ORIGIN] {
                let renamed = head
                    .headers
                    .get(&name)
                    .and_then(|value| renamed_origin(value, hop.authority, origin));
                if let Some(value) = renamed {
                    head.insert_header(name, value)?;
                }
            }
        }
        if let Some(host) = &self.host {
            head.insert_header(HOST, host.clone())?;
        }
        Ok(Lines::new(head, hop, request_id))
    }

    /// Makes the upstream's response head fit for the client.
    ///
    /// # Errors
    /// When Pingora refuses a header.
    pub fn response(&self, head: &mut ResponseHeader, hop: Hop<'_>) -> Result<()> {
        if hop.authority.is_empty() {
            return Ok(());
        }
        for name in &FOLLOWED {
            let url = head.headers.get(name);
            if let Some(url) = url.and_then(|value| self.renamed_url(value, hop)) {
                head.insert_header(name, url)?;
            }
        }
        if head.headers.contains_key(SET_COOKIE)
            && let Some(cookies) = self.renamed_cookies(&head.headers, hop)
        {
            head.remove_header(&SET_COOKIE);
            for cookie in cookies {
                head.append_header(SET_COOKIE, cookie)?;
            }
        }
        Ok(())
    }

    /// `Location` and the like and cookies of an answer that is kept, as a client must have them that speaks to the gate at `authority`.
    pub fn kept(&self, fields: &mut HeaderMap, tls: bool, authority: &[u8]) {
        let hop = Hop {
            peer: IpAddr::from([0, 0, 0, 0]),
            peer_text: "",
            trusted: false,
            tls,
            http2: false,
            authority,
        };
        for name in &FOLLOWED {
            let url = fields.get(name);
            if let Some(url) = url.and_then(|value| self.renamed_url(value, hop)) {
                fields.insert(name, url);
            }
        }
        if let Some(cookies) = self.renamed_cookies(fields, hop) {
            fields.remove(SET_COOKIE);
            for cookie in cookies {
                fields.append(SET_COOKIE, cookie);
            }
        }
    }

    /// `https://upstream/x` as the client must ask for it; `None` where it names somebody else.
    fn renamed_url(&self, value: &HeaderValue, hop: Hop<'_>) -> Option<HeaderValue> {
        let text = value.to_str().ok()?;
        let rest = strip_scheme(text)?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (named, tail) = rest.split_at_checked(end)?;
        if !self
            .names
            .iter()
            .any(|name| name.eq_ignore_ascii_case(named))
        {
            return None;
        }
        let gate = std::str::from_utf8(hop.authority).ok()?;
        HeaderValue::from_str(&format!("{}://{gate}{tail}", hop.scheme())).ok()
    }

    /// Every cookie, where one of them names the upstream.
    fn renamed_cookies(&self, fields: &HeaderMap, hop: Hop<'_>) -> Option<Vec<HeaderValue>> {
        let cookies = fields.get_all(SET_COOKIE).iter();
        let renamed: Vec<_> = cookies
            .map(|cookie| (cookie, self.renamed_cookie(cookie, hop)))
            .collect();
        renamed.iter().any(|(_, new)| new.is_some()).then(|| {
            let each = renamed.into_iter();
            each.map(|(old, new)| new.unwrap_or_else(|| old.clone()))
                .collect()
        })
    }

    /// A cookie whose `Domain` is the upstream's, with the gate's instead (RFC 6265 section 5.2.3).
    fn renamed_cookie(&self, cookie: &HeaderValue, hop: Hop<'_>) -> Option<HeaderValue> {
        let text = cookie.to_str().ok()?;
        let gate = without_port(std::str::from_utf8(hop.authority).ok()?);
        let mut changed = false;
        let parts: Vec<String> = text
            .split(';')
            .map(|part| {
                let Some((name, value)) = part.split_once('=') else {
                    return part.to_owned();
                };
                let domain = value.trim().trim_start_matches('.');
                let ours = self
                    .hosts
                    .iter()
                    .any(|host| host.eq_ignore_ascii_case(domain));
                if name.trim().eq_ignore_ascii_case("domain") && ours {
                    changed = true;
                    return format!("{name}={gate}");
                }
                part.to_owned()
            })
            .collect();
        changed.then(|| HeaderValue::from_str(&parts.join(";")).ok())?
    }
}

/// Whether any field is for this hop alone, or names one that is: Pingora takes those away or makes them anew, and a call
/// that has none is spared the look.
pub(super) fn has_hop_by_hop(fields: &HeaderMap) -> bool {
    fields.keys().any(|name| field::OF_ONE_HOP.contains(name))
}

/// What strangers say of who the call is for is not believed.
fn strip_forwarding(head: &mut RequestHeader) {
    let names = [
        FORWARDED,
        X_FORWARDED_FOR,
        X_FORWARDED_HOST,
        X_FORWARDED_PROTO,
        X_REAL_IP,
    ];
    // Most clients send none: one look at each name they sent is cheaper than a search for each of these.
    if head.headers.keys().any(|name| names.contains(name)) {
        for name in &names {
            head.remove_header(name);
        }
    }
}

/// `value` with the gate's origin replaced by the upstream's; `None` where it names somebody else.
fn renamed_origin(value: &HeaderValue, gate: &[u8], origin: &str) -> Option<HeaderValue> {
    let text = value.to_str().ok()?;
    let rest = strip_scheme(text)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (named, tail) = rest.split_at_checked(end)?;
    if gate.is_empty() || !named.as_bytes().eq_ignore_ascii_case(gate) {
        return None;
    }
    HeaderValue::from_str(&format!("{origin}{tail}")).ok()
}

fn strip_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    (scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")).then_some(rest)
}

/// `host` and `port` as they stand in an authority: brackets round IPv6, no default port.
fn authority(host: &str, port: u16, tls: bool) -> String {
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    if port == if tls { 443 } else { 80 } {
        host
    } else {
        format!("{host}:{port}")
    }
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}
