//! An upstream that says what a test has it say.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An upstream that answers what `script` says to the head and body of a request: the body of an answer
/// with status 200, or a whole answer where it begins with `HTTP/`. To nothing, the request waits for ever.
pub async fn scripted(script: impl Fn(&str) -> &'static str + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let script = Arc::new(script);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(socket, script.clone()));
        }
    });
    address
}

async fn serve(mut socket: TcpStream, script: Arc<impl Fn(&str) -> &'static str>) {
    let mut heard = Vec::new();
    while socket.read_buf(&mut heard).await.unwrap_or(0) > 0 {
        let text = String::from_utf8_lossy(&heard).into_owned();
        if !is_whole(&text) {
            continue;
        }
        heard.clear();
        let said = script(&text);
        let answer = if said.starts_with("HTTP/") || said.is_empty() {
            said.to_owned()
        } else {
            format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{said}",
                said.len()
            )
        };
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Whether a request has come to the end of its body.
pub fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    body.len() >= length.map_or(0, |(_, value)| value.parse().unwrap())
}
