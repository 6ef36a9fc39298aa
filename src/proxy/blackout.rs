//! An upstream that is down: its calls are held for a while, then refused, and go one after the other when
//! it is back.
//!
//! A call is held before it claims anything. One that claimed before the upstream was found to be down
//! gives its units back, waits as if it came now, though in the order in which it came first, and claims
//! anew.

use std::time::{Duration, Instant};

use pingora_error::{Error, ErrorType, Result};
use pingora_proxy::Session;

use super::said::Stop;
use super::stage::Stage;
use super::{judge, line, patience};
use crate::answer::{self, Answer};
use crate::forward::{Door, Upstream};
use crate::observe::Who;

/// Holds the call until its upstream can be reached and it is its turn.
///
/// # Errors
/// When it is down for too long, or the client is gone.
pub(super) async fn hold(
    session: &mut Session,
    stage: &mut Stage,
    upstream: &Upstream,
) -> std::result::Result<(), Stop> {
    let began = Instant::now();
    let left = left(session, stage, upstream);
    let health = upstream.health();
    if left.is_zero() && health.down_for(began).is_some() {
        return Err(Stop::Answer(refused(stage, upstream)));
    }
    let place = match health.enter(&mut stage.pass, began) {
        Door::Open => return Ok(()),
        Door::Full => return Err(Stop::Answer(refused(stage, upstream))),
        Door::Waits(place) => place,
    };
    let turn = place.turn(began + left);
    let turn = line::watched(session, stage, turn).await;
    let held = began.elapsed();
    (stage.waited, stage.held) = (stage.waited + held, stage.held + held);
    match turn?.flatten() {
        Some(pass) => stage.pass = pass,
        None => return Err(Stop::Answer(refused(stage, upstream))),
    }
    Ok(())
}

/// How much longer it may wait while the upstream is down, however often it tries: in all as long as it
/// is configured, and its client has patience.
fn left(session: &Session, stage: &Stage, upstream: &Upstream) -> Duration {
    let config = upstream.config();
    let headers = &session.req_header().headers;
    let most = patience::of_client(headers, &config.clients).min(config.blackout);
    most.saturating_sub(stage.held)
}

/// Whether a call that had no connection tries again: nothing of it was sent, and it can still be sent whole.
pub(super) fn tries_again(session: &Session, stage: &Stage) -> bool {
    let is_down = stage.dial.as_ref().is_some_and(|dial| dial.is_down());
    let upstream = stage.upstream.as_ref().filter(|_| is_down);
    upstream.is_some_and(|upstream| !left(session, stage, upstream).is_zero())
        && !session.as_ref().retry_buffer_truncated()
}

/// Whether the upstream of a call is down or on its way back.
pub(super) fn concerns(stage: &Stage) -> bool {
    let upstream = stage.upstream.as_ref();
    upstream.is_some_and(|upstream| !upstream.health().is_steady())
        || stage.dial.as_ref().is_some_and(|dial| dial.is_down())
}

/// Makes sure that a call which holds its units may go up now. True when it had to claim them anew.
///
/// # Errors
/// When the upstream is down for too long, a limit is full now, or the client is gone.
pub(super) async fn ready(session: &mut Session, stage: &mut Stage) -> Result<bool> {
    let Some(upstream) = stage.upstream.clone() else {
        return Ok(false);
    };
    let (health, now) = (upstream.health(), Instant::now());
    let lost = stage.dial.as_ref().is_some_and(|dial| dial.is_down());
    if !lost && health.is_open_to(stage.pass, now) {
        return Ok(false);
    }
    // While it comes back the wait is short: a call that it was the turn of keeps what it holds.
    let gives_back = lost || health.down_for(now).is_some();
    if lost {
        // Nothing was sent: that was no attempt of the call.
        stage.attempts = stage.attempts.saturating_sub(1);
    }
    if gives_back {
        stage.dial = None;
        drop((stage.claim.take(), stage.seat.take()));
    }
    let held = hold(session, stage, &upstream).await;
    held.map_err(|stop| told(stage, stop))?;
    if gives_back {
        let admitted = judge::again(session, stage, &upstream).await;
        admitted.map_err(|stop| told(stage, stop))?;
    }
    Ok(gives_back)
}

#[expect(
    clippy::unnecessary_box_returns,
    reason = "Pingora passes its errors boxed"
)]
fn told(stage: &mut Stage, stop: Stop) -> Box<Error> {
    match stop {
        Stop::Broken(mut error) => {
            error.set_retry(false);
            error
        }
        Stop::Answer(answer) => {
            let status = answer.status;
            stage.instead = Some(answer);
            Error::new_in(ErrorType::HTTPStatus(status))
        }
    }
}

/// The answer to a call that waited in vain, or may not wait.
pub(super) fn refused(stage: &mut Stage, upstream: &Upstream) -> Answer {
    stage.who = Some(Who::Upstream);
    let retry_after = upstream.health().come_back_in(Instant::now());
    let voice = judge::voice(stage, upstream.index());
    answer::upstream_down(retry_after, voice.as_ref())
}
