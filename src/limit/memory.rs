//! Memory for bodies, all of them together: whoever needs much of it at once waits, or is told that there is none.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// It is counted in pieces of so many bytes.
const PIECE: usize = 64 * 1024;

/// So much memory for so many bodies.
#[derive(Debug, Clone)]
pub struct Memory {
    pieces: Arc<Semaphore>,
    most: usize,
}

/// One body's part of it, until this is dropped.
#[derive(Debug)]
pub struct Part {
    of: Memory,
    taken: Option<OwnedSemaphorePermit>,
}

impl Memory {
    /// So many bytes, in whole pieces of 64 KiB.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let most = bytes.div_ceil(PIECE).min(Semaphore::MAX_PERMITS);
        Self {
            pieces: Arc::new(Semaphore::new(most)),
            most,
        }
    }

    /// A part of it, which has nothing yet.
    #[must_use]
    pub fn part(&self) -> Part {
        Part {
            of: self.clone(),
            taken: None,
        }
    }

    /// Waits for a part of `bytes`, or of all that there is where that is less: whoever came first is served first. Whoever
    /// has a part must not wait for another.
    pub async fn wait(&self, bytes: usize) -> Part {
        let pieces = u32::try_from(bytes.div_ceil(PIECE).min(self.most)).unwrap_or(u32::MAX);
        // It is never closed.
        let taken = self.pieces.clone().acquire_many_owned(pieces).await.ok();
        Part {
            of: self.clone(),
            taken,
        }
    }

    /// Bytes that nobody has.
    #[must_use]
    pub fn left(&self) -> usize {
        self.pieces.available_permits() * PIECE
    }
}

impl Part {
    /// Grows to `bytes`. False where others have so much that it cannot.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let taken = self.taken.as_ref();
        let taken = taken.map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.div_ceil(PIECE).saturating_sub(taken);
        if more == 0 {
            return true;
        }
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let Ok(more) = self.of.pieces.clone().try_acquire_many_owned(more) else {
            return false;
        };
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        true
    }

    /// The same body, which has this part for as long as any of it is kept.
    #[must_use]
    pub fn with(self, body: Bytes) -> Bytes {
        Bytes::from_owner(Whole { body, _part: self })
    }
}

struct Whole {
    body: Bytes,
    _part: Part,
}

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn all_bodies_together_have_so_much_and_give_it_back() {
        let memory = Memory::new(8 * PIECE);
        let (mut one, mut other) = (memory.part(), memory.part());
        assert!(one.grow(0) && one.grow(1) && one.grow(PIECE));
        assert_eq!(memory.left(), 7 * PIECE);
        assert!(one.grow(7 * PIECE));
        assert!(other.grow(PIECE) && !other.grow(PIECE + 1));
        assert!(!one.grow(8 * PIECE));
        drop(one);
        assert!(other.grow(8 * PIECE));
        drop(other);
        assert_eq!(memory.left(), 8 * PIECE);
    }

    #[test]
    fn who_waits_has_its_part_when_the_body_before_is_gone() {
        let memory = Memory::new(2 * PIECE);
        let mut context = Context::from_waker(Waker::noop());
        let Poll::Ready(part) = pin!(memory.wait(usize::MAX)).poll(&mut context) else {
            panic!("all of it is there");
        };
        let body = part.with(Bytes::from_static(b"body"));
        let mut waiting = pin!(memory.wait(1));
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        let slice = body.slice(1..2);
        drop(body);
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        drop(slice);
        assert!(waiting.as_mut().poll(&mut context).is_ready());
    }
}
