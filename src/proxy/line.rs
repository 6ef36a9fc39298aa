//! Holding a request in line: its body is read in, then its client is watched, until it is its turn.

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

/// What ended a wait.
enum End {
    Turn(Turn),
    /// The client is gone, or broke off.
    Gone(Box<Error>),
    TimeIsUp,
}

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
    stage.phase = Phase::Admission;
    let is_watched = read_in(session, stage).await.map_err(broken)?;
    let mut until = stage.shared.instant(waiting.until());
    if !is_watched {
        until = until.min(Instant::now() + UNWATCHED);
    }
    let end = {
        let watch = watch(session, stage.exchange.as_deref(), is_watched);
        tokio::select! {
            biased;
            turn = &mut waiting => End::Turn(turn),
            gone = watch => End::Gone(gone),
            () = tokio::time::sleep_until(until.into()) => End::TimeIsUp,
        }
    };
    let now = stage.shared.now();
    let waited = now.since(waiting.joined());
    stage.waited += waited;
    if let Some(upstream) = &stage.upstream {
        let meters = &stage.shared.meters;
        meters.waited(upstream.name(), waiting.limit(), waited);
    }
    match end {
        End::Turn(turn) => Ok(Ok(turn)),
        End::TimeIsUp => Ok(waiting.give_up(now)),
        End::Gone(error) => Err(broken(error)),
    }
}

/// Holds a request whose body is here until then; what its client's end was, where it went before.
pub(super) async fn rest(
    session: &mut Session,
    stage: &Stage,
    until: Instant,
) -> Option<Box<Error>> {
    tokio::select! {
        gone = watch(session, stage.exchange.as_deref(), true) => Some(gone),
        () = tokio::time::sleep_until(until.into()) => None,
    }
}

/// Makes ready to read the body in; false where it is too long for that.
async fn read_in(session: &mut Session, stage: &mut Stage) -> Result<bool> {
    if session.is_body_done() {
        return Ok(true);
    }
    let head = session.req_header();
    let announced = head.headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.trim().parse::<u64>().ok());
    // A body in chunks says its length only at its end.
    if announced.is_none_or(|length| length > READ_IN) {
        return Ok(false);
    }
    if head.headers.contains_key(EXPECT) && !stage.continued {
        session.write_continue_response().await?;
        stage.continued = true;
    }
    session.as_mut().enable_retry_buffering();
    Ok(true)
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
