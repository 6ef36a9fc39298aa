//! A request body, whole and bounded, and so are all of them together.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT};
use pingora_proxy::Session;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refused;
use crate::proxy::arrive::refuse;
use crate::proxy::said::{Stop, broken};
use crate::proxy::stage::Stage;

/// Bodies that are at hand whole at the same time, in pieces of so many bytes: 128 MiB, twice the largest that a task may have.
const PIECES: usize = 2048;
const PIECE: usize = 64 * 1024;

/// Memory for all bodies that are read whole.
#[derive(Debug)]
pub(in crate::proxy) struct Bodies(Arc<Semaphore>);

/// One body's part of it, until this is dropped.
#[derive(Debug)]
pub(in crate::proxy) struct Share {
    of: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    pub(in crate::proxy) fn new() -> Self {
        Self(Arc::new(Semaphore::new(PIECES)))
    }

    /// A part of it, which grows with its body.
    pub(in crate::proxy) fn share(&self) -> Share {
        Share {
            of: self.0.clone(),
            taken: None,
        }
    }
}

impl Share {
    /// Grows to `bytes`. False where others have so much that it cannot.
    fn grow(&mut self, bytes: usize) -> bool {
        let taken = self.taken.as_ref();
        let taken = taken.map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.div_ceil(PIECE).saturating_sub(taken);
        if more == 0 {
            return true;
        }
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let Ok(more) = self.of.clone().try_acquire_many_owned(more) else {
            return false;
        };
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        true
    }
}

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
    share: &mut Share,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bodies_together_have_so_much_and_give_it_back() {
        let bodies = Bodies::new();
        let (mut one, mut other) = (bodies.share(), bodies.share());
        assert!(one.grow(0) && one.grow(1) && one.grow(PIECE));
        assert_eq!(bodies.0.available_permits(), PIECES - 1);
        assert!(one.grow((PIECES - 1) * PIECE));
        assert!(other.grow(PIECE) && !other.grow(PIECE + 1));
        assert!(!one.grow(PIECES * PIECE));
        drop(one);
        assert!(other.grow(PIECES * PIECE));
        drop(other);
        assert_eq!(bodies.0.available_permits(), PIECES);
    }
}
