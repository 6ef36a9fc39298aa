//! A request that two readers could take for two different ones is nobody's request.

use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::{gate, plain};

/// Heads that must be refused with 400 and the end of the connection.
const AMBIGUOUS: &[(&str, &str)] = &[
    (
        "two kinds of length",
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "the other way round",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    ),
    (
        "two lengths",
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    ),
    (
        "the same length twice",
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    ),
    (
        "a list of lengths",
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
    ),
    (
        "a signed length",
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
    ),
    (
        "a length in hex",
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc",
    ),
    (
        "an empty length",
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
    ),
    (
        "an unknown coding",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked not last",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked twice",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a coding with a tab",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "coding in HTTP/1.0",
        "POST /a HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "a folded line",
        "GET /a HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n",
    ),
    ("a folded first line", "GET /a HTTP/1.1\r\n Host: a\r\n\r\n"),
    ("bare LF", "GET /a HTTP/1.1\nHost: a\n\n"),
    ("bare LF once", "GET /a HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n"),
    ("bare CR", "GET /a HTTP/1.1\r\nHost: a\rX-A: b\r\n\r\n"),
    (
        "a zero byte",
        "GET /a HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n",
    ),
    (
        "space before the colon",
        "GET /a HTTP/1.1\r\nHost : a\r\n\r\n",
    ),
    (
        "space in a name",
        "GET /a HTTP/1.1\r\nHost: a\r\nX A: b\r\n\r\n",
    ),
    ("no name", "GET /a HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
    ("no colon", "GET /a HTTP/1.1\r\nHost: a\r\nX-A\r\n\r\n"),
    ("no host", "GET /a HTTP/1.1\r\nX-A: b\r\n\r\n"),
    ("two hosts", "GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    (
        "the same host twice",
        "GET /a HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    ),
    (
        "host and target disagree",
        "GET http://b/a HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "user in the authority",
        "GET http://u@a/a HTTP/1.1\r\nHost: u@a\r\n\r\n",
    ),
    (
        "a space in the target",
        "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    ("no version", "GET /a\r\nHost: a\r\n\r\n"),
    (
        "a version nobody speaks",
        "GET /a HTTP/3.7\r\nHost: a\r\n\r\n",
    ),
];

#[tokio::test]
async fn every_ambiguous_head_is_400_and_the_end_and_reaches_no_upstream() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, ""));
    for (what, head) in AMBIGUOUS {
        let mut client = Client::connect(gate.http()[0]).await;
        // What a smuggler hides behind it must not be answered either.
        let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
        client.send(format!("{head}{hidden}")).await;
        let answer = client.answer().await;
        let status = answer.as_ref().map(|answer| answer.status);
        assert!(matches!(status, Some(400 | 505)), "{what}: {answer:?}");
        assert!(client.answer().await.is_none(), "{what}: a second answer");
    }
    assert_eq!(origin.seen.requests(), 0);
}

#[tokio::test]
async fn bytes_behind_a_request_are_never_answered_as_another() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, ""));
    for first in [
        "GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        "GET /a HTTP/1.1\r\nHost: a\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ] {
        let before = origin.seen.requests();
        let mut client = Client::connect(gate.http()[0]).await;
        client
            .send(format!("{first}GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"))
            .await;
        _ = client.answer().await;
        _ = client.answer().await;
        assert!(origin.seen.requests() - before <= 1, "{first:?}");
    }
}

#[tokio::test]
async fn connect_and_trace_and_unknown_methods_open_no_tunnel() {
    let origin = Origin::start().await;
    let gate = gate(&plain(origin.address, ""));
    let mut client = Client::connect(gate.http()[0]).await;
    client
        .send("CONNECT vc.example:443 HTTP/1.1\r\nHost: vc.example:443\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.unwrap().status, 405);
    assert_eq!(origin.seen.requests(), 0);
}
