//! The socket itself, plain or under TLS, and how it is closed so that the last answer arrives.

use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::listener::Holder;

/// Longest time to get the end of an answer out.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// How long, through which silence, and how many bytes a closed connection is still read from. A
/// client that writes all of its request before it reads must come to its end, if that is not far.
const LINGER_TIME: Duration = Duration::from_secs(5);
const LINGER_PAUSE: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 16 * 1024 * 1024;
const LINGER_CHUNK: usize = 16 * 1024;
/// What is gathered before it is sent, at most. A head and a short body go out as one segment.
const OUTBOX_BYTES: usize = 4 * 1024;
const OUTBOX_FIRST: usize = 1024;

/// A socket and what it holds of the limits. They go together: the seat is given back when, and only
/// when, the socket closes.
#[derive(Debug)]
pub(super) struct Transport {
    io: Io,
    /// Written and not sent yet; empty, and without memory, between answers.
    outbox: Vec<u8>,
    /// Whether writes are gathered until they are flushed. HTTP/2 gathers by itself.
    gathers: bool,
    /// The client has sent its last byte.
    pub(super) eof: bool,
    half_closed: bool,
    /// After `io`, so that the socket closes first.
    _holder: Holder,
}

/// A socket, plain or under TLS.
#[derive(Debug)]
pub(super) enum Io {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS, the handshake done.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Io {
    /// The TCP socket underneath.
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    fn tcp_mut(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_mut().0,
        }
    }
}

impl Transport {
    /// Binds a socket to what it holds.
    pub(super) fn new(io: Io, holder: Holder) -> Self {
        Self {
            io,
            outbox: Vec::new(),
            gathers: false,
            eof: false,
            half_closed: false,
            _holder: holder,
        }
    }

    /// From now on writes are gathered until they are flushed.
    pub(super) fn gather(&mut self) {
        self.gathers = true;
    }

    /// Sends what was gathered.
    fn poll_outbox(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            let sent = match &mut self.io {
                Io::Plain(tcp) => Pin::new(tcp).poll_write(cx, &self.outbox),
                Io::Tls(tls) => Pin::new(tls).poll_write(cx, &self.outbox),
            };
            match ready!(sent)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent if sent >= self.outbox.len() => self.outbox = Vec::new(),
                sent => drop(self.outbox.drain(..sent)),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes `bytes` into the outbox, if they are to be gathered and fit.
    fn gathered(&mut self, bytes: &[u8]) -> bool {
        let fits = self.gathers && self.outbox.len() + bytes.len() <= OUTBOX_BYTES;
        if fits {
            self.outbox.reserve(bytes.len().max(OUTBOX_FIRST));
            self.outbox.extend_from_slice(bytes);
        }
        fits
    }

    /// The number of the socket.
    pub(super) fn fd(&self) -> i32 {
        self.io.tcp().as_raw_fd()
    }

    /// Closes the sending side: flushes, says goodbye under TLS, sends FIN. Once.
    pub(super) fn poll_half_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.half_closed {
            return Poll::Ready(Ok(()));
        }
        let closed = Pin::new(self).poll_shutdown(cx);
        if let Poll::Ready(Err(error)) = closed {
            return Poll::Ready(Err(error));
        }
        closed
    }

    /// Closes the socket after an answer: sends FIN, then reads and drops what the client still sends,
    /// within bounds. Closing at once would answer late bytes with a reset, and a reset makes the client
    /// drop the answer it has not read yet.
    pub(super) async fn linger(mut self) {
        if self.eof {
            return;
        }
        if !self.half_closed && !matches!(timeout(CLOSE_TIME, self.shutdown()).await, Ok(Ok(()))) {
            return;
        }
        let drain = async {
            let mut chunk = vec![0; LINGER_CHUNK];
            let mut left = LINGER_BYTES;
            while left > 0 {
                match timeout(LINGER_PAUSE, self.io.tcp_mut().read(&mut chunk)).await {
                    Ok(Ok(read)) if read > 0 => left = left.saturating_sub(read),
                    _ => return,
                }
            }
        };
        // Either way the socket closes now.
        drop(timeout(LINGER_TIME, drain).await);
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        let read = match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Io::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        };
        if let Poll::Ready(outcome) = &read {
            // An error ends the client's side as well: there is nobody left to wait for.
            self.eof |= outcome.is_err() || (room > 0 && buf.filled().len() == before);
        }
        read
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.gathered(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(self.poll_outbox(cx))?;
        match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Io::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(first) = bufs.iter().find(|buf| !buf.is_empty())
            && self.gathered(first)
        {
            return Poll::Ready(Ok(first.len()));
        }
        ready!(self.poll_outbox(cx))?;
        match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Io::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(tcp) => tcp.is_write_vectored(),
            Io::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_outbox(cx))?;
        match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Io::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // What cannot be sent any more does not keep the socket open.
        drop(ready!(self.poll_outbox(cx)));
        let closed = match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Io::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        };
        self.half_closed |= closed.is_ready();
        closed
    }
}
