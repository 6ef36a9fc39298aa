//! The gate stops while calls wait.

use std::time::{Duration, Instant};

use tidegate::app::{Drained, Running};

use crate::rig::{LONG, get, seats};
use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::{gate, limit, until, with_listen};

/// A gate whose only seat is held by the first client, while the second waits.
async fn one_waits(drain: &str) -> (Origin, Running, Client, Client) {
    let origin = Origin::start().await;
    let text = with_listen(origin.address, "", &seats(1, LONG));
    let gate = gate(&text.replace("drain = \"20s\"", drain));
    let mut held = Client::connect(gate.http()[0]).await;
    held.send(get("/api/x?hold", "10.0.0.1")).await;
    until("it runs", || origin.seen.running() == 1).await;
    let mut waiting = Client::connect(gate.http()[0]).await;
    waiting.send(get("/api/x?n=2", "10.0.0.2")).await;
    until("one waits", || {
        limit(&gate.snapshot(), "calls").waiting == 1
    })
    .await;
    (origin, gate, held, waiting)
}

/// Sockets may still be closing: the gate is done when no request is left.
fn nothing_is_left(left: &Drained) {
    let row = limit(&left.snapshot, "calls");
    assert_eq!((row.in_use, row.waiting, row.audit_mismatch), (0, 0, 0));
}

#[tokio::test]
async fn a_call_in_line_is_served_while_the_gate_drains() {
    let (origin, gate, mut held, mut waiting) = one_waits("drain = \"20s\"").await;
    let address = gate.http()[0];
    let drained = tokio::task::spawn_blocking(move || gate.drain());
    until("no new connection", || {
        std::net::TcpStream::connect(address).is_err()
    })
    .await;
    origin.release();
    assert_eq!(held.answer().await.unwrap().status, 200);
    assert_eq!(waiting.answer().await.unwrap().status, 200);
    let left = drained.await.unwrap();
    assert_eq!(left.cut, 0);
    nothing_is_left(&left);
}

#[tokio::test]
async fn a_call_whose_turn_does_not_come_in_the_drain_time_is_ended() {
    let (origin, gate, mut held, mut waiting) = one_waits("drain = \"300ms\"").await;
    let left = tokio::task::spawn_blocking(move || gate.drain());
    let left = left.await.unwrap();
    assert_eq!(left.cut, 2);
    nothing_is_left(&left);
    assert!(held.closed().await && waiting.closed().await);
    assert_eq!(origin.seen.requests(), 1);
}

#[tokio::test]
async fn a_gate_that_stops_at_once_ends_its_lines() {
    let (origin, gate, mut held, mut waiting) = one_waits("drain = \"600s\"").await;
    let began = Instant::now();
    tokio::task::spawn_blocking(move || drop(gate))
        .await
        .unwrap();
    assert!(held.closed().await && waiting.closed().await);
    assert!(
        began.elapsed() < Duration::from_secs(300),
        "it did not drain"
    );
    assert_eq!(origin.seen.requests(), 1);
}
