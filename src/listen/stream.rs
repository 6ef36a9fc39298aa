//! The stream that Pingora reads and writes: a socket with its guard, its clocks and its owner's papers.
//!
//! When the engine drops it, by whatever path, the socket is left with the [`Connection`]; the server
//! of the connection closes it there in good order. So no answer is lost to a reset, also where the
//! engine just lets go.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    TimingDigest, UniqueID, UniqueIDType,
};
use pingora_http::ResponseHeader;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::alarm::Alarm;
use super::connection::Connection;
use super::early::Cause;
use super::frames::Frames;
use super::guard::{Guard, Reading};
use super::transport::Transport;

/// Longest time to flush and send FIN when the engine closes.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// What watches the bytes that come in.
enum Inbound {
    Http1(Box<Guard>),
    Http2(Box<Frames>),
}

impl Inbound {
    fn note_written(&mut self, written: &Poll<io::Result<usize>>) {
        if let (Self::Http2(frames), Poll::Ready(Ok(bytes))) = (self, written) {
            frames.wrote(*bytes);
        }
    }
}

/// A client's socket as Pingora sees it.
pub(super) struct Stream {
    /// Until it is dropped.
    transport: Option<Transport>,
    connection: Arc<Connection>,
    inbound: Inbound,
    alarm: Alarm,
    papers: Papers,
}

/// What Pingora asks of a stream for each request; made once.
struct Papers {
    id: UniqueIDType,
    proxy: Arc<ProxyDigest>,
    socket: Arc<SocketDigest>,
    tls: Option<Arc<SslDigest>>,
}

impl Papers {
    fn new(
        transport: &Transport,
        connection: &Arc<Connection>,
    ) -> Result<Self, Box<pingora_error::Error>> {
        let socket = SocketDigest::from_raw_fd(transport.fd());
        // Set now, so that it is the true client that the engine names. The cell is new, it takes them.
        drop(
            socket
                .peer_addr
                .set(Some(PingoraAddr::Inet(connection.peer()))),
        );
        drop(
            socket
                .local_addr
                .set(Some(PingoraAddr::Inet(connection.listener().local()))),
        );
        let tls = connection.tls().map(|tls| {
            Arc::new(SslDigest::new(
                tls.cipher,
                tls.version,
                None,
                None,
                Vec::new(),
            ))
        });
        Ok(Self {
            id: transport.fd(),
            // The engine's one slot for data of a connection is the answer of a CONNECT proxy.
            proxy: Arc::new(ProxyDigest::new(
                Box::new(ResponseHeader::build(200, Some(0))?),
                Some(Box::new(Arc::clone(connection))),
            )),
            socket: Arc::new(socket),
            tls,
        })
    }
}

impl Stream {
    /// The stream of a connection; HTTP/2 when TLS agreed on it.
    pub(super) fn new(
        mut transport: Transport,
        connection: Arc<Connection>,
    ) -> Result<Box<Self>, Box<pingora_error::Error>> {
        let rules = connection.listener().rules();
        let inbound = if connection.tls().is_some_and(|tls| tls.http2) {
            Inbound::Http2(Box::new(Frames::new(
                rules.header_timeout,
                rules.body_timeout,
            )))
        } else {
            transport.gather();
            Inbound::Http1(Box::new(Guard::new(rules)))
        };
        Ok(Box::new(Self {
            papers: Papers::new(&transport, &connection)?,
            transport: Some(transport),
            connection,
            inbound,
            alarm: Alarm::default(),
        }))
    }

    fn poll_frames(
        frames: &mut Frames,
        on: &mut Reading<'_>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let cut = match Pin::new(&mut *on.transport).poll_read(cx, buf) {
            Poll::Ready(read) => {
                let fresh = buf.filled().get(before..).unwrap_or_default();
                if frames.feed(fresh).is_ok() {
                    return Poll::Ready(read);
                }
                Cause::FrameFlood
            }
            Poll::Pending => {
                let Some(due) = frames.deadline() else {
                    return Poll::Pending;
                };
                ready!(on.alarm.poll(cx, due));
                Cause::FrameTimeout
            }
        };
        on.connection.report(None, cut);
        on.transport.eof = true;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(transport) = self.transport.take() {
            self.connection.leave(transport);
        }
    }
}

/// Most bytes of one read while a beginning is looked at.
const LITTLE: usize = 16 * 1024;

/// Reads into the beginning of the room that `buf` has.
fn read_little(
    buf: &mut ReadBuf<'_>,
    read: impl FnOnce(&mut ReadBuf<'_>) -> Poll<io::Result<()>>,
) -> Poll<io::Result<()>> {
    let mut little = ReadBuf::new(buf.initialize_unfilled_to(LITTLE.min(buf.remaining())));
    let outcome = read(&mut little);
    let filled = little.filled().len();
    buf.advance(filled);
    outcome
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let Some(transport) = this.transport.as_mut() else {
            return Poll::Ready(Ok(()));
        };
        let mut on = Reading {
            transport,
            connection: &this.connection,
            alarm: &mut this.alarm,
        };
        match &mut this.inbound {
            Inbound::Http1(guard) if this.connection.own_exchange().reads_little() => {
                read_little(buf, |little| guard.poll_read(&mut on, cx, little))
            }
            Inbound::Http1(guard) => guard.poll_read(&mut on, cx, buf),
            Inbound::Http2(frames) => Self::poll_frames(frames, &mut on, cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(transport) = this.transport.as_mut() else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        this.connection.note_write(buf);
        let written = Pin::new(transport).poll_write(cx, buf);
        this.inbound.note_written(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let Some(transport) = this.transport.as_mut() else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        this.connection
            .note_write(bufs.first().map_or(&[], |first| first));
        let written = Pin::new(transport).poll_write_vectored(cx, bufs);
        this.inbound.note_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.transport
            .as_ref()
            .is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut().transport.as_mut() {
            Some(transport) => Pin::new(transport).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut().transport.as_mut() {
            Some(transport) => transport.poll_half_close(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

#[async_trait]
impl Shutdown for Stream {
    /// Closes the sending side. The rest of the farewell follows when the engine has dropped the stream.
    async fn shutdown(&mut self) {
        if let Some(transport) = self.transport.as_mut() {
            let closed = timeout(CLOSE_TIME, poll_fn(|cx| transport.poll_half_close(cx))).await;
            transport.eof |= !matches!(closed, Ok(Ok(())));
        }
    }
}

impl UniqueID for Stream {
    fn id(&self) -> UniqueIDType {
        self.papers.id
    }
}

impl Ssl for Stream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.papers.tls.clone()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        let tls = self.connection.tls()?;
        Some(if tls.http2 { ALPN::H2 } else { ALPN::H1 })
    }
}

impl GetTimingDigest for Stream {
    /// Not asked for by anything in the gate, and a list would be made for every request.
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Stream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(Arc::clone(&self.papers.proxy))
    }
}

impl GetSocketDigest for Stream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(Arc::clone(&self.papers.socket))
    }
}

#[async_trait]
impl Peek for Stream {}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("listener", self.connection.listener())
            .field("peer", &self.connection.peer())
            .finish_non_exhaustive()
    }
}
