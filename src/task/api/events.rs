//! The events of a task, as a stream (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use bytes::Bytes;

use crate::answer::Answer;

/// The events of a task, until it is over.
#[derive(Debug)]
pub struct Events {
    head: Answer,
}

impl Events {
    /// Status and header fields of the stream; its body is none.
    #[must_use]
    pub const fn head(&self) -> &Answer {
        &self.head
    }

    /// The next piece of the body; none once the stream is over. Dropping the future loses nothing.
    #[expect(
        clippy::unused_async,
        reason = "it waits for the task once that is built"
    )]
    pub async fn next(&mut self) -> Option<Bytes> {
        None
    }
}
