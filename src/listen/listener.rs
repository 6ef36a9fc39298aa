//! What all sockets of one listener share: its limit, its deadlines, its counts and its live list.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use ipnet::IpNet;
use parking_lot::Mutex;
use slab::Slab;

use super::connection::Refused;
use super::early::{Cause, EarlyEnd, Witness};
use super::seats::{Seat, Seats};
use super::tls::TlsIdentity;
use crate::config;

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Clients over plain TCP: limit `connections_http`.
    Http,
    /// Clients over TLS: limit `connections_https`.
    Https,
    /// The operator: a small cap of its own that is no limit of the configuration.
    Admin,
}

impl Role {
    /// The limit that counts its sockets.
    #[must_use]
    pub const fn limit(self) -> Option<&'static str> {
        match self {
            Self::Http => Some("connections_http"),
            Self::Https => Some("connections_https"),
            Self::Admin => None,
        }
    }
}

/// The deadlines and sizes of `[listen]`, the same for all listeners.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) handshake_timeout: Duration,
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) body_timeout: Duration,
    pub(super) body_deadline: Duration,
    pub(super) max_header_bytes: usize,
    pub(super) trusted_proxies: Vec<IpNet>,
}

impl Rules {
    pub(super) fn new(config: &config::Listen) -> Arc<Self> {
        Arc::new(Self {
            handshake_timeout: config.handshake_timeout,
            header_timeout: config.header_timeout,
            idle_timeout: config.idle_timeout,
            body_timeout: config.body_timeout,
            body_deadline: config.body_deadline,
            max_header_bytes: usize::try_from(config.max_header_bytes).unwrap_or(usize::MAX),
            trusted_proxies: config.trusted_proxies.clone(),
        })
    }
}

/// The budgets of one role, shared by all its listeners.
#[derive(Debug, Clone)]
pub(super) struct Budgets {
    /// The limit itself.
    pub(super) seats: Arc<Seats>,
    /// Sockets over the limit that are told so before they are closed.
    pub(super) farewells: Arc<Seats>,
}

/// One listener, as all its sockets share it.
pub struct Listener {
    name: Arc<str>,
    role: Role,
    local: SocketAddr,
    budgets: Budgets,
    rules: Arc<Rules>,
    tls: Option<Arc<TlsIdentity>>,
    proxy_protocol: bool,
    witness: Arc<dyn Witness>,
    admitted: AtomicU64,
    refused: [AtomicU64; RefusedBecause::ALL.len()],
    live: Mutex<Slab<Live>>,
}

/// Why a socket was turned away (label `reason` of `downstream_connections_refused_total`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedBecause {
    /// The limit was full: answered 503 and closed.
    Full,
    /// The limit was full, and so was the budget of those that are told: closed at accept.
    Dropped,
    /// No valid PROXY header of a trusted proxy.
    ProxyProtocol,
}

impl RefusedBecause {
    /// Every reason, in the order of its index.
    pub const ALL: [Self; 3] = [Self::Full, Self::Dropped, Self::ProxyProtocol];

    /// The word used in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Dropped => "dropped",
            Self::ProxyProtocol => "proxy_protocol",
        }
    }
}

/// One open socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// Who connected; not looking through a PROXY header.
    pub peer: SocketAddr,
    /// When it was accepted.
    pub since: Instant,
    /// It holds a seat of the limit; else it is only told that there is none.
    pub seated: bool,
}

/// A listener at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name, label `listener`: `http://127.0.0.1:8080`.
    pub name: Arc<str>,
    /// What it is for.
    pub role: Role,
    /// Its open sockets, those that are being told goodbye included.
    pub open: usize,
    /// Its sockets that hold a seat, counted one by one.
    pub seated: usize,
    /// Seats taken as the counter says, over all listeners of this role.
    pub in_use: u32,
    /// The ceiling over all listeners of this role.
    pub limit: u32,
    /// Sockets admitted since the start.
    pub admitted: u64,
    /// Sockets turned away since the start, in the order of [`RefusedBecause::ALL`].
    pub refused: [u64; RefusedBecause::ALL.len()],
}

/// What an accepted socket holds until it closes.
#[derive(Debug)]
pub(super) struct Holder {
    listener: Arc<Listener>,
    key: usize,
    _seat: Seat,
    load: Arc<AtomicUsize>,
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
        self.listener.live.lock().try_remove(self.key);
    }
}

/// A socket that may go on: what it holds, and whether only to be told goodbye.
pub(super) struct Admitted {
    seat: Seat,
    pub(super) refused: Option<Refused>,
}

impl Listener {
    pub(super) fn new(
        (role, local): (Role, SocketAddr),
        budgets: Budgets,
        rules: Arc<Rules>,
        tls: Option<Arc<TlsIdentity>>,
        proxy_protocol: bool,
        witness: Arc<dyn Witness>,
    ) -> Arc<Self> {
        let scheme = if tls.is_some() { "https" } else { "http" };
        Arc::new(Self {
            name: format!("{scheme}://{local}").into(),
            role,
            local,
            budgets,
            rules,
            tls,
            proxy_protocol,
            witness,
            admitted: AtomicU64::new(0),
            refused: std::array::from_fn(|_| AtomicU64::new(0)),
            live: Mutex::new(Slab::new()),
        })
    }

    /// Its name, label `listener`: `http://127.0.0.1:8080`.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it is for.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// The address it is bound to.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// When its certificate ends; `None` where it has none.
    #[must_use]
    pub fn certificate_ends(&self) -> Option<SystemTime> {
        self.tls.as_ref()?.ends()
    }

    /// How it stands now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let (open, seated) = {
            let live = self.live.lock();
            (
                live.len(),
                live.iter().filter(|(_, one)| one.seated).count(),
            )
        };
        Snapshot {
            name: Arc::clone(&self.name),
            role: self.role,
            open,
            seated,
            in_use: self.budgets.seats.in_use(),
            limit: self.budgets.seats.ceiling(),
            admitted: self.admitted.load(Ordering::Relaxed),
            refused: std::array::from_fn(|index| {
                self.refused
                    .get(index)
                    .map_or(0, |count| count.load(Ordering::Relaxed))
            }),
        }
    }

    /// Every open socket, one by one.
    #[must_use]
    pub fn live(&self) -> Vec<Live> {
        self.live.lock().iter().map(|(_, live)| *live).collect()
    }

    /// Sockets open now.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.live.lock().len()
    }

    /// A seat for a new socket; else a place among those that are told there is none; else nothing.
    pub(super) fn admit(&self) -> Option<Admitted> {
        let seats = &self.budgets.seats;
        if let Some(seat) = seats.try_take() {
            self.admitted.fetch_add(1, Ordering::Relaxed);
            return Some(Admitted {
                seat,
                refused: None,
            });
        }
        let Some(seat) = self.budgets.farewells.try_take() else {
            self.count_refused(RefusedBecause::Dropped);
            return None;
        };
        self.count_refused(RefusedBecause::Full);
        Some(Admitted {
            seat,
            refused: Some(Refused {
                limit: self.role.limit().unwrap_or("connections"),
                ceiling: seats.ceiling(),
                in_use: seats.in_use(),
            }),
        })
    }

    /// Enters an admitted socket into the live list; `load` counts the sockets of its worker.
    pub(super) fn enter(
        self: &Arc<Self>,
        admitted: Admitted,
        peer: SocketAddr,
        load: &Arc<AtomicUsize>,
    ) -> Holder {
        load.fetch_add(1, Ordering::Relaxed);
        let key = self.live.lock().insert(Live {
            peer,
            since: Instant::now(),
            seated: admitted.refused.is_none(),
        });
        Holder {
            listener: Arc::clone(self),
            key,
            _seat: admitted.seat,
            load: Arc::clone(load),
        }
    }

    pub(super) fn count_refused(&self, because: RefusedBecause) {
        if let Some(count) = self.refused.get(because as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Tells the witness of an early end.
    pub(super) fn report(&self, peer: SocketAddr, status: Option<u16>, cause: Cause) {
        self.witness.ended_early(EarlyEnd {
            listener: Arc::clone(&self.name),
            peer,
            status,
            cause,
            tls: self.tls.is_some(),
            when: SystemTime::now(),
        });
    }

    pub(super) fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    pub(super) fn tls(&self) -> Option<&Arc<TlsIdentity>> {
        self.tls.as_ref()
    }

    pub(super) fn expects_proxy_protocol(&self) -> bool {
        self.proxy_protocol
    }

    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        super::peer::is_trusted(address, &self.rules.trusted_proxies)
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
