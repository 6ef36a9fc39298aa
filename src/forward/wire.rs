//! The socket that Pingora holds while it carries one request, and how it comes back whole.
//!
//! Pingora drops its connection after each request; [`Wire`] then decides whether the socket under it
//! is fit for another one. Two things must have happened: the proxy's filters saw the end of the
//! response ([`Dial::response_complete`]), and Pingora, having judged the connection reusable, looked
//! whether it is still quiet, which it does by reading once more. That read is answered with an end
//! of file, so that Pingora lets go at once, and the socket goes to the pool instead.
//! Everything else (an error, a shutdown, a response cut short, an upgrade) closes it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::dial::Dial;
use super::io::Io;
use super::pool::{Ticket, part};

/// One connection on loan to Pingora.
#[derive(Debug)]
pub(super) struct Wire {
    /// Both present until dropped.
    io: Option<Io>,
    ticket: Option<Ticket>,
    dial: Arc<Dial>,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Carrying a request.
    Busy,
    /// Pingora asked whether it is quiet after a complete response: it goes to the pool.
    Returned,
    /// Shut down: it closes.
    Spent,
}

impl Wire {
    pub(super) fn new(io: Io, ticket: Ticket, dial: Arc<Dial>) -> Self {
        Self {
            io: Some(io),
            ticket: Some(ticket),
            dial,
            fate: Fate::Busy,
        }
    }

    fn io(&mut self) -> io::Result<Pin<&mut Io>> {
        self.io
            .as_mut()
            .map(Pin::new)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let (Some(io), Some(ticket)) = (self.io.take(), self.ticket.take()) else {
            return;
        };
        if self.fate == Fate::Returned {
            self.dial.give_back(io, ticket);
        } else {
            part(io, ticket);
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if wire.dial.is_complete() {
            if wire.fate == Fate::Busy {
                wire.fate = Fate::Returned;
            }
            return Poll::Ready(Ok(()));
        }
        match wire.io() {
            Ok(io) => io.poll_read(cx, buf),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut().io() {
            Ok(io) => io.poll_write(cx, buf),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut().io() {
            Ok(io) => io.poll_flush(cx),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        wire.fate = Fate::Spent;
        match wire.io() {
            Ok(io) => io.poll_shutdown(cx),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut().io() {
            Ok(io) => io.poll_write_vectored(cx, bufs),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }
}

impl VirtualSocket for Wire {
    /// Done once at connect, by [`Dial`]: a pooled socket would pay the system call each time.
    fn set_socket_option(&self, _: VirtualSockOpt) -> io::Result<()> {
        Ok(())
    }
}
