//! Station 1, sockets.
//!
//! ```text
//!  bind ─▶ accept ─────────▶ worker ─▶ PROXY header ─▶ TLS ─▶ HTTP/1 | HTTP/2 ─▶ linger ─▶ close
//!          a seat of the     own       of trusted            guard of the head,
//!          limit, held       runtime   proxies               clocks, frames
//!          until close
//! ```
//!
//! A socket over the limit goes the same way, marked [`Connection::refused`], in a small budget of its
//! own: the proxy's first hook answers 503 on HTTP/1.1 and HTTP/2 alike, and the socket closes. Beyond
//! that budget it is dropped at accept.

/// Accept loops.
mod accept;
/// One lazy timer a connection.
mod alarm;
/// A sign of life on connections whose streams wait.
mod beat;
/// Sockets, inherited or bound.
mod bind;
/// A connection as hooks see it.
mod connection;
/// What ended before the first hook.
mod early;
/// A request and the clock of its body.
mod exchange;
/// Frames of HTTP/2: late or too many.
mod frames;
/// Parsers of what strangers send, for fuzz targets; no part of the room's interface.
#[doc(hidden)]
pub mod fuzzing;
/// Phases of an HTTP/1 connection.
mod guard;
/// The check of an HTTP/1 head.
mod head;
/// What the sockets of a listener share.
mod listener;
/// The true client address.
mod peer;
/// The PROXY protocol.
mod proxy_protocol;
/// Answers of the socket itself.
mod refusal;
/// Exact counting.
mod seats;
/// One socket from accept to close.
mod serve;
/// One connection of HTTP/1.
mod serve_h1;
/// One connection of HTTP/2.
mod serve_h2;
/// The stream Pingora works on.
mod stream;
/// The gate's certificate.
mod tls;
/// A socket and its orderly close.
mod transport;
/// Worker threads.
mod workers;

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config;

pub use accept::{Entrance, accept};
pub(crate) use alarm::Alarm;
pub use bind::{BindFault, BindFaults, BoundListener, Inherited, bind};
pub use connection::{Connection, Refused, TlsFacts};
pub use early::{Cause, EarlyEnd, Witness};
pub use exchange::{BodyLate, Exchange};
pub use listener::{Listener, Live, RefusedBecause, Role, Snapshot};
pub use peer::{is_trusted, true_client};
pub use tls::{TlsFault, TlsIdentity};
pub use workers::{Dispatch, Workers};

use listener::{Budgets, Rules};
use seats::Seats;

/// Sockets of one kind of listener that may be told at once that the limit is full.
const FAREWELLS: u32 = 256;
/// Most sockets open at the operator's door.
const ADMIN_SOCKETS: u32 = 64;

/// The certificates of the listeners.
#[derive(Clone, Default)]
pub struct Identities {
    /// Of `listen.https`.
    pub https: Option<Arc<TlsIdentity>>,
    /// Of the operator's door, where it speaks TLS.
    pub admin: Option<Arc<TlsIdentity>>,
}

/// An address of `listen.https` without a certificate.
#[derive(Debug, thiserror::Error)]
#[error("listen.https has {0}, and there is no listen.certificate with listen.private_key")]
pub struct NoCertificate(pub SocketAddr);

/// Every entrance of the gate, by whom it is for.
#[derive(Debug, Default)]
pub struct Entrances {
    /// For clients, plain and TLS.
    pub clients: Vec<Entrance>,
    /// For the operator.
    pub admin: Vec<Entrance>,
}

/// Joins bound sockets with their limits, deadlines and certificates.
///
/// # Errors
///
/// A TLS address without a certificate.
pub fn entrances(
    bound: Vec<BoundListener>,
    config: &config::Listen,
    identities: &Identities,
    witness: &Arc<dyn Witness>,
) -> Result<Entrances, NoCertificate> {
    let rules = Rules::new(config);
    let budget = |ceiling, farewells| Budgets {
        seats: Seats::new(ceiling),
        farewells: Seats::new(farewells),
    };
    let http = budget(config.max_connections_http, FAREWELLS);
    let https = budget(config.max_connections_https, FAREWELLS);
    let admin = budget(ADMIN_SOCKETS, 0);
    let mut entrances = Entrances::default();
    for one in bound {
        let (budgets, tls) = match one.role {
            Role::Http => (&http, None),
            Role::Https => {
                let identity = identities
                    .https
                    .clone()
                    .ok_or(NoCertificate(one.configured))?;
                (&https, Some(identity))
            }
            Role::Admin => (&admin, identities.admin.clone()),
        };
        let listener = Listener::new(
            (one.role, one.local),
            budgets.clone(),
            Arc::clone(&rules),
            tls,
            one.role != Role::Admin && config.proxy_protocol.contains(&one.configured),
            Arc::clone(witness),
        );
        let entrance = Entrance {
            listener,
            socket: one.socket,
        };
        match one.role {
            Role::Admin => entrances.admin.push(entrance),
            Role::Http | Role::Https => entrances.clients.push(entrance),
        }
    }
    Ok(entrances)
}
