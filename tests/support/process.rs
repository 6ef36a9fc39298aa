//! The gate as a process of its own, that can be killed.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};

use super::until;

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
    /// Starts one with the configuration `text`, which is kept in `folder`, and `env` beside the test's own environment. Waits
    /// until it says where it listens.
    pub async fn start(text: &str, folder: &Path, env: &[(&str, &str)]) -> Self {
        match Self::tried(text, folder, env).await {
            Ok(process) => process,
            Err(log) => panic!("it does not stand: {log}"),
        }
    }

    /// As [`Process::start`]; what it logged, where it ends instead of standing.
    pub async fn tried(text: &str, folder: &Path, env: &[(&str, &str)]) -> Result<Self, String> {
        let file = folder.join("tidegate.toml");
        std::fs::write(&file, text).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["run", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env_remove("RUST_LOG")
            .env_remove("LISTEN_FDS")
            .envs(env.iter().copied())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let reader = read(BufReader::new(child.stderr.take().unwrap()), log.clone());
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut process = Self {
            child,
            log,
            reader: Some(reader),
            http: nowhere,
            door: nowhere,
        };
        until("it stands, or says why not", || {
            process.stands() || process.has_ended()
        })
        .await;
        if !process.stands() {
            process.kill();
            return Err(process.log());
        }
        let text = process.log();
        process.http = address(&text, "http");
        process.door = address(&text, "admin");
        Ok(process)
    }

    fn stands(&self) -> bool {
        self.log.lock().unwrap().contains("the gate stands")
    }

    /// Whether it is no more.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Its id.
    pub fn id(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap()
    }

    /// Kills it (SIGKILL), and waits until it is dead.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        self.wait();
    }

    /// Asks it to leave (SIGTERM), and waits until it has.
    pub fn stop(&mut self) {
        // One that has left already hears nothing.
        _ = kill_process(self.id(), Signal::TERM);
        self.wait();
    }

    /// Waits until it has ended, of itself or by somebody else's hand.
    pub fn wait(&mut self) {
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

fn read(
    lines: impl BufRead + Send + 'static,
    log: Arc<Mutex<String>>,
) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            *log.lock().unwrap() += &(line + "\n");
        }
    })
}

/// The address behind `label`, as JSON or as text.
fn address(log: &str, label: &str) -> SocketAddr {
    let mut lines = log.lines();
    let line = lines.find(|line| line.contains("the gate stands")).unwrap();
    let (_, rest) = line.split_once(label).unwrap_or_else(|| panic!("{log}"));
    let rest = rest.trim_start_matches(['"', ':', '=', '[']);
    let end = rest.split([']', '"', ' ']).next();
    end.unwrap().parse().unwrap_or_else(|_| panic!("{log}"))
}
