//! Killed before and after each sync of the database while a task ends badly: what makes up for it is there once, or its end
//! is not there either.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate::task::{Bond, Record, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::rows::{are_legal, rows};
use crate::support::origin::Origin;
use crate::support::process::Process;
use crate::support::{PATIENCE, shim};

/// More syncs than a gate makes in a life with two tasks.
const MOST: u32 = 60;
/// Most lives for each sync, until each moment was met.
const ROUNDS: usize = 6;

struct Trial {
    origin: Origin,
    folder: PathBuf,
    lives: usize,
    /// Deaths at which the end was in the database, and nothing of what makes up for it had gone up: before and after a sync.
    between: [usize; 2],
    compensated: usize,
    unknown: usize,
}

impl Trial {
    async fn begin() -> Self {
        let folder = std::env::temp_dir().join(format!("tidegate-undo-{}", std::process::id()));
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            origin: Origin::start().await,
            folder: folder.canonicalize().unwrap(),
            lives: 0,
            between: [0, 0],
            compensated: 0,
            unknown: 0,
        }
    }

    fn text(&self) -> String {
        format!(
            r#"
[listen]
http = ["127.0.0.1:0"]
admin = "127.0.0.1:0"
[runtime]
threads = 2
[state]
url = "sqlite://{folder}/tidegate.db"
key_file = "{folder}/state.key"
[tasks]
max_blocking = "1s"
[log]
access = "off"
[[upstream]]
name = "up"
address = "http://{origin}"
profile = "generic"
[[upstream.route]]
name = "clone"
match = {{ method = "POST", path = "/clone" }}
class = "blocking"
[[upstream.route.after]]
state = ["FAILED"]
outcome = "known"
status = [500]
compensate = {{ method = "DELETE", target = "/machines/{{answer:location:last-segment}}" }}
"#,
            folder = self.folder.display(),
            origin = self.origin.address,
        )
    }

    async fn gate(&self, env: &[(&str, &str)]) -> Option<Process> {
        Process::tried(&self.text(), &self.folder, env).await.ok()
    }

    async fn records(&self) -> Vec<Arc<Record>> {
        let rows = rows(&self.folder.join("tidegate.db")).await;
        are_legal(&rows.records);
        rows.records
    }

    /// One life that is to end `when` the `nth` sync. Whether it did.
    async fn life(&mut self, (place, when): (usize, &str), nth: u32) -> bool {
        let plan = format!("{when}:wal:{nth}");
        let library = shim::library().to_str().unwrap();
        let env = [("LD_PRELOAD", library), ("TIDEGATE_FS_KILL", &*plan)];
        self.lives += 1;
        let name = format!("vm-{}", self.lives);
        let Some(mut gate) = self.gate(&env).await else {
            return true;
        };
        let task = submitted(gate.http, &name).await;
        let lived = match &task {
            Some(task) => over(gate.http, task).await.is_some(),
            None => false,
        };
        if lived {
            gate.stop();
        } else {
            gate.wait();
            self.note(place, &name).await;
        }
        self.resolve(&name).await;
        !lived
    }

    /// What the database says at a death.
    async fn note(&mut self, place: usize, name: &str) {
        let records = self.records().await;
        let undone = |record: &&Arc<Record>| {
            let is_of = record.requested.target.ends_with(&format!("/{name}"));
            matches!(record.bond, Some(Bond::Compensates(_))) && is_of
        };
        let waits = records.iter().find(undone);
        let waits = waits.is_some_and(|record| record.status == Status::Queued);
        self.between[place] += usize::from(waits);
    }

    /// The next gate knows it, or takes it now; it comes to its end, and so does what makes up for it.
    async fn resolve(&mut self, name: &str) {
        let mut gate = self.gate(&[]).await.expect("it stands");
        let task = submitted(gate.http, name).await.expect("it is taken");
        let ended = over(gate.http, &task).await.expect("it lives");
        gate.stop();
        let records = self.records().await;
        let id = ended["id"].as_str().unwrap();
        let undone = records.iter().filter(
            |record| matches!(record.bond, Some(Bond::Compensates(of)) if of.to_string() == id),
        );
        let undone: Vec<&Arc<Record>> = undone.collect();
        let targets = self.origin.seen.targets();
        let asked = |what: &str| {
            targets
                .iter()
                .filter(|target| target.contains(what))
                .count()
        };
        let (sent, deleted) = (
            asked(&format!("location:/machines/{name}")),
            targets
                .iter()
                .filter(|target| **target == format!("/machines/{name}"))
                .count(),
        );
        assert_eq!(ended["state"], "FAILED", "{ended}");
        assert!(sent <= 1, "{name} was sent {sent} times");
        if ended["outcome"] == "known" {
            assert_eq!(undone.len(), 1, "{name}: {undone:?}");
            assert_eq!(undone[0].status, Status::Completed);
            assert!(deleted >= 1, "{name}");
            self.compensated += 1;
        } else {
            // Nobody knows what it was called: nothing is deleted blindly.
            assert_eq!((undone.len(), deleted), (0, 0), "{name}");
            self.unknown += 1;
        }
    }
}

/// One answer; none where the gate is dead, or dies.
async fn asked(gate: SocketAddr, head: &str, body: &str) -> Option<(u16, Value)> {
    let mut socket = TcpStream::connect(gate).await.ok()?;
    let text = format!(
        "{head}Host: gate.example\r\nAuthorization: Basic YWxpY2U6YQ==\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(text.as_bytes()).await.ok()?;
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).await.ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}

/// The path of the task, once it is accepted.
async fn submitted(gate: SocketAddr, name: &str) -> Option<String> {
    let head = format!(
        "POST /clone?status=500&header=location:/machines/{name} HTTP/1.1\r\nPrefer: respond-async\r\nIdempotency-Key: \"{name}\"\r\n"
    );
    let (status, task) = asked(gate, &head, "{}").await?;
    assert_eq!(status, 202, "{task}");
    Some(task["links"]["self"].as_str()?.to_owned())
}

/// The task once it is over, and what makes up for it too; none where the gate dies.
async fn over(gate: SocketAddr, path: &str) -> Option<Value> {
    let until = Instant::now() + PATIENCE;
    loop {
        let (status, task) = asked(gate, &format!("GET {path} HTTP/1.1\r\n"), "").await?;
        assert_eq!(status, 200, "{task}");
        let is_over = match task["links"]["compensated_by"].as_str() {
            _ if task["done"] != true => false,
            None => true,
            Some(by) => {
                let (_, undo) = asked(gate, &format!("GET {by} HTTP/1.1\r\n"), "").await?;
                undo["done"] == true
            }
        };
        if is_over {
            return Some(task);
        }
        assert!(Instant::now() < until, "not over: {task}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_task_that_ends_badly_killed_at_each_sync_is_made_up_for_once() {
    let mut trial = Trial::begin().await;
    // The database is there, and the configuration is one.
    Process::start(&trial.text(), &trial.folder, &[])
        .await
        .stop();
    for _ in 0..ROUNDS {
        for when in [(0, "before"), (1, "after")] {
            let mut nth = 1;
            while trial.life(when, nth).await {
                nth += 1;
                assert!(nth < MOST, "it never lives to the end");
            }
        }
        if trial.between.iter().all(|deaths| *deaths > 0) {
            break;
        }
    }
    println!(
        "{} lives: {} made up for once, {} unknown and left alone; died with the end kept and nothing undone: {} before a sync, {} after one",
        trial.lives, trial.compensated, trial.unknown, trial.between[0], trial.between[1]
    );
    assert!(
        trial.between.iter().all(|deaths| *deaths > 0),
        "{:?}",
        trial.between
    );
}
