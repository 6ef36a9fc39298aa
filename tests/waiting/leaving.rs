//! Clients that hang up while they wait: their places are free at once, and nothing of them is left.

use std::time::Duration;

use proptest::prelude::RngExt;
use proptest::test_runner::{RngAlgorithm, TestRng};
use tokio::net::TcpStream;

use crate::rig::{LONG, Rig, get, seats};
use crate::support::client::Client;
use crate::support::pki::{self_signed, tls};
use crate::support::until;

fn post(target: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn who_hangs_up_leaves_the_line_at_once_and_is_never_sent_up() {
    let chunks = "POST /api/x?n=gone HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for request in [
        get("/api/x?n=gone", "10.0.0.1").into_bytes(),
        post("/api/x?n=gone", &[b'b'; 1000]),
        post("/api/x?n=gone", &[b'b'; 56 * 1024]),
        // Half of a body.
        post("/api/x?n=gone", &[b'b'; 1000])[..500].to_vec(),
        format!("{chunks}3\r\nabc\r\n0\r\n\r\n").into_bytes(),
        format!("{chunks}3\r\nabc\r\n").into_bytes(),
    ] {
        let mut rig = Rig::start(&seats(1, LONG)).await;
        rig.fill().await;
        let gone = rig.stand(&request).await;
        let mut next = rig.stand(get("/api/x?n=next", "10.0.0.2")).await;
        drop(gone);
        rig.until_waiting(1).await;
        assert_eq!(rig.row("calls").in_use, 1, "the seat is held still");
        rig.let_go().await;
        assert_eq!(next.answer().await.unwrap().status, 200);
        assert_eq!(rig.asked(), ["/api/x?n=next"]);
        rig.all_back().await;
    }
}

#[tokio::test]
async fn over_tls_too() {
    let folder = std::env::temp_dir().join(format!("tidegate-waiting-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (certificate, key) = self_signed(&["localhost"], false).write(&folder);
    let listen = format!(
        "https = [\"127.0.0.1:0\"]\ncertificate = \"{}\"\nprivate_key = \"{}\"",
        certificate.display(),
        key.display()
    );
    let mut rig = Rig::start_with(&listen, &seats(1, LONG), Default::default()).await;
    rig.fill().await;
    let connect = async || {
        let stream = TcpStream::connect(rig.gate.https()[0]).await.unwrap();
        Client::over(tls(stream, &["http/1.1"]).await.unwrap())
    };
    let (mut gone, mut next) = (connect().await, connect().await);
    gone.send(get("/api/x?n=gone", "10.0.0.1")).await;
    rig.until_waiting(1).await;
    next.send(get("/api/x?n=next", "10.0.0.1")).await;
    rig.until_waiting(2).await;
    drop(gone);
    rig.until_waiting(1).await;
    rig.let_go().await;
    assert_eq!(next.answer().await.unwrap().status, 200);
    assert_eq!(rig.asked(), ["/api/x?n=next"]);
    rig.all_back().await;
}

#[tokio::test]
async fn who_sends_more_than_its_request_leaves_the_line_too() {
    let mut rig = Rig::start(&seats(1, LONG)).await;
    rig.fill().await;
    let mut pipelining = rig.stand(get("/api/x?n=first", "10.0.0.1")).await;
    pipelining.send(get("/api/x?n=second", "10.0.0.1")).await;
    assert!(pipelining.closed().await);
    rig.until_waiting(0).await;
    rig.let_go().await;
    assert_eq!(rig.asked(), [""; 0]);
    rig.all_back().await;
}

/// Waits for its turn, or leaves after a moment.
async fn impatient(mut client: Client, patience: Option<Duration>) -> bool {
    match patience {
        Some(patience) => {
            let answer = tokio::time::timeout(patience, client.answer()).await;
            answer.is_ok_and(|answer| answer.unwrap().status == 200)
        }
        None => client.answer().await.unwrap().status == 200,
    }
}

#[tokio::test]
async fn of_2000_who_wait_a_random_half_leaves_and_every_unit_comes_back() {
    let mut rig = Rig::start(&seats(8, LONG)).await;
    rig.fill().await;
    let mut dice = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let (mut early, mut late, mut stay) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..2000 {
        let mut client = rig.client().await;
        let user = format!("10.1.0.{}", n % 50);
        client
            .send(get(&format!("/api/x?sleep=1&n={n}"), &user))
            .await;
        match dice.random_range(0..4) {
            0 => early.push((n, client)),
            1 => late.push(client),
            _ => stay.push(client),
        }
    }
    rig.until_waiting(2000).await;
    // A quarter leaves while nothing moves ...
    let gone: Vec<String> = early.iter().map(|(n, _)| format!("&n={n}")).collect();
    let left = 2000 - early.len();
    drop(early);
    rig.until_waiting(u64::try_from(left).unwrap()).await;
    assert_eq!(rig.asked().len(), 0);
    // ... another while the line is called, the rest waits for its turn.
    let mut running = tokio::task::JoinSet::new();
    let (leaving, staying) = (late.len(), stay.len());
    for client in late {
        let patience = Duration::from_micros(dice.random_range(0..600_000));
        running.spawn(impatient(client, Some(patience)));
    }
    rig.let_go().await;
    let stay: Vec<_> = stay
        .into_iter()
        .map(|client| tokio::spawn(impatient(client, None)))
        .collect();
    let mut served = 0;
    for one in stay {
        assert!(one.await.unwrap(), "who stays is served");
        served += 1;
    }
    let mut in_time = 0;
    while let Some(one) = running.join_next().await {
        in_time += usize::from(one.unwrap());
    }
    println!(
        "2000 waited: {} left at once, {leaving} at random ({in_time} of them served), {served} stayed and were served",
        gone.len()
    );
    assert_eq!(served, staying);
    let asked = rig.asked();
    let of_gone = asked
        .iter()
        .filter(|target| gone.iter().any(|gone| target.ends_with(gone)));
    assert_eq!(of_gone.count(), 0);
    assert!(asked.len() >= staying + in_time && asked.len() <= left);
    until("every client is gone", || {
        rig.row("connections_http").in_use == 0
    })
    .await;
    rig.all_back().await;
}
