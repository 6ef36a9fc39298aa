//! Which upstream a request goes to, by the host it asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::forward::Upstream;

/// Why upstreams cannot be told apart.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RouteFault {
    /// Two upstreams want the same host.
    #[error("upstreams {0} and {1} both want host {2}")]
    Contested(Arc<str>, Arc<str>, String),
    /// Two upstreams want every host.
    #[error("upstreams {0} and {1} both want every host: give one of them `hosts`")]
    TwoDefaults(Arc<str>, Arc<str>),
}

/// The upstreams by host.
#[derive(Debug, Default)]
pub struct Hosts {
    all: Vec<Arc<Upstream>>,
    named: BTreeMap<String, Arc<Upstream>>,
    default: Option<Arc<Upstream>>,
}

impl Hosts {
    /// The table for `upstreams`.
    ///
    /// # Errors
    /// When two of them want the same host.
    pub fn new(upstreams: Vec<Arc<Upstream>>) -> Result<Self, RouteFault> {
        let mut hosts = Self::default();
        for upstream in &upstreams {
            let named = &upstream.config().hosts;
            if named.is_empty()
                && let Some(other) = hosts.default.replace(upstream.clone())
            {
                return Err(RouteFault::TwoDefaults(
                    other.name().clone(),
                    upstream.name().clone(),
                ));
            }
            for host in named {
                if let Some(other) = hosts.named.insert(host.clone(), upstream.clone()) {
                    let (other, this) = (other.name().clone(), upstream.name().clone());
                    return Err(RouteFault::Contested(other, this, host.clone()));
                }
            }
        }
        hosts.all = upstreams;
        Ok(hosts)
    }

    /// Every upstream, in the order of the configuration.
    #[must_use]
    pub fn all(&self) -> &[Arc<Upstream>] {
        &self.all
    }

    /// The upstream for a request that asks for `authority`.
    #[must_use]
    pub fn find(&self, authority: &[u8]) -> Option<&Arc<Upstream>> {
        if self.named.is_empty() {
            return self.default.as_ref();
        }
        let host = host_of(authority);
        let lower = host.iter().any(u8::is_ascii_uppercase);
        let named = std::str::from_utf8(host).ok().and_then(|host| {
            if lower {
                self.named.get(host.to_ascii_lowercase().as_str())
            } else {
                self.named.get(host)
            }
        });
        named.or(self.default.as_ref())
    }
}

/// `authority` without its port, without the dot that ends a full name.
fn host_of(authority: &[u8]) -> &[u8] {
    let bracketed = authority.starts_with(b"[");
    let end = match authority.iter().rposition(|byte| *byte == b':') {
        Some(colon) if !bracketed || authority.get(colon.wrapping_sub(1)) == Some(&b']') => colon,
        _ => authority.len(),
    };
    let host = authority.get(..end).unwrap_or(authority);
    host.strip_suffix(b".").unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_the_authority_without_port_and_final_dot() {
        for (authority, host) in [
            ("vc1.example", "vc1.example"),
            ("vc1.example:8443", "vc1.example"),
            ("vc1.example.:8443", "vc1.example"),
            ("[::1]", "[::1]"),
            ("[::1]:443", "[::1]"),
            ("", ""),
            (":443", ""),
        ] {
            assert_eq!(
                host_of(authority.as_bytes()),
                host.as_bytes(),
                "{authority}"
            );
        }
    }
}
