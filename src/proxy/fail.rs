//! What went wrong: whether it may be tried again, what the client is told, and by which letters.

use http::header::{HeaderValue, RETRY_AFTER};
use pingora_error::{Error, ErrorSource, ErrorType};
use pingora_proxy::{FailToProxy, Session};

use super::stage::Stage;
use super::{blackout, write};
use crate::answer::{self, Answer};
use crate::forward::UpstreamFault;
use crate::observe::{Phase, Who};

/// No connection was had. Every address was tried already, and nothing was sent: it may wait for the upstream.
#[expect(
    clippy::unnecessary_box_returns,
    reason = "Pingora passes its errors boxed"
)]
pub(super) fn unconnected(session: &Session, mut error: Box<Error>, stage: &Stage) -> Box<Error> {
    error.set_retry(blackout::tries_again(session, stage));
    error
}

/// The exchange broke half way. It is tried once more only where RFC 9110 section 9.2.2 allows it:
/// the method is idempotent, nothing of an answer was seen, the whole body is still at hand, and the
/// connection had idled before, so that its end is the likely cause.
#[expect(
    clippy::unnecessary_box_returns,
    reason = "Pingora passes its errors boxed"
)]
pub(super) fn broken(session: &Session, mut error: Box<Error>, stage: &Stage) -> Box<Error> {
    let reused = stage.dial.as_ref().is_some_and(|dial| dial.is_reused());
    let again = *error.esource() == ErrorSource::Upstream
        && reused
        && !timed_out(stage)
        && stage.attempts == 1
        && stage.phase != Phase::Data
        && session.req_header().method.is_idempotent()
        && !session.as_ref().retry_buffer_truncated();
    error.set_retry(again);
    error
}

/// Tells the client, if it can still be told.
pub(super) async fn answer(session: &mut Session, error: &Error, stage: &mut Stage) -> FailToProxy {
    let answer = verdict(error, stage);
    let begun = session
        .response_written()
        .is_some_and(|head| !head.status.is_informational());
    session.set_keepalive(None);
    let mut error_code = 0;
    if let Some(answer) = answer
        && !begun
    {
        error_code = answer.status;
        write::answer(session, stage, answer).await;
    }
    FailToProxy {
        error_code,
        can_reuse_downstream: false,
    }
}

/// What to answer, nothing where the client is gone; notes who ended it.
fn verdict(error: &Error, stage: &mut Stage) -> Option<Answer> {
    if let Some(instead) = stage.instead.take() {
        return Some(instead);
    }
    match error.esource() {
        ErrorSource::Upstream => Some(by_upstream(error, stage)),
        ErrorSource::Downstream => by_client(error, stage),
        ErrorSource::Internal | ErrorSource::Unset => {
            tracing::error!(%error, "a request failed inside the gate");
            stage.who = Some(Who::Internal);
            Some(answer::problem(500, "the gate failed; its log says why"))
        }
    }
}

fn timed_out(stage: &Stage) -> bool {
    stage.dial.as_ref().is_some_and(|dial| dial.is_timed_out())
}

fn by_upstream(error: &Error, stage: &mut Stage) -> Answer {
    let fault = match error.etype() {
        _ if timed_out(stage) => UpstreamFault::ResponseTimeout,
        ErrorType::ConnectTimedout => UpstreamFault::ConnectTimeout,
        ErrorType::ConnectNoRoute => UpstreamFault::NoSocket,
        ErrorType::ConnectError => UpstreamFault::Connect,
        ErrorType::TLSHandshakeFailure => UpstreamFault::Tls,
        ErrorType::InvalidHTTPHeader => UpstreamFault::Malformed,
        _ => UpstreamFault::Broken,
    };
    let timed_out = matches!(
        fault,
        UpstreamFault::ConnectTimeout | UpstreamFault::ResponseTimeout
    );
    stage.who = Some(if timed_out {
        Who::UpstreamTimeout
    } else {
        Who::Upstream
    });
    // Failures to connect were counted where they happened.
    let dial = stage.dial.as_ref();
    let connected = dial.is_some_and(|dial| dial.is_connected());
    let is_down = dial.is_some_and(|dial| dial.is_down());
    if let Some(upstream) = stage.upstream.clone() {
        if is_down {
            return blackout::refused(stage, &upstream);
        }
        if connected {
            upstream.note_fault(fault);
        }
    }
    let mut answer = answer::problem(fault.status(), fault.detail());
    if answer.status == 503 {
        answer
            .headers
            .push((RETRY_AFTER, HeaderValue::from_static("1")));
    }
    answer
}

fn by_client(error: &Error, stage: &mut Stage) -> Option<Answer> {
    match error.etype() {
        ErrorType::ReadTimedout => {
            stage.who = Some(Who::ClientTimeout);
            Some(answer::problem(
                408,
                "the request body paused for too long (listen.body_timeout)",
            ))
        }
        ErrorType::WriteTimedout => {
            stage.who = Some(Who::ClientTimeout);
            None
        }
        ErrorType::HTTPStatus(status) => {
            stage.who = Some(Who::Gate);
            Some(answer::problem(*status, "the request cannot be passed on"))
        }
        ErrorType::InvalidHTTPHeader => {
            stage.who = Some(Who::Gate);
            Some(answer::problem(400, "the request is malformed"))
        }
        _ => {
            stage.who = Some(Who::Client);
            None
        }
    }
}
