//! Waiting for a rate: nobody is refused who can be served in time, and no window sees one call too many.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tidegate::app::Options;
use tidegate::proxy::Hook;

use crate::rig::{LONG, Rig, get};
use crate::support::until;

fn rate(wait: &str) -> String {
    format!(
        "[upstream.limits.request_rate]\ncounts = \"requests\"\nlimit = 10\nwindow = \"1s\"\nburst = 10\n\
         full = {{ status = 429 }}\nwait = {{ {wait} }}\n"
    )
}

#[tokio::test]
async fn twenty_calls_at_ten_a_second_all_pass_and_no_second_sees_eleven() {
    let dispatched = Arc::new(Mutex::new(Vec::new()));
    let stamps = dispatched.clone();
    let options = Options {
        probe: Some(Arc::new(move |hook: Hook, at: Instant| {
            if hook == Hook::RequestHead {
                stamps.lock().unwrap().push(at);
            }
        })),
        ..Options::default()
    };
    let rig = Rig::start_with("", &rate(LONG), options).await;
    let began = Instant::now();
    let mut clients = Vec::new();
    for n in 0..20 {
        let mut client = rig.client().await;
        let user = format!("10.0.0.{}", n % 3);
        client.send(get(&format!("/api/x?n={n}"), &user)).await;
        clients.push(client);
    }
    for client in &mut clients {
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    println!("20 calls at 10/s: all served after {:?}", began.elapsed());
    let mut stamps = dispatched.lock().unwrap().clone();
    stamps.sort_unstable();
    assert_eq!(stamps.len(), 20);
    for pair in stamps.windows(11) {
        let eleven = pair[10] - pair[0];
        assert!(eleven >= Duration::from_secs(1), "eleven within {eleven:?}");
    }
    let row = rig.row("request_rate");
    assert_eq!((row.admitted, row.refused), (20, [0; 4]));
    rig.all_back().await;
}

#[tokio::test]
async fn a_call_that_leaves_the_line_of_a_rate_is_not_counted() {
    let rig = Rig::start(&rate(LONG)).await;
    let mut client = rig.client().await;
    for _ in 0..10 {
        client.send(get("/api/x?n=early", "10.0.0.1")).await;
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    let mut waiting = Vec::new();
    for n in 0..10 {
        let mut client = rig.client().await;
        client.send(get(&format!("/api/x?n={n}"), "10.0.0.1")).await;
        waiting.push(client);
    }
    until("they wait, or have passed", || {
        rig.row("request_rate").waiting + rig.row("request_rate").admitted == 20
    })
    .await;
    drop(waiting);
    until("nobody waits", || rig.row("request_rate").waiting == 0).await;
    let gone = rig.row("request_rate").admitted;
    until("their window is over", || {
        rig.row("request_rate").in_use == 0
    })
    .await;
    client.send(get("/api/x?n=late", "10.0.0.1")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    assert_eq!(rig.row("request_rate").admitted, gone + 1);
    rig.all_back().await;
}

#[tokio::test]
async fn who_could_only_be_served_too_late_is_refused_at_once() {
    let hourly = rate("line = 10, at_most = \"30s\"").replace("\"1s\"", "\"1h\"");
    let rig = Rig::start(&hourly).await;
    let mut client = rig.client().await;
    for _ in 0..10 {
        client.send(get("/api/x", "10.0.0.1")).await;
        assert_eq!(client.answer().await.unwrap().status, 200);
    }
    client.send(get("/api/x", "10.0.0.1")).await;
    let refused = client.answer().await.unwrap();
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("tidegate-limit"), Some("request_rate"));
    let back: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(back > 30, "{back}");
    assert_eq!(rig.row("request_rate").refused, [0, 0, 0, 1], "hopeless");
    rig.all_back().await;
}
