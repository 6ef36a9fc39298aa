//! Durable submits: through the store's port, and beside it a bare loop of inserts into SQLite with the same bytes a
//! row and the same durability, by turns.
//! `cargo bench --bench submit`; takes about two minutes. `TIDEGATE_BENCH_DIR` says on which disk (the folder for
//! temporary files).

#![expect(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::indexing_slicing,
    reason = "a benchmark may stop where it stands, and its numbers are small"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tidegate::session::SessionStore;
use tidegate::store::Sqlite;
use tidegate::task::{Filter, Found, Millis, Owner, Submitted, TaskId, TaskStore};

mod bare;
#[expect(dead_code, reason = "another bench uses the rest")]
mod stored;
use bare::Bare;
use stored::{SEALED, SUBMITTERS, at_once, new, on_folder, show, show_ratio};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One turn of one part.
const TURN: Duration = Duration::from_millis(1500);
/// Turns of each part.
const TURNS: usize = 7;
/// Submits per second of the open loop, and for how long.
const RATE: u64 = 500;
const LOOP: Duration = Duration::from_secs(5);
/// How often, by turns.
const LOOPS: usize = 3;
/// Finished tasks on disk.
const FINISHED: u64 = 1_000_000;

async fn store(path: &Path) -> Arc<Sqlite> {
    Arc::new(Sqlite::open(path).await.unwrap())
}

/// Submits a second, of `SUBMITTERS` who each wait for theirs.
async fn closed(tasks: &Arc<Sqlite>, next: &Arc<AtomicU64>) -> f64 {
    at_once(next, TURN, |number| {
        let tasks = tasks.clone();
        async move { assert_eq!(tasks.submit(new(number)).await.unwrap(), Submitted::New) }
    })
    .await
}

/// Milliseconds that each submit took from when it was due, at `RATE` a second, whoever waits.
async fn opened(tasks: &Arc<Sqlite>, next: &Arc<AtomicU64>) -> Vec<f64> {
    let began = tokio::time::Instant::now();
    let total = RATE * LOOP.as_secs();
    let mut all = Vec::new();
    for number in 0..total {
        let due = began + Duration::from_micros(number * 1_000_000 / RATE);
        tokio::time::sleep_until(due).await;
        let (tasks, next) = (tasks.clone(), next.clone());
        all.push(tokio::spawn(async move {
            let number = next.fetch_add(1, Ordering::Relaxed);
            assert_eq!(tasks.submit(new(number)).await.unwrap(), Submitted::New);
            due.elapsed().as_secs_f64() * 1e3
        }));
    }
    let mut took = Vec::new();
    for one in all {
        took.push(one.await.unwrap());
    }
    took
}

/// Microseconds that it takes to read a task from the store.
async fn polled(tasks: &Arc<Sqlite>, ids: &[TaskId]) -> f64 {
    let began = Instant::now();
    for id in ids {
        assert!(matches!(tasks.task(*id).await.unwrap(), Found::Task(_)));
    }
    began.elapsed().as_secs_f64() * 1e6 / ids.len() as f64
}

/// A million tasks that are over, made of the rows that are there.
async fn fill(path: &Path) {
    let options = SqliteConnectOptions::new().filename(path);
    let mut raw = SqliteConnection::connect_with(&options).await.unwrap();
    let before: i64 = sqlx::query_scalar("SELECT count(*) FROM task")
        .fetch_one(&mut raw)
        .await
        .unwrap();
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) \
        INSERT INTO task (id, owner, upstream, state, substate, version, fence, expires, form, requested, progress, \
        history, idem, answer_head, answer) \
        SELECT unhex(printf('%012x', 1600000000000 + i) || hex(randomblob(10))), \
        'user:' || (i % 50) || '@vsphere.local', upstream, 'COMPLETED', NULL, 4, 1, 9000000000000 + i, form, \
        requested, progress, zeroblob(0), randomblob(32), zeroblob(3), randomblob(200) \
        FROM n, (SELECT * FROM task LIMIT 1)";
    for statement in [
        "PRAGMA synchronous = OFF",
        "PRAGMA cache_size = -400000",
        "BEGIN IMMEDIATE",
    ] {
        sqlx::query(statement).execute(&mut raw).await.unwrap();
    }
    let count = (FINISHED as i64) - before;
    sqlx::query(rows)
        .bind(count)
        .execute(&mut raw)
        .await
        .unwrap();
    let keys = "INSERT INTO idem SELECT idem, randomblob(32), id FROM task WHERE state = 'COMPLETED' ORDER BY idem";
    sqlx::query(keys).execute(&mut raw).await.unwrap();
    for statement in [
        "COMMIT",
        "PRAGMA synchronous = FULL",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ] {
        sqlx::query(statement).execute(&mut raw).await.unwrap();
    }
    raw.close().await.unwrap();
}

fn show_latencies(what: &str, took: &[f64]) {
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
    println!(
        "{what:<52} p50 {:.2} ms  p90 {:.2} ms  p99 {:.2} ms  most {:.2} ms",
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
}

fn main() {
    on_folder("submit", async |folder| measure(folder).await);
}

/// Rows of one task as they stand in the file: what the bare loop writes.
const ROW: usize = SEALED + 650;

async fn measure(folder: &Path) {
    let path = folder.join("tidegate.db");
    let empty = store(&path).await;
    let next = Arc::new(AtomicU64::new(0));
    let full_path = folder.join("full.db");
    let full = store(&full_path).await;
    full.submit(new(1)).await.unwrap();
    full.close().await;
    drop(full);
    let began = Instant::now();
    fill(&full_path).await;
    println!(
        "{FINISHED} finished tasks made in {:.1} s",
        began.elapsed().as_secs_f64()
    );
    let began = Instant::now();
    let full = store(&full_path).await;
    println!("opened in {:.1} s", began.elapsed().as_secs_f64());
    let full_next = Arc::new(AtomicU64::new(1 << 40));
    let mut bare = Bare::open(&folder.join("bare.db")).await;
    // Both logs have their size before anything is measured.
    for _ in 0..1 {
        closed(&empty, &next).await;
        closed(&full, &full_next).await;
        bare.insert(SUBMITTERS, ROW, TURN).await;
    }
    let mut took = [const { Vec::new() }; 4];
    let mut group = Vec::new();
    for _ in 0..TURNS {
        let before = empty.written();
        took[0].push(closed(&empty, &next).await);
        let after = empty.written();
        group.push((after.1 - before.1) as f64 / (after.0 - before.0) as f64);
        let as_many = group.last().unwrap().round() as usize;
        took[1].push(bare.insert(as_many, ROW, TURN).await);
        took[2].push(bare.insert(1, ROW, TURN).await);
        took[3].push(closed(&full, &full_next).await);
    }
    let [submits, grouped, single, on_full] = took;
    show("durable submits, 64 at once", &submits, "/s");
    show("submits in one commit", &group, "");
    show("bare loop, as many rows a commit", &grouped, "/s");
    show("bare loop, one row a commit", &single, "/s");
    show(
        "durable submits, 1,000,000 finished on disk",
        &on_full,
        "/s",
    );
    show_ratio(
        "submits / bare loop of as many rows a commit",
        &submits,
        &grouped,
    );
    show_ratio("submits / bare loop of one row a commit", &submits, &single);
    show_ratio("submits empty / submits on 1,000,000", &submits, &on_full);
    let mut took = [const { Vec::new() }; 3];
    for _ in 0..LOOPS {
        took[0].extend(opened(&empty, &next).await);
        took[1].extend(opened(&full, &full_next).await);
        took[2].extend(bare.paced(RATE, ROW, LOOP).await);
    }
    let whats = [
        "500 submits/s",
        "500 submits/s, 1,000,000 finished",
        "bare loop, 500 rows/s",
    ];
    for (what, took) in whats.into_iter().zip(&mut took) {
        took.sort_by(f64::total_cmp);
        show_latencies(what, took);
    }
    let few = ids(&path).await;
    let many = ids(&full_path).await;
    let (mut small, mut large) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        small.push(polled(&empty, &few).await);
        large.push(polled(&full, &many).await);
    }
    show("a task read from the store", &small, "µs");
    show("the same, 1,000,000 finished", &large, "µs");
    show_ratio("read on 1,000,000 / read", &large, &small);
    lists(&full).await;
    empty.close().await;
    full.close().await;
}

/// What lists take on a full disk.
async fn lists(full: &Arc<Sqlite>) {
    let owner = Some(Owner(Arc::from("user:7@vsphere.local")));
    let upstream = Some(Arc::from("vc1"));
    let state = Some(tidegate::task::State::Aborted);
    let mine = Filter {
        owner,
        upstream,
        ..Filter::default()
    };
    let rare = Filter {
        state,
        ..mine.clone()
    };
    let all = Filter {
        state,
        ..Filter::default()
    };
    for (what, filter) in [
        ("an owner's list", mine),
        ("of a state none is in", rare),
        ("everybody's of such", all),
    ] {
        let mut took = Vec::new();
        for _ in 0..TURNS {
            let began = Instant::now();
            full.list(&filter, None, 50).await.unwrap();
            took.push(began.elapsed().as_secs_f64() * 1e3);
        }
        show(&format!("{what}, 1,000,000 finished"), &took, "ms");
    }
    let began = Instant::now();
    let open = full.unfinished(None, 500).await.unwrap();
    println!(
        "{} unfinished of 1,000,000 in {:.1} ms",
        open.len(),
        began.elapsed().as_secs_f64() * 1e3
    );
    let began = Instant::now();
    let purged = full
        .purge(Millis(9_000_000_001_000), Millis(u64::MAX), 500)
        .await
        .unwrap();
    println!(
        "{} purged of 1,000,000 in {:.1} ms",
        purged.tasks,
        began.elapsed().as_secs_f64() * 1e3
    );
}

/// A thousand tasks, anywhere.
async fn ids(path: &Path) -> Vec<TaskId> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut raw = SqliteConnection::connect_with(&options).await.unwrap();
    let sql = "SELECT id FROM task WHERE rowid % (1 + (SELECT max(rowid) FROM task) / 1000) = 0 LIMIT 1000";
    let ids: Vec<Vec<u8>> = sqlx::query_scalar(sql).fetch_all(&mut raw).await.unwrap();
    let ids = ids
        .into_iter()
        .map(|id| TaskId::from_bytes(id.try_into().unwrap()));
    ids.collect()
}
