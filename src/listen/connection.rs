//! One client connection, as the proxy's hooks see it and as the socket and its server share it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use parking_lot::Mutex;
use pingora_core::protocols::http::ServerSession;

use super::early::Cause;
use super::exchange::Exchange;
use super::listener::{Listener, Role};
use super::transport::Transport;

/// The connection limit that a socket stood over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Its name: `connections_http` or `connections_https`.
    pub limit: &'static str,
    /// The ceiling, sockets.
    pub ceiling: u32,
    /// Sockets that held a seat then.
    pub in_use: u32,
}

/// What TLS agreed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFacts {
    /// `TLSv1_2` or `TLSv1_3`.
    pub version: &'static str,
    /// The cipher suite, IANA's name.
    pub cipher: &'static str,
    /// HTTP/2 rather than HTTP/1.1.
    pub http2: bool,
    /// The name the client asked for.
    pub server_name: Option<Box<str>>,
    /// The client's own certificate, DER, verified; the leaf only.
    pub client_certificate: Option<Box<[u8]>>,
}

/// One client connection.
#[derive(Debug)]
pub struct Connection {
    listener: Arc<Listener>,
    peer: SocketAddr,
    /// Its address as text: every request of the connection sends it up.
    peer_text: Box<str>,
    socket_peer: SocketAddr,
    tls: Option<TlsFacts>,
    refused: Option<Refused>,
    /// The exchange under way on HTTP/1, one at a time.
    exchange: Arc<Exchange>,
    /// HTTP/1: the bytes that come next are a new head.
    head_expected: AtomicBool,
    /// HTTP/1: a valid head has been handed on.
    head_passed: AtomicBool,
    /// How the request under way ended has been reported.
    reported: AtomicBool,
    /// Something was written since the last head began.
    answered: AtomicBool,
    /// The status of an answer that no hook had a part in.
    engine_status: AtomicU16,
    /// The socket, left behind by the stream when the engine is done with it.
    estate: Mutex<Option<Transport>>,
}

/// Who is at the other end, and how.
pub(super) struct Facts {
    pub(super) peer: SocketAddr,
    pub(super) socket_peer: SocketAddr,
    pub(super) tls: Option<TlsFacts>,
    pub(super) refused: Option<Refused>,
}

impl Connection {
    pub(super) fn new(listener: Arc<Listener>, facts: Facts) -> Arc<Self> {
        let rules = listener.rules();
        let exchange = Arc::new(Exchange::new(rules.body_timeout, rules.body_deadline));
        Arc::new(Self {
            listener,
            peer_text: facts.peer.ip().to_string().into(),
            peer: facts.peer,
            socket_peer: facts.socket_peer,
            tls: facts.tls,
            refused: facts.refused,
            exchange,
            head_expected: AtomicBool::new(false),
            head_passed: AtomicBool::new(false),
            reported: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            engine_status: AtomicU16::new(0),
            estate: Mutex::new(None),
        })
    }

    /// The connection that a session came over. None only for sessions that are not ours.
    #[must_use]
    pub fn of(session: &ServerSession) -> Option<&Arc<Self>> {
        session
            .digest()?
            .proxy_digest
            .as_ref()?
            .user_data
            .as_ref()?
            .downcast_ref()
    }

    /// The client: as the PROXY header of a trusted proxy says, else as the socket says.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The client's address as text.
    #[must_use]
    pub fn peer_text(&self) -> &str {
        &self.peer_text
    }

    /// Who connected, not looking through a PROXY header.
    #[must_use]
    pub fn socket_peer(&self) -> SocketAddr {
        self.socket_peer
    }

    /// The listener it came in by.
    #[must_use]
    pub fn listener(&self) -> &Arc<Listener> {
        &self.listener
    }

    /// What TLS agreed on; none on a plain listener.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.tls.as_ref()
    }

    /// Set when the connection limit was full: the only answer is 503, and the socket closes after it.
    #[must_use]
    pub fn refused(&self) -> Option<&Refused> {
        self.refused.as_ref()
    }

    /// The request that the caller serves: call from a hook, that is, from the task that serves it.
    #[must_use]
    pub fn exchange(&self) -> Arc<Exchange> {
        Exchange::current().unwrap_or_else(|| Arc::clone(&self.exchange))
    }

    pub(super) fn own_exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// HTTP/1: the next bytes are a new head.
    pub(super) fn next_head(&self) {
        self.exchange.renew();
        self.head_passed.store(false, Ordering::Relaxed);
        self.reported.store(false, Ordering::Relaxed);
        self.answered.store(false, Ordering::Relaxed);
        self.engine_status.store(0, Ordering::Relaxed);
        self.head_expected.store(true, Ordering::Relaxed);
    }

    pub(super) fn take_head_expected(&self) -> bool {
        self.head_expected.load(Ordering::Relaxed)
            && self.head_expected.swap(false, Ordering::Relaxed)
    }

    pub(super) fn head_passed(&self) {
        self.head_passed.store(true, Ordering::Relaxed);
    }

    /// Notes what is written: that something was, and, as long as no hook ran, with which status.
    pub(super) fn note_write(&self, bytes: &[u8]) {
        self.answered.store(true, Ordering::Relaxed);
        if !self.exchange.has_begun() && self.engine_status.load(Ordering::Relaxed) == 0 {
            self.engine_status
                .store(status_of(bytes), Ordering::Relaxed);
        }
    }

    pub(super) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// HTTP/1: the engine is done with a request; one that no hook saw is reported.
    pub(super) fn request_over(&self) {
        if self.exchange.has_begun()
            || self.reported.load(Ordering::Relaxed)
            || self.listener.role() == Role::Admin
        {
            return;
        }
        let status = self.engine_status.load(Ordering::Relaxed);
        // The engine may also refuse a head of which only a part has come.
        if status != 0 || self.head_passed.load(Ordering::Relaxed) {
            self.report((status != 0).then_some(status), Cause::HeadRefused);
        }
    }

    pub(super) fn report(&self, status: Option<u16>, cause: Cause) {
        self.reported.store(true, Ordering::Relaxed);
        self.listener.report(self.peer, status, cause);
    }

    pub(super) fn leave(&self, transport: Transport) {
        *self.estate.lock() = Some(transport);
    }

    pub(super) fn take_estate(&self) -> Option<Transport> {
        self.estate.lock().take()
    }
}

/// The status code in the first bytes of an HTTP/1 answer; 0 when there is none.
fn status_of(bytes: &[u8]) -> u16 {
    bytes
        .strip_prefix(b"HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}
