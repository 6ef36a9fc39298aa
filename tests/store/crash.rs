//! Killed in the middle of writing: what was acknowledged is there, and no transaction is there by half.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tidegate::session::Change;

use super::*;

/// Names the database to whoever is to be killed.
const VICTIM: &str = "TIDEGATE_STORE_VICTIM";
/// Changes in each of its transactions.
const BATCH: u64 = 50;

/// Not run for itself: the process that the test below starts and kills.
#[tokio::test]
#[ignore = "the test below runs it, as a process of its own"]
async fn the_victim_writes_until_it_is_killed() {
    let path = std::env::var_os(VICTIM).expect("run by another test");
    let store = open_at(Path::new(&path)).await.unwrap();
    let start = store.load(usize::MAX).await.unwrap().len() as u64 / BATCH;
    for batch in start.. {
        let changes: Vec<Change> = (0..BATCH)
            .map(|number| Change::Put(Box::new(record(batch * BATCH + number))))
            .collect();
        store.apply(&changes).await.unwrap();
        println!("acknowledged {batch}");
    }
}

struct Victim(Child);

impl Victim {
    fn start(path: &Path) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture"])
            .arg("crash::the_victim_writes_until_it_is_killed")
            .env(VICTIM, path)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// Kills it (SIGKILL) once it has acknowledged `count` more batches; the last it acknowledged.
    fn killed_after(mut self, count: usize) -> u64 {
        let mut lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        let number = |line: &str| line.split("acknowledged ").nth(1)?.parse::<u64>().ok();
        let mut said = lines
            .by_ref()
            .map_while(Result::ok)
            .filter_map(|line| number(&line));
        said.by_ref().nth(count - 1).expect("it writes");
        self.0.kill().unwrap();
        // What it said before it died counts too.
        let last = lines
            .map_while(Result::ok)
            .filter_map(|line| number(&line))
            .last();
        self.0.wait().unwrap();
        last.unwrap_or(0)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_kill() {
    let path = folder("crash").join("tidegate.db");
    let mut least = 0;
    for round in 1..=5 {
        let victim = Victim::start(&path);
        let last = tokio::task::spawn_blocking(move || victim.killed_after(round * 3));
        least = least.max(last.await.unwrap());
        let store = open_at(&path).await.unwrap();
        let mut kept = store.load(usize::MAX).await.unwrap();
        kept.sort_by_key(|record| record.key);
        let count = kept.len() as u64;
        assert!(
            count >= (least + 1) * BATCH,
            "{count} kept, batch {least} acknowledged"
        );
        assert_eq!(count % BATCH, 0, "a transaction is there by half");
        assert!(
            kept.iter()
                .zip(0..)
                .all(|(kept, number)| *kept == record(number))
        );
        store.close().await;
    }
}
