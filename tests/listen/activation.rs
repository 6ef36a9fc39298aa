//! Sockets that systemd holds: taken over as they are, so that a restart refuses no connection.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::folder;
use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::{PATIENCE, with_listen};

/// Takes its standard input and output for the sockets to hand over, as the numbers 3 and 4.
const HAND_OVER: &str = "exec 3<&0 4<&1 0</dev/null 1>&2; \
                         LISTEN_PID=${PRETEND:-$$} LISTEN_FDS=2 exec \"$0\" run --config \"$1\"";

/// A gate in a process of its own, ended with the test.
struct Gate(Child);

impl Gate {
    fn start(config: &PathBuf, sockets: [&TcpListener; 2], pretend: Option<&str>) -> Self {
        let fd = |socket: &TcpListener| OwnedFd::from(socket.try_clone().unwrap());
        let mut command = Command::new("bash");
        command
            .args(["-c", HAND_OVER, env!("CARGO_BIN_EXE_tidegate")])
            .arg(config)
            .env_remove("RUST_LOG")
            .envs(pretend.map(|pid| ("PRETEND", pid)))
            .stdin(Stdio::from(fd(sockets[0])))
            .stdout(Stdio::from(fd(sockets[1])))
            .stderr(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    /// Whether it left with code 0, and what it said.
    async fn ended(mut self) -> (bool, String) {
        let waiting = tokio::task::spawn_blocking(move || {
            let mut said = String::new();
            let mut pipe = self.0.stderr.take().unwrap();
            pipe.read_to_string(&mut said).unwrap();
            (self.0.wait().unwrap().success(), said)
        });
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .expect("it ends in time")
            .unwrap()
    }

    fn drain(&self) {
        let id = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(id, Signal::TERM).unwrap();
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Two sockets that listen, as a socket unit has them, and a configuration with their addresses.
fn held(name: &str, origin: SocketAddr) -> ([TcpListener; 2], PathBuf) {
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [http, admin] = [0, 1].map(|at| sockets[at].local_addr().unwrap());
    let text = with_listen(origin, "", "")
        .replace("http = [\"127.0.0.1:0\"]", &format!("http = [\"{http}\"]"))
        .replace("admin = \"127.0.0.1:0\"", &format!("admin = \"{admin}\""));
    let config = folder(name).join("tidegate.toml");
    std::fs::write(&config, text).unwrap();
    (sockets, config)
}

#[tokio::test]
async fn a_restart_refuses_no_connection() {
    let origin = Origin::start().await;
    let (sockets, config) = held("activation", origin.address);
    let [http, admin] = [0, 1].map(|at| sockets[at].local_addr().unwrap());
    let handed = [&sockets[0], &sockets[1]];
    // Connected before there is any gate: the kernel keeps them.
    let mut early = Client::connect(http).await;
    let mut operator = Client::connect(admin).await;
    let first = Gate::start(&config, handed, None);
    assert_eq!(early.get("/api/x").await.status, 200);
    assert_eq!(operator.get("/healthz").await.status, 200);
    first.drain();
    let (left_well, said) = first.ended().await;
    assert!(left_well, "{said}");
    // Nobody serves now, and yet nobody is refused.
    let mut between = Client::connect(http).await;
    let second = Gate::start(&config, handed, None);
    assert_eq!(between.get("/api/x").await.status, 200);
    second.drain();
    assert!(second.ended().await.0);
}

#[tokio::test]
async fn sockets_meant_for_another_process_are_not_taken() {
    let origin = Origin::start().await;
    let (sockets, config) = held("activation-other", origin.address);
    let gate = Gate::start(&config, [&sockets[0], &sockets[1]], Some("1"));
    let (left_well, said) = gate.ended().await;
    assert!(!left_well, "its addresses are in use by the real owner");
    assert!(said.contains("cannot listen on"), "{said}");
}
