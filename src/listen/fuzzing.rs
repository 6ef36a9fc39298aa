//! The parsers of this room as fuzz targets meet them: bytes in, a verdict out, no socket between.
//!
//! Only for tests: nothing of the gate uses it.

use std::net::SocketAddr;
use std::time::Duration;

use super::frames::Frames;
use super::guard::Guard;
use super::head::{Fault, Framing, Verdict};
use super::listener::Rules;
use super::proxy_protocol::{Step, judge, of_line};

/// What the guard says of an HTTP/1 head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Head {
    /// Not complete, and nothing wrong yet.
    Partial,
    /// It may pass.
    Complete {
        /// Bytes of it, the empty line at its end included.
        len: usize,
        /// How its body is framed.
        body: Body,
    },
    /// 431.
    TooLarge,
    /// 400, and why.
    Malformed(&'static str),
}

/// How the body behind a head is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunked.
    Chunked,
}

/// The verdict of the guard over a head of at most `max` bytes that comes in these pieces; those
/// behind the verdict are not looked at.
pub fn head<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, max: usize) -> Head {
    let mut guard = Guard::new(&Rules {
        handshake_timeout: Duration::MAX,
        header_timeout: Duration::MAX,
        idle_timeout: Duration::MAX,
        body_timeout: Duration::MAX,
        body_deadline: Duration::MAX,
        max_header_bytes: max,
        trusted_proxies: Vec::new(),
    });
    for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
        match guard.judge(piece).0 {
            Verdict::Partial => {}
            Verdict::Complete(head) => {
                let body = match head.framing {
                    Framing::None => Body::None,
                    Framing::Length(length) => Body::Length(length),
                    Framing::Chunked => Body::Chunked,
                };
                return Head::Complete {
                    len: head.len,
                    body,
                };
            }
            Verdict::Invalid(Fault::TooLarge) => return Head::TooLarge,
            Verdict::Invalid(Fault::Malformed(why)) => return Head::Malformed(why),
        }
    }
    Head::Partial
}

/// Where the watcher of HTTP/2 frames stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameState {
    /// Between two frames: no deadline runs.
    Between,
    /// In the middle of a frame or a header block.
    Inside,
    /// Too many frames that move nothing.
    Flood,
}

/// What the watcher of HTTP/2 frames makes of these pieces, when `written` bytes went to the client
/// before them.
pub fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, written: usize) -> FrameState {
    // Deadlines that can be added to any moment.
    let long = Duration::from_hours(1);
    let mut frames = Frames::new(long, long);
    frames.wrote(written);
    for piece in pieces {
        if frames.feed(piece).is_err() {
            return FrameState::Flood;
        }
    }
    match frames.deadline() {
        Some(_) => FrameState::Inside,
        None => FrameState::Between,
    }
}

/// The PROXY header at the start of `bytes`: the address told and the bytes it takes; `None` where it
/// goes on behind them.
///
/// # Errors
///
/// What is wrong with it.
pub fn proxy_header(bytes: &[u8]) -> Result<Option<(Option<SocketAddr>, usize)>, &'static str> {
    let mut taken = 0;
    loop {
        let so_far = bytes.get(..taken).unwrap_or_default();
        let ahead = bytes.get(taken..).unwrap_or_default();
        let more = match judge(so_far) {
            Step::Take(more) => more,
            Step::TakeLine if ahead.is_empty() => return Ok(None),
            Step::TakeLine => of_line(taken, ahead),
            Step::Done(source) => return Ok(Some((source, taken))),
            Step::Fault(why) => return Err(why),
        };
        if more > ahead.len() {
            return Ok(None);
        }
        taken += more;
    }
}
