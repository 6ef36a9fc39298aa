//! A gate that is killed again and again while changes of one environment wait, are sent, or are being made.

use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::killed::{ask, until};
use crate::support::hurried;
use crate::support::process::Process;
use crate::vendors::skytap::Skytap;
use crate::vendors::{Fault, Kind, Pace, When};

const PUT: &str = "PUT /v2/configurations/1";
const CHANGES: usize = 6;

fn text(folder: &Path, upstream: std::net::SocketAddr) -> String {
    crate::killed::text(folder, upstream).replace("vcenter-8.0", "skytap")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_is_made_once_and_in_order_over_kills() {
    let skytap = Skytap::start(Pace::Lasts(Duration::from_millis(400))).await;
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let folder = folder.join(format!("busy-killed-{}", std::process::id()));
    drop(std::fs::remove_dir_all(&folder));
    std::fs::create_dir_all(&folder).unwrap();
    let folder = folder.canonicalize().unwrap();
    std::fs::write(folder.join("hurried.toml"), hurried::text("skytap")).unwrap();
    let text = text(&folder, skytap.address);
    let mut gate = Process::start(&text, &folder, &[]).await;
    let mut tasks = Vec::new();
    for number in 0..CHANGES {
        let head = "Content-Type: application/json\r\nPrefer: respond-async\r\n";
        let body = json!({"name": format!("n-{number}")}).to_string();
        let answer = ask(&gate, PUT, head, &body).await;
        assert_eq!(answer.status, 202, "{answer:?}");
        tasks.push(answer.header("location").unwrap().to_owned());
    }
    // Killed while it is polled; while it is sent and its answer never comes; and while the next waits its turn.
    let [first, second, ..] = &tasks[..] else {
        panic!("{tasks:?}");
    };
    until(&gate, first, |task| task["substate"] == "POLLING").await;
    skytap.faults.on(Kind::Start, When::Next(1), Fault::Hangs);
    gate.kill();
    gate = Process::start(&text, &folder, &[]).await;
    until(&gate, first, |task| task["done"] == true).await;
    // As it may be, it went up just before the first kill.
    until(&gate, second, |task| {
        task["state"] == "RUNNING" || task["done"] == true
    })
    .await;
    crate::rig::until("it is sent", || skytap.books.count(Kind::Start) >= 2).await;
    gate.kill();
    gate = Process::start(&text, &folder, &[]).await;
    for task in &tasks {
        let shown = until(&gate, task, |task| task["done"] == true).await;
        assert_eq!(shown["state"], "COMPLETED", "{shown}");
    }
    let heard = skytap.books.heard().into_iter();
    let starts = heard.filter(|heard| heard.kind == Kind::Start);
    let names: Vec<_> = starts
        .map(|heard| heard.request.json()["name"].clone())
        .collect();
    let wanted: Vec<_> = (0..CHANGES)
        .map(|number| json!(format!("n-{number}")))
        .collect();
    assert_eq!(names, wanted);
    for name in wanted {
        let made = format!("configurations/1 {}", json!({ "name": name }));
        assert_eq!(skytap.books.effects(&made), 1, "{made}");
    }
    crate::busy::blameless(&skytap);
    gate.stop();
    drop(std::fs::remove_dir_all(&folder));
}
