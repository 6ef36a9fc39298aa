//! The gate as a process of its own, that can be killed.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::rig::Setup;
use crate::support::until;

/// A gate as a process. It is killed when this is dropped.
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
    pub http: SocketAddr,
    pub door: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Process {
    /// Starts one, with its configuration in `folder`, and waits until it says where it listens.
    pub async fn start(setup: &Setup, model: SocketAddr, folder: &Path) -> Self {
        let file = folder.join("tidegate.toml");
        std::fs::write(&file, setup.text(model)).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["run", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // As an operator who looks for a fault in a hurry.
            .env(
                "RUST_LOG",
                "trace,pingora_proxy=trace,pingora_core::protocols=trace,h2=trace",
            )
            .env_remove("LISTEN_FDS")
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let reader = std::thread::spawn({
            let log = log.clone();
            move || {
                for line in lines.map_while(Result::ok) {
                    *log.lock().unwrap() += &(line + "\n");
                }
            }
        });
        let text = || log.lock().unwrap().clone();
        until("it stands, or says why not", || {
            text().contains("the gate stands") || child.try_wait().unwrap().is_some()
        })
        .await;
        let text = text();
        let address = |label: &str| -> SocketAddr {
            let (_, rest) = text.split_once(label).unwrap_or_else(|| panic!("{text}"));
            // As JSON or as text.
            let rest = rest.trim_start_matches(['"', ':', '=', '[']);
            rest.split([']', '"', ' ', '\n'])
                .next()
                .unwrap()
                .parse()
                .unwrap()
        };
        Self {
            http: address("http"),
            door: address("admin"),
            child,
            log,
            reader: Some(reader),
        }
    }

    /// Kills it (SIGKILL), and waits until it is dead.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }
}
