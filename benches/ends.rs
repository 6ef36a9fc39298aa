//! Whole lives of tasks, through the store's port: each is submitted, takes its seat, and ends with an answer. By turns with and
//! without the triggers that count how much is kept of what is over.
//! `cargo bench --bench ends`; takes up to two minutes: until the 95 % interval is narrow. `TIDEGATE_BENCH_DIR` says on
//! which disk (the folder for temporary files).

#![expect(clippy::unwrap_used, reason = "a benchmark may stop where it stands")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tidegate::session::SessionStore;
use tidegate::store::Sqlite;
use tidegate::task::{
    Advanced, Answer, Event, Millis, Record, SeatChange, Step, Submitted, TaskStore,
};

mod stored;
use stored::{at_once, half, new, on_folder, show, show_ratio};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// One turn of one part.
const TURN: Duration = Duration::from_millis(500);
/// Fewest and most turns of each part.
const TURNS: std::ops::RangeInclusive<usize> = 8..=90;
/// How far the interval may reach from the ratio for the run to end.
const NARROW: f64 = 0.03;
/// Bytes of an answer.
const ANSWER: usize = 200;

/// The step from `before` to what it is after `events`.
fn step(before: &Arc<Record>, events: &[Event], seat: SeatChange) -> Step {
    let now = Millis::from(SystemTime::now());
    let mut record = Record::clone(before);
    for event in events {
        record = record.after(*event, now).unwrap();
    }
    record.version = before.version + 1;
    Step {
        record: Arc::new(record),
        fence: before.fence,
        seat,
        answer: None,
        resealed: None,
        forget_request: false,
        release_key: false,
        hooks: Vec::new(),
        follows: None,
    }
}

/// One task from its submission to its end.
async fn live(tasks: &Sqlite, number: u64) {
    let one = new(number);
    let first = one.record.clone();
    assert_eq!(tasks.submit(one).await.unwrap(), Submitted::New);
    let now = Millis::from(SystemTime::now());
    let until = now.after(Duration::from_mins(60));
    let took = step(&first, &[Event::Dispatch], SeatChange::Take { until });
    let second = took.record.clone();
    assert_eq!(tasks.advance(took).await.unwrap(), Advanced::Done);
    let mut end = step(&second, &[Event::Sent, Event::Complete], SeatChange::Free);
    Arc::make_mut(&mut end.record).expires = Some(now.after(Duration::from_hours(24)));
    end.forget_request = true;
    end.answer = Some(Answer {
        status: 200,
        headers: Vec::new(),
        body: Bytes::from(vec![7; ANSWER]),
    });
    assert_eq!(tasks.advance(end).await.unwrap(), Advanced::Done);
}

/// Lives a second, of those who each wait for theirs.
async fn lives(tasks: &Arc<Sqlite>, next: &Arc<AtomicU64>) -> f64 {
    at_once(next, TURN, |number| {
        let tasks = tasks.clone();
        async move { live(&tasks, number).await }
    })
    .await
}

/// Takes the counting away: a store as it was before it had any.
async fn uncounted(path: &Path) {
    let options = SqliteConnectOptions::new().filename(path);
    let mut raw = SqliteConnection::connect_with(&options).await.unwrap();
    let triggers: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
            .fetch_all(&mut raw)
            .await
            .unwrap();
    assert!(triggers.iter().any(|name| name == "task_over"));
    for name in triggers {
        let drop = format!("DROP TRIGGER {name}");
        sqlx::query(sqlx::AssertSqlSafe(drop))
            .execute(&mut raw)
            .await
            .unwrap();
    }
    raw.close().await.unwrap();
}

async fn measure(folder: &Path) {
    let counted = Arc::new(Sqlite::open(&folder.join("counted.db")).await.unwrap());
    let path = folder.join("uncounted.db");
    Sqlite::open(&path).await.unwrap().close().await;
    uncounted(&path).await;
    let without = Arc::new(Sqlite::open(&path).await.unwrap());
    let next = Arc::new(AtomicU64::new(0));
    // Both logs have their size before anything is measured.
    lives(&counted, &next).await;
    lives(&without, &next).await;
    let (mut with, mut bare) = (Vec::new(), Vec::new());
    while with.len() < *TURNS.start() || (half(&with, &bare) > NARROW && with.len() < *TURNS.end())
    {
        with.push(lives(&counted, &next).await);
        bare.push(lives(&without, &next).await);
    }
    show("whole lives, 64 at once", &with, "/s");
    show("the same, nothing counted", &bare, "/s");
    show_ratio("counted / not counted", &with, &bare);
    counted.close().await;
    without.close().await;
}

fn main() {
    on_folder("ends", async |folder| measure(folder).await);
}
