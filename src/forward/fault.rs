//! What went wrong on the way up, by the word that metrics and logs use.

use std::sync::atomic::{AtomicU64, Ordering};

/// A failure between the gate and the upstream (label `reason` of `tidegate_upstream_errors_total`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum UpstreamFault {
    /// The name did not resolve.
    Resolve,
    /// No address accepted the connection.
    Connect,
    /// Connecting, TLS included, took longer than `connect_timeout`.
    ConnectTimeout,
    /// The TLS handshake failed, its certificate included.
    Tls,
    /// No place for another socket came free within `connect_timeout`.
    NoSocket,
    /// The upstream was silent for longer than `response_timeout`.
    ResponseTimeout,
    /// The connection broke before the response was whole.
    Broken,
    /// The answer was not HTTP.
    Malformed,
    /// The response was larger than `response_bytes` allows.
    TooLarge,
}

impl UpstreamFault {
    /// Every fault, in the order of its index.
    pub const ALL: [Self; 9] = [
        Self::Resolve,
        Self::Connect,
        Self::ConnectTimeout,
        Self::Tls,
        Self::NoSocket,
        Self::ResponseTimeout,
        Self::Broken,
        Self::Malformed,
        Self::TooLarge,
    ];

    /// The word used in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::NoSocket => "no_socket",
            Self::ResponseTimeout => "response_timeout",
            Self::Broken => "broken",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
        }
    }

    /// The status the client gets when nothing was answered yet: 504 where time ran out, 503 where
    /// the gate had no socket, else 502 (RFC 9110 section 15.6).
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::ConnectTimeout | Self::ResponseTimeout => 504,
            Self::NoSocket => 503,
            _ => 502,
        }
    }

    /// A sentence for the client.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Resolve => "the name of the upstream does not resolve",
            Self::Connect => "the upstream does not accept connections",
            Self::ConnectTimeout => "connecting to the upstream took too long",
            Self::Tls => "the TLS handshake with the upstream failed",
            Self::NoSocket => "no connection to the upstream came free in time",
            Self::ResponseTimeout => "the upstream was silent for too long",
            Self::Broken => "the upstream closed the connection before its answer was whole",
            Self::Malformed => "the upstream's answer is not HTTP",
            Self::TooLarge => "the upstream's answer is larger than response_bytes allows",
        }
    }
}

/// How often each fault happened.
#[derive(Debug, Default)]
pub(super) struct FaultCounts([AtomicU64; UpstreamFault::ALL.len()]);

impl FaultCounts {
    pub(super) fn add(&self, fault: UpstreamFault) {
        if let Some(count) = self.0.get(fault as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn read(&self) -> Vec<(&'static str, u64)> {
        UpstreamFault::ALL
            .iter()
            .zip(&self.0)
            .map(|(fault, count)| (fault.as_str(), count.load(Ordering::Relaxed)))
            .collect()
    }
}
