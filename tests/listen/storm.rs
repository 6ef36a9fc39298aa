//! Far more sockets at once than there are seats: never one too many, and each gets its word.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::both;
use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::pki::tls;
use crate::support::{all_given_back, gate, limit, until};

const SEATS: u64 = 20;
const OFFERED: u64 = 200;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Plain,
    Http1,
    Http2,
}

/// How a socket fared.
#[derive(Debug, PartialEq)]
enum Fate {
    Served,
    Refused,
    Dropped,
}

/// Clients that were served and still hold their connection, now and at most.
#[derive(Default)]
struct Held {
    now: AtomicU64,
    most: AtomicU64,
}

impl Held {
    fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn http1(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    held: &Held,
    all_told: &Barrier,
) -> Fate {
    let mut client = Client::over(stream);
    let sent = client
        .try_send("GET /api/x HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    let fate = match (sent, client.answer().await) {
        (_, None) => Fate::Dropped,
        (_, Some(answer)) if answer.status == 200 => {
            held.enter();
            Fate::Served
        }
        (_, Some(answer)) => {
            assert_eq!(answer.status, 503, "{answer:?}");
            assert!(answer.whole && !answer.body.is_empty(), "{answer:?}");
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!(wait >= 1);
            Fate::Refused
        }
    };
    all_told.wait().await;
    if fate == Fate::Served {
        held.leave();
    }
    fate
}

async fn http2(
    stream: tokio_rustls::client::TlsStream<TcpStream>,
    held: &Held,
    all_told: &Barrier,
) -> Fate {
    let asked = async {
        let (sender, connection) = h2::client::handshake(stream).await.ok()?;
        let driver = tokio::spawn(connection);
        let mut sender = sender.ready().await.ok()?;
        let request = http::Request::get("https://localhost/api/x")
            .body(())
            .ok()?;
        let answer = sender.send_request(request, true).ok()?.0.await.ok()?;
        let (head, mut body) = answer.into_parts();
        let mut read = 0;
        while let Some(piece) = body.data().await {
            read += piece.ok()?.len();
        }
        assert!(read > 0, "a whole answer");
        Some((head, driver, sender))
    };
    let asked = asked.await;
    let fate = match &asked {
        None => Fate::Dropped,
        Some((head, ..)) if head.status == 200 => {
            held.enter();
            Fate::Served
        }
        Some((head, ..)) => {
            assert_eq!(head.status, 503);
            assert!(head.headers.contains_key("retry-after"));
            Fate::Refused
        }
    };
    all_told.wait().await;
    if fate == Fate::Served {
        held.leave();
    }
    if let Some((_, driver, _)) = asked {
        driver.abort();
    }
    fate
}

async fn one(address: SocketAddr, way: Way, held: Arc<Held>, all_told: Arc<Barrier>) -> Fate {
    let socket = TcpStream::connect(address).await.unwrap();
    let secured = match way {
        Way::Plain => return http1(socket, &held, &all_told).await,
        Way::Http1 => tls(socket, &["http/1.1"]).await,
        Way::Http2 => tls(socket, &["h2"]).await,
    };
    let Ok(stream) = secured else {
        all_told.wait().await;
        return Fate::Dropped;
    };
    if way == Way::Http2 {
        http2(stream, &held, &all_told).await
    } else {
        http1(stream, &held, &all_told).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_never_admits_one_too_many_and_tells_everybody() {
    let origin = Origin::start().await;
    let listen = format!("max_connections = {{ http = {SEATS}, https = {SEATS} }}");
    let gate = gate(&both("storm", origin.address, &listen, ""));
    let watch = gate.watcher();
    let over = Arc::new(AtomicBool::new(false));
    let ended = over.clone();
    // Looks on from outside for as long as it lasts.
    let watcher = std::thread::spawn(move || {
        let mut most = 0;
        while !ended.load(Ordering::SeqCst) {
            for row in watch().limits {
                if row.counts == "connections" {
                    most = most.max(row.in_use);
                }
            }
        }
        most
    });
    for (way, name) in [
        (Way::Plain, "connections_http"),
        (Way::Http1, "connections_https"),
        (Way::Http2, "connections_https"),
    ] {
        let held = Arc::new(Held::default());
        // All hold on until the last one has its word: so nobody can take a seat after another.
        let all_told = Arc::new(Barrier::new(usize::try_from(OFFERED).unwrap()));
        let address = match way {
            Way::Plain => gate.http()[0],
            Way::Http1 | Way::Http2 => gate.https()[0],
        };
        let before = limit(&gate.snapshot(), name);
        let mut clients = JoinSet::new();
        for _ in 0..OFFERED {
            clients.spawn(one(address, way, held.clone(), all_told.clone()));
        }
        let fates = clients.join_all().await;
        let count = |fate: Fate| fates.iter().filter(|one| **one == fate).count() as u64;
        assert_eq!(count(Fate::Served), SEATS, "{way:?}: {fates:?}");
        assert_eq!(count(Fate::Refused), OFFERED - SEATS, "{way:?}: {fates:?}");
        assert_eq!(held.most.load(Ordering::SeqCst), SEATS, "{way:?}");
        let after = limit(&gate.snapshot(), name);
        assert_eq!(after.admitted - before.admitted, SEATS, "{way:?}");
        until("all seats came back", || {
            limit(&gate.snapshot(), name).in_use == 0
        })
        .await;
    }
    over.store(true, Ordering::SeqCst);
    assert!(watcher.join().unwrap() <= SEATS);
    all_given_back(&gate).await;
}
