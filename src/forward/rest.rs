//! What is left of an answer whose client is gone: read to its end all the same.
//!
//! Pingora gives a request up as soon as its client is gone, and drops the connection to the upstream
//! with it. A login may have opened a session by then, whose token stands in the answer. So the
//! [`super::wire::Wire`] of a login keeps what was heard, and leaves its socket here instead of closing it.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pingora_core::protocols::http::client::HttpSession;
use pingora_core::protocols::http::v1::client::HttpSession as Http1;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket, VirtualSocketStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::io::Io;
use super::pool::{Ticket, part};
use super::send::{OwnAnswer, SendError, read_answer};

/// Most bytes of an answer that are kept; of a longer one nothing is.
const MOST: usize = 128 * 1024;

/// What was heard of an answer so far. It may hold a token: `Debug` does not show it.
#[derive(Default)]
pub(super) struct Heard {
    bytes: Vec<u8>,
    /// The upstream said that nothing more comes, or too much was said.
    over: bool,
}

impl Heard {
    /// Keeps what a read brought.
    pub(super) fn note(&mut self, read: &Poll<io::Result<()>>, bytes: &[u8]) {
        match read {
            Poll::Pending => {}
            Poll::Ready(Ok(())) if !bytes.is_empty() && self.bytes.len() + bytes.len() <= MOST => {
                self.bytes.extend_from_slice(bytes);
            }
            Poll::Ready(_) => self.over = true,
        }
    }

    /// Whether more may come.
    pub(super) const fn goes_on(&self) -> bool {
        !self.over
    }
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Heard({} bytes)", self.bytes.len())
    }
}

/// A connection with an answer under way that nobody waits for. Dropped, it closes.
#[derive(Debug)]
pub struct Rest {
    /// Both present until dropped.
    io: Option<Io>,
    ticket: Option<Ticket>,
    heard: Heard,
    /// How much of `heard` was read again.
    again: usize,
    sent: u64,
}

impl Rest {
    pub(super) const fn new(io: Io, ticket: Ticket, heard: Heard, sent: u64) -> Self {
        Self {
            io: Some(io),
            ticket: Some(ticket),
            heard,
            again: 0,
            sent,
        }
    }

    /// Bytes of the request's body, and of what frames it, that went up.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// The whole answer, from its first byte; waits `within` for it.
    ///
    /// # Errors
    /// [`SendError`] when it does not come, or has more than `most` bytes of body.
    pub async fn answer(self, within: Duration, most: usize) -> Result<OwnAnswer, SendError> {
        let stream = Stream::from(VirtualSocketStream::new(Box::new(self)));
        let mut session = HttpSession::H1(Http1::new(Box::new(stream)));
        timeout(within, read_answer(&mut session, most))
            .await
            .unwrap_or(Err(SendError::Late(within)))
    }

    fn io(&mut self) -> io::Result<Pin<&mut Io>> {
        let io = self.io.as_mut().map(Pin::new);
        io.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if let (Some(io), Some(ticket)) = (self.io.take(), self.ticket.take()) {
            part(io, ticket);
        }
    }
}

impl AsyncRead for Rest {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = self.get_mut();
        let heard = rest.heard.bytes.get(rest.again..).unwrap_or_default();
        if heard.is_empty() {
            return rest.io()?.poll_read(cx, buf);
        }
        let fits = heard.len().min(buf.remaining());
        buf.put_slice(heard.get(..fits).unwrap_or_default());
        rest.again += fits;
        Poll::Ready(Ok(()))
    }
}

/// Nothing more is written: the request is whole.
impl AsyncWrite for Rest {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().io()?.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io()?.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().io()?.poll_shutdown(cx)
    }
}

impl VirtualSocket for Rest {
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}
