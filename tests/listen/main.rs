//! Sockets as clients find them: who is counted and for how long, who is believed, what is cut.

#[path = "../support/mod.rs"]
mod support;

mod activation;
mod bare;
mod certificates;
mod farewells;
mod floods;
mod goodbye;
mod handshake;
mod owners;
mod proxy_protocol;
mod readers;
mod storm;

use std::net::SocketAddr;
use std::path::PathBuf;

use support::pki::{Identity, self_signed};
use support::with_listen;

/// A folder of its own for one test.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tidegate-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Lines of `[listen]` for a TLS listener beside the plain one, and what it shows.
fn tls_lines(name: &str) -> (String, Identity) {
    let identity = self_signed(&["localhost"], false);
    let (certificate, key) = identity.write(&folder(name));
    let lines = format!(
        "https = [\"127.0.0.1:0\"]\ncertificate = \"{}\"\nprivate_key = \"{}\"\n",
        certificate.display(),
        key.display()
    );
    (lines, identity)
}

/// A configuration with a plain and a TLS listener.
fn both(name: &str, origin: SocketAddr, listen: &str, limits: &str) -> String {
    let (lines, _) = tls_lines(name);
    with_listen(origin, &format!("{lines}{listen}"), limits)
}
