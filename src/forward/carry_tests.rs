//! What becomes of a request that was kept, by what the upstream does.

use std::path::Path;

use http::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

async fn upstream() -> (Arc<Upstream>, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let text = format!("[[upstream]]\naddress = \"http://{address}\"");
    let config = crate::config::parse(&text, Path::new(".")).unwrap();
    let upstream = Upstream::build(&config.upstreams[0], 0, 2).unwrap();
    (upstream, listener)
}

fn freight() -> Freight {
    let mut headers = HeaderMap::new();
    headers.append("x-a", HeaderValue::from_static("1"));
    headers.append("x-a", HeaderValue::from_static("2"));
    Freight {
        method: Method::POST,
        target: "/api/vm?action=clone".into(),
        headers,
        body: Bytes::from_static(b"{}"),
    }
}

/// Hears one request to its end, says `answer` and closes; what it heard.
async fn answer(listener: &TcpListener, answer: &[u8]) -> String {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"{}") {
        assert_ne!(socket.read_buf(&mut heard).await.unwrap(), 0);
    }
    socket.write_all(answer).await.unwrap();
    String::from_utf8(heard).unwrap()
}

async fn carried(said: &[u8], most: usize) -> (String, Carried) {
    let (upstream, listener) = upstream().await;
    let send = async {
        let carrier = upstream.carrier(SocketGroup::default()).await.unwrap();
        carrier.carry(freight(), most, &Memory::new(1 << 20)).await
    };
    tokio::join!(answer(&listener, said), send)
}

#[tokio::test]
async fn it_goes_up_as_it_was_kept_and_its_answer_comes_back_whole() {
    let said =
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 3\r\n\r\nabc";
    let (heard, got) = carried(said, 64).await;
    let Carried::Answer(got) = got else {
        panic!("{got:?}");
    };
    assert_eq!((got.status, &got.body[..]), (201, &b"abc"[..]));
    let heard = heard.to_lowercase();
    assert!(heard.starts_with("post /api/vm?action=clone http/1.1\r\n"));
    for line in [
        "content-length: 2\r\n",
        "x-a: 1\r\n",
        "x-a: 2\r\n",
        "host: 127.0.0.1:",
    ] {
        assert!(heard.contains(line), "{line} in {heard}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_still_says_its_status() {
    let said = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde";
    let (_, got) = carried(said, 4).await;
    assert!(
        matches!(&got, Carried::TooLong(head) if head.status == 200),
        "{got:?}"
    );
}

#[tokio::test]
async fn what_breaks_off_is_lost() {
    for (said, fault) in [
        (&b""[..], UpstreamFault::Broken),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
            UpstreamFault::Broken,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
            UpstreamFault::Broken,
        ),
        (b"no http at all\r\n\r\n", UpstreamFault::Malformed),
    ] {
        let (_, got) = carried(said, 64).await;
        assert!(
            matches!(&got, Carried::Lost(was) if *was == fault),
            "{got:?} {fault:?}"
        );
    }
}

#[tokio::test]
async fn without_a_connection_nothing_is_sent_and_one_that_was_closed_is_noticed() {
    let (upstream, listener) = upstream().await;
    let mut carrier = upstream.carrier(SocketGroup::default()).await.unwrap();
    assert!(carrier.is_quiet());
    drop(listener.accept().await.unwrap());
    while carrier.is_quiet() {
        tokio::task::yield_now().await;
    }
    drop((carrier, listener));
    let refused = upstream.carrier(SocketGroup::default()).await.unwrap_err();
    assert_eq!(
        (refused.fault, refused.is_down),
        (UpstreamFault::Connect, true)
    );
}

#[tokio::test]
async fn a_long_answer_waits_for_memory_and_a_short_one_does_not() {
    const LONG: usize = 200_000;
    let memory = Memory::new(LONG);
    let (upstream, listener) = upstream().await;
    let send = async |bytes: usize| {
        let carrier = upstream.carrier(SocketGroup::default()).await.unwrap();
        let body = "x".repeat(bytes);
        let said = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n{body}");
        let carry = carrier.carry(freight(), 1 << 20, &memory);
        match tokio::join!(answer(&listener, said.as_bytes()), carry) {
            (_, Carried::Answer(answer)) => answer.body,
            (_, other) => panic!("{other:?}"),
        }
    };
    let first = send(LONG).await;
    assert_eq!((first.len(), memory.left()), (LONG, 0));
    let mut second = std::pin::pin!(send(LONG));
    let waits = timeout(Duration::from_millis(100), &mut second).await;
    assert!(waits.is_err(), "there is no memory for it");
    drop(first);
    assert_eq!(second.await.len(), LONG);
    assert_ne!(memory.left(), 0);
    let held = memory.wait(LONG).await;
    assert_eq!(send(1000).await.len(), 1000);
    drop(held);
}
