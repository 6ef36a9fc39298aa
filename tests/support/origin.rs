//! A model upstream: speaks plain HTTP/1.1, does what the query of a request asks for, and counts.
//!
//! | query | effect |
//! |---|---|
//! | `hold` | answers only once the test calls [`Origin::release`] |
//! | `sleep=MS` | answers after that many milliseconds |
//! | `status=N` | answers with that status |
//! | `bytes=N` | a body of N bytes with Content-Length |
//! | `chunked=N` | a body of N bytes in chunks |
//! | `cut=N` | announces 1000 bytes more than the N it sends, then closes |
//! | `close` | closes without an answer |
//! | `garbage` | answers something that is not HTTP |
//! | `upgrade` | 101, then echoes every byte |
//! | `header=NAME:VALUE` | adds a response header (may be repeated) |
//! | none of `bytes`, `chunked`, `cut` | a JSON body: method, target, headers, body length and hash |

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::seen::{Counted, Seen};

/// The model upstream, on a port of its own.
pub struct Origin {
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
    gate: watch::Sender<u64>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Origin {
    pub async fn start() -> Self {
        Self::serve(None).await
    }

    pub async fn start_tls(acceptor: TlsAcceptor) -> Self {
        Self::serve(Some(acceptor)).await
    }

    /// Lets every request that holds now, and no later one, go on.
    pub fn release(&self) {
        self.gate.send_modify(|round| *round += 1);
    }

    async fn serve(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, tls)
    }

    /// At a place that the test has taken before.
    pub fn on(listener: TcpListener, tls: Option<TlsAcceptor>) -> Self {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let (gate, _) = watch::channel(0);
        let task = tokio::spawn(accept(listener, tls, seen.clone(), gate.clone()));
        Self {
            address,
            seen,
            gate,
            task,
        }
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    seen: Arc<Seen>,
    gate: watch::Sender<u64>,
) {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            continue;
        };
        let (tls, seen, gate) = (tls.clone(), seen.clone(), gate.subscribe());
        tokio::spawn(async move {
            seen.sockets.fetch_add(1, Ordering::SeqCst);
            let _open = Counted::new(&seen.open, &seen.most_open);
            socket.set_nodelay(true).unwrap();
            connection(socket, tls, &seen, gate).await;
        });
    }
}

async fn connection(
    socket: TcpStream,
    tls: Option<TlsAcceptor>,
    seen: &Seen,
    gate: watch::Receiver<u64>,
) {
    if let Some(tls) = tls {
        if let Ok(stream) = tls.accept(socket).await {
            requests(stream, seen, gate).await;
        }
    } else {
        requests(socket, seen, gate).await;
    }
}

/// One request as it came.
struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body_length: u64,
    body_hash: u64,
}

async fn requests(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    seen: &Seen,
    mut gate: watch::Receiver<u64>,
) {
    let mut buffer = Vec::new();
    loop {
        let Some(mut request) = head(&mut stream, &mut buffer).await else {
            return;
        };
        // Before it is counted: who sees it counted may let it go.
        let round = *gate.borrow_and_update();
        seen.targets.lock().unwrap().push(request.target.clone());
        seen.requests.fetch_add(1, Ordering::SeqCst);
        seen.stamps.lock().unwrap().push(Instant::now());
        let _running = Counted::new(&seen.running, &seen.most_running);
        if read_body(&mut stream, &mut buffer, &mut request)
            .await
            .is_none()
        {
            return;
        }
        if request.asks("hold") {
            // Gone with its connection, or let go: whichever is first.
            let mut byte = [0];
            tokio::select! {
                _ = gate.wait_for(|now| *now > round) => {}
                _ = stream.read(&mut byte) => return,
            }
        }
        if let Some(ms) = request.number("sleep") {
            let mut byte = [0];
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(ms)) => {}
                _ = stream.read(&mut byte) => return,
            }
        }
        if answer(&mut stream, &request).await.is_none() {
            return;
        }
    }
}

impl Request {
    fn asks(&self, key: &str) -> bool {
        self.query().any(|(name, _)| name == key)
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.query().find(|(name, _)| *name == key)?.1.parse().ok()
    }

    fn query(&self) -> impl Iterator<Item = (&str, &str)> {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        query
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    fn json(&self) -> String {
        serde_json::json!({
            "method": self.method,
            "target": self.target,
            "headers": self.headers,
            "body_length": self.body_length,
            "body_hash": self.body_hash,
        })
        .to_string()
    }
}

async fn head(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<Request> {
    loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            let text = String::from_utf8(buffer.drain(..end + 4).collect()).unwrap();
            return Some(parse(&text));
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

fn parse(text: &str) -> Request {
    let mut lines = text.trim_end().split("\r\n");
    let mut words = lines.next().unwrap().split(' ');
    Request {
        method: words.next().unwrap().into(),
        target: words.next().unwrap().into(),
        headers: lines
            .map(|line| line.split_once(':').unwrap())
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect(),
        body_length: 0,
        body_hash: 0,
    }
}

async fn read_body(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    request: &mut Request,
) -> Option<()> {
    let mut hasher = DefaultHasher::new();
    if request.header("transfer-encoding").is_some() {
        loop {
            let size = usize::from_str_radix(&line(stream, buffer).await?, 16).ok()?;
            take(stream, buffer, size, &mut hasher, request).await?;
            line(stream, buffer).await?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = request.header("content-length").map(|l| l.parse().unwrap()) {
        take(stream, buffer, length, &mut hasher, request).await?;
    }
    request.body_hash = hasher.finish();
    Some(())
}

async fn line(stream: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = buffer.windows(2).position(|w| w == b"\r\n") {
            let line = buffer.drain(..end + 2).collect::<Vec<_>>();
            return String::from_utf8(line[..end].to_vec()).ok();
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

async fn take(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    mut left: usize,
    hasher: &mut DefaultHasher,
    request: &mut Request,
) -> Option<()> {
    while left > 0 {
        if buffer.is_empty() && stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
        let piece = buffer.drain(..left.min(buffer.len())).collect::<Vec<_>>();
        // Byte by byte, so that how it was cut into pieces does not matter.
        piece.iter().for_each(|byte| byte.hash(hasher));
        left -= piece.len();
        request.body_length += piece.len() as u64;
    }
    Some(())
}

/// What [`read_body`] computes for `body`.
pub fn hash_of(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    body.iter().for_each(|byte| byte.hash(&mut hasher));
    hasher.finish()
}

async fn answer(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &Request,
) -> Option<()> {
    if request.asks("close") {
        return None;
    }
    if request.asks("garbage") {
        stream
            .write_all(b"this is not HTTP at all\r\n\r\n")
            .await
            .ok()?;
        return None;
    }
    if request.asks("upgrade") {
        return upgrade(stream).await;
    }
    let status = request.number("status").unwrap_or(200);
    let mut head = format!("HTTP/1.1 {status} Whatever\r\n");
    for (_, header) in request.query().filter(|(name, _)| *name == "header") {
        head += &format!("{}\r\n", header.replacen(':', ": ", 1));
    }
    if let Some(bytes) = request.number("chunked") {
        stream
            .write_all((head + "Transfer-Encoding: chunked\r\n\r\n").as_bytes())
            .await
            .ok()?;
        return body(stream, request, bytes, true).await;
    }
    if let Some(bytes) = request.number("cut") {
        head += &format!("Content-Length: {}\r\n\r\n", bytes + 1000);
        stream.write_all(head.as_bytes()).await.ok()?;
        body(stream, request, bytes, false).await?;
        return None;
    }
    if let Some(bytes) = request.number("bytes") {
        head += &format!("Content-Length: {bytes}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.ok()?;
        return body(stream, request, bytes, false).await;
    }
    let json = if status == 204 {
        String::new()
    } else {
        request.json()
    };
    if status != 204 {
        head += &format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            json.len()
        );
    }
    let json = if request.method == "HEAD" { "" } else { &json };
    stream
        .write_all((head + "\r\n" + json).as_bytes())
        .await
        .ok()
}

async fn body(
    stream: &mut (impl AsyncWrite + Unpin),
    request: &Request,
    mut left: u64,
    chunked: bool,
) -> Option<()> {
    if request.method == "HEAD" {
        return Some(());
    }
    let piece = vec![b'x'; 16 * 1024];
    while left > 0 {
        let now = left.min(piece.len() as u64);
        if chunked {
            stream
                .write_all(format!("{now:x}\r\n").as_bytes())
                .await
                .ok()?;
        }
        stream.write_all(&piece[..now as usize]).await.ok()?;
        if chunked {
            stream.write_all(b"\r\n").await.ok()?;
        }
        left -= now;
    }
    if chunked {
        stream.write_all(b"0\r\n\r\n").await.ok()?;
    }
    Some(())
}

async fn upgrade(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Option<()> {
    let head =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut bytes = [0; 4096];
    loop {
        let read = stream.read(&mut bytes).await.ok()?;
        if read == 0 {
            return None;
        }
        stream.write_all(&bytes[..read]).await.ok()?;
    }
}
