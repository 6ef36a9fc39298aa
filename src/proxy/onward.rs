//! The way up and back: a socket, the heads in both directions.

use std::time::Instant;

use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, EXPECT};
use http::{HeaderValue, Method, StatusCode};
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::arrive::authority;
use super::body::{capped, complete};
use super::judge;
use super::outcome;
use super::stage::Stage;
use super::{convert, faces};
use crate::call::{Class, Refusal};
use crate::forward::headers::Hop;
use crate::listen::is_trusted;
use crate::observe::Phase;

/// One attempt more: a connector for it, under the caps its claim stands for, which may be a new one.
pub(super) fn dial(
    worker: usize,
    session: &Session,
    stage: &mut Stage,
    is_anew: bool,
) -> Result<Box<HttpPeer>> {
    // One that was sent back holds a claim of its own.
    let is_anew = std::mem::take(&mut stage.back.is_counted) || is_anew;
    if stage.attempts > 0 && !is_anew {
        count_again(session, stage)?;
    }
    let (Some(upstream), Some(claim)) = (&stage.upstream, &stage.claim) else {
        // A request comes here only admitted.
        return Err(Error::new_in(ErrorType::InternalError));
    };
    let dial = upstream.dial(worker, claim.socket_group(), stage.class);
    if stage.met.opens.is_some() {
        dial.keep_answer();
    }
    let peer = upstream.peer(&dial, &session.req_header().headers);
    stage.dial = Some(dial);
    stage.attempts += 1;
    stage.received = 0;
    stage.phase = Phase::Connecting;
    Ok(peer)
}

/// A second attempt is a second call to the upstream: it takes a stamp of each rate, or is refused.
fn count_again(session: &Session, stage: &mut Stage) -> Result<()> {
    let head = session.req_header();
    let target = std::str::from_utf8(head.raw_path()).unwrap_or("/");
    let now = stage.shared.now();
    let (Some(claim), Some(upstream)) = (&mut stage.claim, &stage.upstream) else {
        return Ok(());
    };
    let Ok(asked) = upstream.table().target(&head.method, target, &head.headers) else {
        return Ok(());
    };
    let mut call = asked.call(&head.method, &head.headers, None, stage.client);
    call.caller = stage.met.caller;
    let counted = claim.again(&call, now);
    counted.map_err(|refusal| refused(&refusal, stage))
}

/// A rate that had no room for a call under way: it is answered as if it had been refused at once.
#[expect(
    clippy::unnecessary_box_returns,
    reason = "Pingora passes its errors boxed"
)]
fn refused(refusal: &Refusal, stage: &mut Stage) -> Box<Error> {
    let index = stage
        .upstream
        .as_ref()
        .map_or(0, |upstream| upstream.index());
    let answer = judge::refused_by(stage, index, refusal);
    stage.instead = Some(answer);
    Error::new_in(ErrorType::HTTPStatus(refusal.status))
}

/// The head on its way up.
pub(super) fn request(
    session: &mut Session,
    head: &mut RequestHeader,
    stage: &mut Stage,
) -> Result<()> {
    let now = Instant::now();
    stage.dispatched = Some(now);
    if let Some(claim) = &mut stage.claim {
        let counted = claim.dispatch(stage.shared.moment(now));
        counted.map_err(|refusal| refused(&refusal, stage))?;
    }
    stage.request_sent = session.is_body_done();
    stage.phase = if stage.request_sent {
        Phase::Response
    } else {
        Phase::Body
    };
    if let Some(upstream) = stage.upstream.clone() {
        convert::keep_key(session, stage, &upstream, head);
    }
    let (Some(upstream), Some(id)) = (&stage.upstream, &stage.request_id) else {
        return Err(Error::new_in(ErrorType::InternalError));
    };
    if stage.continued {
        head.remove_header(&EXPECT);
    }
    if stage.class == Class::Login {
        // The gate reads the answer.
        head.remove_header(&ACCEPT_ENCODING);
    }
    faces::asked_up(stage.listing.as_deref(), head)?;
    let lines = upstream.rewriter().request(head, hop(session, stage), id)?;
    if let Some(dial) = &stage.dial {
        dial.add_lines(lines);
    }
    Ok(())
}

/// The head of the upstream's answer.
pub(super) fn response(session: &Session, head: &ResponseHeader, stage: &mut Stage) -> Result<()> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        stage.upgraded = true;
        stage.phase = Phase::Data;
        if let Some(dial) = &stage.dial {
            dial.upgraded();
        }
        if let Some(exchange) = &stage.exchange {
            exchange.body_finished();
        }
        return Ok(());
    }
    if head.status.is_informational() {
        return Ok(());
    }
    stage.phase = Phase::Data;
    if let Some(claim) = stage.claim.as_mut().filter(|claim| claim.is_timed()) {
        claim.answer_began(head.status.as_u16(), stage.received, stage.shared.now());
    }
    outcome::head(session, head, stage);
    let length = content_length(head);
    let bodiless = session.req_header().method == Method::HEAD
        || matches!(
            head.status,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
    if bodiless || length == Some(0) {
        complete(stage);
        return Ok(());
    }
    capped(stage, |cap| cap.announce(length))
}

/// The head of the answer on its way to the client.
pub(super) fn answer(
    session: &Session,
    head: &mut ResponseHeader,
    stage: &mut Stage,
) -> Result<()> {
    stage.note_status(head.status.as_u16());
    match &stage.upstream {
        Some(upstream) => upstream.rewriter().response(head, hop(session, stage)),
        None => Ok(()),
    }
}

fn content_length(head: &ResponseHeader) -> Option<u64> {
    head.headers
        .get(CONTENT_LENGTH)
        .and_then(|length: &HeaderValue| length.to_str().ok()?.trim().parse().ok())
}

pub(super) fn hop<'a>(session: &'a Session, stage: &'a Stage) -> Hop<'a> {
    let connection = stage.connection.as_ref();
    let peer_ip = connection.map_or(stage.client, |connection| connection.peer().ip());
    Hop {
        peer: peer_ip,
        peer_text: connection.map_or("unknown", |connection| connection.peer_text()),
        trusted: is_trusted(peer_ip, &stage.shared.settings.trusted_proxies),
        tls: connection.is_some_and(|connection| connection.tls().is_some()),
        http2: session.is_http2(),
        authority: authority(session.req_header()),
    }
}
