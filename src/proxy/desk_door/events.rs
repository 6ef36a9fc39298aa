//! Events of a task on their way to a client, as they come.

use bytes::Bytes;
use http::Version;
use http::header::{HeaderValue, TRANSFER_ENCODING};
use pingora_error::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use crate::observe::{Phase, Who};
use crate::proxy::said::{Stop, broken};
use crate::proxy::stage::Stage;
use crate::task::api::Events;

/// What happens to a stream.
enum Next {
    Piece(Bytes),
    Over,
    Gone,
}

/// Sends events until there are no more, the gate is about to stop, or the client is gone.
///
/// # Errors
/// When the client is gone.
pub(super) async fn send(
    session: &mut Session,
    stage: &mut Stage,
    mut events: Events,
) -> std::result::Result<(), Stop> {
    stage.phase = Phase::Data;
    let sent = stream(session, stage, &mut events).await;
    match sent {
        Ok(()) => stage.phase = Phase::Finished,
        Err(_) => stage.who = Some(Who::Client),
    }
    sent.map_err(broken)
}

async fn stream(session: &mut Session, stage: &mut Stage, events: &mut Events) -> Result<()> {
    head(session, stage, events).await?;
    if session.req_header().method == http::Method::HEAD {
        return Ok(());
    }
    let shared = stage.shared.clone();
    loop {
        let next = tokio::select! {
            piece = events.next() => piece.map_or(Next::Over, Next::Piece),
            () = shared.leaves() => Next::Over,
            // A client has nothing to say here: what ends is its connection.
            read = session.as_mut().read_body_or_idle(true) => {
                read?;
                Next::Gone
            }
        };
        match next {
            Next::Piece(piece) => session.write_response_body(Some(piece), false).await?,
            Next::Over => return session.write_response_body(None, true).await,
            Next::Gone => {}
        }
    }
}

async fn head(session: &mut Session, stage: &mut Stage, events: &Events) -> Result<()> {
    let said = events.head();
    stage.note_status(said.status);
    let mut head = ResponseHeader::build(said.status, Some(said.headers.len() + 1))?;
    for (name, value) in &said.headers {
        head.append_header(name.clone(), value.clone())?;
    }
    match session.req_header().version {
        Version::HTTP_11 => {
            head.insert_header(TRANSFER_ENCODING, HeaderValue::from_static("chunked"))?;
        }
        // Its end is the connection's.
        Version::HTTP_10 | Version::HTTP_09 => session.set_keepalive(None),
        _ => {}
    }
    let bodiless = session.req_header().method == http::Method::HEAD;
    session
        .write_response_header(Box::new(head), bodiless)
        .await
}
