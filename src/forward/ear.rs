//! What is overheard of an answer that may be a refusal: its bytes, as they come, kept beside Pingora.
//!
//! Pingora hands an answer on piece by piece. Whether a call may be sent again is to be known before its
//! first piece has gone to the client, and sometimes stands in the body; and where the call then cannot
//! go on, the client is owed the whole answer. So the wire keeps answers of the few statuses that
//! refusals have, and of nothing else.

use std::time::Duration;

use bytes::Bytes;
use memchr::memmem;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

/// Largest body of a refusal, bytes. What is larger is no refusal that anybody need keep.
const MOST_BODY: usize = 64 * 1024;
/// Most bytes that are kept: a body, how it is framed, and a head.
const MOST: usize = MOST_BODY + 32 * 1024;
/// How long the rest of a body that has begun is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// The answer of one attempt, as far as it is worth keeping.
#[derive(Debug, Default)]
pub(super) struct Ear {
    heard: Mutex<Heard>,
    came: Notify,
}

#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    /// Nothing more is to come, or to be kept.
    over: bool,
}

impl std::fmt::Debug for Heard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Heard({} bytes)", self.bytes.len())
    }
}

/// Where the body of an answer ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(usize),
    /// Where its last chunk does.
    Chunked,
}

/// Whether a wire listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attention {
    /// To nothing.
    None,
    /// To the first line of an answer.
    Status,
    /// To all of it.
    All,
}

impl Attention {
    /// What to do after `bytes` that begin an answer, where those with `statuses` are kept.
    pub(super) fn after(bytes: &[u8], statuses: &[u16]) -> Self {
        let status = bytes.get(9..12).and_then(|digits| {
            let is_answer = bytes.starts_with(b"HTTP/1.");
            std::str::from_utf8(digits)
                .ok()?
                .parse::<u16>()
                .ok()
                .filter(|_| is_answer)
        });
        match status {
            Some(100..200) => Self::Status,
            Some(status) if statuses.contains(&status) => Self::All,
            _ => Self::None,
        }
    }
}

impl Ear {
    /// Keeps `bytes`; none are the end.
    pub(super) fn hear(&self, bytes: &[u8]) {
        let mut heard = self.heard.lock();
        if bytes.is_empty() || heard.bytes.len() + bytes.len() > MOST {
            heard.over = true;
        } else {
            heard.bytes.extend_from_slice(bytes);
        }
        drop(heard);
        self.came.notify_one();
    }

    /// The whole body, once it is here. `None` where it is too long, breaks off, or does not come.
    pub(super) async fn body(&self, framing: Framing) -> Option<Bytes> {
        let whole = async {
            loop {
                match self.now(framing) {
                    Ok(body) => return body,
                    Err(More) => self.came.notified().await,
                }
            }
        };
        timeout(PATIENCE, whole).await.ok().flatten()
    }

    fn now(&self, framing: Framing) -> Result<Option<Bytes>, More> {
        let heard = self.heard.lock();
        if heard.bytes.is_empty() {
            return Ok(None); // nobody listened
        }
        let body = memmem::find(&heard.bytes, b"\r\n\r\n").map(|end| end + 4);
        let body = body.and_then(|begin| heard.bytes.get(begin..));
        let whole = match framing {
            Framing::Length(length) if length > MOST_BODY => return Ok(None),
            Framing::Length(length) => body
                .and_then(|body| body.get(..length))
                .map(Bytes::copy_from_slice),
            Framing::Chunked => body.and_then(dechunked),
        };
        match whole {
            None if !heard.over => Err(More),
            whole => Ok(whole),
        }
    }
}

/// More may come.
struct More;

/// The body whose chunks these are; `None` before its last one (RFC 9112 section 7.1).
fn dechunked(mut chunks: &[u8]) -> Option<Bytes> {
    let mut body = Vec::new();
    loop {
        let line = memmem::find(chunks, b"\r\n")?;
        let size = std::str::from_utf8(chunks.get(..line)?).ok()?;
        let size = size.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        let rest = chunks.get(line + 2..)?;
        if size == 0 {
            return Some(Bytes::from(body));
        }
        body.extend_from_slice(rest.get(..size)?);
        chunks = rest.get(size.checked_add(2)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_of_some_statuses_are_listened_to() {
        let after = |bytes: &str| Attention::after(bytes.as_bytes(), &[429, 503]);
        assert_eq!(after("HTTP/1.1 429 Too Many\r\n"), Attention::All);
        assert_eq!(after("HTTP/1.0 503"), Attention::All);
        assert_eq!(after("HTTP/1.1 100 Continue\r\n\r\n"), Attention::Status);
        for other in [
            "HTTP/1.1 200 OK",
            "HTTP/1.1 42",
            "x",
            "",
            "SSH-2.0-x429 4299",
        ] {
            assert_eq!(after(other), Attention::None, "{other}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_is_whole_at_its_end_and_not_before() {
        const HEAD: &str = "HTTP/1.1 429 X\r\na: b\r\n\r\n";
        let heard = async |pieces: &[&str], framing| {
            let ear = Ear::default();
            pieces.iter().for_each(|piece| ear.hear(piece.as_bytes()));
            ear.body(framing).await
        };
        let length = Framing::Length(4);
        assert_eq!(heard(&[HEAD, "bo", "dy"], length).await.unwrap(), "body");
        assert_eq!(heard(&[HEAD, "bo"], length).await, None, "it does not come");
        assert_eq!(heard(&[HEAD, "bo", ""], length).await, None, "it broke off");
        assert_eq!(heard(&[], length).await, None);
        assert_eq!(heard(&[HEAD], Framing::Length(0)).await.unwrap(), "");
        let chunks = ["2;x=y\r\nbo\r\n", "2\r\ndy\r\n", "0\r\n\r\n"];
        let all = [&[HEAD], &chunks[..]].concat();
        assert_eq!(heard(&all, Framing::Chunked).await.unwrap(), "body");
        assert_eq!(heard(&all[..3], Framing::Chunked).await, None);
        assert_eq!(heard(&[HEAD, "zz\r\n"], Framing::Chunked).await, None);
        let large = "x".repeat(MOST_BODY + 1);
        assert_eq!(
            heard(&[HEAD, &large], Framing::Length(large.len())).await,
            None
        );
    }

    #[tokio::test]
    async fn the_rest_of_a_body_is_waited_for() {
        let ear = Ear::default();
        ear.hear(b"HTTP/1.1 429 X\r\n\r\nbo");
        let (body, ()) = tokio::join!(ear.body(Framing::Length(4)), async {
            tokio::task::yield_now().await;
            ear.hear(b"dy");
        });
        assert_eq!(body.unwrap(), "body");
    }
}
