//! Calls of the gate's own: logging a session out, asking whose it is. They go up the same way as
//! clients' calls, under the same caps on sockets, and take their whole answer into memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pingora_core::connectors::L4Connect;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::protocols::http::v1::client::HttpSession as Http1;
use pingora_core::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora_error::Error;
use pingora_http::RequestHeader;
use tokio::time::timeout;

use super::upstream::Upstream;
use crate::admit::SocketGroup;
use crate::call::Class;

/// One call of the gate's own.
#[derive(Debug, Clone)]
pub struct OwnCall {
    /// Its method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Fields beside `Host` and `Content-Length`. They may hold tokens.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its body.
    pub body: Bytes,
}

/// The whole answer to an [`OwnCall`].
#[derive(Debug)]
pub struct OwnAnswer {
    /// Status.
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body, never longer than asked for.
    pub body: Bytes,
}

/// Why an [`OwnCall`] has no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No connection, or it broke.
    #[error("{0}")]
    Broken(#[from] Box<Error>),
    /// The answer did not come in time.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// The answer is longer than was asked for, bytes.
    #[error("the answer is longer than {0} bytes")]
    Long(usize),
}

impl Upstream {
    /// Sends `call` over a connection charged to `group`, and waits `within` for an answer with at most
    /// `most` bytes of body. Cancelled or done, it closes its connection: it may have been made outside
    /// the worker threads, to which pooled ones belong.
    ///
    /// # Errors
    /// [`SendError`] when there is no whole answer.
    pub async fn send(
        self: &Arc<Self>,
        call: OwnCall,
        group: SocketGroup,
        within: Duration,
        most: usize,
    ) -> Result<OwnAnswer, SendError> {
        timeout(within, self.exchange(call, group, most))
            .await
            .unwrap_or(Err(SendError::Late(within)))
    }

    async fn exchange(
        self: &Arc<Self>,
        call: OwnCall,
        group: SocketGroup,
        most: usize,
    ) -> Result<OwnAnswer, SendError> {
        let head = self.own_head(&call)?;
        let dial = self.dial(self.pool().outside(), group, Class::Rest);
        let nowhere = PingoraAddr::from(std::net::SocketAddr::from(([0, 0, 0, 0], 0)));
        let stream = dial.connect(&nowhere).await?;
        let mut session: HttpSession = HttpSession::H1(Http1::new(Box::new(stream)));
        session.write_request_header(Box::new(head)).await?;
        if !call.body.is_empty() {
            session.write_request_body(call.body, true).await?;
        }
        session.finish_request_body().await?;
        read_answer(&mut session, most).await
    }

    fn own_head(&self, call: &OwnCall) -> Result<RequestHeader, Box<Error>> {
        let fields = call.headers.len() + 3;
        let mut head =
            RequestHeader::build(call.method.clone(), call.target.as_bytes(), Some(fields))?;
        head.insert_header(HOST, self.rewriter().own_host())?;
        head.insert_header(USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION")))?;
        head.insert_header(CONTENT_LENGTH, call.body.len())?;
        for (name, value) in &call.headers {
            head.insert_header(name.clone(), value.clone())?;
        }
        Ok(head)
    }
}

/// Reads an answer to its end.
pub(super) async fn read_answer(
    session: &mut HttpSession,
    most: usize,
) -> Result<OwnAnswer, SendError> {
    let (status, headers) = loop {
        session.read_response_header().await?;
        match session.response_header() {
            Some(head) if head.status.is_informational() => {}
            Some(head) => break (head.status.as_u16(), head.headers.clone()),
            None => break (0, HeaderMap::new()),
        }
    };
    let mut body = BytesMut::new();
    while let Some(piece) = session.read_response_body().await? {
        if body.len() + piece.len() > most {
            return Err(SendError::Long(most));
        }
        body.extend_from_slice(&piece);
    }
    Ok(OwnAnswer {
        status,
        headers,
        body: body.freeze(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn upstream() -> (Arc<Upstream>, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let text = format!("[[upstream]]\naddress = \"http://{address}\"");
        let config = crate::config::parse(&text, Path::new(".")).unwrap();
        let upstream = Upstream::build(&config.upstreams[0], 0, 2).unwrap();
        (upstream, listener)
    }

    fn delete() -> OwnCall {
        OwnCall {
            method: Method::DELETE,
            target: "/api/session".into(),
            headers: vec![(
                HeaderName::from_static("vmware-api-session-id"),
                HeaderValue::from_static("t"),
            )],
            body: Bytes::from_static(b"{}"),
        }
    }

    /// Accepts one connection, says `answer` to what it hears, and returns that.
    async fn answer(listener: TcpListener, answer: &str) -> String {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut heard = Vec::new();
        while !heard.ends_with(b"{}") {
            assert_ne!(socket.read_buf(&mut heard).await.unwrap(), 0);
        }
        socket.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(heard).unwrap()
    }

    #[tokio::test]
    async fn a_call_goes_up_and_its_answer_comes_back_whole() {
        let (upstream, listener) = upstream().await;
        let said = "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 3\r\n\r\nabc";
        let group = SocketGroup::default();
        let (heard, got) = tokio::join!(
            answer(listener, said),
            upstream.send(delete(), group, Duration::from_secs(20), 64)
        );
        let got = got.unwrap();
        assert_eq!((got.status, &got.body[..]), (200, &b"abc"[..]));
        assert_eq!(got.headers["set-cookie"], "a=b");
        assert!(
            heard.starts_with("DELETE /api/session HTTP/1.1\r\n"),
            "{heard}"
        );
        assert!(
            heard
                .to_lowercase()
                .contains("vmware-api-session-id: t\r\n"),
            "{heard}"
        );
    }

    #[tokio::test]
    async fn too_long_an_answer_and_none_in_time_are_told_apart() {
        let (upstream, listener) = upstream().await;
        let group = SocketGroup::default();
        let said = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        let (_, got) = tokio::join!(
            answer(listener, said),
            upstream.send(delete(), group, Duration::from_secs(20), 2)
        );
        assert!(matches!(got, Err(SendError::Long(2))), "{got:?}");

        let (upstream, _silent) = self::upstream().await;
        let brief = Duration::from_millis(50);
        let got = upstream.send(delete(), group, brief, 2).await;
        assert!(matches!(got, Err(SendError::Late(_))), "{got:?}");
    }
}
