//! The connection limit: exact, for the whole life of a socket, and given back on every path.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate::config;
use tidegate::listen::{RefusedBecause, Role};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::rig::{Rig, config, config_tls, eventually, read_answer, read_to_close, send};

fn refused(rig: &Rig, role: Role, because: RefusedBecause) -> u64 {
    rig.snapshot(role).refused[because as usize]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_than_the_limit_under_a_storm() {
    let rig = Rig::start(&config::Listen {
        max_connections_http: 20,
        ..config()
    });
    for round in 1..=3 {
        let clients: Vec<_> = (0..100)
            .map(|_| {
                let to = rig.http;
                tokio::spawn(async move {
                    let mut socket = send(to, b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n").await;
                    let (status, _) = read_answer(&mut socket).await;
                    if status == 503 {
                        assert_eq!(read_to_close(&mut socket).await.expect("no reset"), "");
                    }
                    (status, socket)
                })
            })
            .collect();
        eventually("80 are refused", || {
            refused(&rig, Role::Http, RefusedBecause::Full) == 80 * round
        })
        .await;
        let now = rig.snapshot(Role::Http);
        assert_eq!((now.seated, now.in_use, now.limit), (20, 20, 20));
        rig.seen.release.add_permits(20);
        let mut answers = Vec::new();
        for client in clients {
            answers.push(client.await.expect("an answer"));
        }
        assert_eq!(
            answers.iter().filter(|(status, _)| *status == 200).count(),
            20
        );
        assert_eq!(
            answers.iter().filter(|(status, _)| *status == 503).count(),
            80
        );
        assert_eq!(
            rig.snapshot(Role::Http).in_use,
            20,
            "kept alive, so still held"
        );
        drop(answers);
        rig.all_closed().await;
    }
    assert_eq!(rig.seen.most.load(Ordering::SeqCst), 20);
    assert_eq!(refused(&rig, Role::Http, RefusedBecause::Dropped), 0);
}

#[tokio::test]
async fn beyond_the_farewells_sockets_are_dropped_and_zero_blocks_all() {
    let rig = Rig::start(&config::Listen {
        max_connections_http: 0,
        header_timeout: Duration::from_millis(300),
        ..config()
    });
    let mut sockets = Vec::new();
    for _ in 0..300 {
        sockets.push(TcpStream::connect(rig.http).await.expect("connected"));
    }
    eventually("all are accepted", || {
        refused(&rig, Role::Http, RefusedBecause::Full)
            + refused(&rig, Role::Http, RefusedBecause::Dropped)
            == 300
    })
    .await;
    assert!(refused(&rig, Role::Http, RefusedBecause::Full) >= 256);
    rig.all_closed().await;
    let mut socket = send(rig.http, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(read_answer(&mut socket).await.0, 503);
    assert_eq!(rig.requests(), 0);
}

#[tokio::test]
async fn a_farewell_that_never_asks_is_closed_within_its_short_life() {
    let rig = Rig::start(&config::Listen {
        max_connections_http: 0,
        ..config()
    });
    let mut silent = TcpStream::connect(rig.http).await.expect("connected");
    assert_eq!(read_to_close(&mut silent).await.expect("no reset"), "");
    rig.all_closed().await;
}

#[tokio::test]
async fn unfinished_handshakes_hold_seats_until_their_time_is_up() {
    let rig = Rig::start(&config::Listen {
        max_connections_https: 3,
        handshake_timeout: Duration::from_millis(500),
        ..config_tls()
    });
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(TcpStream::connect(rig.https).await.expect("connected"));
    }
    eventually("three handshakes are counted", || {
        rig.snapshot(Role::Https).seated == 3
    })
    .await;
    drop(TcpStream::connect(rig.https).await.expect("connected"));
    eventually("the fourth is refused", || {
        refused(&rig, Role::Https, RefusedBecause::Full) == 1
    })
    .await;
    rig.all_closed().await;
    assert_eq!(
        rig.ends()
            .iter()
            .filter(|end| end.cause.as_str() == "handshake_timeout")
            .count(),
        3
    );
    assert_eq!(
        rig.snapshot(Role::Http).limit,
        64,
        "the kinds are counted apart"
    );
}

#[tokio::test]
async fn idle_connections_hold_seats_until_idle_timeout() {
    let rig = Rig::start(&config::Listen {
        max_connections_http: 1,
        idle_timeout: Duration::from_millis(300),
        ..config()
    });
    let mut first = send(rig.http, b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(read_answer(&mut first).await, (200, "/a".to_owned()));
    let mut second = send(rig.http, b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(read_answer(&mut second).await.0, 503);
    assert_eq!(read_to_close(&mut first).await.expect("no reset"), "");
    rig.all_closed().await;
    assert!(
        rig.ends().is_empty(),
        "an idle close is no early end: {:?}",
        rig.ends()
    );
    let mut third = send(rig.http, b"GET /c HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(read_answer(&mut third).await.0, 200);
}

#[tokio::test]
async fn a_panic_and_a_client_that_goes_give_the_seat_back() {
    let rig = Rig::start(&config());
    let mut socket = send(rig.http, b"GET /panic HTTP/1.1\r\nHost: a\r\n\r\n").await;
    drop(read_to_close(&mut socket).await);
    rig.all_closed().await;
    drop(send(rig.http, b"GET / HTTP/1.1\r\nHo").await);
    eventually("the half head is reported", || {
        rig.has_end(None, "client_gone")
    })
    .await;
    rig.all_closed().await;
}

#[tokio::test]
async fn shutdown_closes_listeners_and_idle_connections_and_lets_calls_finish() {
    let mut rig = Rig::start(&config());
    let mut idle = send(rig.http, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(read_answer(&mut idle).await.0, 200);
    let mut busy = send(rig.http, b"GET /hold HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the call is in flight", || rig.requests() == 2).await;
    rig.shutdown.send_replace(true);
    (&mut rig.accepting)
        .await
        .expect("no panic")
        .expect("no error");
    assert!(
        TcpStream::connect(rig.http).await.is_err(),
        "the listener is closed"
    );
    assert_eq!(read_to_close(&mut idle).await.expect("no reset"), "");
    rig.seen.release.add_permits(1);
    assert_eq!(read_answer(&mut busy).await.0, 200);
    busy.shutdown().await.expect("closed");
    rig.all_closed().await;
}

#[tokio::test]
async fn the_operators_door_has_a_small_cap_of_its_own() {
    let rig = Rig::start(&config::Listen {
        max_connections_http: 0,
        ..config()
    });
    let mut sockets = Vec::new();
    for _ in 0..70 {
        sockets.push(TcpStream::connect(rig.admin).await.expect("connected"));
    }
    eventually("six are dropped", || {
        refused(&rig, Role::Admin, RefusedBecause::Dropped) == 6
    })
    .await;
    assert_eq!(rig.snapshot(Role::Admin).seated, 64);
    sockets.truncate(1);
    let first = sockets.first_mut().expect("one is left");
    first
        .write_all(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .expect("written");
    assert_eq!(
        read_answer(first).await.0,
        200,
        "full for clients, not for the operator"
    );
    drop(sockets);
    rig.all_closed().await;
}
