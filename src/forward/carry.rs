//! Requests that were kept, on their way up: each over a connection that carried nothing before it.
//!
//! A connection that idled may be gone without a word, and then nobody knows whether a request that was written to it
//! was read. So a task pays for a new one; and what becomes of the exchange is told apart by what it proves.
//!
//! ```text
//!   carrier ─▶ no connection: nothing was sent
//!      └─▶ carry ─▶ Answer: it came whole
//!            ├────▶ TooLong: its head came, and more body than is kept
//!            └────▶ Lost: a byte may have gone up, and no whole answer came back
//! ```

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, EXPECT, HOST};
use http::{HeaderMap, HeaderName, Method};
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::protocols::http::v1::client::HttpSession as Http1;
use pingora_core::protocols::l4::stream::Stream;
use pingora_core::protocols::l4::virt::VirtualSocketStream;
use pingora_error::{Error, ErrorType};
use pingora_http::RequestHeader;
use tokio::time::timeout;

use super::dial::Dial;
use super::fault::UpstreamFault;
use super::io::Io;
use super::pool::Ticket;
use super::send::OwnAnswer;
use super::upstream::Upstream;
use super::wire::Wire;
use crate::admit::SocketGroup;
use crate::call::field;
use crate::limit::Memory;

/// How long an answer is looked for once the request could not be written to its end.
const LAST_WORD: Duration = Duration::from_secs(1);
/// Bodies of answers to this size take no part of the memory for all: there are no more of them than calls under way.
const SMALL: usize = 64 * 1024;
/// Most informational answers (1xx) before the real one.
const MOST_INTERIM: usize = 100;

/// A request that was kept. It may hold credentials.
#[derive(Clone)]
pub struct Freight {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Its fields, but for `Content-Length`; the upstream's own `Host` is added where it has none.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl std::fmt::Debug for Freight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Freight({} bytes)", self.body.len())
    }
}

/// No connection was had: nothing was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", fault.detail())]
pub struct Unconnected {
    /// Why.
    pub fault: UpstreamFault,
    /// Nobody is there: it may be worth waiting until somebody is.
    pub is_down: bool,
}

/// What came of an exchange.
#[derive(Debug)]
pub enum Carried {
    /// The answer, whole.
    Answer(OwnAnswer),
    /// The answer, without its body, which is longer than was asked for.
    TooLong(OwnAnswer),
    /// No whole answer; the request may have been executed.
    Lost(UpstreamFault),
}

/// A connection for one [`Freight`], which carried nothing before.
#[derive(Debug)]
pub struct Carrier {
    upstream: Arc<Upstream>,
    group: SocketGroup,
    io: Io,
    ticket: Ticket,
}

impl Upstream {
    /// A new connection charged to `group`.
    ///
    /// # Errors
    /// [`Unconnected`] where none is had within `connect_timeout`.
    pub async fn carrier(self: &Arc<Self>, group: SocketGroup) -> Result<Carrier, Unconnected> {
        let unconnected = |fault, is_down| {
            self.note_fault(fault);
            Unconnected { fault, is_down }
        };
        let Some(ticket) = self.place(group).await else {
            return Err(unconnected(UpstreamFault::NoSocket, false));
        };
        let connected = self.connect(group).await;
        let io = connected.map_err(|failure| unconnected(failure.fault, failure.is_down))?;
        Ok(Carrier {
            upstream: self.clone(),
            group,
            io,
            ticket,
        })
    }
}

impl Carrier {
    /// Whether it still stands: the upstream has neither closed it nor said anything unasked.
    pub fn is_quiet(&mut self) -> bool {
        self.io.is_quiet()
    }

    /// Sends `freight` and takes its answer, with at most `most` bytes of body, of which more than a little has a part of
    /// `memory` for as long as it is kept. It waits as long as that takes: whoever calls bounds it. Dropped, the connection
    /// closes.
    pub async fn carry(self, freight: Freight, most: usize, memory: &Memory) -> Carried {
        let upstream = self.upstream.clone();
        let carried = match self.exchange(freight, (most, memory)).await {
            Ok(carried) => carried,
            Err(error) if *error.etype() == ErrorType::InvalidHTTPHeader => {
                Carried::Lost(UpstreamFault::Malformed)
            }
            Err(_) => Carried::Lost(UpstreamFault::Broken),
        };
        if let Carried::Lost(fault) = carried {
            upstream.note_fault(fault);
        }
        carried
    }

    async fn exchange(
        self,
        freight: Freight,
        room: (usize, &Memory),
    ) -> Result<Carried, Box<Error>> {
        let Self {
            upstream,
            group,
            io,
            ticket,
        } = self;
        let head = head(&upstream, &freight)?;
        // Any silence: a clone takes minutes, and says nothing meanwhile.
        let dial = Dial::new(upstream.clone(), upstream.pool().outside(), group, None);
        let wire = Wire::new(io, ticket, dial);
        let stream = Stream::from(VirtualSocketStream::new(Box::new(wire)));
        let mut session = HttpSession::H1(Http1::new(Box::new(stream)));
        let written = write(&mut session, head, freight.body).await;
        if written.is_ok() {
            return read(&mut session, room).await;
        }
        // It may have answered and closed without reading the rest.
        let read = timeout(LAST_WORD, read(&mut session, room)).await;
        read.unwrap_or_else(|_| written.map(|()| Carried::Lost(UpstreamFault::Broken)))
    }
}

async fn write(
    session: &mut HttpSession,
    head: RequestHeader,
    body: Bytes,
) -> Result<(), Box<Error>> {
    session.write_request_header(Box::new(head)).await?;
    if !body.is_empty() {
        session.write_request_body(body, true).await?;
    }
    session.finish_request_body().await
}

fn head(upstream: &Upstream, freight: &Freight) -> Result<RequestHeader, Box<Error>> {
    let Freight {
        method,
        target,
        headers,
        body,
    } = freight;
    let fields = Some(headers.len() + 2);
    let mut head = RequestHeader::build(method.clone(), target.as_bytes(), fields)?;
    // The length is said anew, and the rest speaks of a connection that is long gone.
    let is_sent = |name: &HeaderName| !field::is_made_anew(name) && *name != EXPECT;
    if !headers.contains_key(HOST) {
        head.insert_header(HOST, upstream.rewriter().own_host())?;
    }
    for (name, value) in headers.iter().filter(|(name, _)| is_sent(name)) {
        head.append_header(name.clone(), value.clone())?;
    }
    let says_length = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    if says_length || !body.is_empty() {
        head.insert_header(CONTENT_LENGTH, body.len())?;
    }
    Ok(head)
}

async fn read(
    session: &mut HttpSession,
    (most, memory): (usize, &Memory),
) -> Result<Carried, Box<Error>> {
    let mut answer = None;
    for _ in 0..MOST_INTERIM {
        session.read_response_header().await?;
        let head = session.response_header();
        if let Some(head) = head.filter(|head| !head.status.is_informational()) {
            answer = Some((head.status.as_u16(), head.headers.clone()));
            break;
        }
    }
    let Some((status, headers)) = answer else {
        return Ok(Carried::Lost(UpstreamFault::Malformed));
    };
    let mut body = BytesMut::new();
    let mut is_too_long = false;
    let mut part = None;
    while let Some(piece) = session.read_response_body().await? {
        if body.len() + piece.len() > most {
            is_too_long = true;
            body = BytesMut::new();
            break;
        }
        if part.is_none() && body.len() + piece.len() > SMALL {
            // All that it may come to: who has some and waits for more would wait for its like.
            part = Some(
                memory
                    .wait(announced(&headers).unwrap_or(most).min(most))
                    .await,
            );
        }
        body.extend_from_slice(&piece);
    }
    let answer = OwnAnswer {
        status,
        headers,
        body: match part {
            Some(part) if !is_too_long => part.with(body.freeze()),
            _ => body.freeze(),
        },
    };
    Ok(if is_too_long {
        Carried::TooLong(answer)
    } else {
        Carried::Answer(answer)
    })
}

/// How long the body is, as its head says.
fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
#[path = "carry_tests.rs"]
mod tests;
