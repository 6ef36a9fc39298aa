//! Holding a request: its body is read in, then its client is watched, until what it waits for is here.

use std::future::Future;
use std::time::{Duration, Instant};

use http::header::{CONTENT_LENGTH, EXPECT};
use pingora_error::{Error, Result};
use pingora_proxy::Session;

use super::said::{Stop, broken};
use super::stage::Stage;
use crate::admit::{Turn, Waiting};
use crate::call::Refusal;
use crate::listen::Exchange;
use crate::observe::Phase;

/// Bodies to this size are read in before their call waits: Pingora can send again what it read up to
/// 64 KiB, and only behind the body does a client's silence tell from its absence.
const READ_IN: u64 = 56 * 1024;
/// Longest wait of a call whose body is longer: whether its client is still there is not known.
const UNWATCHED: Duration = Duration::from_secs(10);

/// Holds a request until it is its turn, its time is up, or its client is gone: then it leaves the line
/// at once.
///
/// # Errors
/// When the client is gone.
pub(super) async fn hold(
    session: &mut Session,
    stage: &mut Stage,
    mut waiting: Waiting,
) -> Result<std::result::Result<Turn, Refusal>, Stop> {
    let longest = read_in(session, stage).await.map_err(broken)?;
    let until = stage.shared.instant(waiting.until());
    let until = longest.map_or(until, |longest| until.min(longest));
    let turn = tokio::time::timeout_at(until.into(), &mut waiting);
    let turn = watched(session, stage, longest.is_none(), turn).await;
    let now = stage.shared.now();
    let waited = now.since(waiting.joined());
    stage.waited += waited;
    if let Some(upstream) = &stage.upstream {
        let meters = &stage.shared.meters;
        meters.waited(upstream.name(), waiting.limit(), waited);
    }
    match turn.map_err(broken)? {
        Ok(turn) => Ok(Ok(turn)),
        Err(_time_is_up) => Ok(waiting.give_up(now)),
    }
}

/// Waits until `awaited` is there.
///
/// # Errors
/// When the client is gone, or broke off, before.
pub(super) async fn watched<T>(
    session: &mut Session,
    stage: &Stage,
    is_watched: bool,
    awaited: impl Future<Output = T>,
) -> Result<T> {
    tokio::select! {
        biased;
        come = awaited => Ok(come),
        gone = watch(session, stage.exchange.as_deref(), is_watched) => Err(gone),
    }
}

/// Makes ready to wait, and to read the body in meanwhile. Where that is too long, its client cannot be
/// watched: then the moment until which it may wait at most.
///
/// # Errors
/// When the client is gone.
pub(super) async fn read_in(session: &mut Session, stage: &mut Stage) -> Result<Option<Instant>> {
    stage.phase = Phase::Admission;
    if session.is_body_done() {
        return Ok(None);
    }
    let head = session.req_header();
    let announced = head.headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.trim().parse::<u64>().ok());
    // A body in chunks says its length only at its end.
    if announced.is_none_or(|length| length > READ_IN) {
        return Ok(Some(Instant::now() + UNWATCHED));
    }
    if head.headers.contains_key(EXPECT) && !stage.continued {
        session.write_continue_response().await?;
        stage.continued = true;
    }
    session.as_mut().enable_retry_buffering();
    Ok(None)
}

/// Reads the rest of the body, then waits for the client to go: it ends when the client is gone.
async fn watch(session: &mut Session, exchange: Option<&Exchange>, is_watched: bool) -> Box<Error> {
    if !is_watched {
        return std::future::pending().await;
    }
    loop {
        let done = session.is_body_done();
        if let Some(exchange) = exchange {
            if done {
                exchange.body_finished();
            } else {
                exchange.body_progress();
            }
        }
        match session.as_mut().read_body_or_idle(done).await {
            Ok(_) => {}
            Err(gone) => return gone,
        }
    }
}
