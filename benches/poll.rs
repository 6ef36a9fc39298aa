//! What asking for a task costs, beside an answer that the gate makes without looking anything up.
//!
//! One gate in this process, one client that asks by turns over two connections that live on: the status of a task that
//! runs, and a host that no upstream has (421). Round after round, until the 95 % interval of the ratio is narrow.
//! `cargo bench --bench poll`.

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

use support::client::Client;
use support::origin::Origin;
use support::{gate, plain};

/// Requests of one part in a round.
const TURN: u32 = 500;
/// Fewest and most rounds.
const ROUNDS: std::ops::RangeInclusive<usize> = 20..=200;
/// How far the interval may reach from the ratio, relative to it, for the run to end.
const NARROW: f64 = 0.02;

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(measure());
}

const LIMITS: &str = r#"
hosts = ["up.example"]
[upstream.limits.blocking_tasks]
counts = "requests_in_flight"
match = { class = ["blocking"] }
limit = 10
[[upstream.route]]
name = "long"
class = "blocking"
match = { method = "POST", path = "/long" }
"#;

async fn measure() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, LIMITS));
    let address = gate.http()[0];
    let mut polls = Client::connect(address).await;
    polls
        .send("POST /long?hold HTTP/1.1\r\nHost: up.example\r\nPrefer: respond-async\r\nContent-Length: 0\r\n\r\n")
        .await;
    let accepted = polls.answer().await.unwrap();
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let status = accepted.header("location").unwrap();
    let status = format!("GET {status} HTTP/1.1\r\nHost: up.example\r\n\r\n");
    let mut others = Client::connect(address).await;
    let local = "GET /x HTTP/1.1\r\nHost: nobody.example\r\n\r\n";
    let mut logs = Vec::new();
    let (mut poll_ns, mut local_ns) = (Vec::new(), Vec::new());
    loop {
        let poll = turn(&mut polls, &status, 200).await;
        let plain = turn(&mut others, local, 421).await;
        poll_ns.push(poll);
        local_ns.push(plain);
        logs.push((plain / poll).ln());
        let (ratio, reach) = interval(&logs);
        let is_narrow = reach.exp_m1() < NARROW;
        if logs.len() >= *ROUNDS.end() || (logs.len() >= *ROUNDS.start() && is_narrow) {
            println!(
                "poll {:.1} us, plain local answer {:.1} us (medians of {} rounds of {TURN}); \
                 polls a second to plain answers a second: {:.3} [{:.3}, {:.3}] (asked: 0.7)",
                median(&mut poll_ns) / 1e3,
                median(&mut local_ns) / 1e3,
                logs.len(),
                ratio.exp(),
                (ratio - reach).exp(),
                (ratio + reach).exp(),
            );
            return;
        }
    }
}

/// Nanoseconds that one of these requests takes.
async fn turn(client: &mut Client, request: &str, status: u16) -> f64 {
    let began = Instant::now();
    for _ in 0..TURN {
        client.send(request).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, status, "{answer:?}");
    }
    began.elapsed().as_secs_f64() * 1e9 / f64::from(TURN)
}

/// The mean, and how far the interval reaches to each side that holds the true one in 95 of 100 cases.
#[expect(clippy::cast_precision_loss, reason = "rounds are few")]
fn interval(logs: &[f64]) -> (f64, f64) {
    let count = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / count;
    let squares: f64 = logs.iter().map(|one| (one - mean).powi(2)).sum();
    let deviation = (squares / (count - 1.0).max(1.0)).sqrt();
    // Student's t for 20 and more rounds is below 2.1.
    (mean, 2.1 * deviation / count.sqrt())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
