//! Request heads: too slow, too large, in two readings; and what is reported of them.

use std::time::Duration;

use tidegate::config;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::rig::{Rig, config, eventually, read_answer, read_to_close, send};

#[tokio::test]
async fn a_dripped_head_is_cut_with_408_on_first_and_later_requests() {
    let rig = Rig::start(&config::Listen {
        header_timeout: Duration::from_millis(400),
        ..config()
    });
    for first in [true, false] {
        let mut socket = send(rig.http, b"").await;
        if !first {
            socket
                .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                .await
                .expect("written");
            assert_eq!(read_answer(&mut socket).await.0, 200);
        }
        let (mut read, mut write) = socket.into_split();
        let drip = tokio::spawn(async move {
            write
                .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
                .await
                .expect("written");
            while write.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        });
        assert_eq!(read_answer(&mut read).await.0, 408);
        drip.abort();
    }
    rig.all_closed().await;
    let late = rig
        .ends()
        .iter()
        .filter(|end| end.status == Some(408))
        .count();
    assert_eq!(late, 2, "{:?}", rig.ends());
    assert_eq!(rig.requests(), 1);
}

#[tokio::test]
async fn a_silent_connection_is_closed_after_header_timeout() {
    let rig = Rig::start(&config::Listen {
        header_timeout: Duration::from_millis(200),
        ..config()
    });
    let mut silent = send(rig.http, b"").await;
    assert_eq!(read_to_close(&mut silent).await.expect("no reset"), "");
    assert!(rig.has_end(None, "head_timeout"));
}

#[tokio::test]
async fn a_head_over_the_size_is_answered_431_also_while_it_is_still_sent() {
    let rig = Rig::start(&config::Listen {
        max_header_bytes: 4096,
        ..config()
    });
    let fits = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(4000)
    );
    let mut socket = send(rig.http, fits.as_bytes()).await;
    assert_eq!(read_answer(&mut socket).await.0, 200);
    drop(socket);
    for size in [4096, 300 * 1024] {
        let large = format!(
            "GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
            "x".repeat(size)
        );
        let mut socket = send(rig.http, large.as_bytes()).await;
        let answer = read_to_close(&mut socket).await.expect("no reset");
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        assert!(answer.contains("application/problem+json"));
    }
    assert!(rig.has_end(Some(431), "head_too_large"));
    assert_eq!(rig.requests(), 1);
    rig.all_closed().await;
}

#[tokio::test]
async fn every_form_of_smuggling_is_400_and_close_and_no_hook_sees_it() {
    let rig = Rig::start(&config());
    let forms = [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    ];
    for form in forms {
        for whole in [true, false] {
            let pieces: Vec<&[u8]> = if whole {
                vec![form.as_bytes()]
            } else {
                form.as_bytes().chunks(7).collect()
            };
            let mut socket = send(rig.http, b"").await;
            for piece in pieces {
                // The gate may have answered and closed before the last piece.
                if socket.write_all(piece).await.is_err() {
                    break;
                }
                if !whole {
                    tokio::task::yield_now().await;
                }
            }
            let answer = read_to_close(&mut socket).await.expect("no reset");
            assert!(
                answer.starts_with("HTTP/1.1 400 "),
                "{form:?} was answered {answer:?}"
            );
            assert_eq!(answer.matches("HTTP/1.1 400").count(), 1);
        }
    }
    assert_eq!(rig.requests(), 0);
    eventually("each is reported once", || {
        rig.ends().len() >= 2 * forms.len()
    })
    .await;
    assert_eq!(rig.ends().len(), 2 * forms.len());
    assert!(rig.ends().iter().all(|end| end.status == Some(400)));
    rig.all_closed().await;
}

#[tokio::test]
async fn a_part_of_a_head_that_the_engine_refuses_is_reported_too() {
    let rig = Rig::start(&config());
    let mut socket = send(rig.http, b"GET / HTTP/1.1\r\nHost: a\r\nX: \0").await;
    let answer = read_to_close(&mut socket).await.expect("no reset");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
    eventually("it is reported", || rig.has_end(Some(400), "head_refused")).await;
}

#[tokio::test]
async fn what_only_the_engine_refuses_is_reported_with_its_status() {
    let rig = Rig::start(&config());
    let mut socket = send(rig.http, b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(read_answer(&mut socket).await.0, 400);
    let mut socket = send(rig.http, b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n").await;
    assert_eq!(read_answer(&mut socket).await.0, 405);
    eventually("both are reported", || {
        rig.has_end(Some(400), "head_refused") && rig.has_end(Some(405), "head_refused")
    })
    .await;
}

#[tokio::test]
async fn pieces_and_keep_alive_pass_unharmed() {
    let rig = Rig::start(&config());
    let mut socket = send(rig.http, b"").await;
    for round in 0..20 {
        let body = "b".repeat(round * 100 + 1);
        let text = format!(
            "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        for piece in text.as_bytes().chunks(round * 7 + 1) {
            socket.write_all(piece).await.expect("written");
            tokio::task::yield_now().await;
        }
        assert_eq!(
            read_answer(&mut socket).await,
            (200, body.len().to_string())
        );
    }
    socket
        .write_all(b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .await
        .expect("written");
    assert_eq!(read_answer(&mut socket).await, (200, "3".to_owned()));
    socket
        .write_all(b"GET /x HTTP/1.0\r\n\r\n")
        .await
        .expect("written");
    let last = read_to_close(&mut socket).await.expect("no reset");
    assert!(last.starts_with("HTTP/1.1 200"), "{last}");
    assert!(rig.ends().is_empty(), "{:?}", rig.ends());
    rig.all_closed().await;
}
