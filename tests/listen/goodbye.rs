//! The last answer of a connection arrives, though its client goes on sending.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::both;
use crate::support::client::{Answer, Client};
use crate::support::origin::Origin;
use crate::support::pki::tls;
use crate::support::{all_given_back, gate, limit, until};

const SMALL: &str = "max_connections = { http = 1, https = 1 }\nmax_header_bytes = \"8KiB\"\n\
                     max_body_bytes = \"64KiB\"\nheader_timeout = \"20s\"\nidle_timeout = \"1s\"";
const TEN_MB: usize = 10_000_000;

/// Heads that are refused while their client still sends, and how.
fn refusals() -> Vec<(String, u16)> {
    let head = |more: &str| format!("POST /api/x HTTP/1.1\r\nHost: a\r\n{more}\r\n");
    vec![
        (head(&format!("Content-Length: {TEN_MB}\r\n")), 413),
        (head(&format!("X-Large: {}\r\n", "x".repeat(9000))), 431),
        (head("X-Bare: LF\nX-A: b\r\n"), 400),
        (
            format!("POST /api/%zz HTTP/1.1\r\nHost: a\r\nContent-Length: {TEN_MB}\r\n\r\n"),
            400,
        ),
    ]
}

/// Writes all of it first, and reads only then.
async fn write_then_read<S>(stream: S, head: &str) -> Option<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut client = Client::over(stream);
    client.try_send(head).await.ok()?;
    let piece = vec![b'x'; 100_000];
    for _ in 0..TEN_MB / piece.len() {
        client.try_send(&piece).await.ok()?;
    }
    client.answer().await
}

#[tokio::test]
async fn an_answer_is_not_lost_to_a_client_that_writes_ten_megabytes_before_it_reads() {
    let origin = Origin::start().await;
    let gate = gate(&both("goodbye", origin.address, SMALL, ""));
    for (head, status) in refusals() {
        for secure in [false, true] {
            free(&gate).await;
            let answer = if secure {
                let socket = TcpStream::connect(gate.https()[0]).await.unwrap();
                let stream = tls(socket, &["http/1.1"]).await.unwrap();
                write_then_read(stream, &head).await
            } else {
                let socket = TcpStream::connect(gate.http()[0]).await.unwrap();
                write_then_read(socket, &head).await
            };
            let what = &head[..head.len().min(90)];
            let answer = answer.unwrap_or_else(|| panic!("no answer to {what:?}, TLS: {secure}"));
            assert_eq!((answer.status, answer.whole), (status, true), "{what:?}");
        }
    }
    assert_eq!(origin.seen.requests(), 0);
    free(&gate).await;
    all_given_back(&gate).await;
}

#[tokio::test]
async fn nor_is_the_503_of_a_full_gate() {
    let origin = Origin::start().await;
    let listen = SMALL.replace("idle_timeout = \"1s\"", "idle_timeout = \"60s\"");
    let gate = gate(&both("goodbye-full", origin.address, &listen, ""));
    let held = TcpStream::connect(gate.http()[0]).await.unwrap();
    let held_tls = TcpStream::connect(gate.https()[0]).await.unwrap();
    until("both seats are taken", || {
        let now = gate.snapshot();
        ["connections_http", "connections_https"]
            .iter()
            .all(|name| limit(&now, name).in_use == 1)
    })
    .await;
    let head = format!("POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: {TEN_MB}\r\n\r\n");
    let socket = TcpStream::connect(gate.http()[0]).await.unwrap();
    let answer = write_then_read(socket, &head).await.expect("an answer");
    assert_eq!((answer.status, answer.whole), (503, true));
    let socket = TcpStream::connect(gate.https()[0]).await.unwrap();
    let stream = tls(socket, &["http/1.1"]).await.unwrap();
    let answer = write_then_read(stream, &head).await.expect("an answer");
    assert_eq!((answer.status, answer.whole), (503, true));
    drop((held, held_tls));
    free(&gate).await;
}

async fn free(gate: &tidegate::app::Running) {
    until("every seat is free", || {
        let now = gate.snapshot();
        ["connections_http", "connections_https"]
            .iter()
            .all(|name| limit(&now, name).in_use == 0)
    })
    .await;
}
