//! What ended before the first station saw it: reported, so that it is counted like every other request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

/// Told of every connection or request that ended before the proxy's first hook ran.
///
/// Called on a worker thread, in the middle of serving: it must not block.
pub trait Witness: Send + Sync {
    /// One such end.
    fn ended_early(&self, end: EarlyEnd);
}

/// A connection or request that ended before the proxy's first hook ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlyEnd {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// The client, after the PROXY protocol.
    pub peer: SocketAddr,
    /// The status that was answered, if any could be.
    pub status: Option<u16>,
    /// Why it ended.
    pub cause: Cause,
    /// Over TLS.
    pub tls: bool,
    /// When.
    pub when: SystemTime,
}

/// Why a request ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The request head was not complete in `header_timeout`: 408.
    HeadTimeout,
    /// The request head is larger than `max_header_bytes`, or has too many fields: 431.
    HeadTooLarge,
    /// The request head breaks HTTP: 400. Says what is wrong.
    HeadMalformed(&'static str),
    /// The HTTP engine itself refused a head that passed our checks.
    HeadRefused,
    /// The client hung up inside a request head.
    ClientGone,
    /// The TLS handshake was not complete in `handshake_timeout`.
    HandshakeTimeout,
    /// The TLS handshake failed.
    HandshakeFailed,
    /// The PROXY header is missing, malformed, late, or comes from nobody we trust.
    ProxyProtocol(&'static str),
    /// The HTTP/2 preface did not come in `header_timeout`, or is none.
    Preface,
    /// An HTTP/2 frame or header block was not complete in time.
    FrameTimeout,
    /// A flood of HTTP/2 frames that move nothing: resets, pings, settings and the like.
    FrameFlood,
}

impl Cause {
    /// The word used in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HeadTimeout => "head_timeout",
            Self::HeadTooLarge => "head_too_large",
            Self::HeadMalformed(_) => "head_malformed",
            Self::HeadRefused => "head_refused",
            Self::ClientGone => "client_gone",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HandshakeFailed => "handshake_failed",
            Self::ProxyProtocol(_) => "proxy_protocol",
            Self::Preface => "preface",
            Self::FrameTimeout => "frame_timeout",
            Self::FrameFlood => "frame_flood",
        }
    }

    /// What exactly was wrong, where there is more to say.
    #[must_use]
    pub const fn detail(self) -> Option<&'static str> {
        match self {
            Self::HeadMalformed(detail) | Self::ProxyProtocol(detail) => Some(detail),
            _ => None,
        }
    }
}
