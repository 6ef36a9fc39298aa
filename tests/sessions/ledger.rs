//! The gate's ledger against the upstream's own list: after thousands of logins, a restart, a crash.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::model::{Model, PASSWORD};
use crate::people::{Session, Way, Work, ask_all, basic, log_all_in, log_in, login, request};
use crate::rig::{Setup, folder, in_use, listed, shown};
use crate::support::client::Client;
use crate::support::{PATIENCE, all_given_back, until};

/// Logins of each story: as many as a run in the development profile does in some seconds.
const LOGINS: usize = 5_000;
/// Connections that they come over.
const CLIENTS: usize = 64;

fn roomy(folder: &Path) -> Setup {
    Setup::of("vcenter-8.0")
        .limit("sessions", "limit = 100000")
        .limit("soap_sessions", "limit = 100000")
        .limit("sessions_per_user", "limit = 100000")
        .kept_in(folder)
}

/// People of twenty names, in every way in turn.
fn people(count: usize) -> Vec<(Way, String)> {
    let way = |n: usize| Way::ALL[n % Way::ALL.len()];
    (0..count)
        .map(|n| (way(n), format!("user{}@corp", n % 20)))
        .collect()
}

/// Logs so many in; a third log out, a third are ended by the upstream and used once more, a third stay.
async fn live(model: &Model, http: SocketAddr, count: usize) -> Vec<Session> {
    let sessions = log_all_in(http, people(count), CLIENTS).await;
    let mut stay = Vec::new();
    let mut last = Vec::new();
    for (n, session) in sessions.into_iter().enumerate() {
        match n % 3 {
            0 => last.push(session.asks(Work::Logout)),
            1 => {
                assert!(model.books.end(&session.token));
                last.push(session.asks(Work::List));
            }
            _ => stay.push(session),
        }
    }
    ask_all(http, last, CLIENTS).await;
    stay
}

/// The ledger, and the limits with it, say what the upstream says.
async fn agrees(model: &Model, door: SocketAddr) {
    let live = model.books.live();
    assert_eq!(listed(door).await, live);
    let limits = shown(door, "/limits").await;
    let used = |name: &str| {
        let rows = limits["limits"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        usize::try_from(row["in_use"].as_u64().unwrap()).unwrap()
    };
    let of = |kind: &str| live.iter().filter(|(one, _)| one == kind).count();
    assert_eq!(
        (used("sessions"), used("soap_sessions")),
        (of("rest"), of("soap"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_5000_logins_and_a_restart_the_ledger_is_the_upstreams_list() {
    let folder = folder("restart");
    let model = Model::start().await;
    let gate = roomy(&folder).start(model.address);
    let stay = live(&model, gate.http()[0], LOGINS).await;
    assert_eq!(model.books.live().len(), stay.len());
    agrees(&model, gate.admin()).await;
    assert_eq!(gate.drain().cut, 0);

    let gate = roomy(&folder).start(model.address);
    agrees(&model, gate.admin()).await;
    let out = stay
        .iter()
        .map(|session| session.asks(Work::Logout))
        .collect();
    ask_all(gate.http()[0], out, CLIENTS).await;
    assert_eq!(model.books.live(), []);
    assert_eq!(in_use(&gate, "sessions"), 0);
    all_given_back(&gate).await;
}

/// The gate as a process of its own.
struct Process {
    child: Child,
    http: SocketAddr,
    door: SocketAddr,
    log: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Process {
    fn start(setup: &Setup, model: SocketAddr, folder: &Path) -> Self {
        let file = folder.join("tidegate.toml");
        std::fs::write(&file, setup.text(model)).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["run", "--config"])
            .arg(&file)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let stands = lines
            .by_ref()
            .map_while(Result::ok)
            .find(|line| line.contains("the gate stands"))
            .expect("a gate that stands");
        // Its log is read on, so that it never waits for a reader.
        let log = Arc::new(Mutex::new(stands.clone()));
        let read = log.clone();
        let reader = std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                read.lock().unwrap().push_str(&line);
            }
        });
        let address = |label: &str| -> SocketAddr {
            let (_, rest) = stands.split_once(label).unwrap();
            rest.split([']', '"']).next().unwrap().parse().unwrap()
        };
        Self {
            http: address("\"http\":\"["),
            door: address("\"admin\":\""),
            child,
            log,
            reader,
        }
    }

    /// SIGKILL: nothing is written any more. What it logged.
    fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reader.join().unwrap();
        self.log.lock().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_in_the_middle_of_logins_the_ledger_is_the_upstreams_list_again() {
    let folder = folder("crash");
    let model = Model::start().await;
    let setup = roomy(&folder);
    let gate = Process::start(&setup, model.address, &folder);
    let mut stay = live(&model, gate.http, 900).await;
    agrees(&model, gate.door).await;
    for n in 0..50 {
        stay.push(log_in(gate.http, Way::ALL[n % 4], "late@corp").await);
    }
    gate.kill();

    // What was written is there; a login of the last moment is known again at its next use.
    let gate = Process::start(&setup, model.address, &folder);
    let restored = listed(gate.door).await.len();
    assert!(
        (stay.len() - 50..=stay.len()).contains(&restored),
        "{restored}"
    );
    let deadline = std::time::Instant::now() + PATIENCE;
    while listed(gate.door).await != model.books.live() {
        assert!(std::time::Instant::now() < deadline, "{restored} were kept");
        let uses = stay
            .iter()
            .map(|session| session.asks(Work::List))
            .collect();
        for answer in ask_all(gate.http, uses, CLIENTS).await {
            assert_eq!(answer.status, 200);
        }
    }
    agrees(&model, gate.door).await;
    let kept = std::fs::read(folder.join("tidegate.db")).unwrap();
    holds_no_secret("the database", &kept, &stay);
    gate.kill();
}

/// Fails if a token or the password stands in `text`, as it is or as Basic credentials.
fn holds_no_secret(what: &str, text: &[u8], sessions: &[Session]) {
    let tokens = sessions.iter().map(|session| session.token.clone());
    let basic = basic("user1@corp", PASSWORD);
    let encoded = basic.trim().rsplit(' ').next().unwrap().to_owned();
    for secret in tokens.chain([PASSWORD.to_owned(), encoded]) {
        let found = memchr::memmem::find(text, secret.as_bytes());
        let around = found.map(|at| String::from_utf8_lossy(&text[at.saturating_sub(200)..at]));
        assert_eq!(around, None, "{what} holds {secret}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_the_gate_writes_holds_a_token_or_a_password() {
    let folder = folder("secrets");
    let model = Model::start().await;
    let mut setup = roomy(&folder);
    let access = folder.join("access.log");
    setup.log = format!("access = \"{}\"\nlevel = \"trace\"", access.display());
    let gate = Process::start(&setup, model.address, &folder);
    let sessions: Vec<Session> = log_all_in(gate.http, people(8), 4).await;
    let mut asked: Vec<String> = sessions.iter().map(|one| one.asks(Work::List)).collect();
    asked.extend(Way::ALL.map(|way| login(way, "user1@corp", "wr0ng-passw0rd")));
    asked.push(request(
        "GET",
        &format!("/api/x?password={PASSWORD}"),
        "",
        "",
    ));
    ask_all(gate.http, asked, 4).await;
    let mut pages = String::new();
    for path in [
        "/metrics",
        "/limits",
        "/connections",
        "/sessions",
        "/config",
        "/explain?target=/api/vcenter/vm&user=user1@corp",
        "/explain?target=/api/session&method=POST",
    ] {
        let answer = Client::connect(gate.door).await.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        pages.push_str(&String::from_utf8_lossy(&answer.body));
    }
    let lines = || std::fs::read_to_string(&access).unwrap_or_default();
    until("the lines are written", || lines().contains("/api/x")).await;
    let log = gate.kill();
    assert!(log.len() > 1000, "it logs at every level: {log}");
    holds_no_secret("the operator's door", pages.as_bytes(), &sessions);
    holds_no_secret("the log", log.as_bytes(), &sessions);
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let text = std::fs::read(&path).unwrap();
        holds_no_secret(&path.display().to_string(), &text, &sessions);
        assert!(!String::from_utf8_lossy(&text).contains("wr0ng-passw0rd"));
    }
    assert!(!log.contains("wr0ng-passw0rd"));
}
