//! HTTP/1: one request after the other on one stream.

use std::sync::Arc;
use std::time::Duration;

use pingora_core::apps::HttpServerApp;
use pingora_core::protocols::http::ServerSession;
use pingora_core::server::ShutdownWatch;
use tokio::io::AsyncWriteExt;

use super::connection::Connection;
use super::refusal;
use super::stream::Stream;

/// Serves until the connection is not to be used again. The engine's own clocks for reading are off:
/// the stream's hold for heads and bodies. Its clock for writing is on: a client that takes nothing of
/// its answer for `body_timeout` is given up.
pub(super) async fn serve<A>(
    stream: Box<Stream>,
    connection: &Arc<Connection>,
    app: Arc<A>,
    shutdown: ShutdownWatch,
) where
    A: HttpServerApp + Send + Sync + 'static,
{
    let pause = connection.listener().rules().body_timeout;
    let mut session = ServerSession::new_http1(stream);
    loop {
        prepare(&mut session, pause, &shutdown);
        let reused = app.process_new_http(session, &shutdown).await;
        connection.request_over();
        let Some(reused) = reused.filter(|_| connection.refused().is_none()) else {
            break;
        };
        let (stream, settings) = reused.consume();
        connection.next_head();
        session = ServerSession::new_http1(stream);
        if let Some(settings) = settings {
            settings.apply_to_session(&mut session);
        }
    }
    tell_late_body(connection).await;
}

fn prepare(session: &mut ServerSession, pause: Duration, shutdown: &ShutdownWatch) {
    session.set_read_timeout(None);
    session.set_write_timeout(Some(pause));
    let down = *shutdown.borrow();
    // 0 is for ever: `idle_timeout` of the stream ends it.
    session.set_keepalive((!down).then_some(0));
}

/// 408 for a request whose body was late, where the app has said nothing.
async fn tell_late_body(connection: &Connection) {
    if connection.own_exchange().body_late().is_none() || connection.has_answered() {
        return;
    }
    let Some(mut transport) = connection.take_estate() else {
        return;
    };
    let answer = refusal::answer(408, "the request body was not complete in time");
    if transport.write_all(&answer).await.is_ok() {
        connection.note_write(&answer);
    }
    connection.leave(transport);
}
