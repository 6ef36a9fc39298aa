//! Request bodies of HTTP/1: late ones, and answers that come before their end.

use std::time::Duration;

use tidegate::config;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::rig::{Rig, config, read_answer, read_to_close, send};

#[tokio::test]
async fn a_paused_body_is_cut_with_408() {
    let rig = Rig::start(&config::Listen {
        body_timeout: Duration::from_millis(300),
        ..config()
    });
    for framing in [
        "Content-Length: 10\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let mut socket = send(
            rig.http,
            format!("POST /body HTTP/1.1\r\nHost: a\r\n{framing}").as_bytes(),
        )
        .await;
        assert_eq!(read_answer(&mut socket).await.0, 408);
    }
    rig.all_closed().await;
}

#[tokio::test]
async fn a_dripped_body_is_cut_at_its_deadline_unless_it_is_a_transfer() {
    let rig = Rig::start(&config::Listen {
        body_deadline: Duration::from_millis(400),
        ..config()
    });
    for (path, status) in [("/body", 408), ("/transfer", 200)] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 40\r\n\r\n");
        let (mut read, mut write) = send(rig.http, head.as_bytes()).await.into_split();
        let drip = tokio::spawn(async move {
            for _ in 0..40 {
                if write.write_all(b"x").await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
            sleep(Duration::from_mins(1)).await;
        });
        assert_eq!(read_answer(&mut read).await.0, status);
        drip.abort();
    }
    rig.all_closed().await;
}

#[tokio::test]
async fn waiting_for_the_answer_is_not_waiting_for_the_body() {
    let rig = Rig::start(&config::Listen {
        body_timeout: Duration::from_millis(100),
        body_deadline: Duration::from_millis(200),
        ..config()
    });
    let mut socket = send(
        rig.http,
        b"POST /hold HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    )
    .await;
    sleep(Duration::from_millis(600)).await;
    rig.seen.release.add_permits(1);
    assert_eq!(read_answer(&mut socket).await.0, 200);
}

/// The body is larger than what lies in socket buffers when the answer is given: without lingering, its
/// rest would be answered with a reset, and the answer lost.
#[tokio::test]
async fn an_answer_before_the_end_of_the_body_is_not_lost_to_a_reset() {
    let rig = Rig::start(&config());
    for _ in 0..20 {
        let size = 512 * 1024;
        let head = format!("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n");
        let mut socket = send(rig.http, head.as_bytes()).await;
        for _ in 0..8 {
            socket.write_all(&vec![0; size / 8]).await.expect("taken");
            tokio::task::yield_now().await;
        }
        let answer = read_to_close(&mut socket).await.expect("no reset");
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
    rig.all_closed().await;
}
