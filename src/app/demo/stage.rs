//! Everything the demo needs beside the gate: the imitation, its port, a certificate.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use time::OffsetDateTime;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::{CLONE_TAKES, Places, VCenter, configuration, self_made, serve, what_to_try};
use crate::config::{self, Config};

/// The imitation of a vCenter, running, and the configuration of a gate in front of it.
///
/// Dropping it stops the imitation and removes the certificate.
#[derive(Debug)]
pub struct Stage {
    config: Config,
    places: Places,
    folder: PathBuf,
    stop: watch::Sender<bool>,
    runtime: Option<Runtime>,
}

impl Stage {
    /// Makes the certificate and starts the imitation, on a free port of loopback.
    ///
    /// # Errors
    /// When the operating system refuses a folder, a port or a thread.
    pub fn set() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("tidegate-demo-{}", std::process::id()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("folder {}", folder.display()))?;
        let certificate = self_made(OffsetDateTime::now_utc())?.write(&folder)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let upstream: SocketAddr = listener.local_addr()?;
        let places = Places::usual(upstream, certificate.chain, certificate.key);
        let config = config::parse(&configuration(&places), &folder)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("vcenter")
            .enable_all()
            .build()?;
        let (stop, stopped) = watch::channel(false);
        let listener = runtime.block_on(async { tokio::net::TcpListener::from_std(listener) })?;
        runtime.spawn(serve(VCenter::new(CLONE_TAKES), listener, stopped));
        Ok(Self {
            config,
            places,
            folder,
            stop,
            runtime: Some(runtime),
        })
    }

    /// The gate's configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What to print.
    #[must_use]
    pub fn what_to_try(&self) -> String {
        what_to_try(&self.places)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "the demo's folder stays");
        }
    }
}
