//! The addresses behind an upstream's name: resolved off the hot path, and again while running.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::config;

/// The addresses of one upstream, as last resolved.
#[derive(Debug)]
pub struct Addresses {
    host: String,
    port: u16,
    current: ArcSwap<Vec<SocketAddr>>,
}

impl Addresses {
    /// An IP address stands for itself; a name has no address until [`Addresses::refresh`] ran.
    #[must_use]
    pub fn new(address: &config::Address) -> Self {
        let literal = address.host.parse::<IpAddr>().ok();
        let current = literal
            .map(|ip| SocketAddr::new(ip, address.port))
            .into_iter()
            .collect();
        Self {
            host: address.host.clone(),
            port: address.port,
            current: ArcSwap::from_pointee(current),
        }
    }

    /// The addresses, in the order to be tried.
    #[must_use]
    pub fn current(&self) -> Arc<Vec<SocketAddr>> {
        self.current.load_full()
    }

    /// Asks the system's resolver anew; says whether the set of addresses changed.
    ///
    /// # Errors
    /// The resolver's, or that the name has no address. The last good answer then stays.
    pub async fn refresh(&self) -> io::Result<bool> {
        if self.host.parse::<IpAddr>().is_ok() {
            return Ok(false);
        }
        let mut found: Vec<_> = tokio::net::lookup_host((self.host.as_str(), self.port))
            .await?
            .collect();
        found.sort();
        found.dedup();
        if found.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "the name has no address",
            ));
        }
        let changed = **self.current.load() != found;
        if changed {
            self.current.store(Arc::new(found));
        }
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str) -> config::Address {
        config::Address {
            tls: false,
            host: host.into(),
            port: 443,
        }
    }

    #[tokio::test]
    async fn an_ip_address_stands_for_itself_and_is_never_looked_up() {
        let addresses = Addresses::new(&address("::1"));
        assert_eq!(*addresses.current(), ["[::1]:443".parse().unwrap()]);
        assert!(!addresses.refresh().await.unwrap());
    }

    #[tokio::test]
    async fn a_name_is_resolved_on_refresh_and_an_unchanged_answer_is_no_change() {
        let addresses = Addresses::new(&address("localhost"));
        assert!(addresses.current().is_empty());
        assert!(addresses.refresh().await.unwrap());
        assert!(addresses.current().iter().all(|a| a.ip().is_loopback()));
        assert!(!addresses.refresh().await.unwrap());
    }

    #[tokio::test]
    async fn a_failed_refresh_keeps_the_last_good_answer() {
        let addresses = Addresses::new(&address("name.invalid"));
        let known: SocketAddr = "127.0.0.1:443".parse().unwrap();
        addresses.current.store(Arc::new(vec![known]));
        assert!(addresses.refresh().await.is_err());
        assert_eq!(*addresses.current(), [known]);
    }
}
