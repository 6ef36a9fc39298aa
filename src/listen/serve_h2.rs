//! HTTP/2: the accept loop of one connection, a task for each of its streams.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::server::Connection as Wire;
use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{
    H2Accept, H2Options, HttpSession, default_h2_options, handshake,
};
use pingora_core::protocols::{
    Digest, GetProxyDigest, GetSocketDigest, GetTimingDigest, Ssl, Stream as PingoraStream,
};
use pingora_core::server::ShutdownWatch;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::beat::Beat;
use super::connection::Connection;
use super::early::Cause;
use super::exchange::Exchange;
use super::listener::{Role, Rules};
use super::stream::Stream;

const MAX_STREAMS: u32 = 100;
/// Window of a stream and of the connection, bytes: what a client may send before the upstream has
/// taken any of it, and so the most that is held for it.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Most of an answer that is held for a client that does not read, bytes a stream.
const SEND_BUFFER: usize = 128 * 1024;
/// Resets that are remembered or borne; beyond them the connection ends. See also [`super::frames`].
const LOCAL_RESETS_HELD: usize = 50;
/// A client may give up everything that it may have open, all at once.
const PENDING_RESETS: usize = MAX_STREAMS as usize;
const LOCAL_ERRORS: usize = 128;
/// Requests with a malformed authority or target that are borne.
const MALFORMED: usize = 32;
/// After GOAWAY: how long a connection without streams may take to close.
const CLOSE_TIME: Duration = Duration::from_secs(1);

/// Serves until the client closes, idles too long, or the gate shuts down.
pub(super) async fn serve<A>(
    stream: Box<Stream>,
    connection: &Arc<Connection>,
    app: Arc<A>,
    shutdown: ShutdownWatch,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let rules = Arc::clone(connection.listener().rules());
    let digest = Arc::new(digest_of(&stream));
    let Some(mut wire) = agree(stream, connection).await else {
        return;
    };
    let streams = Arc::new(Streams::default());
    let mut beat = Beat::new(wire.ping_pong(), rules.idle_timeout);
    let mut draining = shutdown.clone();
    let (mut closing, mut malformed) = (false, 0);
    loop {
        let patience = if closing {
            CLOSE_TIME
        } else {
            rules.idle_timeout
        };
        tokio::select! {
            biased;
            _ = draining.wait_for(|down| *down), if !closing => {
                wire.graceful_shutdown();
                closing = true;
            }
            accepted = next(&mut wire, &digest, connection) => match accepted {
                Some(H2Accept::Session(session)) => {
                    let request = Request::new(session, connection, &rules, streams.enter(&mut beat));
                    tokio::spawn(request.serve(Arc::clone(&app), shutdown.clone()));
                    if connection.refused().is_some() && !closing {
                        wire.graceful_shutdown();
                        closing = true;
                    }
                }
                Some(H2Accept::Rejected) => {
                    connection.report(Some(400), Cause::HeadMalformed("the authority or target is malformed"));
                    malformed += 1;
                    if malformed >= MALFORMED {
                        return;
                    }
                }
                None => return,
            },
            () = streams.idle_for(patience, &mut beat) => {
                if closing {
                    return;
                }
                wire.graceful_shutdown();
                closing = true;
            }
        }
    }
}

/// The preface and the settings of both sides, within `header_timeout`.
async fn agree(
    stream: PingoraStream,
    connection: &Connection,
) -> Option<Wire<PingoraStream, Bytes>> {
    let rules = connection.listener().rules();
    let agreed = handshake(stream, Some(options(rules)));
    if let Ok(Ok(wire)) = timeout(rules.header_timeout, agreed).await {
        return Some(wire);
    }
    connection.report(None, Cause::Preface);
    // It has not asked for anything, so it has no answer to lose: closed at once.
    drop(connection.take_estate());
    None
}

/// The next stream; `None` when the connection is over, in order or not.
async fn next(
    wire: &mut Wire<PingoraStream, Bytes>,
    digest: &Arc<Digest>,
    connection: &Connection,
) -> Option<H2Accept> {
    match HttpSession::from_h2_conn(wire, Arc::clone(digest)).await {
        Ok(accepted) => accepted,
        Err(error) => {
            tracing::debug!(%error, "HTTP/2 connection ended");
            if is_flood(&error) {
                connection.report(None, Cause::FrameFlood);
            }
            None
        }
    }
}

/// The codec has bounds of its own, on resets of streams nobody has seen yet and on small frames.
fn is_flood(error: &pingora_error::Error) -> bool {
    let cause = error.cause.as_ref();
    cause
        .and_then(|cause| cause.downcast_ref::<h2::Error>())
        .is_some_and(|error| {
            error.is_library() && error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM)
        })
}

fn options(rules: &Rules) -> H2Options {
    let mut options = default_h2_options();
    options
        .max_header_list_size(u32::try_from(rules.max_header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(LOCAL_RESETS_HELD)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(Some(LOCAL_ERRORS));
    options
}

fn digest_of(stream: &Stream) -> Digest {
    Digest {
        ssl_digest: stream.get_ssl_digest(),
        timing_digest: stream.get_timing_digest(),
        proxy_digest: stream.get_proxy_digest(),
        socket_digest: stream.get_socket_digest(),
    }
}

/// One stream of a connection.
struct Request {
    session: ServerSession,
    connection: Arc<Connection>,
    exchange: Arc<Exchange>,
    _place: Place,
}

impl Request {
    fn new(
        session: HttpSession,
        connection: &Arc<Connection>,
        rules: &Rules,
        place: Place,
    ) -> Self {
        let mut session = ServerSession::new_http2(session);
        // A client that gives an answer no room for so long has lost interest in it.
        session.set_write_timeout(Some(rules.body_timeout));
        let exchange = Exchange::new(rules.body_timeout, rules.body_deadline);
        if !session.is_body_empty() {
            exchange.expect_body();
        }
        Self {
            session,
            connection: Arc::clone(connection),
            exchange: Arc::new(exchange),
            _place: place,
        }
    }

    /// Runs in a task of its own: a panic in a hook ends this stream and no other.
    async fn serve<A>(self, app: Arc<A>, shutdown: ShutdownWatch)
    where
        A: HttpServerApp + Send + Sync + 'static,
    {
        let Self {
            session,
            connection,
            exchange,
            _place,
        } = self;
        let clock = Arc::clone(&exchange);
        let work = async {
            let request = app.process_new_http(session, &shutdown);
            if !clock.body_is_open() {
                drop(request.await);
                return;
            }
            // The engine has no clock for HTTP/2 bodies. Dropped, the request resets its stream.
            tokio::select! {
                biased;
                over = request => drop(over),
                () = clock.body_missed() => {}
            }
        };
        Arc::clone(&exchange).scope(work).await;
        if !exchange.has_begun() && connection.listener().role() != Role::Admin {
            connection.report(None, Cause::HeadRefused);
        }
    }
}

/// The streams of a connection that are being served.
#[derive(Debug, Default)]
struct Streams {
    active: AtomicUsize,
    idle: Notify,
}

/// One of them, until dropped.
struct Place(Arc<Streams>);

impl Streams {
    fn enter(self: &Arc<Self>, beat: &mut Beat) -> Place {
        if self.active.fetch_add(1, Ordering::Relaxed) == 0 {
            beat.rest();
        }
        Place(Arc::clone(self))
    }

    fn are_served(&self) -> bool {
        self.active.load(Ordering::Relaxed) != 0
    }

    /// Ends when no stream was served for `patience`. While some are, the client hears a beat now and then.
    async fn idle_for(&self, patience: Duration, beat: &mut Beat) {
        while self.are_served() {
            tokio::select! {
                () = self.idle.notified() => {}
                () = beat.due() => beat.send(),
            }
        }
        sleep(patience).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.0.active.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.idle.notify_one();
        }
    }
}
