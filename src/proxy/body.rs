//! Bodies as they pass: their sizes, and where they end.

use bytes::Bytes;
use pingora_error::{Error, ErrorType, Result};

use super::caller;
use super::outcome;
use super::stage::Stage;
use crate::answer::{self, CapVerdict};
use crate::forward::UpstreamFault;
use crate::observe::{Phase, Who};

/// A piece of the request body on its way up.
pub(super) fn request(piece: Option<&Bytes>, end: bool, stage: &mut Stage) -> Result<()> {
    if let Some(piece) = piece {
        let bytes = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        stage.received = stage.received.saturating_add(bytes);
        if !stage.upgraded && stage.received > stage.body_budget {
            let most = stage.body_budget;
            let detail =
                format!("the request body is larger than {most} bytes (listen.max_body_bytes)");
            stage.who = Some(Who::Gate);
            stage.instead = Some(answer::problem(413, &detail));
            return Err(Error::new_down(ErrorType::HTTPStatus(413)));
        }
    }
    watched(piece, end, stage)?;
    if let Some(exchange) = &stage.exchange {
        if end || stage.upgraded {
            exchange.body_finished();
        } else {
            exchange.body_progress();
        }
    }
    if end {
        stage.request_sent = true;
        if stage.phase == Phase::Body {
            stage.phase = Phase::Response;
        }
    }
    Ok(())
}

/// The rest of a JSON-RPC call may not say otherwise than its beginning.
fn watched(piece: Option<&Bytes>, end: bool, stage: &mut Stage) -> Result<()> {
    let Some(scan) = &mut stage.scan else {
        return Ok(());
    };
    let passed = scan.pass(piece.map(|piece| &**piece).unwrap_or_default());
    if stage.token.is_none()
        && let Some(token) = scan.token()
    {
        stage.token = Some(token.clone());
        caller::meet_late(stage);
    }
    let Some(scan) = &stage.scan else {
        return Ok(());
    };
    let why = match passed {
        Err(bad) => bad.to_string(),
        Ok(()) if end && !scan.is_complete() => "the body ends too early".to_owned(),
        Ok(()) => return Ok(()),
    };
    stage.who = Some(Who::Gate);
    stage.instead = Some(answer::problem(400, &why));
    Err(Error::new_down(ErrorType::HTTPStatus(400)))
}

/// A piece of the response body on its way back.
pub(super) fn response(piece: Option<&Bytes>, end: bool, stage: &mut Stage) -> Result<()> {
    let bytes = piece.map_or(0, |piece| u64::try_from(piece.len()).unwrap_or(u64::MAX));
    if !stage.upgraded {
        capped(stage, |cap| cap.pass(bytes))?;
        outcome::body(piece, stage);
        if end {
            complete(stage);
        }
    }
    Ok(())
}

/// The upstream's answer is whole.
pub(super) fn complete(stage: &mut Stage) {
    if let Some(dial) = &stage.dial {
        dial.response_complete();
    }
    outcome::end(stage);
    stage.answered();
}

/// Holds a response to its cap.
pub(super) fn capped(
    stage: &mut Stage,
    judge: impl FnOnce(&mut answer::Cap) -> CapVerdict,
) -> Result<()> {
    let Some(cap) = &mut stage.cap else {
        return Ok(());
    };
    let verdict = judge(cap);
    if verdict == CapVerdict::Pass {
        return Ok(());
    }
    let limit = cap.limit().clone();
    let instead = answer::too_large(&limit, cap.ceiling());
    if let Some(upstream) = &stage.upstream {
        upstream.stack().note_response_refused(&limit);
    }
    if verdict == CapVerdict::Report {
        return Ok(());
    }
    if let Some(upstream) = &stage.upstream {
        upstream.note_fault(UpstreamFault::TooLarge);
        tracing::warn!(upstream = %upstream.name(), %limit, "a response was cut: it is too large");
    }
    stage.who = Some(Who::Limit);
    stage.limit = Some(limit);
    stage.instead = Some(instead);
    Err(Error::new_up(ErrorType::HTTPStatus(502)))
}
