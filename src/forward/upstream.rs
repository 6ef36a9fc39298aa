//! One upstream while the gate runs: its stack of limits, its sockets, its names.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::HeaderMap;
use pingora_core::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::dial::Dial;
use super::fault::{FaultCounts, UpstreamFault};
use super::headers::{Rewriter, has_hop_by_hop};
use super::io::Io;
use super::pool::Pool;
use super::resolve::Addresses;
use super::tls::{TlsSetupError, client_config};
use crate::admit::{SocketGroup, Stack};
use crate::call::Class;
use crate::classify::Table;
use crate::config;

/// Silence after which the kernel asks whether the upstream is still there.
const TCP_KEEPALIVE: Duration = Duration::from_mins(1);

/// Why an upstream cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("upstream {name}: {source}")]
pub struct BuildError {
    name: Arc<str>,
    source: TlsSetupError,
}

/// One upstream while the gate runs.
#[derive(Debug)]
pub struct Upstream {
    config: config::Upstream,
    index: usize,
    table: Table,
    stack: Arc<Stack>,
    pool: Arc<Pool>,
    addresses: Addresses,
    rewriter: Rewriter,
    tls: Option<Tls>,
    faults: FaultCounts,
    unreachable: AtomicBool,
    /// Statuses of its answers that may prove that it did not execute a call.
    refusals: Box<[u16]>,
    template: HttpPeer,
}

#[derive(Clone)]
struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Upstream {
    /// Builds the upstream that `config` describes, number `index` of all, for `workers` threads.
    ///
    /// # Errors
    /// When its certificate cannot be verified as configured.
    pub fn build(
        config: &config::Upstream,
        index: usize,
        workers: usize,
    ) -> Result<Arc<Self>, BuildError> {
        Self::build_reserving(config, index, workers, 0)
    }

    /// As [`Upstream::build`], with this share of its limits, in millionths, kept free for named
    /// administrators.
    ///
    /// # Errors
    /// When its certificate cannot be verified as configured.
    pub fn build_reserving(
        config: &config::Upstream,
        index: usize,
        workers: usize,
        reserve_ppm: u32,
    ) -> Result<Arc<Self>, BuildError> {
        let stack = Arc::new(Stack::build(config).reserving(reserve_ppm));
        let pool = Pool::new(stack.socket_limits(), workers, config.idle_timeout);
        let tls = if config.address.tls {
            Some(tls(config).map_err(|source| BuildError {
                name: config.name.clone(),
                source,
            })?)
        } else {
            None
        };
        Ok(Arc::new(Self {
            index,
            table: Table::new(config.speech.dialect, &config.routes),
            stack,
            pool,
            addresses: Addresses::new(&config.address),
            rewriter: Rewriter::new(config),
            tls,
            faults: FaultCounts::default(),
            unreachable: AtomicBool::new(false),
            refusals: if config.learn {
                config.refusals.iter().map(|sign| sign.status).collect()
            } else {
                Box::default()
            },
            template: template(config),
            config: config.clone(),
        }))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.config.name
    }

    /// Its place in the configuration, for tables.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The configuration it was built from.
    #[must_use]
    pub fn config(&self) -> &config::Upstream {
        &self.config
    }

    /// Its routes.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Its limits.
    #[must_use]
    pub fn stack(&self) -> &Arc<Stack> {
        &self.stack
    }

    /// Its sockets.
    #[must_use]
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// What it does to headers.
    #[must_use]
    pub fn rewriter(&self) -> &Rewriter {
        &self.rewriter
    }

    /// A new attempt to reach it from thread `worker` for a call of `class`, with the limits that its
    /// sockets are charged to. Ordinary calls are given up after a silence of `response_timeout`; long
    /// polls are silent as long as nothing happens.
    #[must_use]
    pub fn dial(self: &Arc<Self>, worker: usize, group: SocketGroup, class: Class) -> Arc<Dial> {
        let patience = (class != Class::LongPoll).then_some(self.config.response_timeout);
        Dial::new(self.clone(), worker, group, patience)
    }

    /// What Pingora needs to know of it, to send a request with these fields through `dial`.
    #[must_use]
    pub fn peer(&self, dial: &Arc<Dial>, fields: &HeaderMap) -> Box<HttpPeer> {
        let mut peer = Box::new(self.template.clone());
        peer.options.custom_l4 = Some(dial.clone());
        if !has_hop_by_hop(fields) {
            // There is nothing to take away, and each search for what is not there costs.
            peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::preserve();
        }
        peer
    }

    /// Counts a failure.
    pub fn note_fault(&self, fault: UpstreamFault) {
        self.faults.add(fault);
    }

    /// How often each fault happened.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, u64)> {
        self.faults.read()
    }

    /// Resolves its name anew. When the addresses changed, idle sockets to the old ones are closed.
    pub async fn refresh_addresses(&self) {
        match self.addresses.refresh().await {
            Ok(false) => {}
            Ok(true) => {
                let addresses = self.addresses.current();
                tracing::info!(upstream = %self.config.name, ?addresses, "addresses changed");
                self.pool.clear();
            }
            Err(error) => {
                tracing::warn!(
                    upstream = %self.config.name,
                    host = %self.config.address.host,
                    %error,
                    "the name does not resolve; the last known addresses stay"
                );
            }
        }
    }

    pub(super) fn refusals(&self) -> &[u16] {
        &self.refusals
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        self.config.connect_timeout
    }

    /// A new connection, TLS included, within `connect_timeout`. Tries each address in turn.
    pub(super) async fn connect(&self) -> Result<Io, UpstreamFault> {
        if self.addresses.current().is_empty() {
            // The name had no address yet: ask once more, for this caller's sake.
            self.refresh_addresses().await;
        }
        let connected = timeout(self.config.connect_timeout, self.connect_any())
            .await
            .unwrap_or_else(|_| Err(failed(UpstreamFault::ConnectTimeout, "connect_timeout")));
        connected
            .inspect(|_| self.note_reachable())
            .map_err(|failure| self.note_unreachable(&failure))
    }

    fn note_reachable(&self) {
        if self.unreachable.swap(false, Ordering::Relaxed) {
            tracing::info!(upstream = %self.config.name, "reachable again");
        }
    }

    /// Said once, when it begins: each call that meets it is counted, and stands in the access log.
    fn note_unreachable(&self, failure: &Failure) -> UpstreamFault {
        if !self.unreachable.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                upstream = %self.config.name, reason = failure.fault.as_str(), detail = %failure.detail,
                "cannot be reached"
            );
        }
        failure.fault
    }

    async fn connect_any(&self) -> Result<Io, Failure> {
        let addresses = self.addresses.current();
        let mut failure = failed(UpstreamFault::Resolve, &self.config.address.host);
        // Each address gets its share of the time, so that a dead first one leaves some for the rest.
        let share =
            self.config.connect_timeout / u32::try_from(addresses.len().max(1)).unwrap_or(1);
        for address in addresses.iter() {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    ready(&stream);
                    return self.secure(stream).await;
                }
                Ok(Err(error)) => {
                    failure = failed(UpstreamFault::Connect, &format!("{address}: {error}"));
                }
                Err(_) => failure = failed(UpstreamFault::ConnectTimeout, &address.to_string()),
            }
        }
        Err(failure)
    }

    async fn secure(&self, stream: TcpStream) -> Result<Io, Failure> {
        let Some(tls) = &self.tls else {
            return Ok(Io::plain(stream));
        };
        match tls.connector.connect(tls.name.clone(), stream).await {
            Ok(stream) => Ok(Io::tls(stream)),
            Err(error) => Err(failed(UpstreamFault::Tls, &error.to_string())),
        }
    }
}

/// Why a connection was not had, with what the system or the peer said.
struct Failure {
    fault: UpstreamFault,
    detail: String,
}

fn failed(fault: UpstreamFault, detail: &str) -> Failure {
    Failure {
        fault,
        detail: detail.to_owned(),
    }
}

fn tls(config: &config::Upstream) -> Result<Tls, TlsSetupError> {
    let host = &config.address.host;
    let name = ServerName::try_from(host.clone()).map_err(|_| TlsSetupError::Name(host.clone()))?;
    let connector = TlsConnector::from(client_config(&config.verify)?);
    Ok(Tls { connector, name })
}

/// The socket's options. A failure to set one costs speed, not correctness.
fn ready(stream: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(TCP_KEEPALIVE);
    if let Err(error) = stream
        .set_nodelay(true)
        .and_then(|()| SockRef::from(stream).set_tcp_keepalive(&keepalive))
    {
        tracing::debug!(%error, "socket options");
    }
}

/// The address is a placeholder: [`Dial`] resolves and connects.
fn template(config: &config::Upstream) -> HttpPeer {
    let nowhere = std::net::SocketAddr::from(([0, 0, 0, 0], config.address.port));
    let mut peer = HttpPeer::new(nowhere, false, String::new());
    // Silences are timed by the wire.
    peer.options.read_timeout = None;
    peer.options.write_timeout = None;
    peer.options.set_http_version(1, 1);
    // Each upstream apart, even where nothing of Pingora's pool is used.
    peer.group_key = config.address.port.into();
    peer
}
