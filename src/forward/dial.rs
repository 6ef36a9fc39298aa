//! How one attempt at a request gets its connection: Pingora asks, the pool answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use pingora_core::connectors::L4Connect;
use pingora_core::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::VirtualSocketStream;
use pingora_error::{BError, Error, ErrorType, Result};

use super::ear::{Ear, Framing};
use super::fault::UpstreamFault;
use super::io::Io;
use super::lines::Lines;
use super::pool::{Checkout, Ticket};
use super::rest::Rest;
use super::upstream::Upstream;
use super::wire::Wire;
use crate::admit::SocketGroup;

/// One attempt to reach the upstream: Pingora's connector for it, and what the proxy's filters say of
/// it afterwards.
///
/// Made anew for each attempt, so that it also tells what became of that attempt.
#[derive(Debug)]
pub struct Dial {
    upstream: Arc<Upstream>,
    worker: usize,
    group: SocketGroup,
    complete: AtomicBool,
    connected: AtomicBool,
    down: AtomicBool,
    reused: AtomicBool,
    /// Longest silence of the upstream; zero: any.
    patience: Duration,
    upgraded: AtomicBool,
    timed_out: AtomicBool,
    /// What the [`Wire`] is to send behind the head.
    lines: Mutex<Lines>,
    /// The answer matters though nobody may wait for it.
    keeps_answer: AtomicBool,
    /// What is left of it, where nobody did.
    rest: Mutex<Option<Rest>>,
    /// What is kept of an answer that may be a refusal.
    ear: Ear,
    /// A handle to itself for the [`Wire`] it makes.
    this: std::sync::Weak<Self>,
}

impl Dial {
    pub(super) fn new(
        upstream: Arc<Upstream>,
        worker: usize,
        group: SocketGroup,
        patience: Option<Duration>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            upstream,
            worker,
            group,
            complete: AtomicBool::new(false),
            connected: AtomicBool::new(false),
            down: AtomicBool::new(false),
            reused: AtomicBool::new(false),
            patience: patience.unwrap_or_default(),
            upgraded: AtomicBool::new(false),
            timed_out: AtomicBool::new(false),
            lines: Mutex::default(),
            keeps_answer: AtomicBool::new(false),
            rest: Mutex::default(),
            ear: Ear::default(),
            this: this.clone(),
        })
    }

    /// Sends `lines` behind the request's head, which has not gone out yet.
    pub fn add_lines(&self, lines: Lines) {
        *self.lines.lock() = lines;
    }

    pub(super) fn take_lines(&self) -> Lines {
        std::mem::take(&mut *self.lines.lock())
    }

    /// The answer is wanted even if the client goes away before it: then [`Dial::take_rest`] has it.
    pub fn keep_answer(&self) {
        self.keeps_answer.store(true, Ordering::Release);
    }

    pub(super) fn keeps_answer(&self) -> bool {
        self.keeps_answer.load(Ordering::Acquire)
    }

    /// The whole body of an answer with a status that refusals have, while Pingora is still at its head.
    /// `None` where it is too long to be kept, breaks off, or does not come.
    pub async fn refusal_body(&self, framing: Framing) -> Option<Bytes> {
        self.ear.body(framing).await
    }

    pub(super) fn ear(&self) -> &Ear {
        &self.ear
    }

    /// Statuses of answers that may be refusals.
    pub(super) fn refusals(&self) -> &[u16] {
        self.upstream.refusals()
    }

    /// The connection of an answer under way that nobody waits for any more.
    #[must_use]
    pub fn take_rest(&self) -> Option<Rest> {
        self.rest.lock().take()
    }

    pub(super) fn leave(&self, rest: Rest) {
        *self.rest.lock() = Some(rest);
    }

    /// The response, body included, has come whole: the connection may carry another request.
    ///
    /// Not for upgraded connections, which never may.
    pub fn response_complete(&self) {
        self.complete.store(true, Ordering::Release);
    }

    /// The connection is a tunnel from here on: its silences mean nothing.
    pub fn upgraded(&self) {
        self.upgraded.store(true, Ordering::Release);
    }

    /// Whether the upstream was silent for longer than it may.
    #[must_use]
    pub fn is_timed_out(&self) -> bool {
        self.timed_out.load(Ordering::Acquire)
    }

    pub(super) fn note_timed_out(&self) {
        self.timed_out.store(true, Ordering::Release);
    }

    /// Longest silence; none for what may be silent.
    pub(super) fn patience(&self) -> Option<Duration> {
        let limited = !self.patience.is_zero() && !self.upgraded.load(Ordering::Acquire);
        limited.then_some(self.patience)
    }

    /// Whether a connection was had at all.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// Whether no connection was had because the upstream is down.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::Acquire)
    }

    /// Whether the connection had carried another request before.
    #[must_use]
    pub fn is_reused(&self) -> bool {
        self.reused.load(Ordering::Acquire)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    pub(super) fn give_back(&self, io: Io, ticket: Ticket) {
        self.upstream.pool().put(self.worker, io, ticket);
    }

    async fn connection(&self) -> std::result::Result<(Io, Ticket), UpstreamFault> {
        let pool = self.upstream.pool();
        // The usual case needs no deadline, and so no clock.
        let found = match pool.checkout(self.worker, self.group) {
            Checkout::Full(_) => {
                let deadline = tokio::time::Instant::now() + self.upstream.connect_timeout();
                pool.checkout_by(self.worker, self.group, deadline).await
            }
            found => found,
        };
        match found {
            Checkout::Reused(io, ticket) => {
                self.reused.store(true, Ordering::Release);
                Ok((io, ticket))
            }
            Checkout::Vacant(ticket) => match self.upstream.connect(self.group).await {
                Ok(io) => Ok((io, ticket)),
                Err(failure) => {
                    self.down.store(failure.is_down, Ordering::Release);
                    Err(failure.fault)
                }
            },
            Checkout::Full(_) => Err(UpstreamFault::NoSocket),
        }
    }
}

#[async_trait]
impl L4Connect for Dial {
    /// The address Pingora hands over is a placeholder: the upstream's names are resolved here.
    async fn connect(&self, _: &PingoraAddr) -> Result<Stream> {
        let Some(this) = self.this.upgrade() else {
            return Err(Error::new(ErrorType::InternalError));
        };
        let (io, ticket) = self.connection().await.map_err(|fault| {
            self.upstream.note_fault(fault);
            connect_error(fault)
        })?;
        self.connected.store(true, Ordering::Release);
        let wire = Wire::new(io, ticket, this);
        Ok(Stream::from(VirtualSocketStream::new(Box::new(wire))))
    }
}

#[expect(
    clippy::unnecessary_box_returns,
    reason = "Pingora passes its errors boxed"
)]
fn connect_error(fault: UpstreamFault) -> BError {
    let kind = match fault {
        UpstreamFault::ConnectTimeout => ErrorType::ConnectTimedout,
        UpstreamFault::Tls => ErrorType::TLSHandshakeFailure,
        UpstreamFault::NoSocket => ErrorType::ConnectNoRoute,
        _ => ErrorType::ConnectError,
    };
    Error::explain(kind, fault.detail())
}
