//! Lists of an upstream that the gate's tasks cannot be put into, or not without changing what is said of them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tidegate::app::Running;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::{ADMIN, before_nsx_v, call};
use crate::support::client::Answer;

const JOBS: &str = "GET /api/4.0/edges/jobs?status=all";
const MONITORS: &str = "POST /api/4.0/edges/edge-4/loadbalancer/config/monitors?async=true";

/// A manager that makes anything at once, and answers lists as it is told: head and body.
async fn manager(list: (String, Vec<u8>)) -> (SocketAddr, Arc<Mutex<(String, Vec<u8>)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let list = Arc::new(Mutex::new(list));
    let told = list.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, told.clone()));
        }
    });
    (address, list)
}

async fn serve(mut stream: TcpStream, list: Arc<Mutex<(String, Vec<u8>)>>) {
    let mut heard = Vec::new();
    loop {
        let mut piece = [0; 4096];
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(read) => heard.extend_from_slice(&piece[..read]),
        }
        let text = String::from_utf8_lossy(&heard).into_owned();
        // Requests of this test have no bodies.
        let Some((head, _)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let (head, body) = if head.starts_with("GET") {
            list.lock().unwrap().clone()
        } else {
            let made = "HTTP/1.1 201 Created\r\nLocation: /made\r\nContent-Length: 0\r\n";
            (made.to_owned(), Vec::new())
        };
        heard.clear();
        let answer = [format!("{head}\r\n").as_bytes(), &body].concat();
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

fn with_length(fields: &str, body: Vec<u8>) -> (String, Vec<u8>) {
    let length = body.len();
    (
        format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: {length}\r\n"),
        body,
    )
}

fn in_chunks(body: &[u8]) -> (String, Vec<u8>) {
    let mut chunks = Vec::new();
    for chunk in body.chunks(64 * 1024) {
        chunks.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        chunks.extend_from_slice(chunk);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    (
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n".to_owned(),
        chunks,
    )
}

async fn began(gate: &Running) -> String {
    let answer = call(gate.http()[0], MONITORS, ADMIN, "").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.header("jobid").unwrap().to_owned()
}

async fn jobs(gate: &Running) -> Answer {
    call(gate.http()[0], JOBS, ADMIN, "").await
}

#[tokio::test]
async fn what_cannot_be_read_goes_down_as_it_is() {
    let small = b"<edgeJobs><edgeJob><jobId>jobdata-1</jobId></edgeJob></edgeJobs>".to_vec();
    let signed = "ETag: \"7\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Digest: sha-256=:AA==:\r\nX-Kept: yes\r\n";
    let (address, list) = manager(with_length(signed, small.clone())).await;
    let gate = before_nsx_v(address, "native = false");
    let id = began(&gate).await;
    // One that can.
    let both = jobs(&gate).await;
    let text = String::from_utf8(both.body.clone()).unwrap();
    assert!(text.contains("jobdata-1") && text.contains(&id), "{text}");
    for field in ["etag", "last-modified", "content-digest", "content-length"] {
        assert_eq!(both.header(field), None, "{field}: {both:?}");
    }
    assert_eq!(both.header("x-kept"), Some("yes"));
    let large = format!("<edgeJobs>{}</edgeJobs>", " ".repeat(9 << 20)).into_bytes();
    let cases = [
        (
            "too long, and says so",
            with_length("ETag: \"7\"\r\n", large.clone()),
            large.clone(),
        ),
        ("too long, in chunks", in_chunks(&large), large),
        (
            "compressed",
            with_length(
                "Content-Encoding: gzip\r\nETag: \"7\"\r\n",
                vec![31, 139, 8],
            ),
            vec![31, 139, 8],
        ),
        (
            "no list",
            with_length("", b"<html>".to_vec()),
            b"<html>".to_vec(),
        ),
        ("in chunks", in_chunks(&small), Vec::new()),
    ];
    for (what, told, want) in cases {
        list.lock().unwrap().clone_from(&told);
        let answer = jobs(&gate).await;
        assert_eq!(answer.status, 200, "{what}");
        if want.is_empty() {
            let text = String::from_utf8(answer.body).unwrap();
            assert!(
                text.contains("jobdata-1") && text.contains(&id),
                "{what}: {text}"
            );
            continue;
        }
        assert_eq!(answer.body.len(), want.len(), "{what}");
        assert!(answer.body == want, "{what}");
        let keeps = told.0.contains("ETag");
        assert_eq!(answer.header("etag").is_some(), keeps, "{what}");
    }
}
