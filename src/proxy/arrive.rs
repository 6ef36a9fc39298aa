//! A request arrives: who, where to, what class, and the claim of its whole stack.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HOST};
use pingora_error::Result;
use pingora_http::RequestHeader;
use pingora_proxy::Session;

use super::judge::judge;
use super::said::Stop;
use super::stage::Stage;
use super::write;
use super::{desk_door, faces};
use crate::answer::{self, Answer};
use crate::call::Class;
use crate::forward::Upstream;
use crate::forward::headers::X_REQUEST_ID;
use crate::listen::{Connection, true_client};
use crate::observe::{Phase, Who};

/// Longest `X-Request-ID` that is passed on.
const MAX_REQUEST_ID: usize = 128;

/// A head was read: from here on the request is counted and will be recorded.
pub(super) fn begin(session: &mut Session, stage: &mut Stage) {
    stage.connection = Connection::of(session).cloned();
    if let Some(connection) = &stage.connection {
        let exchange = connection.exchange();
        exchange.began();
        stage.exchange = Some(exchange);
        stage.client = connection.peer().ip();
    }
    let head = session.req_header();
    stage.version = head.version;
    stage.method = head.method.clone();
    stage.target = head.uri.clone();
    stage.count();
    if stage.shared.is_draining() {
        session.set_keepalive(None);
    }
}

/// Judges the request; true when it was answered here.
pub(super) async fn admit(session: &mut Session, stage: &mut Stage) -> Result<bool> {
    stage.phase = Phase::Admission;
    let stop = match whereto(session, stage) {
        Err(answer) => Stop::Answer(answer),
        // Rare, and boxed so as not to make the future of every request larger.
        Ok(upstream) if desk_door::concerns(session, stage) => {
            match Box::pin(desk_door::serve(session, stage, &upstream)).await {
                Ok(()) => return Ok(true),
                Err(stop) => stop,
            }
        }
        Ok(upstream) => match judged(session, stage, &upstream).await {
            Ok(()) => return Ok(false),
            Err(stop) => stop,
        },
    };
    let answer = match stop {
        Stop::Answer(answer) => answer,
        Stop::Broken(error) => return Err(error),
    };
    if stage
        .connection
        .as_ref()
        .is_some_and(|connection| connection.refused().is_some())
    {
        session.set_keepalive(None);
    }
    Box::pin(write::answer(session, stage, answer)).await;
    Ok(true)
}

/// Judges a request that is not for the gate itself, as it seems: it may still ask for a task in a vendor's words.
async fn judged(
    session: &mut Session,
    stage: &mut Stage,
    upstream: &Upstream,
) -> std::result::Result<(), Stop> {
    if let Some(concern) = faces::concerns(session, upstream) {
        Box::pin(faces::attend(session, stage, upstream, concern)).await?;
    }
    judge(session, stage, upstream).await
}

/// Where the request goes, and from whom it really comes.
fn whereto(session: &Session, stage: &mut Stage) -> std::result::Result<Arc<Upstream>, Answer> {
    over_connection_limit(stage)?;
    let head = session.req_header();
    let Some(upstream) = stage.shared.hosts.find(authority(head)).cloned() else {
        return Err(refuse(
            stage,
            421,
            "no upstream is configured for this host",
        ));
    };
    stage.upstream = Some(upstream.clone());
    stage.client = client(head, stage);
    let named = request_id(head);
    stage.named = named.is_some();
    stage.request_id = Some(named.unwrap_or_else(|| stage.shared.request_id()));
    Ok(upstream)
}

fn over_connection_limit(stage: &mut Stage) -> std::result::Result<(), Answer> {
    let Some(refused) = stage
        .connection
        .as_ref()
        .and_then(|connection| connection.refused())
    else {
        return Ok(());
    };
    stage.who = Some(Who::Limit);
    stage.limit = Some(refused.limit.into());
    let ratelimit = stage.shared.settings.ratelimit;
    Err(answer::connections_refusal(
        refused.limit,
        refused.ceiling.into(),
        ratelimit,
    ))
}

/// Bodies of ordinary calls are bounded; transfers are gigabytes, and take as long as they take.
pub(super) fn sizes(head: &RequestHeader, stage: &mut Stage) -> std::result::Result<(), Answer> {
    if stage.class == Class::Transfer {
        if let Some(exchange) = &stage.exchange {
            exchange.exempt_from_deadline();
        }
        return Ok(());
    }
    let most = stage.shared.settings.max_body_bytes;
    stage.body_budget = most;
    let announced = head
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.trim().parse::<u64>().ok());
    if announced.is_some_and(|length| length > most) {
        let detail =
            format!("the request body is larger than {most} bytes (listen.max_body_bytes)");
        return Err(refuse(stage, 413, &detail));
    }
    Ok(())
}

pub(super) fn refuse(stage: &mut Stage, status: u16, detail: &str) -> Answer {
    stage.who = Some(Who::Gate);
    answer::problem(status, detail)
}

/// The authority the client asks for: HTTP/2's, else `Host`.
pub(super) fn authority(head: &RequestHeader) -> &[u8] {
    let named = head
        .uri
        .authority()
        .map(|authority| authority.as_str().as_bytes());
    named
        .or_else(|| head.headers.get(HOST).map(http::HeaderValue::as_bytes))
        .unwrap_or_default()
}

fn client(head: &RequestHeader, stage: &Stage) -> std::net::IpAddr {
    let trusted = &stage.shared.settings.trusted_proxies;
    if trusted.is_empty() {
        return stage.client;
    }
    true_client(stage.client, &head.headers, trusted)
}

/// The name that the client gave its request.
fn request_id(head: &RequestHeader) -> Option<http::HeaderValue> {
    let named = head.headers.get(X_REQUEST_ID);
    let named = named.filter(|id| !id.is_empty() && id.len() <= MAX_REQUEST_ID);
    named
        .filter(|id| id.as_bytes().iter().all(u8::is_ascii_graphic))
        .cloned()
}
