//! The model servers themselves, held to what is known of each vendor's messages.

#[allow(dead_code, reason = "a client of all test crates")]
#[path = "../support/client.rs"]
mod client;
#[path = "../support/vendors/mod.rs"]
mod vendors;

mod avi;
mod avi_patch;
mod azure;
mod faults;
mod nsx_v;
mod openstack;
mod redfish;
mod skytap;
mod twists;
mod vcenter;
mod vcenter_tasks;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use client::{Answer, Client};

/// Longest that any test waits for something to happen.
const PATIENCE: Duration = Duration::from_secs(30);

/// One call on a connection of its own, with these lines in its head; `None` where no answer comes.
async fn try_call(address: SocketAddr, line: &str, head: &str, body: &str) -> Option<Answer> {
    let mut client = Client::connect(address).await;
    client.send(request(line, head, body)).await;
    client.answer().await
}

async fn call(address: SocketAddr, line: &str, head: &str, body: &str) -> Answer {
    let answer = try_call(address, line, head, body).await;
    answer.unwrap_or_else(|| panic!("no answer to {line}"))
}

fn request(line: &str, head: &str, body: &str) -> String {
    let length = body.len();
    format!("{line} HTTP/1.1\r\nHost: vc1.example\r\n{head}Content-Length: {length}\r\n\r\n{body}")
}

/// The head of calls by `user` with the password.
fn basic(user: &str) -> String {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:pw"));
    format!("Authorization: Basic {pair}\r\n")
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

/// A message as it is shown, on one line.
fn compact(shown: &str) -> String {
    shown.lines().map(str::trim).collect()
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
