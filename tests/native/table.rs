//! What clients' polls cost the upstream: nothing, however many tasks run. Prints the table.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidegate::app::Running;
use tokio::task::JoinSet;

use crate::rig::CLONE;
use crate::support::client::Client;
use crate::support::hurried;
use crate::support::{PATIENCE, gate, plain};
use crate::vendors::nsx_v::NsxV;
use crate::vendors::vcenter::VCenter;
use crate::vendors::{Books, Kind, Pace};

/// The shortest pause between two polls, by the dialect of the tests.
const LEAST: Duration = Duration::from_millis(100);
/// Polls of clients, and by how many at a time.
const POLLS: u64 = 10_000;
const CLIENTS: u64 = 8;
/// Lists that are waited for in each window.
const LISTS: u64 = 8;
const MONITORS: &str = "/api/4.0/edges/edge-4/loadbalancer/config/monitors";

fn before(upstream: SocketAddr, dialect: &str, profile: &str) -> Running {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = folder.join(format!("table-{dialect}-{}.toml", std::process::id()));
    std::fs::write(&file, hurried::text(dialect)).unwrap();
    let lines = format!("dialect_files = [\"{}\"]", file.display());
    let text = plain(upstream, &lines).replace("\"generic\"", &format!("\"{profile}\""));
    gate(&text)
}

fn request(line: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{line} HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YWRtaW46cHc=\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    )
}

/// Where the status of each task is asked for.
async fn begin(gate: &Running, target: &str, tasks: u64) -> Vec<String> {
    let mut client = Client::connect(gate.http()[0]).await;
    let mut all = Vec::new();
    for number in 0..tasks {
        let body = format!("{{\"source\":\"vm-11\",\"name\":\"web-{number}\"}}");
        let line = format!("POST {target}");
        client
            .send(request(&line, "Prefer: respond-async\r\n", &body))
            .await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, 202, "{answer:?}");
        all.push(answer.header("location").unwrap().to_owned());
    }
    all
}

/// Waits; lists are counted from now on until there were as many, and `done` says so.
async fn lists(books: &Books, done: impl Fn() -> bool) -> (u64, Duration) {
    let (began, before) = (Instant::now(), books.count(Kind::BatchPoll));
    loop {
        let lists = books.count(Kind::BatchPoll) - before;
        if lists >= LISTS && done() {
            return (lists, began.elapsed());
        }
        assert!(began.elapsed() < 4 * PATIENCE, "{lists} lists");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Clients ask for all of them, in turn; counts those that were told how a task fares.
fn polled(gate: &Running, tasks: &Arc<Vec<String>>, told: &Arc<AtomicU64>) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let (address, tasks, told) = (gate.http()[0], tasks.clone(), told.clone());
        clients.spawn(async move {
            let mut client = Client::connect(address).await;
            for turn in 0..POLLS / CLIENTS {
                let at = usize::try_from(turn * CLIENTS + number).unwrap() % tasks.len();
                client
                    .send(request(&format!("GET {}", tasks[at]), "", ""))
                    .await;
                let answer = client.answer().await.unwrap();
                // Of one task alone so many are too many.
                assert!(matches!(answer.status, 200 | 429), "{answer:?}");
                told.fetch_add(u64::from(answer.status == 200), Ordering::Relaxed);
            }
        });
    }
    clients
}

async fn row(name: &str, gate: &Running, books: &Books, target: &str, tasks: u64) {
    let all = Arc::new(begin(gate, target, tasks).await);
    let deadline = Instant::now() + PATIENCE;
    while books.count(Kind::Start) < tasks {
        assert!(
            Instant::now() < deadline,
            "{} begun",
            books.count(Kind::Start)
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Young tasks are asked for more often.
    lists(books, || true).await;
    let (alone, quiet) = lists(books, || true).await;
    let told = Arc::default();
    let mut clients = polled(gate, &all, &told);
    let clients_done = Arc::new(AtomicU64::new(0));
    let done = clients_done.clone();
    let all_polled = tokio::spawn(async move {
        while let Some(polled) = clients.join_next().await {
            polled.unwrap();
        }
        done.store(1, Ordering::SeqCst);
    });
    let (beside, busy) = lists(books, || clients_done.load(Ordering::SeqCst) == 1).await;
    all_polled.await.unwrap();
    // However many tasks, and however many ask for them: no sooner after the last than the dialect says.
    for (lists, within) in [(alone, quiet), (beside, busy)] {
        let ticks = within.as_millis() / LEAST.as_millis() + 2;
        assert!(
            u128::from(lists) <= ticks,
            "{lists} lists in {ticks} ticks for {tasks} tasks"
        );
    }
    assert_eq!(books.count(Kind::Poll), 0, "{tasks} tasks");
    let minutes = |lists: u64, within: Duration| 60 * 1000 * u128::from(lists) / within.as_millis();
    println!(
        "{name}, {tasks} tasks: {} lists a minute; with {POLLS} polls of clients in {:.1} s ({} told): {}",
        minutes(alone, quiet),
        busy.as_secs_f64(),
        told.load(Ordering::SeqCst),
        minutes(beside, busy),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vcenter_is_asked_as_often_for_one_task_as_for_a_thousand_however_many_poll() {
    for tasks in [1, 100, 1000] {
        let vc = VCenter::start(Pace::ByHand).await;
        vc.unique_names(false);
        let gate = before(vc.address, "vcenter", "vcenter-8.0");
        row("vCenter", &gate, &vc.books, CLONE, tasks).await;
        assert_eq!(vc.books.violations(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_is_asked_as_often_for_one_job_as_for_a_thousand_however_many_poll() {
    for tasks in [1, 100, 1000] {
        let nsx = NsxV::start(Pace::ByHand).await;
        let gate = before(nsx.address, "nsx-v", "nsx-v");
        row("NSX-V", &gate, &nsx.books, MONITORS, tasks).await;
    }
}
