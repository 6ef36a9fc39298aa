//! A gate of listening room and Pingora proxy on loopback, and clients for it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_error::{Error, ErrorType};
use pingora_http::ResponseHeader;
use pingora_proxy::{FailToProxy, ProxyHttp, Session, http_proxy};
use tidegate::config;
use tidegate::listen::{self, Connection, EarlyEnd, Listener, Snapshot, Witness};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, sleep, timeout};

/// Longest a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What the requests of a gate did.
pub struct Seen {
    pub requests: AtomicUsize,
    pub now: AtomicUsize,
    pub most: AtomicUsize,
    pub release: Semaphore,
}

/// One request inside the proxy; counted out on drop.
pub struct Ctx(Option<Arc<Seen>>);

impl Drop for Ctx {
    fn drop(&mut self) {
        if let Some(seen) = self.0.take() {
            seen.now.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// Answers every request itself, by its path.
struct Proxy(Arc<Seen>);

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx(None)
    }

    async fn request_filter(
        &self,
        session: &mut Session,
        ctx: &mut Ctx,
    ) -> pingora_error::Result<bool> {
        let connection = Arc::clone(Connection::of(session).expect("our connection"));
        connection.exchange().began();
        if connection.refused().is_some() {
            session.set_keepalive(None);
            return answer(session, 503, "over the limit").await;
        }
        self.0.requests.fetch_add(1, Ordering::SeqCst);
        let now = self.0.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most.fetch_max(now, Ordering::SeqCst);
        ctx.0 = Some(Arc::clone(&self.0));
        match session.req_header().uri.path() {
            "/hold" => {
                self.0.release.acquire().await.expect("open").forget();
                answer(session, 200, "held").await
            }
            "/panic" => panic!("a hook panics"),
            "/early" => answer(session, 413, "too large").await,
            "/peer" => answer(session, 200, &connection.peer().to_string()).await,
            "/body" => self.body(session, &connection, false).await,
            "/transfer" => self.body(session, &connection, true).await,
            path => {
                let path = path.to_owned();
                answer(session, 200, &path).await
            }
        }
    }

    async fn upstream_peer(
        &self,
        _: &mut Session,
        _: &mut Ctx,
    ) -> pingora_error::Result<Box<HttpPeer>> {
        Error::e_explain(ErrorType::InternalError, "there is no upstream")
    }

    async fn fail_to_proxy(&self, _: &mut Session, _: &Error, _: &mut Ctx) -> FailToProxy {
        FailToProxy {
            error_code: 0,
            can_reuse_downstream: false,
        }
    }
}

impl Proxy {
    async fn body(
        &self,
        session: &mut Session,
        connection: &Connection,
        transfer: bool,
    ) -> pingora_error::Result<bool> {
        let exchange = connection.exchange();
        if transfer {
            exchange.exempt_from_deadline();
        }
        let mut length = 0;
        while let Some(bytes) = session.read_request_body().await? {
            length += bytes.len();
            exchange.body_progress();
        }
        exchange.body_finished();
        answer(session, 200, &length.to_string()).await
    }
}

async fn answer(session: &mut Session, status: u16, body: &str) -> pingora_error::Result<bool> {
    let mut head = ResponseHeader::build(status, None)?;
    head.insert_header("content-length", body.len())?;
    session.write_response_header(Box::new(head), false).await?;
    session
        .write_response_body(Some(Bytes::copy_from_slice(body.as_bytes())), true)
        .await?;
    Ok(true)
}

/// Early ends, as they were told.
#[derive(Default)]
struct Ends(Mutex<Vec<EarlyEnd>>);

impl Witness for Ends {
    fn ended_early(&self, end: EarlyEnd) {
        self.0.lock().push(end);
    }
}

/// A running gate.
pub struct Rig {
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub admin: SocketAddr,
    pub seen: Arc<Seen>,
    pub shutdown: watch::Sender<bool>,
    pub certificate: Option<config::Certificate>,
    pub accepting: tokio::task::JoinHandle<std::io::Result<()>>,
    listeners: Vec<Arc<Listener>>,
    ends: Arc<Ends>,
    workers: Option<listen::Workers>,
}

/// Short deadlines for what a test does not wait on, long ones for the rest.
pub fn config() -> config::Listen {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    config::Listen {
        http: vec![any],
        https: vec![],
        admin: any,
        certificate: None,
        client_ca: None,
        max_connections_http: 64,
        max_connections_https: 64,
        handshake_timeout: PATIENCE,
        header_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        body_timeout: PATIENCE,
        body_deadline: PATIENCE,
        max_header_bytes: 16 * 1024,
        max_body_bytes: 1 << 20,
        trusted_proxies: vec![],
        proxy_protocol: vec![],
    }
}

/// The same with a TLS listener; the certificate lies in a new folder.
pub fn config_tls() -> config::Listen {
    let files = new_certificate("gate.test");
    config::Listen {
        https: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
        certificate: Some(files),
        ..config()
    }
}

/// A self-signed certificate for `name` in files of its own.
pub fn new_certificate(name: &str) -> config::Certificate {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let folder: PathBuf = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!(
        "listen-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::SeqCst)
    ));
    std::fs::create_dir_all(&folder).expect("a folder");
    let files = config::Certificate {
        chain: folder.join("tls.crt"),
        key: folder.join("tls.key"),
    };
    write_certificate(&files, name);
    files
}

/// Writes a new self-signed certificate for `name` over `files`.
pub fn write_certificate(files: &config::Certificate, name: &str) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    std::fs::write(&files.key, made.signing_key.serialize_pem()).expect("written");
    std::fs::write(&files.chain, made.cert.pem()).expect("written");
}

impl Rig {
    pub fn start(config: &config::Listen) -> Self {
        let bound = listen::bind(config, listen::Inherited::default()).expect("bound");
        Self::start_on(bound, config)
    }

    pub fn start_on(bound: Vec<listen::BoundListener>, config: &config::Listen) -> Self {
        let identity = config.certificate.as_ref().map(|files| {
            listen::TlsIdentity::load(files, config.client_ca.as_deref()).expect("a certificate")
        });
        if let Some(identity) = &identity {
            tokio::spawn(Arc::clone(identity).watch(Duration::from_millis(20)));
        }
        let identities = listen::Identities {
            https: identity,
            admin: None,
        };
        let ends = Arc::new(Ends::default());
        let witness: Arc<dyn Witness> = Arc::<Ends>::clone(&ends);
        let entrances = listen::entrances(bound, config, &identities, &witness).expect("entrances");
        let mut entrances_of_all = entrances.clients;
        entrances_of_all.extend(entrances.admin);
        let listeners: Vec<_> = entrances_of_all
            .iter()
            .map(|entrance| Arc::clone(entrance.listener()))
            .collect();
        let address = |role| {
            let found = listeners.iter().find(|listener| listener.role() == role);
            found.map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |listener| {
                listener.local()
            })
        };
        let seen = Arc::new(Seen {
            requests: AtomicUsize::new(0),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            release: Semaphore::new(0),
        });
        let proxy = Arc::new(http_proxy(
            &Arc::new(ServerConf::default()),
            Proxy(Arc::clone(&seen)),
        ));
        let (shutdown, watched) = watch::channel(false);
        let workers =
            listen::Workers::start("test", 2, |_| Arc::clone(&proxy), &watched).expect("workers");
        Self {
            http: address(listen::Role::Http),
            https: address(listen::Role::Https),
            admin: address(listen::Role::Admin),
            accepting: tokio::spawn(listen::accept(
                entrances_of_all,
                workers.dispatch(),
                watched,
            )),
            certificate: config.certificate.clone(),
            seen,
            shutdown,
            listeners,
            ends,
            workers: Some(workers),
        }
    }

    pub fn snapshot(&self, role: listen::Role) -> Snapshot {
        let found = self
            .listeners
            .iter()
            .find(|listener| listener.role() == role);
        found.expect("such a listener").snapshot()
    }

    pub fn ends(&self) -> Vec<EarlyEnd> {
        self.ends.0.lock().clone()
    }

    pub fn has_end(&self, status: Option<u16>, cause: &str) -> bool {
        self.ends()
            .iter()
            .any(|end| end.status == status && end.cause.as_str() == cause)
    }

    pub fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }

    /// Waits until no socket is open, and checks that every count says so.
    pub async fn all_closed(&self) {
        eventually("all sockets close", || {
            self.listeners
                .iter()
                .all(|listener| listener.open_connections() == 0)
        })
        .await;
        for listener in &self.listeners {
            let now = listener.snapshot();
            assert_eq!((now.open, now.seated, now.in_use), (0, 0, 0), "{now:?}");
        }
        assert_eq!(self.seen.now.load(Ordering::SeqCst), 0);
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.shutdown.send_replace(true);
        if let Some(workers) = self.workers.take() {
            workers.stop();
        }
    }
}

/// Waits until `so` holds.
pub async fn eventually(what: &str, so: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < until, "never came to pass: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Connects and sends `bytes`.
pub async fn send(to: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(to).await.expect("connected");
    socket.set_nodelay(true).expect("set");
    socket.write_all(bytes).await.expect("written");
    socket
}

/// One HTTP/1 answer: its status and body, by its Content-Length.
pub async fn read_answer<S: AsyncReadExt + Unpin>(socket: &mut S) -> (u16, String) {
    timeout(PATIENCE, async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.expect("a whole head"));
        }
        let head = String::from_utf8(head).expect("text").to_ascii_lowercase();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|word| word.parse().ok())
            .expect("a status");
        let length = head
            .split("\r\n")
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse().expect("a length"));
        let mut body = vec![0; length];
        socket.read_exact(&mut body).await.expect("a whole body");
        (status, String::from_utf8(body).expect("text"))
    })
    .await
    .expect("an answer in time")
}

/// Everything until the server closes in order; an error is a reset.
pub async fn read_to_close<S: AsyncReadExt + Unpin>(socket: &mut S) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    timeout(PATIENCE, socket.read_to_end(&mut bytes))
        .await
        .expect("closed in time")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
