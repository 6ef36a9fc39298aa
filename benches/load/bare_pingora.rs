//! The least that Pingora can do: every request to one upstream, no limits, no log. The gate is measured beside it.
//!
//! Two threads without work stealing, and the gate's allocator and build profile, so that what differs is the gate.

use std::net::SocketAddr;
use std::process::ExitCode;

use async_trait::async_trait;
use pingora_core::Result;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Sends everything to one peer, built once: building it anew for each request would cost more than a copy.
struct Bare {
    upstream: HttpPeer,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) -> Self::CTX {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut Self::CTX) -> Result<Box<HttpPeer>> {
        Ok(Box::new(self.upstream.clone()))
    }
}

fn serve(listen: &str, upstream: SocketAddr, threads: usize) -> ! {
    let conf = ServerConf {
        threads,
        work_stealing: false,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let bare = Bare {
        upstream: HttpPeer::new(upstream, false, String::new()),
    };
    let mut proxy = http_proxy_service(&server.configuration, bare);
    proxy.add_tcp(listen);
    server.add_service(proxy);
    server.run_forever()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [
        "--listen",
        listen,
        "--upstream",
        upstream,
        "--threads",
        threads,
    ] = words.as_slice()
        && let (Ok(upstream), Ok(threads)) = (upstream.parse(), threads.parse())
    {
        serve(listen, upstream, threads)
    }
    // `cargo bench` starts every bench target: without an address there is nothing to measure here.
    eprintln!(
        "bare_pingora --listen ADDRESS --upstream ADDRESS --threads N; started by benches/load/run"
    );
    ExitCode::SUCCESS
}
