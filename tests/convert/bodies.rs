//! Bodies of calls that become tasks: whole before anything is kept.

use sha2::{Digest, Sha256};

use crate::rig::{ALICE, ASYNC, id, list, post, request, say, start};
use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::until;

fn sha256(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn chunked(target: &str, pieces: &[&str], trailer: &str) -> String {
    let mut text = format!(
        "POST {target} HTTP/1.1\r\nHost: gate.example\r\n{ALICE}{ASYNC}Transfer-Encoding: chunked\r\n\r\n"
    );
    for piece in pieces {
        text += &format!("{:x}\r\n{piece}\r\n", piece.len());
    }
    text + "0\r\n" + trailer + "\r\n"
}

#[tokio::test]
async fn a_body_is_taken_whole_however_it_comes() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let long = "x".repeat(300_000);
    let fields = format!("{ALICE}{ASYNC}");
    for (request, body) in [
        (request("POST", "/clone?hold", &fields, ""), String::new()),
        (request("POST", "/clone?hold", &fields, &long), long.clone()),
        (chunked("/clone?hold", &["ab", "c"], ""), "abc".into()),
        (
            chunked("/clone?hold", &["ab"], "X-After: 1\r\n"),
            "ab".into(),
        ),
        (chunked("/clone?hold", &[&long, &long], ""), long.repeat(2)),
    ] {
        let answer = say(&gate, request).await;
        id(&answer);
        let hash = sha256(body.as_bytes());
        assert_eq!(answer.json()["request"]["body_sha256"], hash.as_str());
    }
}

#[tokio::test]
async fn who_asks_before_it_sends_is_told_to_go_on() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let mut client = Client::connect(gate.http()[0]).await;
    let fields = format!("{ALICE}{ASYNC}Expect: 100-continue\r\n");
    let whole = post("/clone?hold", &fields);
    let (head, body) = whole.split_once("\r\n\r\n").unwrap();
    client.send(format!("{head}\r\n\r\n")).await;
    client.read_ahead(25).await;
    client.send(body).await;
    id(&client.answer().await.unwrap());
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_announced_or_not() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "max_body = 1000");
    let fields = format!("{ALICE}{ASYNC}");
    let long = "x".repeat(1001);
    for request in [
        request("POST", "/clone", &fields, &long),
        chunked("/clone", &[&long[..600], &long[..600]], ""),
    ] {
        let answer = say(&gate, request).await;
        assert_eq!(answer.status, 413);
        let problem = answer.json();
        assert_eq!(problem["type"], "about:blank");
        assert!(
            problem["detail"]
                .as_str()
                .unwrap()
                .contains("tasks.max_body")
        );
    }
    // Who asks first is not told to go on.
    let mut client = Client::connect(gate.http()[0]).await;
    let asks = format!(
        "POST /clone HTTP/1.1\r\nHost: a\r\n{fields}Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n"
    );
    client.send(asks).await;
    let answer = client.answer().await.unwrap();
    assert_eq!(answer.status, 413);
    assert!(list(&gate, ALICE).await.is_empty());
    assert_eq!(origin.seen.requests(), 0);
    id(&say(
        &gate,
        request("POST", "/clone?hold", &fields, &long[..1000]),
    )
    .await);
}

#[tokio::test]
async fn a_client_that_vanishes_in_its_body_leaves_nothing() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let whole = post("/clone?hold", &format!("{ALICE}{ASYNC}"));
    let chunks = chunked("/clone?hold", &["abc"], "");
    for begun in [
        &whole[..whole.len() - 1],
        &chunks[..chunks.len() - 5],
        &chunks[..chunks.len() - 2],
    ] {
        let mut client = Client::connect(gate.http()[0]).await;
        client.send(begun).await;
        until("it is under way", || gate.in_flight() == 1).await;
        drop(client);
        until("it is over", || gate.in_flight() == 0).await;
    }
    assert!(list(&gate, ALICE).await.is_empty());
    assert_eq!(origin.seen.requests(), 0);
    // One whole call is one task: the list does tell.
    id(&say(&gate, whole).await);
    assert_eq!(list(&gate, ALICE).await.len(), 1);
}

#[tokio::test]
async fn where_the_route_wants_json_nothing_else_is_taken() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let fields = format!("{ALICE}{ASYNC}");
    for body in ["", "{", "{\"a\":1} x", "name=web"] {
        let answer = say(&gate, request("POST", "/json?hold", &fields, body)).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.json()["title"], "The body is not JSON");
    }
    assert!(list(&gate, ALICE).await.is_empty());
    id(&say(&gate, request("POST", "/json?hold", &fields, "{\"a\":[1]}")).await);
}
