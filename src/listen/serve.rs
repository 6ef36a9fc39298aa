//! One socket from its worker's hands to its close: PROXY header, TLS handshake, HTTP, farewell.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pingora_core::apps::HttpServerApp;
use pingora_core::server::ShutdownWatch;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::accept::Arrival;
use super::connection::{Connection, Facts, TlsFacts};
use super::early::Cause;
use super::listener::{Holder, Listener, RefusedBecause};
use super::stream::Stream;
use super::tls::TlsIdentity;
use super::transport::{Io, Transport};
use super::{proxy_protocol, serve_h1, serve_h2};

/// Longest life of a socket over the limit, from accept to close.
const FAREWELL_LIFE: Duration = Duration::from_secs(5);

/// Serves one socket to its end.
pub(super) async fn serve<A>(arrival: Arrival, app: Arc<A>, shutdown: ShutdownWatch)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let farewell = arrival.refused.is_some();
    let service = Box::pin(receive(arrival, app, shutdown));
    if farewell {
        drop(timeout(FAREWELL_LIFE, service).await);
    } else {
        service.await;
    }
}

async fn receive<A>(arrival: Arrival, app: Arc<A>, shutdown: ShutdownWatch)
where
    A: HttpServerApp + Send + Sync + 'static,
{
    let Arrival {
        socket,
        peer: socket_peer,
        refused,
        listener,
        holder,
    } = arrival;
    let Ok(mut socket) = TcpStream::from_std(socket) else {
        return;
    };
    let Some(peer) = true_peer(&mut socket, socket_peer, &listener).await else {
        return;
    };
    let Some((io, tls)) = secure(socket, peer, &listener).await else {
        return;
    };
    let facts = Facts {
        peer,
        socket_peer,
        tls,
        refused,
    };
    converse(io, holder, Connection::new(listener, facts), app, shutdown).await;
}

async fn converse<A>(
    io: Io,
    holder: Holder,
    connection: Arc<Connection>,
    app: Arc<A>,
    shutdown: ShutdownWatch,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    // Before the stream, so that it goes after it.
    let _closes = Closes(Arc::clone(&connection));
    let stream = match Stream::new(Transport::new(io, holder), Arc::clone(&connection)) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::error!(%error, "cannot serve a connection");
            return;
        }
    };
    if connection.tls().is_some_and(|tls| tls.http2) {
        Box::pin(serve_h2::serve(stream, &connection, app, shutdown)).await;
    } else {
        serve_h1::serve(stream, &connection, app, shutdown).await;
    }
    // Where nothing was said since the last answer, a client has nothing to lose by a plain close.
    if let Some(transport) = connection.take_estate()
        && connection.has_answered()
    {
        Box::pin(transport.linger()).await;
    }
}

/// Closes the socket when the service is cut short, whoever else still holds the connection.
struct Closes(Arc<Connection>);

impl Drop for Closes {
    fn drop(&mut self) {
        drop(self.0.take_estate());
    }
}

/// Who connected; looks through the PROXY header where one is expected.
async fn true_peer(
    socket: &mut TcpStream,
    socket_peer: SocketAddr,
    listener: &Listener,
) -> Option<SocketAddr> {
    if !listener.expects_proxy_protocol() {
        return Some(socket_peer);
    }
    let read = if listener.trusts(socket_peer.ip()) {
        proxy_protocol::read(socket, listener.rules().header_timeout).await
    } else {
        Err("the peer is no trusted proxy")
    };
    match read {
        Ok(told) => Some(told.map_or(socket_peer, |told| {
            SocketAddr::new(told.ip().to_canonical(), told.port())
        })),
        Err(why) => {
            listener.count_refused(RefusedBecause::ProxyProtocol);
            listener.report(socket_peer, None, Cause::ProxyProtocol(why));
            None
        }
    }
}

/// The TLS handshake, on listeners that have it.
async fn secure(
    socket: TcpStream,
    peer: SocketAddr,
    listener: &Listener,
) -> Option<(Io, Option<TlsFacts>)> {
    let Some(identity) = listener.tls() else {
        return Some((Io::Plain(socket), None));
    };
    let limit = listener.rules().handshake_timeout;
    let cause = match timeout(limit, shake_hands(socket, identity)).await {
        Ok(Ok(stream)) => {
            let facts = facts_of(&stream);
            return Some((Io::Tls(stream), Some(facts)));
        }
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "TLS handshake failed");
            Cause::HandshakeFailed
        }
        Err(_) => Cause::HandshakeTimeout,
    };
    listener.report(peer, None, cause);
    None
}

async fn shake_hands(
    socket: TcpStream,
    identity: &TlsIdentity,
) -> std::io::Result<Box<TlsStream<TcpStream>>> {
    Box::pin(async { identity.acceptor().accept(socket).await.map(Box::new) }).await
}

fn facts_of(stream: &TlsStream<TcpStream>) -> TlsFacts {
    let session = stream.get_ref().1;
    TlsFacts {
        version: session
            .protocol_version()
            .and_then(|version| version.as_str())
            .unwrap_or("unknown"),
        cipher: session
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or("unknown"),
        http2: session.alpn_protocol() == Some(b"h2"),
        server_name: session.server_name().map(Into::into),
        client_certificate: session
            .peer_certificates()
            .and_then(<[_]>::first)
            .map(|leaf| leaf.as_ref().into()),
    }
}
