//! The socket that Pingora holds while it carries one request, and how it comes back whole.
//!
//! Pingora drops its connection after each request; [`Wire`] then decides whether the socket under it
//! is fit for another one. Two things must have happened: the proxy's filters saw the end of the
//! response ([`Dial::response_complete`]), and Pingora, having judged the connection reusable, looked
//! whether it is still quiet, which it does by reading once more. That read is answered with an end
//! of file, so that Pingora lets go at once, and the socket goes to the pool instead.
//! Everything else (an error, a shutdown, a response cut short, an upgrade) closes it; but for an answer
//! that is wanted though its client is gone, which [`super::rest`] reads on.
//!
//! On the way up it puts the gate's own header lines behind the head that Pingora writes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pingora_core::protocols::l4::virt::{VirtualSockOpt, VirtualSocket};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::dial::Dial;
use super::ear::Attention;
use super::io::Io;
use super::pool::{Ticket, part};
use super::rest::{Heard, Rest};

/// One connection on loan to Pingora.
#[derive(Debug)]
pub(super) struct Wire {
    /// Both present until dropped.
    io: Option<Io>,
    ticket: Option<Ticket>,
    dial: Arc<Dial>,
    fate: Fate,
    outbox: Outbox,
    /// Since when the upstream has neither said nor taken anything.
    silent_since: Option<Instant>,
    /// What the upstream has said, where that matters to others than the client.
    heard: Option<Heard>,
    /// Whether it may be a refusal.
    attention: Attention,
    /// Bytes that went up behind the head.
    sent: u64,
}

/// The request's head, with the gate's own lines, on its way out.
#[derive(Debug)]
enum Outbox {
    /// Pingora has not written it yet.
    Awaited,
    /// So much of it is sent.
    Sending { head: Vec<u8>, sent: usize },
    /// It is out: what follows is the body.
    Sent,
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
            heard: dial.keeps_answer().then(Heard::default),
            attention: if dial.refusals().is_empty() {
                Attention::None
            } else {
                Attention::Status
            },
            sent: 0,
            dial,
            fate: Fate::Busy,
            outbox: Outbox::Awaited,
            silent_since: None,
        }
    }

    fn io(&mut self) -> io::Result<Pin<&mut Io>> {
        self.io
            .as_mut()
            .map(Pin::new)
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// What came of a read or write, or that the upstream has been silent for too long.
    fn timed<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.silent_since = None;
            return outcome;
        }
        let Some(patience) = self.dial.patience() else {
            return outcome;
        };
        let since = *self.silent_since.get_or_insert_with(Instant::now);
        let Some(io) = self.io.as_mut() else {
            return outcome;
        };
        ready!(io.poll_late(cx, since + patience));
        self.dial.note_timed_out();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn count(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            let bytes = u64::try_from(*bytes).unwrap_or(u64::MAX);
            self.sent = self.sent.saturating_add(bytes);
        }
    }

    /// Keeps what a read brought, where it may be of a refusal.
    fn overhear(&mut self, read: &Poll<io::Result<()>>, bytes: &[u8]) {
        let is_over = match read {
            Poll::Pending => return,
            Poll::Ready(read) => read.is_err() || bytes.is_empty(),
        };
        if self.attention == Attention::Status {
            self.attention = Attention::after(bytes, self.dial.refusals());
        }
        if self.attention == Attention::All {
            self.dial.ear().hear(if is_over { &[] } else { bytes });
        }
    }

    /// Takes the head that Pingora writes, whole and at once, and sends it with the lines of the gate.
    fn take_head(&mut self, head: &[u8]) -> io::Result<()> {
        let lines = self.dial.take_lines();
        let head = lines.join(head).ok_or(io::ErrorKind::InvalidData)?;
        self.outbox = Outbox::Sending { head, sent: 0 };
        Ok(())
    }

    /// Sends what is left of the head.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Outbox::Sending { head, sent } = &mut self.outbox {
            let io = self.io.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            let left = head.get(*sent..).unwrap_or_default();
            if left.is_empty() {
                self.outbox = Outbox::Sent;
                break;
            }
            match ready!(Pin::new(io).poll_write(cx, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => *sent += more,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let (Some(io), Some(ticket)) = (self.io.take(), self.ticket.take()) else {
            return;
        };
        let unfinished = self.fate == Fate::Busy && !self.dial.is_complete();
        let waits = unfinished && !self.dial.is_timed_out();
        let heard = self.heard.take().filter(|heard| waits && heard.goes_on());
        match heard {
            _ if self.fate == Fate::Returned => self.dial.give_back(io, ticket),
            Some(heard) => self.dial.leave(Rest::new(io, ticket, heard, self.sent)),
            None => part(io, ticket),
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
        let before = buf.filled().len();
        let read = wire.io()?.poll_read(cx, buf);
        if let Some(heard) = &mut wire.heard {
            heard.note(&read, buf.filled().get(before..).unwrap_or_default());
        }
        if wire.attention != Attention::None {
            wire.overhear(&read, buf.filled().get(before..).unwrap_or_default());
        }
        wire.timed(cx, read)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        if matches!(wire.outbox, Outbox::Awaited) {
            wire.take_head(buf)?;
            // What does not go out now goes with the flush that follows every head.
            return match wire.poll_head(cx) {
                Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                _ => Poll::Ready(Ok(buf.len())),
            };
        }
        let sent = wire.poll_head(cx);
        ready!(wire.timed(cx, sent))?;
        let written = wire.io()?.poll_write(cx, buf);
        wire.count(&written);
        wire.timed(cx, written)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let sent = wire.poll_head(cx);
        ready!(wire.timed(cx, sent))?;
        let flushed = wire.io()?.poll_flush(cx);
        wire.timed(cx, flushed)
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
        let wire = self.get_mut();
        if matches!(wire.outbox, Outbox::Sent) {
            let written = wire.io()?.poll_write_vectored(cx, bufs);
            wire.count(&written);
            return wire.timed(cx, written);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty());
        Pin::new(wire).poll_write(cx, first.map_or(&[], |buf| buf))
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

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
