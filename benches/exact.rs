//! How exact the limits are under load, printed: the gate's own counts beside the upstream's.
//!
//! Three parts, each on a gate of its own in this process, in front of a model upstream that counts:
//! 3000 sockets at each kind of listener against a limit of 2048; 1200 slow calls against 550
//! sockets to the upstream; 15,000 calls a second offered for twelve seconds against a rate of 1500.
//! `cargo bench --bench exact`.

#[path = "../tests/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use support::client::Client;
use support::origin::Origin;
use support::pki::{self_signed, tls};
use support::{gate_with, limit, until, with_listen};
use tidegate::app::{Options, Running};
use tidegate::proxy::Hook;
use tokio::net::TcpStream;

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        connections().await;
        upstream_sockets().await;
        rate().await;
    });
}

fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let now = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: now.maximum,
        maximum: now.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

/// What became of the sockets of one kind.
#[derive(Debug, Default)]
struct Sockets {
    admitted: AtomicU64,
    told: AtomicU64,
    dropped: AtomicU64,
}

async fn connections() {
    const OFFERED: usize = 3000;
    let origin = Origin::start().await;
    let folder = std::env::temp_dir().join(format!("tidegate-exact-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = self_signed(&["localhost"], false).write(&folder);
    let listen = format!(
        "https = [\"127.0.0.1:0\"]\ncertificate = \"{}\"\nprivate_key = \"{}\"",
        certificate.display(),
        key.display()
    );
    let gate = gate_with(
        &with_listen(origin.address, &listen, ""),
        Options::default(),
    );
    for (name, address, secure) in [
        ("connections_http", gate.http()[0], false),
        ("connections_https", gate.https()[0], true),
    ] {
        let seen = Arc::new(Sockets::default());
        let watching = Watch::start(&gate, name);
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..OFFERED {
            let seen = seen.clone();
            clients.spawn(async move { knock(address, secure, &seen).await });
        }
        let mut open = Vec::new();
        while let Some(client) = clients.join_next().await {
            open.extend(client.unwrap());
        }
        println!(
            "{name}: limit 2048, sockets offered {OFFERED}: most ever admitted {} (gate), {} (clients); \
             told 503: {}; dropped at accept: {}",
            watching.most(),
            seen.admitted.load(Ordering::SeqCst),
            seen.told.load(Ordering::SeqCst),
            seen.dropped.load(Ordering::SeqCst),
        );
        drop(open);
        until("all closed", || limit(&gate.snapshot(), name).in_use == 0).await;
    }
}

/// Keeps its connection open if it was admitted.
async fn knock(
    address: SocketAddr,
    secure: bool,
    seen: &Sockets,
) -> Option<Box<dyn std::any::Any + Send>> {
    let Ok(stream) = TcpStream::connect(address).await else {
        seen.dropped.fetch_add(1, Ordering::SeqCst);
        return None;
    };
    if secure {
        match tls(stream, &["http/1.1"]).await {
            Ok(stream) => ask(Client::over(stream), seen).await,
            Err(_) => {
                seen.dropped.fetch_add(1, Ordering::SeqCst);
                None
            }
        }
    } else {
        ask(Client::over(stream), seen).await
    }
}

async fn ask<S>(mut client: Client<S>, seen: &Sockets) -> Option<Box<dyn std::any::Any + Send>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let sent = client
        .try_send("GET /ui/x HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    let answer = if sent.is_ok() {
        client.answer().await
    } else {
        None
    };
    match answer.map(|answer| answer.status) {
        Some(200) => {
            seen.admitted.fetch_add(1, Ordering::SeqCst);
            Some(Box::new(client))
        }
        Some(_) => {
            seen.told.fetch_add(1, Ordering::SeqCst);
            None
        }
        None => {
            seen.dropped.fetch_add(1, Ordering::SeqCst);
            None
        }
    }
}

/// Looks at a limit's gauge as often as it can.
struct Watch<'a> {
    most: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    scope: std::marker::PhantomData<&'a Running>,
}

impl<'a> Watch<'a> {
    fn start(gate: &'a Running, name: &'static str) -> Self {
        let (most, stop) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let view = gate.watcher();
        let (high, end) = (most.clone(), stop.clone());
        std::thread::spawn(move || {
            while !end.load(Ordering::SeqCst) {
                high.fetch_max(limit(&view(), name).in_use, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self {
            most,
            stop,
            scope: std::marker::PhantomData,
        }
    }

    fn most(&self) -> u64 {
        self.most.load(Ordering::SeqCst)
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

async fn upstream_sockets() {
    const OFFERED: usize = 1200;
    let origin = Origin::start().await;
    let caps = "[upstream.limits.upstream_connections_total]\ncounts = \"upstream_connections\"\nlimit = 2048\n\
                [upstream.limits.upstream_connections]\ncounts = \"upstream_connections\"\nlimit = 550\n\
                match = { class = [\"rest\", \"rpc\"] }";
    let gate = gate_with(&with_listen(origin.address, "", caps), Options::default());
    let address = gate.http()[0];
    let (passed, refused) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    for _ in 0..3 {
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..OFFERED {
            let (passed, refused) = (passed.clone(), refused.clone());
            calls.spawn(async move {
                let mut client = Client::connect(address).await;
                let answer = client.get("/api/x?sleep=1500").await;
                let count = if answer.status == 200 {
                    passed
                } else {
                    refused
                };
                count.fetch_add(1, Ordering::SeqCst);
            });
        }
        while calls.join_next().await.is_some() {}
    }
    println!(
        "upstream_connections: limit 550, calls offered 3 x {OFFERED}: most sockets the upstream ever saw {}, \
         most calls it ran at once {}; passed {}, refused {}",
        origin.seen.most_open(),
        origin.seen.most_running(),
        passed.load(Ordering::SeqCst),
        refused.load(Ordering::SeqCst),
    );
}

async fn rate() {
    const CLIENTS: u64 = 60;
    const SECONDS: u64 = 12;
    let origin = Origin::start().await;
    let stack = "[upstream.limits.request_rate]\ncounts = \"requests\"\nlimit = 1500\nwindow = \"1s\"\n\
                 full = { status = 429 }\nmatch = { class = [\"rest\"] }";
    for burst in ["", "burst = 150\n"] {
        let text = with_listen(
            origin.address,
            "",
            &stack.replace("window", &format!("{burst}window")),
        );
        let stamps = Arc::new(Mutex::new(Vec::with_capacity(40_000)));
        let log = stamps.clone();
        let probe = move |hook: Hook, at: Instant| {
            if hook == Hook::RequestHead {
                log.lock().unwrap().push(at);
            }
        };
        let gate = gate_with(
            &text,
            Options {
                probe: Some(Arc::new(probe)),
                ..Options::default()
            },
        );
        let before = origin.seen.stamps().len();
        let offered = Arc::new(AtomicU64::new(0));
        let address = gate.http()[0];
        let mut clients = tokio::task::JoinSet::new();
        let end = Instant::now() + Duration::from_secs(SECONDS);
        for _ in 0..CLIENTS {
            let offered = offered.clone();
            clients.spawn(async move {
                let mut client = Client::connect(address).await;
                // 15,000 a second over all clients, late ones catching up.
                let mut ticks =
                    tokio::time::interval(Duration::from_micros(1_000_000 * CLIENTS / 15_000));
                while Instant::now() < end {
                    ticks.tick().await;
                    client.get("/api/x?status=204").await;
                    offered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while clients.join_next().await.is_some() {}
        let dispatched = stamps.lock().unwrap().clone();
        let arrived = origin.seen.stamps().split_off(before);
        let admitted = limit(&gate.snapshot(), "request_rate").admitted;
        println!(
            "request_rate: limit 1500/s{}, offered {} in {SECONDS} s ({}/s): admitted {admitted}; most dispatched in \
             any sliding second {}; most the upstream counted {} ({:.3} x limit); used over ten seconds {:.2} %",
            if burst.is_empty() { "" } else { ", burst 150" },
            offered.load(Ordering::Relaxed),
            offered.load(Ordering::Relaxed) / SECONDS,
            most_in_a_second(&dispatched),
            most_in_a_second(&arrived),
            most_in_a_second(&arrived) as f64 / 1500.0,
            used(&dispatched),
        );
    }
}

fn most_in_a_second(stamps: &[Instant]) -> usize {
    let mut sorted = stamps.to_vec();
    sorted.sort();
    let mut first = 0;
    let mut most = 0;
    for (at, stamp) in sorted.iter().enumerate() {
        while *stamp - sorted[first] >= Duration::from_secs(1) {
            first += 1;
        }
        most = most.max(at - first + 1);
    }
    most
}

/// Percent of the rate that was used in the ten seconds after the first one.
fn used(stamps: &[Instant]) -> f64 {
    let Some(first) = stamps.iter().min() else {
        return 0.0;
    };
    let (from, to) = (
        *first + Duration::from_secs(1),
        *first + Duration::from_secs(11),
    );
    let count = stamps
        .iter()
        .filter(|stamp| **stamp >= from && **stamp < to)
        .count();
    count as f64 / 150.0
}
