//! The façade under fire: polls that fail, clients that go away, HTTP/1.1 and HTTP/2 side by side, and calls that truly block among
//! them. Each machine is made once, and never more than ten calls block.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client::SendRequest;
use tokio::task::JoinSet;

use crate::http2::{answered, clone, connect, start_with};
use crate::rig::{CLONE, all_back, call, clone_of, is_plain, log_in, request};
use crate::support::client::Client;
use crate::support::hurried::hurried;
use crate::support::until;
use crate::vendors::vcenter::VCenter;
use crate::vendors::{Fault, Kind, Model, Pace, When};

/// Clones that the upstream has a task form for; two fifths of them by HTTP/2.
const CLONES: usize = 200;
/// Calls for which it has none.
const BLOCKING: usize = 40;

/// What every client needs.
struct Field {
    model: Model<VCenter>,
    plain: std::net::SocketAddr,
    session: String,
    streams: SendRequest<Bytes>,
}

impl Field {
    /// Waits until a clone of this name has been asked for upstream.
    async fn begun(&self, name: &str) {
        let named = format!("\"{name}\"");
        let is_its = |body: &[u8]| memchr::memmem::find(body, named.as_bytes()).is_some();
        until("it has begun", || {
            let heard = self.model.books.heard();
            heard.iter().any(|heard| is_its(&heard.request.body))
        })
        .await;
    }

    /// A clone over HTTP/1.1; what it made, where its client stays.
    async fn clones(&self, name: &str, leaves: bool) -> Option<String> {
        let line = format!("POST {CLONE}");
        if !leaves {
            let answer = call(self.plain, &line, &self.session, &clone_of(name)).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            is_plain(&answer);
            return Some(answer.json().as_str().unwrap().to_owned());
        }
        let mut client = Client::connect(self.plain).await;
        client
            .send(request(&line, &self.session, &clone_of(name)))
            .await;
        self.begun(name).await;
        None
    }

    /// A clone in a stream of its own of one HTTP/2 connection.
    async fn streams(&self, name: &str, leaves: bool) -> Option<String> {
        let (answer, mut stream) = clone(&self.streams, &self.session, name).await;
        if leaves {
            self.begun(name).await;
            stream.send_reset(Reason::CANCEL);
            return None;
        }
        let (head, body) = answered(answer).await;
        assert_eq!(head.status, 200, "{body}");
        Some(body.trim_matches('"').to_owned())
    }
}

fn under_fire(model: &Model<VCenter>) {
    let faults = [
        (Kind::BatchPoll, When::Every(3), Fault::answer(503)),
        (Kind::BatchPoll, When::Every(4), Fault::answer_after(429, 1)),
        (Kind::BatchPoll, When::Every(5), Fault::Closed),
        (Kind::Poll, When::Every(3), Fault::answer(500)),
        (Kind::Poll, When::Every(4), Fault::answer_after(429, 1)),
        (Kind::Poll, When::Every(5), Fault::LostAnswer),
    ];
    for (kind, when, fault) in faults {
        model.faults.on(kind, when, fault);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clones_that_block_are_answered_under_fire() {
    let model = VCenter::start(Pace::Lasts(Duration::from_millis(150))).await;
    under_fire(&model);
    let lines = format!("dialect_files = [\"{}\"]\n", hurried("vcenter").display());
    let gate = start_with(&model, "fire", &lines);
    let session = log_in(&gate).await;
    let field = Arc::new(Field {
        model,
        plain: gate.http()[0],
        session,
        streams: connect(&gate).await,
    });
    let mut calls = JoinSet::new();
    for number in 0..CLONES {
        let field = field.clone();
        let leaves = number % 5 == 4;
        calls.spawn(async move {
            let name = format!("web-{number}");
            if number % 10 < 4 || number % 20 == 4 {
                field.streams(&name, leaves).await
            } else {
                field.clones(&name, leaves).await
            }
        });
    }
    for number in 0..BLOCKING {
        let field = field.clone();
        calls.spawn(async move {
            let line = "POST /api/vcenter/vm?action=instant-clone";
            let body = clone_of(&format!("instant-{number}"));
            let answer = call(field.plain, line, &field.session, &body).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            Some(answer.json().as_str().unwrap().to_owned())
        });
    }
    let mut made: Vec<String> = Vec::new();
    while let Some(vm) = calls.join_next().await {
        made.extend(vm.unwrap());
    }
    let stayed = CLONES - CLONES / 5 + BLOCKING;
    assert_eq!(made.len(), stayed);
    assert_eq!(
        made.iter().collect::<BTreeSet<_>>().len(),
        stayed,
        "each has its own"
    );
    let books = &field.model.books;
    until("what clients left is made", || {
        books.all_effects().len() == CLONES + BLOCKING
    })
    .await;
    let effects = books.all_effects();
    assert!(effects.values().all(|times| *times == 1), "{effects:?}");
    assert_eq!(
        books.count(Kind::Start),
        CLONES as u64,
        "none is begun twice"
    );
    assert_eq!(books.count(Kind::Blocking), BLOCKING as u64);
    let most = books.most("blocking");
    assert!((1..=10).contains(&most), "{most}");
    assert_eq!(books.violations(), Vec::<String>::new());
    all_back(&gate, &field.session).await;
}
