//! One upstream while the gate runs: its stack of limits, its sockets, its names.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use pingora_core::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::ServerName;

use super::dial::Dial;
use super::fault::{FaultCounts, UpstreamFault};
use super::headers::{Rewriter, has_hop_by_hop};
use super::health::Health;
use super::io::Io;
use super::pool::Pool;
use super::resolve::Addresses;
use super::tls::{TlsSetupError, client_config};
use crate::admit::{SocketGroup, Stack};
use crate::call::Class;
use crate::classify::{Forms, Table};
use crate::config::{self, Face};

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
    forms: Forms,
    faces: Box<[Arc<Face>]>,
    stack: Arc<Stack>,
    pool: Arc<Pool>,
    addresses: Addresses,
    rewriter: Rewriter,
    tls: Option<Tls>,
    faults: FaultCounts,
    health: Health,
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
            forms: Forms::new(&config.adapters),
            faces: faces(config),
            stack,
            pool,
            addresses: Addresses::new(&config.address),
            rewriter: Rewriter::new(config),
            tls,
            faults: FaultCounts::default(),
            health: Health::default(),
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

    /// Its asynchronous forms: places are those of the adapters in its configuration.
    #[must_use]
    pub const fn forms(&self) -> &Forms {
        &self.forms
    }

    /// The faces of these forms, each once.
    #[must_use]
    pub fn faces(&self) -> &[Arc<Face>] {
        &self.faces
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

    /// Whether it can be reached.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
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
        if let Err(error) = self.resolve().await {
            tracing::warn!(
                upstream = %self.config.name,
                host = %self.config.address.host,
                %error,
                "the name does not resolve; the last known addresses stay"
            );
        }
    }

    async fn resolve(&self) -> std::io::Result<()> {
        if self.addresses.refresh().await? {
            let addresses = self.addresses.current();
            tracing::info!(upstream = %self.config.name, ?addresses, "addresses changed");
            self.pool.clear();
        }
        Ok(())
    }

    pub(super) fn refusals(&self) -> &[u16] {
        &self.refusals
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        self.config.connect_timeout
    }

    /// A new connection for a call of `group`, TLS included, within `connect_timeout`. Tries each address
    /// in turn, and takes note of whether the upstream is down.
    pub(super) async fn connect(&self, group: SocketGroup) -> Result<Io, Failure> {
        let connected = timeout(self.config.connect_timeout, self.connect_any())
            .await
            .unwrap_or_else(|_| Err(failed(UpstreamFault::ConnectTimeout, "connect_timeout")));
        match &connected {
            Ok(_) => self.note_reachable(),
            Err(failure) if failure.is_down => self.note_unreachable(group, failure),
            Err(failure) => tracing::debug!(
                upstream = %self.config.name, reason = failure.fault.as_str(),
                detail = %failure.detail, "no connection"
            ),
        }
        connected
    }

    pub(super) fn note_reachable(&self) {
        if let Some(outage) = self.health.found(Instant::now()) {
            tracing::info!(
                upstream = %self.config.name, down_for_seconds = outage.lasted.as_secs_f64(),
                waiting = outage.waiting, "reachable again"
            );
        }
    }

    /// Said once, when it begins: each call that meets it is counted, and stands in the access log.
    fn note_unreachable(&self, group: SocketGroup, failure: &Failure) {
        if self.health.lost(group, Instant::now()) {
            tracing::warn!(
                upstream = %self.config.name, reason = failure.fault.as_str(), detail = %failure.detail,
                "cannot be reached"
            );
        }
    }

    async fn connect_any(&self) -> Result<Io, Failure> {
        let host = &self.config.address.host;
        if self.addresses.current().is_empty() {
            // The name had no address yet: ask once more, for this caller's sake.
            let asked = self.resolve().await;
            asked.map_err(|error| failed(UpstreamFault::Resolve, &format!("{host}: {error}")))?;
        }
        let addresses = self.addresses.current();
        let mut failure = failed(UpstreamFault::Resolve, host);
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
            Err(error) => Err(Failure {
                // What speaks TLS, but not as it should, is there: to wait for it would not help.
                is_down: error
                    .get_ref()
                    .and_then(|inner| inner.downcast_ref::<rustls::Error>())
                    .is_none(),
                ..failed(UpstreamFault::Tls, &error.to_string())
            }),
        }
    }
}

fn faces(config: &config::Upstream) -> Box<[Arc<Face>]> {
    let mut faces: Vec<Arc<Face>> = Vec::new();
    for face in config.adapters.iter().filter_map(|one| one.face.as_ref()) {
        if !faces.iter().any(|known| Arc::ptr_eq(known, face)) {
            faces.push(face.clone());
        }
    }
    faces.into()
}

/// Why a connection was not had, with what the system or the peer said. Nothing was sent.
pub(super) struct Failure {
    pub(super) fault: UpstreamFault,
    /// Nobody is there; so it may be worth waiting until somebody is.
    pub(super) is_down: bool,
    detail: String,
}

fn failed(fault: UpstreamFault, detail: &str) -> Failure {
    Failure {
        fault,
        is_down: true,
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
