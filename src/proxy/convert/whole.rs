//! A request body, whole and bounded.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use pingora_proxy::Session;

use crate::proxy::arrive::refuse;
use crate::proxy::said::{Stop, broken};
use crate::proxy::stage::Stage;

/// Reads what is left of the body behind `begun`, to at most `most` bytes in all, which is what is said of `what`.
///
/// # Errors
/// 413 where it is longer; and when the client is gone before its end.
pub(in crate::proxy) async fn read(
    session: &mut Session,
    stage: &mut Stage,
    mut begun: BytesMut,
    (most, what): (u64, &str),
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
    while !session.is_body_done() {
        let Some(piece) = session.read_request_body().await.map_err(broken)? else {
            break;
        };
        if let Some(exchange) = &stage.exchange {
            exchange.body_progress();
        }
        begun.extend_from_slice(&piece);
        if length(&begun) > most {
            return Err(too_large(stage, most, what));
        }
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
