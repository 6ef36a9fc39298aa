//! HTTP/1.1 as a model upstream speaks it: one request at a time, bodies of a known length.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One request, whole.
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    fn parse(head: &str) -> Self {
        let mut lines = head.lines();
        let mut line = lines.next().unwrap().split(' ');
        let method = line.next().unwrap().to_owned();
        let target = line.next().unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pair = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Self {
            method,
            path: path.to_owned(),
            query: query.to_owned(),
            headers: lines.filter_map(pair).collect(),
            body: String::new(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name)?;
        Some(&found.1)
    }

    pub fn cookie(&self, name: &str) -> Option<&str> {
        let pairs = self.header("cookie")?.split(';');
        let mut pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
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

    /// Which endpoint behind the model's front door it is for.
    pub fn side(&self) -> &'static str {
        if self.path == "/sdk" || self.path.starts_with("/sdk/") {
            "soap"
        } else {
            "rest"
        }
    }
}

/// One answer.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: String,
}

impl Reply {
    pub fn json(status: u16, body: impl ToString) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", "application/json".to_owned())],
            body: body.to_string(),
        }
    }

    pub fn xml(status: u16, inside: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soapenv:Envelope \
             xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
             <soapenv:Body>{inside}</soapenv:Body></soapenv:Envelope>"
        );
        Self {
            status,
            headers: vec![("Content-Type", "text/xml; charset=utf-8".to_owned())],
            body,
        }
    }

    pub fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// A connection, and what was read of it ahead.
pub struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Socket {
    pub fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Waits for the first byte of the next request: whether that is how it begins.
    pub async fn begins_with(&mut self, bytes: &[u8]) -> bool {
        (!self.buffer.is_empty() || self.more().await.is_some()) && self.buffer.starts_with(bytes)
    }

    pub async fn request(&mut self) -> Option<Request> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let mut request = Request::parse(std::str::from_utf8(&head).unwrap());
        let length = request.header("content-length");
        let length = length.map_or(0, |length| length.parse().unwrap());
        while self.buffer.len() < length {
            self.more().await?;
        }
        request.body = String::from_utf8(self.buffer.drain(..length).collect()).unwrap();
        Some(request)
    }

    async fn more(&mut self) -> Option<()> {
        let read = self.stream.read_buf(&mut self.buffer).await.ok()?;
        (read > 0).then_some(())
    }

    /// Until the other side has closed.
    pub async fn closed(&mut self) {
        while self.more().await.is_some() {}
    }

    pub async fn reply(&mut self, reply: Reply) -> Option<()> {
        let mut text = format!("HTTP/1.1 {} Whatever\r\n", reply.status);
        for (name, value) in reply.headers {
            text += &format!("{name}: {value}\r\n");
        }
        if reply.status != 204 {
            text += &format!("Content-Length: {}\r\n", reply.body.len());
        }
        text += "\r\n";
        text += &reply.body;
        self.stream.write_all(text.as_bytes()).await.ok()
    }
}
