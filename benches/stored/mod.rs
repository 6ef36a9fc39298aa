//! What the benches of the store share: tasks as they come in, and how a figure is shown.

#![expect(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a benchmark may stop where it stands, and its numbers are small"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tidegate::task::{Key, Millis, New, Owner, Record, Replay, Requested, TaskId};
use tokio::task::JoinSet;

/// Who submits at once.
pub const SUBMITTERS: usize = 64;
/// Bytes of a sealed request.
pub const SEALED: usize = 900;

/// Measures in an empty folder of the disk. Cargo tells benches that they are such; there is nothing to choose from here.
pub fn on_folder(name: &str, measure: impl AsyncFnOnce(&Path)) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let folder = folder(name);
    runtime.block_on(measure(&folder));
    std::fs::remove_dir_all(folder).unwrap();
}

fn folder(name: &str) -> PathBuf {
    let base =
        std::env::var_os("TIDEGATE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = base.join(format!("tidegate-bench-{name}-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn requested(number: u64) -> Requested {
    Requested {
        upstream: Arc::from("vc1"),
        route: Arc::from("vcenter-vm-clone"),
        pool: Arc::from("blocking_tasks"),
        method: "POST".to_owned(),
        target: "/api/vcenter/vm?action=clone".to_owned(),
        operation: None,
        body_sha256: [7; 32],
        owner: Owner(Arc::from(format!("user:{}@vsphere.local", number % 50))),
        user: Some(Arc::from("administrator@vsphere.local")),
        session: None,
        address: "192.0.2.7".parse().unwrap(),
        replay: Replay::AtMostOnce,
        start_deadline: Some(Millis(1)),
        run_for: Duration::from_mins(60),
        callback: None,
        request_id: None,
    }
}

/// A task that comes in, with a key of its own, of one of fifty users.
pub fn new(number: u64) -> New {
    let now = SystemTime::now();
    let record = Record::new(TaskId::new(now), requested(number), true, now.into());
    New {
        key: Some(Key {
            owner: record.requested.owner.clone(),
            scope: Arc::from("POST https://vc1.gw.example/api/vcenter/vm?action=clone"),
            key: Arc::from(format!("{number:032x}")),
            fingerprint: [1; 32],
        }),
        record: Arc::new(record),
        sealed: Bytes::from(vec![(number % 251) as u8; SEALED]),
    }
}

/// How many of these are done a second by `SUBMITTERS` who each wait for theirs.
pub async fn at_once<F: Future<Output = ()> + Send + 'static>(
    next: &Arc<AtomicU64>,
    turn: Duration,
    one: impl Fn(u64) -> F,
) -> f64 {
    let began = Instant::now();
    let mut all = JoinSet::new();
    for _ in 0..SUBMITTERS {
        all.spawn(one(next.fetch_add(1, Ordering::Relaxed)));
    }
    let mut done = 0_u64;
    while let Some(came) = all.join_next().await {
        came.unwrap();
        done += 1;
        if began.elapsed() < turn {
            all.spawn(one(next.fetch_add(1, Ordering::Relaxed)));
        }
    }
    done as f64 / began.elapsed().as_secs_f64()
}

/// Mean, and half of its 95 % interval.
fn mean(of: &[f64]) -> (f64, f64) {
    let n = of.len() as f64;
    let mean = of.iter().sum::<f64>() / n;
    let variance = of.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (n - 1.0);
    // Student's t, near enough from five degrees of freedom on.
    let free = n - 1.0;
    let t = 1.96 + 2.37 / free + 2.8 / (free * free);
    (mean, t * (variance / n).sqrt())
}

/// A line of the report.
pub fn show(what: &str, of: &[f64], unit: &str) {
    let (mean, half) = mean(of);
    println!("{what:<52} {mean:>9.1} ± {half:>7.1} {unit}");
}

/// Turn by turn.
fn ratios(over: &[f64], under: &[f64]) -> Vec<f64> {
    over.iter()
        .zip(under)
        .map(|(over, under)| over / under)
        .collect()
}

/// How far the 95 % interval of the ratio reaches to either side.
pub fn half(over: &[f64], under: &[f64]) -> f64 {
    mean(&ratios(over, under)).1
}

/// A line of the report.
pub fn show_ratio(what: &str, over: &[f64], under: &[f64]) {
    let (mean, half) = mean(&ratios(over, under));
    println!("{what:<52} {mean:>9.3} ± {half:>7.3}");
}
