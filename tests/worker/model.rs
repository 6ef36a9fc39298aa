//! A model upstream that does with each request what the test says, and counts what is at work.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What is done with a request.
#[derive(Debug, Clone)]
pub enum Act {
    /// It is answered.
    Answer(u16, &'static str),
    /// The same, with this field.
    With(u16, &'static str, &'static str),
    /// It is answered with 200 once the test lets go.
    Hold,
    /// The connection is closed without an answer.
    Close,
    /// The same, once the test lets go.
    Breaks,
    /// It is never answered.
    Hangs,
    /// It says something that is no HTTP.
    Garbage,
    /// It announces more than it says, and closes.
    Cut,
}

/// What was asked: method and target, and the head and body as they came.
#[derive(Debug, Clone)]
pub struct Asked {
    pub line: String,
    pub head: String,
    pub body: Vec<u8>,
}

type Says = Box<dyn Fn(&Asked, usize) -> Act + Send + Sync>;

pub struct Model {
    pub address: SocketAddr,
    inner: Arc<Inner>,
    go: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
}

struct Inner {
    says: Says,
    asked: Mutex<Vec<Asked>>,
    counts: Mutex<HashMap<String, usize>>,
    running: AtomicUsize,
    most: AtomicUsize,
}

impl Drop for Model {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Model {
    /// `says` gets each request, and how often that line was asked before.
    pub async fn start(says: impl Fn(&Asked, usize) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, says)
    }

    pub fn on(
        listener: TcpListener,
        says: impl Fn(&Asked, usize) -> Act + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Inner {
            says: Box::new(says),
            asked: Mutex::default(),
            counts: Mutex::default(),
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let (go, gone) = watch::channel(false);
        let serving = tokio::spawn(serve(listener, inner.clone(), gone));
        Self {
            address,
            inner,
            go,
            serving,
        }
    }

    /// Lets go of what holds, from now on.
    pub fn release(&self) {
        self.go.send_replace(true);
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.inner.asked.lock().unwrap().clone()
    }

    /// How often this was asked for.
    pub fn times(&self, line: &str) -> usize {
        self.inner
            .counts
            .lock()
            .unwrap()
            .get(line)
            .copied()
            .unwrap_or(0)
    }

    pub fn running(&self) -> usize {
        self.inner.running.load(Ordering::SeqCst)
    }

    pub fn most_running(&self) -> usize {
        self.inner.most.load(Ordering::SeqCst)
    }
}

async fn serve(listener: TcpListener, inner: Arc<Inner>, go: watch::Receiver<bool>) {
    loop {
        if let Ok((socket, _)) = listener.accept().await {
            let (inner, go) = (inner.clone(), go.clone());
            tokio::spawn(async move {
                drop(one(socket, &inner, go).await);
            });
        }
    }
}

async fn one(
    mut socket: TcpStream,
    inner: &Inner,
    mut go: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let Some(asked) = read(&mut socket).await? else {
        return Ok(());
    };
    let before = {
        let mut counts = inner.counts.lock().unwrap();
        let count = counts.entry(asked.line.clone()).or_default();
        *count += 1;
        *count - 1
    };
    let running = inner.running.fetch_add(1, Ordering::SeqCst) + 1;
    inner.most.fetch_max(running, Ordering::SeqCst);
    inner.asked.lock().unwrap().push(asked.clone());
    let act = (inner.says)(&asked, before);
    match act {
        // An error means that the model is gone.
        Act::Hold | Act::Breaks => drop(go.wait_for(|go| *go).await),
        Act::Hangs => std::future::pending().await,
        _ => tokio::task::yield_now().await,
    }
    inner.running.fetch_sub(1, Ordering::SeqCst);
    let said = match act {
        Act::Answer(status, body) => answer(status, "X-Model: 1", body),
        Act::With(status, field, body) => answer(status, field, body),
        Act::Hold => answer(200, "X-Model: 1", "held"),
        Act::Close | Act::Breaks | Act::Hangs => return Ok(()),
        Act::Garbage => "what is this\r\n\r\n".to_owned(),
        Act::Cut => "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc".to_owned(),
    };
    socket.write_all(said.as_bytes()).await?;
    socket.shutdown().await
}

fn answer(status: u16, field: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\n{field}\r\nContent-Type: application/json\r\nSet-Cookie: a=b\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

async fn read(socket: &mut TcpStream) -> std::io::Result<Option<Asked>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if socket.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().unwrap())
    });
    while bytes.len() < end + length.unwrap_or(0) {
        if socket.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    let line = head
        .lines()
        .next()
        .unwrap()
        .trim_end_matches(" HTTP/1.1")
        .to_owned();
    let body = bytes[end..].to_vec();
    Ok(Some(Asked { line, head, body }))
}
