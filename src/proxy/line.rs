//! Holding a request: its body is read in, then its client is watched, until what it waits for is here.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT};
use pingora_error::Result;
use pingora_proxy::Session;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::said::{PREFIX, Stop, broken};
use super::stage::Stage;
use crate::admit::{Turn, Waiting};
use crate::call::Refusal;
use crate::observe::Phase;

/// Bodies of this announced length are read in before their call waits: Pingora can send again what it
/// read up to 64 KiB, and only behind the body does a client's silence tell from its absence. Of a body
/// that announces no length, as much as [`PREFIX`] is.
pub(super) const READ_IN: u64 = 56 * 1024;

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
    let until = stage.shared.instant(waiting.until());
    let turn = timeout_at(until.into(), &mut waiting);
    let turn = watched(session, stage, turn).await;
    let now = stage.shared.now();
    let waited = now.since(waiting.joined());
    stage.waited += waited;
    if let Some(upstream) = &stage.upstream {
        let meters = &stage.shared.meters;
        meters.waited(upstream.name(), waiting.limit(), waited);
    }
    match turn? {
        Some(Ok(turn)) => Ok(Ok(turn)),
        Some(Err(_)) | None => Ok(waiting.give_up(now)),
    }
}

/// Waits until `awaited` is there. `None` where it took longer than a call may wait whose client cannot be
/// watched.
///
/// # Errors
/// When the client is gone, or broke off, before.
pub(super) async fn watched<T>(
    session: &mut Session,
    stage: &mut Stage,
    awaited: impl Future<Output = T>,
) -> Result<Option<T>, Stop> {
    stage.phase = Phase::Admission;
    let most = readable(session, stage).await.map_err(broken)?;
    let come = tokio::select! {
        biased;
        come = awaited => Ok(Some(come)),
        end = watch(session, stage, most) => end.map(|()| None),
    };
    if let Some(exchange) = &stage.exchange {
        exchange.read_little(false);
    }
    if stage.shared.is_stopping() {
        // What made room for it was cut, and so will it be: it must not begin before.
        return std::future::pending().await;
    }
    come.map_err(broken)
}

/// Reads the body in such that it can go up after all; none where it is too long for that.
///
/// # Errors
/// When the client is gone, or broke off, before.
pub(super) async fn read_in(
    session: &mut Session,
    stage: &mut Stage,
) -> std::result::Result<Option<Bytes>, Stop> {
    let most = readable(session, stage).await.map_err(broken)?;
    while !session.is_body_done() && stage.read_ahead < most {
        let piece = session.read_request_body().await.map_err(broken)?;
        stage.read_ahead += piece.as_ref().map_or(0, Bytes::len);
        if let Some(exchange) = &stage.exchange {
            exchange.body_progress();
        }
        if piece.is_none() {
            break;
        }
    }
    if let Some(exchange) = &stage.exchange {
        exchange.read_little(false);
    }
    if !session.is_body_done() {
        return Ok(None);
    }
    if let Some(exchange) = &stage.exchange {
        exchange.body_finished();
    }
    stage.received = u64::try_from(stage.read_ahead).unwrap_or(u64::MAX);
    if stage.read_ahead == 0 {
        return Ok(Some(Bytes::new()));
    }
    let read = session.as_ref().get_retry_buffer();
    Ok(read.filter(|read| read.len() == stage.read_ahead))
}

/// Makes ready to read the body in: up to how many bytes; none where it announces to be too long for that.
async fn readable(session: &mut Session, stage: &mut Stage) -> Result<usize> {
    if session.is_body_done() {
        return Ok(0);
    }
    let head = session.req_header();
    let announced = head.headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.trim().parse::<u64>().ok());
    if announced.is_some_and(|length| length > READ_IN) {
        return Ok(0);
    }
    if head.headers.contains_key(EXPECT) && !stage.continued {
        session.write_continue_response().await?;
        stage.continued = true;
    }
    session.as_mut().enable_retry_buffering();
    if announced.is_some() {
        return Ok(usize::MAX);
    }
    if let Some(exchange) = &stage.exchange {
        exchange.read_little(true);
    }
    Ok(PREFIX)
}

/// Reads the body as far as it may, then waits for the client to go: that is the error. Where the body is
/// not whole by then, nothing tells whether the client is still there, and the wait is cut short.
async fn watch(session: &mut Session, stage: &mut Stage, most: usize) -> Result<()> {
    loop {
        let done = session.is_body_done();
        if done && let Some(exchange) = &stage.exchange {
            exchange.body_finished();
        }
        if !done && stage.read_ahead >= most {
            unwatched(stage).await;
            return Ok(());
        }
        let piece = session.as_mut().read_body_or_idle(done).await?;
        stage.read_ahead += piece.as_ref().map_or(0, Bytes::len);
        if let Some(exchange) = &stage.exchange {
            exchange.body_progress();
        }
    }
}

/// As long as a call may wait that is not watched. That its body pauses meanwhile is the gate's doing.
async fn unwatched(stage: &Stage) {
    let settings = &stage.shared.settings;
    let until = Instant::now() + settings.unwatched;
    let half = (settings.body_timeout / 2).max(Duration::from_millis(1));
    while Instant::now() < until {
        if let Some(exchange) = &stage.exchange {
            exchange.body_progress();
        }
        sleep_until(until.min(Instant::now() + half)).await;
    }
}
