//! The upstream refused a call by itself: limits shrink, and what was not executed goes back in line.
//!
//! ```text
//!   head of the answer ─▶ a refusal? ─▶ the call's limit shrinks
//!     └─▶ a signature proves that nothing was executed, the request is at hand, there is time left
//!           └─▶ the exchange is given up, every unit is given back, the answer is kept
//!                 ─▶ not before the upstream said ─▶ at the head of its line ─▶ sent again
//!                      └─▶ cannot wait any longer: the client gets the answer that was kept
//! ```
//!
//! What no signature proves is never sent again, whatever its method: a 503 may be said of work that has
//! begun.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_LENGTH, RETRY_AFTER, TRANSFER_ENCODING};
use pingora_error::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;
use tokio::time::sleep_until;

use super::said::Stop;
use super::stage::Stage;
use super::{judge, line, onward};
use crate::admit::{Pushback, Why};
use crate::answer::Answer;
use crate::call::field;
use crate::config::RefusalSignature;
use crate::dialect::come_back;
use crate::forward::{Framing, Upstream};
use crate::limit::{Moment, Seat};
use crate::observe::{Phase, Who};

/// Most times that a call is sent up.
pub(super) const MOST_ATTEMPTS: u32 = 4;
/// Longest time that a rate is shut by a word of the upstream.
const LONGEST_SHUT: Duration = Duration::from_secs(30);
/// How long a call rests where the upstream does not say; twice as long after each attempt.
const REST: Duration = Duration::from_secs(1);
/// A call on its way back to its line.
pub(super) struct SentBack {
    /// The upstream's answer, for a call that cannot wait any longer.
    answer: Answer,
    not_before: Moment,
    _place: Seat,
}

/// Whether this head is of a refusal that anything is to be done about.
pub(super) fn concerns(head: &ResponseHeader, stage: &Stage) -> bool {
    let status = head.status.as_u16();
    status >= 400
        && stage.upstream.as_ref().is_some_and(|upstream| {
            let config = upstream.config();
            let is_signed = || config.refusals.iter().any(|sign| sign.status == status);
            config.learn && (matches!(status, 423 | 429 | 503) || is_signed())
        })
}

/// Lets the call's limit shrink, and sends the call back to its line where that is safe.
///
/// # Errors
/// When it goes back: the exchange with the upstream is to be given up, and the next attempt asked for.
pub(super) async fn consider(
    session: &mut Session,
    head: &ResponseHeader,
    stage: &mut Stage,
) -> Result<()> {
    let Some(upstream) = stage.upstream.clone() else {
        return Ok(());
    };
    let body = if session.req_header().method == Method::HEAD {
        Some(Bytes::new())
    } else {
        whole_body(head, stage, &upstream).await
    };
    let proof = proof(head, body.as_deref(), &upstream);
    let come_back = shrink(head, proof, stage);
    let (Some(sign), Some(body)) = (proof, body) else {
        return Ok(());
    };
    let Some(not_before) = may_wait(session, stage, &upstream, come_back) else {
        return Ok(());
    };
    let Some(place) = upstream.stack().hold_back() else {
        return Ok(());
    };
    tracing::debug!(upstream = %upstream.name(), signature = sign.name, "refused and not executed: back in line");
    let answer = kept(session, head, body, stage)?;
    stage.back.sent = Some(SentBack {
        answer,
        not_before,
        _place: place,
    });
    give_up(stage);
    Err(Error::new_up(ErrorType::HTTPStatus(head.status.as_u16())))
}

/// The whole body, where a signature has this status and these fields.
async fn whole_body(head: &ResponseHeader, stage: &Stage, upstream: &Upstream) -> Option<Bytes> {
    let is_candidate = |sign: &RefusalSignature| {
        let bare = RefusalSignature {
            body: None,
            ..sign.clone()
        };
        matches(&bare, head, &[])
    };
    if !upstream.config().refusals.iter().any(is_candidate) {
        return None;
    }
    let framing = if head.headers.contains_key(TRANSFER_ENCODING) {
        Framing::Chunked
    } else {
        let length = head.headers.get(CONTENT_LENGTH)?.to_str().ok()?;
        Framing::Length(length.trim().parse().ok()?)
    };
    stage.dial.as_ref()?.refusal_body(framing).await
}

/// The signature that proves that the call was not executed.
fn proof<'u>(
    head: &ResponseHeader,
    body: Option<&[u8]>,
    upstream: &'u Upstream,
) -> Option<&'u RefusalSignature> {
    let mut signs = upstream.config().refusals.iter();
    signs.find(|sign| matches(sign, head, body.unwrap_or_default()))
}

fn matches(sign: &RefusalSignature, head: &ResponseHeader, body: &[u8]) -> bool {
    let field = |name: &str| head.headers.get(name).map(http::HeaderValue::as_bytes);
    sign.matches(head.status.as_u16(), field, body)
}

/// Lets the limit shrink that the upstream refused for; in how long it wants to be asked again.
///
/// A 503 that nothing proves, and that does not say when to come back, is no word about load: the service
/// may be down, or broken.
fn shrink(
    head: &ResponseHeader,
    proof: Option<&RefusalSignature>,
    stage: &Stage,
) -> Option<Duration> {
    let exhausted = come_back::exhausted(&head.headers);
    let stated = come_back::retry_after(&head.headers, SystemTime::now());
    // Retry-After goes before `t` (draft-ietf-httpapi-ratelimit-headers-11 section 5).
    let come_back = stated.or_else(|| exhausted.and_then(|one| one.until));
    let why = match head.status.as_u16() {
        _ if exhausted.is_some_and(|one| one.until.is_some()) => Why::Rate,
        429 => Why::Rate,
        423 => Why::Full,
        503 if proof.is_some() || head.headers.contains_key(RETRY_AFTER) => Why::Full,
        _ => return come_back,
    };
    let said = Pushback {
        why,
        come_back: come_back.map(|come_back| come_back.min(LONGEST_SHUT)),
        policy: exhausted.map(|one| one.policy),
    };
    if let Some(claim) = &stage.claim
        && let Some(limit) = claim.pushed_back(&said, stage.shared.now())
    {
        tracing::debug!(%limit, status = head.status.as_u16(), "the upstream refuses by itself: this limit shrinks");
    }
    come_back
}

/// When the call may be sent again, if it can wait for that and its request is at hand.
fn may_wait(
    session: &mut Session,
    stage: &mut Stage,
    upstream: &Upstream,
    come_back: Option<Duration>,
) -> Option<Moment> {
    if stage.attempts >= MOST_ATTEMPTS || stage.shared.is_draining() || !is_at_hand(session, stage)
    {
        return None;
    }
    let now = stage.shared.now();
    let rest = come_back.unwrap_or_else(|| REST * 2_u32.pow(stage.attempts.saturating_sub(1)));
    let (patience, in_line) = judge::patience(session, stage, upstream)?;
    let not_before = now.after(rest);
    let until = stage.came().after(patience).min(now.after(in_line));
    (not_before < until).then_some(not_before)
}

/// Nothing has gone to the client, and Pingora can send all of the request once more.
fn is_at_hand(session: &mut Session, stage: &Stage) -> bool {
    let begun = session
        .response_written()
        .is_some_and(|head| !head.status.is_informational());
    let whole = stage.request_sent && session.is_body_done() && !stage.upgraded;
    let http = session.as_mut();
    !begun
        && whole
        && !http.retry_buffer_truncated()
        && (http.is_body_empty() || http.get_retry_buffer().is_some())
}

/// The answer as the client would have got it.
fn kept(session: &Session, head: &ResponseHeader, body: Bytes, stage: &Stage) -> Result<Answer> {
    let mut head = head.clone();
    if let Some(upstream) = &stage.upstream {
        upstream
            .rewriter()
            .response(&mut head, onward::hop(session, stage))?;
    }
    let fields = head.headers.iter();
    let fields = fields.filter(|(name, _)| !field::is_made_anew(name));
    Ok(Answer {
        status: head.status.as_u16(),
        headers: fields
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        body,
    })
}

/// The attempt is over: every unit is given back. Its stamps in rates stay, for it did reach the upstream;
/// how long it held its units tells nobody how long calls take.
fn give_up(stage: &mut Stage) {
    (stage.claim, stage.seat) = (None, None);
    stage.dial = None;
    (stage.scan, stage.login, stage.peeked) = (None, None, None);
    // Its body is here: nobody need be told to send it.
    stage.continued = true;
    stage.back.times += 1;
    stage.phase = Phase::Admission;
}

/// Waits for the next attempt of a call that was sent back; any other passes.
///
/// # Errors
/// When its client is gone, or it cannot wait any longer: then it is answered with what the upstream said.
pub(super) async fn readmit(session: &mut Session, stage: &mut Stage) -> Result<()> {
    let (Some(sent), Some(upstream)) = (stage.back.sent.take(), stage.upstream.clone()) else {
        return Ok(());
    };
    let began = Instant::now();
    let until = stage.shared.instant(sent.not_before);
    let rested = line::watched(session, stage, sleep_until(until.into())).await;
    stage.waited += began.elapsed();
    let admitted = match rested {
        Ok(_) => judge::again(session, stage, &upstream).await,
        Err(gone) => Err(gone),
    };
    match admitted {
        Ok(()) => {
            stage.back.is_counted = true;
            return Ok(());
        }
        Err(Stop::Broken(gone)) => return Err(gone),
        Err(Stop::Answer(_)) => {}
    }
    (stage.who, stage.limit) = (Some(Who::Nobody), None);
    stage.phase = Phase::Finished;
    let status = sent.answer.status;
    stage.instead = Some(sent.answer);
    Err(Error::new_up(ErrorType::HTTPStatus(status)))
}
