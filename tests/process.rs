//! The gate as a process: signals, start-up faults, the commands.

#[path = "support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};
use support::client::Client;
use support::origin::Origin;
use support::{until, with_listen};

fn tidegate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command
        .stdin(Stdio::null())
        .env_remove("RUST_LOG")
        .env_remove("LISTEN_FDS");
    command
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("tidegate-{name}-{}.toml", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

/// A gate as a process, with a free port each for clients and operator.
struct Process {
    child: Child,
    http: SocketAddr,
    admin: SocketAddr,
    log: Log,
}

/// What a gate logs, read as it comes.
struct Log {
    text: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Log {
    fn of(stderr: ChildStderr) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let read = text.clone();
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut text = read.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            }
        });
        Self { text, reader }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    /// The address that stands behind `label`.
    fn address(&self, label: &str) -> SocketAddr {
        let text = self.text();
        let (_, rest) = text.split_once(label).unwrap();
        rest.split([']', '"']).next().unwrap().parse().unwrap()
    }

    /// All of it, once the process has ended.
    fn whole(self) -> String {
        self.reader.join().unwrap();
        self.text.lock().unwrap().clone()
    }
}

impl Process {
    /// Starts a gate on ports of the system's choice, and waits until it says which.
    async fn start(name: &str, origin: SocketAddr, replace: &[(&str, &str)]) -> Self {
        let mut text = with_listen(origin, "", "");
        for (from, to) in replace {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        let mut child = tidegate()
            .args(["run", "--config"])
            .arg(file(name, &text))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Log::of(child.stderr.take().unwrap());
        until("it stands", || log.text().contains("the gate stands")).await;
        Self {
            http: log.address("\"http\":\"["),
            admin: log.address("\"admin\":\""),
            child,
            log,
        }
    }

    fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// Waits for its end: whether it left with code 0, and what it logged.
    async fn ended(mut self) -> (bool, String) {
        let status = tokio::task::spawn_blocking(move || {
            let status = self.child.wait().unwrap();
            (status.success(), self.log.whole())
        });
        status.await.unwrap()
    }
}

#[tokio::test]
async fn sigterm_finishes_calls_in_flight_then_leaves_at_once() {
    let origin = Origin::start().await;
    let gate = Process::start("sigterm", origin.address, &[]).await;
    let (http, admin) = (gate.http, gate.admin);
    let mut busy = Client::connect(http).await;
    busy.send("GET /api/x?hold HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    until("it runs", || origin.seen.running() == 1).await;
    let mut operator = Client::connect(admin).await;
    assert_eq!(operator.get("/readyz").await.status, 200);
    gate.signal(Signal::TERM);
    until("no new client", || {
        std::net::TcpStream::connect(http).is_err()
    })
    .await;
    let draining = Client::connect(admin).await.get("/readyz").await;
    assert_eq!(
        (draining.status, draining.header("retry-after").is_some()),
        (503, false)
    );
    origin.release();
    assert_eq!(busy.answer().await.unwrap().status, 200);
    let (success, log) = gate.ended().await;
    assert!(success, "{log}");
    assert!(log.contains("\"cut\":0"), "{log}");
}

#[tokio::test]
async fn sigint_stops_now() {
    let origin = Origin::start().await;
    let gate = Process::start("sigint", origin.address, &[]).await;
    let mut busy = Client::connect(gate.http).await;
    busy.send("GET /api/x?hold HTTP/1.1\r\nHost: a\r\n\r\n")
        .await;
    until("it runs", || origin.seen.running() == 1).await;
    gate.signal(Signal::INT);
    assert!(busy.closed().await);
    assert!(gate.ended().await.0);
}

/// A gate whose only seat is held, while another call waits for it.
async fn one_waits(name: &str, origin: &Origin) -> (Process, Client, Client) {
    let line = "idle_timeout = \"10s\"\n[upstream.limits.calls]\ncounts = \"requests_in_flight\"\nlimit = 1\n\
                wait = { line = 9, at_most = \"300s\" }";
    let gate = Process::start(name, origin.address, &[("idle_timeout = \"10s\"", line)]).await;
    let call = "GET /api/x?hold HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut held = Client::connect(gate.http).await;
    held.send(call).await;
    until("it runs", || origin.seen.running() == 1).await;
    let mut waiting = Client::connect(gate.http).await;
    waiting.send(call).await;
    let mut operator = Client::connect(gate.admin).await;
    let line = b"tidegate_limit_waiting{limit=\"calls\",upstream=\"up\"} 1\n";
    while !(operator.get("/metrics").await.body)
        .windows(line.len())
        .any(|seen| seen == line)
    {}
    (gate, held, waiting)
}

#[tokio::test]
async fn a_call_in_line_is_served_after_sigterm_and_ended_by_sigint() {
    let origin = Origin::start().await;
    let (gate, mut held, mut waiting) = one_waits("line-term", &origin).await;
    gate.signal(Signal::TERM);
    until("no new client", || {
        std::net::TcpStream::connect(gate.http).is_err()
    })
    .await;
    origin.release();
    assert_eq!(held.answer().await.unwrap().status, 200);
    until("its turn", || origin.seen.requests() == 2).await;
    origin.release();
    assert_eq!(waiting.answer().await.unwrap().status, 200);
    assert!(gate.ended().await.0);

    let (gate, mut held, mut waiting) = one_waits("line-int", &origin).await;
    gate.signal(Signal::INT);
    assert!(held.closed().await && waiting.closed().await);
    assert!(gate.ended().await.0);
    assert_eq!(origin.seen.requests(), 3, "its turn never came");
}

#[tokio::test]
async fn sighup_is_caught_and_logged_and_opens_the_access_log_anew() {
    let origin = Origin::start().await;
    let lines = std::env::temp_dir().join(format!("tidegate-access-{}.log", std::process::id()));
    let access = format!("access = \"{}\"", lines.display());
    let gate = Process::start("sighup", origin.address, &[("access = \"off\"", &access)]).await;
    let mut client = Client::connect(gate.http).await;
    assert_eq!(client.get("/api/first?password=hunter2").await.status, 200);
    let read = || std::fs::read_to_string(&lines).unwrap_or_default();
    until("the line is written", || read().contains("/api/first")).await;
    assert!(!read().contains("hunter2"), "{}", read());
    assert!(
        read().trim_end().ends_with("\"--\"}") || read().trim_end().ends_with("--"),
        "{}",
        read()
    );
    let rotated = lines.with_extension("1");
    std::fs::rename(&lines, &rotated).unwrap();
    gate.signal(Signal::HUP);
    until("a new file", || lines.exists()).await;
    assert_eq!(client.get("/api/second").await.status, 200);
    until("the line is in the new file", || {
        read().contains("/api/second")
    })
    .await;
    drop(client);
    gate.signal(Signal::TERM);
    let (success, log) = gate.ended().await;
    assert!(success && log.contains("SIGHUP"), "{log}");
}

fn ended(command: &mut Command) -> (Output, String) {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, errors)
}

#[test]
fn a_taken_address_is_named_and_nothing_starts() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let text = with_listen("127.0.0.1:1".parse().unwrap(), "", "").replace(
        "http = [\"127.0.0.1:0\"]",
        &format!("http = [\"{address}\"]"),
    );
    let (output, errors) = ended(
        tidegate()
            .args(["run", "--config"])
            .arg(file("taken", &text)),
    );
    assert!(!output.status.success());
    assert!(
        errors.contains(&address.to_string()) && errors.contains("listen.http"),
        "{errors}"
    );
}

#[test]
fn too_few_open_files_are_named_with_what_is_needed() {
    let text = with_listen("127.0.0.1:1".parse().unwrap(), "", "");
    let path = file("files", &text);
    let script = format!(
        "ulimit -n 512; exec {} run --config {}",
        env!("CARGO_BIN_EXE_tidegate"),
        path.display()
    );
    let (output, errors) = ended(Command::new("bash").args(["-c", &script]));
    assert!(!output.status.success());
    assert!(
        errors.contains("LimitNOFILE") && errors.contains("512"),
        "{errors}"
    );
}

#[test]
fn check_says_each_limit_in_plain_words_and_all_are_enforced() {
    let text = "[state]\nurl = \"memory\"\n[[upstream]]\nname = \"vc\"\naddress = \"http://127.0.0.1:1\"\n\
                profile = \"vcenter-8.0\"";
    let (output, errors) = ended(
        tidegate()
            .args(["check", "--config"])
            .arg(file("check", text)),
    );
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{errors}");
    for name in [
        "connections_http",
        "upstream_connections",
        "request_rate",
        "response_bytes",
    ] {
        assert!(words.contains(name), "{name}\n{words}");
    }
    assert!(!words.contains("NOT ENFORCED by this version"), "{words}");
}

#[test]
fn faults_come_all_at_once_with_exit_code_1() {
    let text = "[listen]\nheader_timeot = \"10s\"\nidle_timeout = \"soon\"\n[state]\n\
                url = \"postgres://db/x\"\n[[upstream]]\nname = \"vc\"\naddress = \"vc.example\"";
    for command in ["check", "run"] {
        let (output, errors) = ended(
            tidegate()
                .args([command, "--config"])
                .arg(file("faults", text)),
        );
        assert_eq!(output.status.code(), Some(1));
        for part in [
            "header_timeot",
            "header_timeout",
            "idle_timeout",
            "soon",
            "postgres",
            "vc.example",
        ] {
            assert!(errors.contains(part), "{part}\n{errors}");
        }
    }
}

#[test]
fn version_is_the_packages() {
    let (output, _) = ended(tidegate().arg("--version"));
    let expected = format!("tidegate {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

/// The demo takes fixed ports: this is the one test that may use them.
#[tokio::test]
async fn the_demo_prints_six_commands_that_do_what_it_says() {
    let mut demo = tidegate()
        .arg("demo")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let mut text = String::new();
    while !text.contains("\n6. ") {
        text += &lines.next().expect("the demo prints what to try").unwrap();
        text += "\n";
    }
    until("it listens", || {
        std::net::TcpStream::connect("127.0.0.1:9900").is_ok()
    })
    .await;
    for _ in 0..4 {
        text += &lines.next().unwrap().unwrap();
        text += "\n";
    }
    let script = commands(&text);
    let output = tokio::task::spawn_blocking(move || {
        Command::new("bash")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .output()
            .unwrap()
    });
    let output = output.await.unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    _ = demo.kill();
    _ = demo.wait();
    assert!(shown.contains("\"vm\":\"vm-"), "the list\n{shown}");
    assert!(shown.contains("40 HTTP/2 200"), "who waits passes\n{shown}");
    assert!(
        shown.contains("HTTP/2 429") && shown.contains("tidegate-limit: request_rate"),
        "{shown}"
    );
    assert!(
        shown.contains("\"idle\":0"),
        "the clone's socket is busy\n{shown}"
    );
    assert!(
        shown.contains("/-/tasks/") && shown.contains("\"state\":\"COMPLETED\""),
        "the task ends by itself\n{shown}"
    );
    assert!(shown.contains("\"name\":\"request_rate\""), "{shown}");
}

/// The indented lines of what the demo prints, with each continuation joined.
fn commands(text: &str) -> String {
    let from = text.find("\n1. ").unwrap();
    text[from..]
        .lines()
        .filter(|line| line.starts_with("   ") && !line.trim().is_empty())
        .filter(|line| {
            line.contains("curl")
                || line.trim_start().starts_with(['-', '|'])
                || line.contains("sleep")
        })
        .map(str::trim_start)
        .collect::<Vec<_>>()
        .join("\n")
}
