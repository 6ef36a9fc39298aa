//! Answers of the gate's own, written so that the client's connection can live on.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, EXPECT};
use pingora_error::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::stage::Stage;
use crate::answer::Answer;
use crate::observe::Who;

/// Bodies to this size are read to their end, so that the connection can carry the next request;
/// before a longer one is answered, the connection is given up.
const DRAIN_BYTES: u64 = 64 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// Writes `answer`. That the client is gone by now is noted, and no error.
pub(super) async fn answer(session: &mut Session, stage: &mut Stage, answer: Answer) {
    stage.note_status(answer.status);
    // Whoever has its answer and calls again does not find its own last call in the way.
    stage.key = None;
    if !drained(session).await {
        session.set_keepalive(None);
    }
    if write(session, answer).await.is_err() {
        stage.who = Some(Who::Client);
    }
}

async fn write(session: &mut Session, answer: Answer) -> Result<()> {
    let mut head = ResponseHeader::build(answer.status, Some(answer.headers.len() + 3))?;
    for (name, value) in answer.headers {
        head.append_header(name, value)?;
    }
    // These have no body, whose length it could be (RFC 9110 section 8.6).
    let is_bare = matches!(answer.status, 204 | 304);
    if !is_bare {
        head.insert_header(CONTENT_LENGTH, answer.body.len())?;
    }
    let bodiless = is_bare || session.req_header().method == http::Method::HEAD;
    session
        .write_response_header(Box::new(head), bodiless)
        .await?;
    if !bodiless {
        session.write_response_body(Some(answer.body), true).await?;
    }
    Ok(())
}

/// Reads what is left of a small body; false where too much is left or the client is too slow.
async fn drained(session: &mut Session) -> bool {
    if session.is_body_done() {
        return true;
    }
    // Who waits for 100 Continue will not send the body once it has the answer.
    let head = session.req_header();
    let announced = head
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.trim().parse::<u64>().ok());
    if head.headers.contains_key(EXPECT) || announced.is_some_and(|length| length > DRAIN_BYTES) {
        return false;
    }
    let drain = async {
        let mut read = 0_u64;
        while let Ok(Some(piece)) = session.read_request_body().await {
            read = read.saturating_add(length(&piece));
            if read > DRAIN_BYTES {
                return false;
            }
        }
        session.is_body_done()
    };
    tokio::time::timeout(DRAIN_TIME, drain)
        .await
        .unwrap_or(false)
}

fn length(piece: &Bytes) -> u64 {
    u64::try_from(piece.len()).unwrap_or(u64::MAX)
}
