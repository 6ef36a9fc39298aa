//! A request body, whole and bounded, and so are all of them together.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use pingora_proxy::Session;

use super::refused;
use crate::limit::Part;
use crate::proxy::arrive::refuse;
use crate::proxy::said::{Stop, broken};
use crate::proxy::stage::Stage;

/// Bytes of all bodies that are at hand whole at the same time: twice the largest that a task may have.
pub(in crate::proxy) const ALL_BODIES: usize = 128 * 1024 * 1024;

/// Reads what is left of the body behind `begun`, to at most `most` bytes in all, which is what is said of `what`, into
/// `share`.
///
/// # Errors
/// 413 where it is longer; 503 where others leave no room; and when the client is gone before its end.
pub(in crate::proxy) async fn read(
    session: &mut Session,
    stage: &mut Stage,
    mut begun: BytesMut,
    (most, what): (u64, &str),
    share: &mut Part,
) -> Result<Bytes, Stop> {
    let head = session.req_header();
    let announced = head.headers.get(CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.trim().parse::<u64>().ok());
    if announced.is_some_and(|length| length > most) {
        return Err(too_large(stage, most, what));
    }
    if head.headers.contains_key(EXPECT) && !stage.continued && !session.is_body_done() {
        session.write_continue_response().await.map_err(broken)?;
        stage.continued = true;
    }
    loop {
        if length(&begun) > most {
            return Err(too_large(stage, most, what));
        }
        if !share.grow(begun.len()) {
            return Err(refused::crowded(stage));
        }
        if session.is_body_done() {
            break;
        }
        let Some(piece) = session.read_request_body().await.map_err(broken)? else {
            break;
        };
        if let Some(exchange) = &stage.exchange {
            exchange.body_progress();
        }
        begun.extend_from_slice(&piece);
    }
    if let Some(exchange) = &stage.exchange {
        exchange.body_finished();
    }
    stage.received = length(&begun);
    Ok(begun.freeze())
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

fn too_large(stage: &mut Stage, most: u64, what: &str) -> Stop {
    let detail = format!("the body of {what} is larger than {most} bytes");
    Stop::Answer(refuse(stage, 413, &detail))
}
