//! The budget of those that are told there is no seat: bounded, short, and given back.

use tokio::net::TcpStream;

use crate::bare::Bare;
use crate::support::client::Client;
use crate::support::pki::{self_signed, tls};
use crate::support::{PATIENCE, until};

const FAREWELLS: usize = 256;
const ONE: &str = "max_connections = { http = 1, https = 1 }\nidle_timeout = \"10m\"\n\
                   header_timeout = \"10m\"\nhandshake_timeout = \"10m\"";

/// Refused sockets, told and dropped.
fn refused(bare: &Bare, https: bool) -> [u64; 2] {
    let snapshot = bare.listeners[usize::from(https)].snapshot();
    [snapshot.refused[0], snapshot.refused[1]]
}

async fn seated(bare: &Bare, https: bool) -> TcpStream {
    let address = if https { bare.https } else { bare.http };
    let socket = TcpStream::connect(address).await.unwrap();
    until("it has the seat", || {
        bare.listeners[usize::from(https)].snapshot().in_use == 1
    })
    .await;
    socket
}

#[tokio::test]
async fn sockets_over_the_limit_that_stay_silent_are_bounded_and_soon_gone() {
    let bare = Bare::start("silent-farewells", ONE, &self_signed(&["localhost"], false)).await;
    for https in [false, true] {
        let address = if https { bare.https } else { bare.http };
        let first = seated(&bare, https).await;
        let mut silent = Vec::new();
        for _ in 0..FAREWELLS + 100 {
            silent.push(Client::connect(address).await);
        }
        until("each was counted", || {
            refused(&bare, https).iter().sum::<u64>() == FAREWELLS as u64 + 100
        })
        .await;
        assert_eq!(refused(&bare, https), [FAREWELLS as u64, 100]);
        let listener = &bare.listeners[usize::from(https)];
        assert!(listener.open_connections() <= FAREWELLS + 1);
        // Long before any deadline of the configuration, without a word from them.
        let started = std::time::Instant::now();
        for client in &mut silent {
            assert!(client.closed().await);
        }
        assert!(started.elapsed() < PATIENCE);
        until("only the seated one is left", || {
            listener.open_connections() == 1
        })
        .await;
        let mut late = Client::connect(address).await;
        if https {
            let stream = tls(late.stream, &["http/1.1"]).await.unwrap();
            assert_eq!(Client::over(stream).get("/").await.status, 503);
        } else {
            assert_eq!(late.get("/").await.status, 503, "the budget came back");
        }
        drop(first);
        until("all are gone", || listener.open_connections() == 0).await;
    }
    bare.all_closed().await;
}

#[tokio::test]
async fn beyond_the_budget_sockets_are_dropped_at_once() {
    let bare = Bare::start("full-farewells", ONE, &self_signed(&["localhost"], false)).await;
    let first = seated(&bare, false).await;
    let mut told = Vec::new();
    for _ in 0..FAREWELLS {
        told.push(Client::connect(bare.http).await);
    }
    until("the budget is spent", || {
        refused(&bare, false)[0] == FAREWELLS as u64
    })
    .await;
    let mut dropped = Client::connect(bare.http).await;
    assert!(dropped.closed().await);
    assert_eq!(refused(&bare, false)[1], 1);
    // Whoever is told gets a whole answer, the last one too.
    for client in &mut told {
        let answer = client.get("/").await;
        assert_eq!((answer.status, answer.whole), (503, true));
        assert!(client.closed().await);
    }
    drop((first, told));
    bare.all_closed().await;
}
