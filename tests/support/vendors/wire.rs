//! HTTP/1.1 as the models speak it: one exchange at a time, bodies of a known length or in chunks.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One request, whole.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    fn parse(head: &str) -> Option<Self> {
        let mut lines = head.lines();
        let mut line = lines.next()?.split(' ');
        let method = line.next()?.to_owned();
        let target = line.next()?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pair = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Some(Self {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: lines.filter_map(pair).collect(),
            body: Vec::new(),
        })
    }

    /// Path and query as they were written.
    pub fn target(&self) -> String {
        match &*self.query {
            "" => self.path.clone(),
            query => format!("{}?{query}", self.path),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name)?;
        Some(&found.1)
    }

    pub fn cookie(&self, name: &str) -> Option<&str> {
        let fields = self.headers.iter().filter(|(key, _)| key == "cookie");
        let mut pairs = fields
            .flat_map(|(_, value)| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        let (_, value) = pairs.find(|(key, _)| *key == name)?;
        Some(value.trim_matches('"'))
    }

    /// User and password of a Basic field.
    pub fn basic(&self) -> Option<(String, String)> {
        let encoded = self.header("authorization")?.strip_prefix("Basic ")?;
        let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
        let (user, password) = text.split_once(':')?;
        Some((user.to_owned(), password.to_owned()))
    }

    /// Name and value of each query parameter, decoded; a bare name has an empty value.
    pub fn parameters(&self) -> Vec<(String, String)> {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(name, value)| (decode(name), decode(value)))
            .collect()
    }

    pub fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = self.parameters().into_iter();
        pairs.find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The segments of the path, decoded.
    pub fn segments(&self) -> Vec<String> {
        let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        self.path.split('/').skip(1).map(decode).collect()
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Reply {
    pub fn json(status: u16, body: impl ToString) -> Self {
        Self::empty(status).body("application/json", body)
    }

    pub fn xml(status: u16, body: impl ToString) -> Self {
        Self::empty(status).body("application/xml", body)
    }

    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    fn body(mut self, media: &str, body: impl ToString) -> Self {
        self.body = body.to_string();
        self.with("Content-Type", media)
    }

    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    fn reason(&self) -> &'static str {
        let status = http::StatusCode::from_u16(self.status).ok();
        status
            .and_then(|status| status.canonical_reason())
            .unwrap_or("Whatever")
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.status, self.reason());
        for (name, value) in &self.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if self.status != 204 {
            text += &format!("Content-Length: {}\r\n", self.body.len());
        }
        text += "\r\n";
        if self.status != 204 {
            text += &self.body;
        }
        text.into_bytes()
    }
}

/// A connection, and what was read of it ahead.
pub(super) struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// The next request; `None` at the end, or where what comes is not HTTP.
    pub(super) async fn request(&mut self) -> Option<Request> {
        let head = self.until(b"\r\n\r\n").await?;
        let mut request = Request::parse(std::str::from_utf8(&head).ok()?)?;
        let chunked = request.header("transfer-encoding").is_some();
        request.body = if chunked {
            self.chunks().await?
        } else {
            let length = request.header("content-length").unwrap_or("0");
            self.take(length.parse().ok()?).await?
        };
        Some(request)
    }

    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = String::from_utf8(self.until(b"\r\n").await?).ok()?;
            let size = usize::from_str_radix(line.trim(), 16).ok()?;
            body.extend(self.take(size).await?);
            self.take(2).await?;
            if size == 0 {
                return Some(body);
            }
        }
    }

    /// What comes up to and with `end`.
    async fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            let found = self.buffer.windows(end.len()).position(|w| w == end);
            if let Some(at) = found {
                return Some(self.buffer.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    async fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            self.more().await?;
        }
        Some(self.buffer.drain(..length).collect())
    }

    async fn more(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.buffer).await.ok()?;
        (read > 0).then_some(())
    }

    /// Until the other side has closed.
    pub(super) async fn closed(&mut self) {
        while self.more().await.is_some() {}
    }

    pub(super) async fn reply(&mut self, reply: &Reply) -> Option<()> {
        self.stream.write_all(&reply.bytes()).await.ok()
    }
}
