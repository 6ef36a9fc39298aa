//! Sockets to accept on: inherited from systemd where it holds them, else bound; all faults at once.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::listener::Role;
use crate::config;

/// Connections the kernel holds until they are accepted.
const BACKLOG: i32 = 4096;
/// Silence after which the kernel asks whether the client still lives, and how often.
const KEEPALIVE_AFTER: Duration = Duration::from_mins(1);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);

/// A socket to accept on.
#[derive(Debug)]
pub struct BoundListener {
    /// What it is for.
    pub role: Role,
    /// The address in the configuration.
    pub configured: SocketAddr,
    /// The address it is bound to; another port where the configured one is 0.
    pub local: SocketAddr,
    /// The socket, non-blocking.
    pub socket: TcpListener,
}

/// Sockets that systemd holds for the gate (`LISTEN_FDS`), so that a restart refuses no connection.
#[derive(Debug, Default)]
pub struct Inherited(Vec<TcpListener>);

impl Inherited {
    /// Takes what the environment names. Call once, before any thread is started: it takes the
    /// variables out of the environment, so that no child believes they are for it.
    #[must_use]
    pub fn from_environment() -> Self {
        let mut offered = listenfd::ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..offered.len() {
            match offered.take_tcp_listener(index) {
                Ok(socket) => sockets.extend(socket),
                Err(error) => {
                    tracing::warn!(index, %error, "inherited socket is not for TCP, ignored");
                }
            }
        }
        Self(sockets)
    }

    /// These sockets.
    #[must_use]
    pub fn of(sockets: Vec<TcpListener>) -> Self {
        Self(sockets)
    }

    /// The socket for `address`: the one bound to it, else one bound to its port on every address of
    /// both families, which is what `ListenStream=PORT` makes.
    fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port()));
        let fits = |wanted: SocketAddr| {
            move |socket: &TcpListener| socket.local_addr().is_ok_and(|local| local == wanted)
        };
        let at = self.0.iter().position(fits(address)).or_else(|| {
            address
                .ip()
                .is_unspecified()
                .then(|| self.0.iter().position(fits(both)))
                .flatten()
        })?;
        Some(self.0.swap_remove(at))
    }
}

/// Every address that could not be had.
#[derive(Debug, thiserror::Error)]
pub struct BindFaults(
    /// At least one.
    pub Vec<BindFault>,
);

/// An address that could not be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({}): {source}", key(*role))]
pub struct BindFault {
    /// The address.
    pub address: SocketAddr,
    /// What it was for.
    pub role: Role,
    /// What the system said.
    pub source: io::Error,
}

impl fmt::Display for BindFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{fault}")?;
        }
        Ok(())
    }
}

const fn key(role: Role) -> &'static str {
    match role {
        Role::Http => "listen.http",
        Role::Https => "listen.https",
        Role::Admin => "listen.admin",
    }
}

/// Binds every address of `[listen]`, the operator's door first.
///
/// # Errors
///
/// All addresses that could not be had; then nothing stays bound.
pub fn bind(
    config: &config::Listen,
    mut inherited: Inherited,
) -> Result<Vec<BoundListener>, BindFaults> {
    let wanted = std::iter::once((Role::Admin, config.admin))
        .chain(config.http.iter().map(|address| (Role::Http, *address)))
        .chain(config.https.iter().map(|address| (Role::Https, *address)));
    let all: Vec<SocketAddr> = wanted.clone().map(|(_, address)| address).collect();
    let (mut bound, mut faults) = (Vec::new(), Vec::new());
    for (role, address) in wanted {
        let socket = match inherited.take(address) {
            Some(socket) => Ok(socket),
            None => open(address, &all),
        };
        match socket.and_then(|socket| ready(role, address, socket)) {
            Ok(listener) => bound.push(listener),
            Err(source) => faults.push(BindFault {
                address,
                role,
                source,
            }),
        }
    }
    for unused in inherited.0 {
        tracing::warn!(address = ?unused.local_addr().ok(), "inherited socket fits no address of [listen], closed");
    }
    if faults.is_empty() {
        Ok(bound)
    } else {
        Err(BindFaults(faults))
    }
}

/// No `SO_REUSEPORT`: two gates on one port would double every limit.
fn open(address: SocketAddr, all: &[SocketAddr]) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 as well, unless IPv4 has its own line for the port.
        let apart = all
            .iter()
            .any(|other| other.port() == address.port() && matches!(other.ip(), IpAddr::V4(_)));
        socket.set_only_v6(apart)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// What accepted sockets inherit is set once, on the listening one.
fn ready(role: Role, configured: SocketAddr, socket: TcpListener) -> io::Result<BoundListener> {
    socket.set_nonblocking(true)?;
    let options = SockRef::from(&socket);
    options.set_tcp_nodelay(true)?;
    options.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEPALIVE_AFTER)
            .with_interval(KEEPALIVE_EVERY),
    )?;
    Ok(BoundListener {
        role,
        configured,
        local: socket.local_addr()?,
        socket,
    })
}
