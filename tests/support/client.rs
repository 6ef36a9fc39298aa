//! Clients that see every byte: one HTTP/1.1 exchange at a time over any stream, and HTTP/2.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;

/// One answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// The body came to its announced end, not to the end of the connection before it.
    pub whole: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'));
        lines
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// A header that the model upstream received.
    pub fn received(&self, name: &str) -> Vec<String> {
        let json = self.json();
        let pairs = json["headers"].as_array().unwrap().iter();
        pairs
            .filter(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case(name))
            .map(|pair| pair[1].as_str().unwrap().to_owned())
            .collect()
    }
}

/// A connection that carries one exchange at a time.
pub struct Client<S = TcpStream> {
    pub stream: S,
    buffer: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn over(stream: S) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// Sends as far as the other side takes it.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await?;
        self.stream.flush().await
    }

    pub async fn get(&mut self, target: &str) -> Answer {
        self.send(format!(
            "GET {target} HTTP/1.1\r\nHost: gate.example\r\n\r\n"
        ))
        .await;
        self.answer().await.expect("an answer")
    }

    pub async fn post(&mut self, target: &str, body: &[u8]) -> Answer {
        let length = body.len();
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: gate.example\r\nContent-Length: {length}\r\n\r\n"
        );
        self.send([head.as_bytes(), body].concat()).await;
        self.answer().await.expect("an answer")
    }

    /// The next answer; `None` where the connection ends first.
    pub async fn answer(&mut self) -> Option<Answer> {
        timeout(PATIENCE, self.read_answer("GET"))
            .await
            .expect("an answer, or the end, in time")
    }

    pub async fn answer_to(&mut self, method: &str) -> Option<Answer> {
        timeout(PATIENCE, self.read_answer(method))
            .await
            .expect("an answer, or the end, in time")
    }

    /// Whether the other side has closed, now or soon. Bytes in between are thrown away.
    pub async fn closed(&mut self) -> bool {
        let end = async {
            let mut bytes = [0; 4096];
            while !matches!(self.stream.read(&mut bytes).await, Ok(0) | Err(_)) {}
        };
        timeout(PATIENCE, end).await.is_ok()
    }

    /// Whether the other side keeps the connection open for this long.
    pub async fn stays_open(&mut self, this_long: Duration) -> bool {
        let mut byte = [0];
        timeout(this_long, self.stream.read(&mut byte))
            .await
            .is_err()
    }

    /// Reads ahead until it has so many bytes of the next answer, at least.
    pub async fn read_ahead(&mut self, bytes: usize) {
        while self.buffer.len() < bytes && self.more().await {}
    }

    async fn more(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.buffer).await, Ok(read) if read > 0)
    }

    async fn read_answer(&mut self, method: &str) -> Option<Answer> {
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = String::from_utf8(self.buffer.drain(..end + 4).collect()).unwrap();
                if head.starts_with("HTTP/1.1 1") && !head.starts_with("HTTP/1.1 101") {
                    continue;
                }
                break head;
            }
            if !self.more().await {
                return None;
            }
        };
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer {
            status,
            head,
            body: Vec::new(),
            whole: true,
        };
        if method == "HEAD" || matches!(status, 101 | 204 | 304) {
            return Some(answer);
        }
        if answer.header("transfer-encoding").is_some() {
            answer.whole = self.chunks(&mut answer.body).await.is_some();
        } else if let Some(length) = answer.header("content-length").map(|l| l.parse().unwrap()) {
            answer.whole = self.take(length, &mut answer.body).await.is_some();
        } else {
            while self.more().await {}
            answer.body.append(&mut self.buffer);
        }
        Some(answer)
    }

    async fn take(&mut self, length: usize, body: &mut Vec<u8>) -> Option<()> {
        while self.buffer.len() < length {
            if !self.more().await {
                body.append(&mut self.buffer);
                return None;
            }
        }
        body.extend(self.buffer.drain(..length));
        Some(())
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> Option<()> {
        loop {
            let end = loop {
                if let Some(end) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                    break end;
                }
                if !self.more().await {
                    return None;
                }
            };
            let line = String::from_utf8(self.buffer.drain(..end + 2).collect()).ok()?;
            let size = usize::from_str_radix(line.trim(), 16).ok()?;
            self.take(size, body).await?;
            self.take(2, &mut Vec::new()).await?;
            if size == 0 {
                return Some(());
            }
        }
    }
}

/// A request with these field lines, each with its end.
pub fn request(line: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{line} HTTP/1.1\r\nHost: gate.example\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// One exchange over a connection of its own.
pub async fn call(address: SocketAddr, line: &str, fields: &str, body: &str) -> Answer {
    let mut client = Client::connect(address).await;
    client.send(request(line, fields, body)).await;
    client.answer().await.expect("an answer")
}
