//! A gate put together from its configuration, running, and taken down again.
//!
//! ```text
//!   main thread ── signals            worker threads ── one runtime each: sockets, proxy, pool
//!   helm runtime ── accept loops, names, certificates, tidying
//!   door thread ── the operator's door; outlives the workers
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora_core::apps::http_app::HttpServer;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::addresses::Addresses;
use super::background;
use super::door::door;
use super::early::Early;
use super::people::{self, Kept, StateError};
use super::tasks::{self, Hands};
use super::view::View;
use crate::config::{self, Config};
use crate::forward::{BuildError, Upstream};
use crate::listen::{
    BindFaults, Entrances, Identities, Inherited, NoCertificate, TlsFault, TlsIdentity, Witness,
    Workers, accept, bind, entrances,
};
use crate::observe::{AccessLog, Meters, MetersError, Snapshot};
use crate::proxy::{Gate, Hosts, People, Probe, RouteFault, Settings, Shared};

/// How often the number of calls in flight is looked at while draining.
const DRAIN_STEP: Duration = Duration::from_millis(5);
/// Longest wait in line of a call whose client cannot be watched.
const UNWATCHED: Duration = Duration::from_secs(10);
/// Longest wait for the last lines of the access log.
const LAST_LINES: Duration = Duration::from_secs(2);

/// What a configuration does not say.
#[derive(Default)]
pub struct Options {
    /// Sockets that systemd holds for the gate.
    pub inherited: Inherited,
    /// Called at each hook of each request: for tests that break requests there.
    pub probe: Option<Probe>,
    /// Longest wait in line of a call whose client cannot be watched, because its body is too long to be
    /// read in; 10 s where nothing is said.
    pub unwatched: Option<Duration>,
}

/// Why a gate does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindFaults),
    /// A certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] TlsFault),
    /// A TLS listener has no certificate.
    #[error(transparent)]
    NoCertificate(#[from] NoCertificate),
    /// An upstream cannot be built.
    #[error(transparent)]
    Upstream(#[from] BuildError),
    /// Upstreams cannot be told apart.
    #[error(transparent)]
    Hosts(#[from] RouteFault),
    /// Sessions cannot be kept.
    #[error(transparent)]
    State(#[from] StateError),
    /// Metrics cannot be set up.
    #[error("metrics: {0}")]
    Meters(#[from] MetersError),
    /// The access log cannot be opened.
    #[error("access log {goal}: {source}")]
    AccessLog {
        /// Where it was to go.
        goal: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The operating system refused a thread or an event queue.
    #[error("threads: {0}")]
    Threads(#[from] std::io::Error),
}

/// A running gate. Dropping it stops it at once.
pub struct Running {
    shared: Arc<Shared>,
    view: Arc<View>,
    addresses: Addresses,
    drain: Duration,
    close_clients: watch::Sender<bool>,
    workers: Option<Workers>,
    door: Option<Workers>,
    helm: Option<Runtime>,
    kept: Kept,
    hands: Hands,
}

/// How a gate ended.
#[derive(Debug)]
pub struct Drained {
    /// Calls that were still in flight at the end of `runtime.drain`.
    pub cut: u64,
    /// The state after everything was closed.
    pub snapshot: Snapshot,
}

/// Starts a gate: every listener bound, every thread running.
///
/// # Errors
/// The first thing that cannot be had; then nothing is left running.
pub fn start(config: &Config, options: Options) -> Result<Running, StartError> {
    let bound = bind(&config.listen, options.inherited)?;
    let identities = identities(config)?;
    let threads = threads(config);
    let upstreams = upstreams(config, threads)?;
    let helm = helm()?;
    let epoch = Instant::now();
    let taken_up = people::take_up(&helm, config, &upstreams, epoch)?;
    let (people, questions) = People::new(config, taken_up.ledger.clone());
    let meters = Arc::new(Meters::new(
        upstreams.iter().map(|upstream| &**upstream.name()),
    )?);
    let access = access_log(config)?;
    let settings = settings(config, options.unwatched);
    let (desk, arriving) = tasks::desk(config, &taken_up);
    let at_the_door = tasks::at_the_door(config, &desk, &upstreams);
    let hosts = Hosts::new(upstreams)?;
    let shared = Arc::new(Shared::new(
        settings,
        hosts,
        meters.clone(),
        access,
        people,
        (desk, at_the_door),
        epoch,
        options.probe,
    ));
    let hands = Hands::start(&config.tasks, &shared, arriving)?;
    let kept = taken_up.keep(&helm, epoch);
    people::start(&helm, &shared, questions);
    let witness: Arc<dyn Witness> = Arc::new(Early::new(shared.clone()));
    let entrances = entrances(bound, &config.listen, &identities, &witness)?;
    let addresses = Addresses::of(&entrances);
    let view = Arc::new(View::new(shared.clone(), &entrances, kept.health().clone()));
    launch(
        config,
        Parts {
            shared,
            view,
            entrances,
            addresses,
            identities,
            threads,
            helm,
            kept,
            hands,
        },
    )
}

fn upstreams(config: &Config, threads: usize) -> Result<Vec<Arc<Upstream>>, BuildError> {
    let admin = &config.admin;
    let reserve = if admin.break_glass_users.is_empty() {
        0
    } else {
        admin.break_glass_share_ppm
    };
    let upstreams = config.upstreams.iter().enumerate();
    upstreams
        .map(|(index, upstream)| Upstream::build_reserving(upstream, index, threads, reserve))
        .collect()
}

fn helm() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("helm")
        .enable_all()
        .build()
}

struct Parts {
    shared: Arc<Shared>,
    view: Arc<View>,
    entrances: Entrances,
    addresses: Addresses,
    identities: Identities,
    threads: usize,
    helm: Runtime,
    kept: Kept,
    hands: Hands,
}

fn launch(config: &Config, parts: Parts) -> Result<Running, StartError> {
    let (close_clients, clients_closing) = watch::channel(false);
    let (close_door, door_closing) = watch::channel(false);
    let proxy = |worker| proxy(parts.shared.clone(), worker);
    let workers = Workers::start("gate", parts.threads, proxy, &clients_closing)?;
    let drain = config.runtime.drain;
    let operator = Arc::new(HttpServer::new_app(door(
        config,
        (&parts.shared, parts.hands.lever()),
        &parts.view,
    )));
    let door = Workers::start("door", 1, |_| operator.clone(), &door_closing)?;
    let helm = parts.helm;
    background::start(&helm, config, &parts.shared, &parts.identities);
    let clients = accept(parts.entrances.clients, workers.dispatch(), clients_closing);
    // The door is closed by being dropped, last of all: nothing waits for it.
    let admin = accept(parts.entrances.admin, door.dispatch(), door_closing);
    helm.spawn(async move {
        let _kept_open = close_door;
        if let Err(error) = admin.await {
            tracing::error!(%error, "the operator's door cannot be served");
        }
    });
    helm.spawn(async move {
        if let Err(error) = clients.await {
            tracing::error!(%error, "listeners cannot be served");
        }
    });
    parts.view.ready();
    Ok(Running {
        shared: parts.shared,
        view: parts.view,
        addresses: parts.addresses,
        drain,
        close_clients,
        workers: Some(workers),
        door: Some(door),
        helm: Some(helm),
        kept: parts.kept,
        hands: parts.hands,
    })
}

impl Running {
    /// Addresses of the plain listeners, as bound.
    #[must_use]
    pub fn http(&self) -> &[SocketAddr] {
        &self.addresses.http
    }

    /// Addresses of the TLS listeners, as bound.
    #[must_use]
    pub fn https(&self) -> &[SocketAddr] {
        &self.addresses.https
    }

    /// Address of the operator's door, as bound.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        let unbound = SocketAddr::from(([0, 0, 0, 0], 0));
        self.addresses.admin.first().copied().unwrap_or(unbound)
    }

    /// Calls in flight, tasks included.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.shared.in_flight() + self.hands.in_flight()
    }

    /// What `/limits` and `/connections` show.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.view.snapshot()
    }

    /// As [`Running::snapshot`], for another thread to call while this gate runs.
    pub fn watcher(&self) -> impl Fn() -> Snapshot + Send + Sync + 'static {
        let view = self.view.clone();
        move || view.snapshot()
    }

    /// Opens the access log's file anew, after a rotation.
    pub fn reopen_access_log(&self) {
        self.shared.access.reopen();
    }

    /// Listeners close, calls in flight finish for `runtime.drain` at most; leaves as soon as none is
    /// left. Blocks meanwhile.
    #[must_use]
    pub fn drain(mut self) -> Drained {
        self.shared.drain();
        self.hands.drain();
        self.view.draining();
        self.close_clients.send_replace(true);
        let deadline = Instant::now() + self.drain;
        while self.in_flight() > 0 && Instant::now() < deadline {
            std::thread::sleep(DRAIN_STEP);
        }
        let cut = self.in_flight();
        self.stop();
        Drained {
            cut,
            snapshot: self.view.snapshot(),
        }
    }

    /// Cuts everything now. Units are given back as each task is dropped.
    fn stop(&mut self) {
        self.shared.drain();
        self.shared.stop();
        // The seats of calls that are cut are no task's: the upstream may still be at work on them.
        self.hands.drain();
        self.close_clients.send_replace(true);
        if let Some(workers) = self.workers.take() {
            workers.stop();
        }
        self.hands.stop();
        for upstream in self.shared.hosts.all() {
            upstream.pool().clear();
        }
        if let Some(helm) = self.helm.take() {
            people::on(&helm, tasks::last_seats(&self.shared));
            self.kept.close(&helm);
            helm.shutdown_background();
        }
        if let Some(door) = self.door.take() {
            door.stop();
        }
        if !self.shared.access.close(LAST_LINES) {
            tracing::warn!("the last lines of the access log could not be written");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn proxy(shared: Arc<Shared>, worker: usize) -> Arc<HttpProxy<Gate>> {
    let conf = ServerConf {
        // The proxy says after each attempt whether another one is safe: once after an exchange that broke,
        // some times where the upstream refused without executing, and each time when no connection was had.
        max_retries: 32,
        // Pingora's own idle pool stays empty: see `forward`.
        upstream_keepalive_pool_size: 1,
        ..ServerConf::default()
    };
    let mut proxy = HttpProxy::new(Gate::new(shared, worker), Arc::new(conf));
    proxy.handle_init_modules();
    Arc::new(proxy)
}

fn identities(config: &Config) -> Result<Identities, TlsFault> {
    let load = |files: Option<&config::Certificate>, ca| {
        files.map(|files| TlsIdentity::load(files, ca)).transpose()
    };
    Ok(Identities {
        https: load(
            config.listen.certificate.as_ref(),
            config.listen.client_ca.as_deref(),
        )?,
        admin: load(config.admin.certificate.as_ref(), None)?,
    })
}

fn threads(config: &Config) -> usize {
    match config.runtime.threads {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads,
    }
}

fn settings(config: &Config, unwatched: Option<Duration>) -> Settings {
    Settings {
        max_body_bytes: config.listen.max_body_bytes,
        body_timeout: config.listen.body_timeout,
        unwatched: unwatched.unwrap_or(UNWATCHED),
        trusted_proxies: config.listen.trusted_proxies.clone(),
        ratelimit: config.headers.ratelimit,
    }
}

fn access_log(config: &Config) -> Result<AccessLog, StartError> {
    AccessLog::start(&config.log.access, config.log.format).map_err(|source| {
        StartError::AccessLog {
            goal: format!("{:?}", config.log.access),
            source,
        }
    })
}
