//! The HTTP/1 side of a socket: its phases, their deadlines, and what is never let through.
//!
//! ```text
//!             complete, valid                      next request of the connection
//!   Head ───────────────────────▶ Body ──────────────────────────────────────────▶ Head
//!    │ invalid: 400, 431; late: 408
//!    └──────────▶ Refusing ──▶ Over: the engine reads the end of the stream
//! ```
//!
//! A head that arrives in one piece is judged where it lies. One that arrives in pieces is copied aside
//! while its pieces pass; the piece that would complete an invalid head does not.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::alarm::Alarm;
use super::connection::Connection;
use super::early::Cause;
use super::head::{Fault, Framing, Head, Scanner, Verdict};
use super::listener::Rules;
use super::refusal;
use super::transport::Transport;

/// Longest time to get an answer of our own out.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// Follows one HTTP/1 connection.
#[derive(Debug)]
pub(super) struct Guard {
    phase: Phase,
    scanner: Scanner,
    /// The head so far, when it comes in pieces.
    aside: Vec<u8>,
    /// What `header_timeout` runs from: the accept for the first head, its first byte for later ones.
    head_since: Option<Instant>,
    /// What `idle_timeout` runs from.
    idle_since: Option<Instant>,
    /// Bytes of a `Content-Length` body still to come.
    body_left: Option<u64>,
    /// Since when the engine has been waiting for bytes of the body.
    awaited_since: Option<Instant>,
}

#[derive(Debug)]
enum Phase {
    Head,
    Body,
    Refusing(Refusal),
    Over,
}

#[derive(Debug)]
struct Refusal {
    answer: Vec<u8>,
    sent: usize,
    until: Instant,
}

/// What a read works with.
pub(super) struct Reading<'a> {
    pub(super) transport: &'a mut Transport,
    pub(super) connection: &'a Connection,
    pub(super) alarm: &'a mut Alarm,
}

impl Guard {
    /// At the start of a connection whose `header_timeout` runs from now.
    pub(super) fn new(rules: &Rules) -> Self {
        Self {
            phase: Phase::Head,
            scanner: Scanner::new(rules.max_header_bytes),
            aside: Vec::new(),
            head_since: Some(Instant::now()),
            idle_since: None,
            body_left: None,
            awaited_since: None,
        }
    }

    /// Reads for the engine.
    pub(super) fn poll_read(
        &mut self,
        on: &mut Reading<'_>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if on.connection.take_head_expected() && matches!(self.phase, Phase::Body) {
            self.next_head(on.connection.listener().rules());
        }
        match self.phase {
            Phase::Head => self.poll_head(on, cx, buf),
            Phase::Body => self.poll_body(on, cx, buf),
            Phase::Refusing(_) => self.poll_refusal(on, cx),
            Phase::Over => Poll::Ready(Ok(())),
        }
    }

    fn next_head(&mut self, rules: &Rules) {
        self.phase = Phase::Head;
        self.scanner = Scanner::new(rules.max_header_bytes);
        self.head_since = None;
        self.idle_since = None;
        self.body_left = None;
        self.awaited_since = None;
    }

    fn poll_head(
        &mut self,
        on: &mut Reading<'_>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let Poll::Ready(read) = Pin::new(&mut *on.transport).poll_read(cx, buf) else {
            let due = self.head_due(on.connection.listener().rules());
            ready!(on.alarm.poll(cx, due));
            return self.head_late(on, cx);
        };
        read?;
        let fresh = buf.filled().get(before..).unwrap_or_default();
        if fresh.is_empty() {
            if !self.aside.is_empty() {
                on.connection.report(None, Cause::ClientGone);
            }
            return Poll::Ready(Ok(()));
        }
        match self.judge(fresh) {
            (Verdict::Partial, _) => Poll::Ready(Ok(())),
            (Verdict::Complete(head), seen) => {
                self.pass(head, seen, on.connection);
                Poll::Ready(Ok(()))
            }
            (Verdict::Invalid(fault), _) => {
                buf.set_filled(before);
                self.refuse_fault(fault, on.connection);
                self.poll_refusal(on, cx)
            }
        }
    }

    /// The verdict over the head so far, and how many bytes it was given.
    pub(super) fn judge(&mut self, fresh: &[u8]) -> (Verdict, usize) {
        if !self.aside.is_empty() {
            self.aside.extend_from_slice(fresh);
            return (self.scanner.scan(&self.aside), self.aside.len());
        }
        let verdict = self.scanner.scan(fresh);
        if verdict == Verdict::Partial {
            self.aside.extend_from_slice(fresh);
            self.head_since.get_or_insert_with(Instant::now);
        }
        (verdict, fresh.len())
    }

    fn pass(&mut self, head: Head, seen: usize, connection: &Connection) {
        self.phase = Phase::Body;
        self.aside = Vec::new();
        connection.head_passed();
        let early = u64::try_from(seen.saturating_sub(head.len)).unwrap_or(u64::MAX);
        let open = match head.framing {
            Framing::None => false,
            Framing::Chunked => true,
            Framing::Length(length) => {
                self.body_left = Some(length.saturating_sub(early));
                length > early
            }
        };
        if open {
            connection.own_exchange().expect_body();
        }
    }

    fn head_due(&mut self, rules: &Rules) -> Instant {
        match self.head_since {
            Some(since) => since + rules.header_timeout,
            None => *self.idle_since.get_or_insert_with(Instant::now) + rules.idle_timeout,
        }
    }

    fn head_late(&mut self, on: &mut Reading<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.aside.is_empty() {
            if self.head_since.is_some() {
                on.connection.report(None, Cause::HeadTimeout);
            }
            self.phase = Phase::Over;
            return Poll::Ready(Ok(()));
        }
        self.refuse(
            408,
            "the request head was not complete in time",
            Cause::HeadTimeout,
            on.connection,
        );
        self.poll_refusal(on, cx)
    }

    fn refuse_fault(&mut self, fault: Fault, connection: &Connection) {
        match fault {
            Fault::TooLarge => {
                self.refuse(
                    431,
                    "the request head is too large",
                    Cause::HeadTooLarge,
                    connection,
                );
            }
            Fault::Malformed(why) => self.refuse(400, why, Cause::HeadMalformed(why), connection),
        }
    }

    fn refuse(&mut self, status: u16, detail: &str, cause: Cause, connection: &Connection) {
        connection.report(Some(status), cause);
        self.aside = Vec::new();
        self.phase = Phase::Refusing(Refusal {
            answer: refusal::answer(status, detail),
            sent: 0,
            until: Instant::now() + REFUSAL_TIME,
        });
    }

    /// Gets the answer out and the sending side closed; then the engine reads the end of the stream.
    fn poll_refusal(&mut self, on: &mut Reading<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Phase::Refusing(refusal) = &mut self.phase {
            let sent = refusal.poll_send(on, cx);
            if sent.is_pending() {
                ready!(on.alarm.poll(cx, refusal.until));
            }
            if !matches!(sent, Poll::Ready(Ok(()))) {
                // Nobody takes the answer: nothing to linger for.
                on.transport.eof = true;
            }
        }
        self.phase = Phase::Over;
        Poll::Ready(Ok(()))
    }

    fn poll_body(
        &mut self,
        on: &mut Reading<'_>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let exchange = on.connection.own_exchange();
        // The engine asks for a single byte only after the body, to learn that the client hangs up.
        if buf.remaining() == 1 && exchange.body_is_open() {
            exchange.body_finished();
        }
        let before = buf.filled().len();
        let Poll::Ready(read) = Pin::new(&mut *on.transport).poll_read(cx, buf) else {
            if exchange.body_is_open() {
                let since = *self.awaited_since.get_or_insert_with(Instant::now);
                let (due, late) = exchange.body_due(since);
                ready!(on.alarm.poll(cx, due));
                exchange.set_late(late);
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            return Poll::Pending;
        };
        self.awaited_since = None;
        if let Some(left) = &mut self.body_left {
            let read = u64::try_from(buf.filled().len().saturating_sub(before)).unwrap_or(u64::MAX);
            *left = left.saturating_sub(read);
            if *left == 0 && exchange.body_is_open() {
                exchange.body_finished();
            }
        }
        Poll::Ready(read)
    }
}

impl Refusal {
    fn poll_send(&mut self, on: &mut Reading<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.answer.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let sent = ready!(Pin::new(&mut *on.transport).poll_write(cx, rest))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            on.connection.note_write(rest);
            self.sent += sent;
        }
        ready!(Pin::new(&mut *on.transport).poll_flush(cx))?;
        on.transport.poll_half_close(cx)
    }
}
