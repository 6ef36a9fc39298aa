//! Whose a task is, and who may know of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tidegate::app::Running;

use crate::rig::{ALICE, ASYNC, BOB, get, id, list, post, request, say, start};
use crate::support::client::Client;
use crate::support::origin::Origin;
use crate::support::script::scripted;
use crate::support::vcenter;

const CLONE: &str = "/api/vcenter/vm?action=clone";

/// What a model vCenter was asked.
#[derive(Default)]
struct Counts {
    whose: AtomicUsize,
    clones: AtomicUsize,
}

/// A vCenter with sessions `a-…` of alice and `b-…` of bob; a clone never ends, one in no session is refused.
async fn model() -> (SocketAddr, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let counted = counts.clone();
    let address = scripted(move |text| {
        let of = |user: &str| {
            let in_body = format!("\"sessionId\":\"{user}-");
            text.contains(&format!("vmware-api-session-id: {user}-")) || text.contains(&in_body)
        };
        let (alice, bob) = (of("a"), of("b"));
        let known = alice || bob;
        let refused = "HTTP/1.1 401 Unauthorized\r\nX-By: upstream\r\nContent-Length: 0\r\n\r\n";
        if text.starts_with("GET /api/session ") {
            counted.whose.fetch_add(1, Ordering::SeqCst);
            match (alice, bob) {
                (true, _) => "{\"user\":\"alice@corp\"}",
                (_, true) => "{\"user\":\"bob@corp\"}",
                _ => refused,
            }
        } else if text.contains("com.vmware.cis.session\"") {
            counted.whose.fetch_add(1, Ordering::SeqCst);
            assert!(alice, "nobody else asks in this form");
            "{\"result\":{\"output\":{\"STRUCTURE\":{\"com.vmware.cis.session.info\":{\"user\":\"alice@corp\"}}}}}"
        } else if !known {
            refused
        } else if text.starts_with("POST /api/vcenter/vm?action=clone ") {
            counted.clones.fetch_add(1, Ordering::SeqCst);
            ""
        } else {
            "[]"
        }
    })
    .await;
    (address, counts)
}

fn session(token: &str) -> String {
    format!("vmware-api-session-id: {token}\r\n")
}

async fn clone_in(gate: &Running, token: &str) -> String {
    let fields = format!("{}{ASYNC}", session(token));
    id(&say(gate, post(CLONE, &fields)).await)
}

async fn status(gate: &Running, id: &str, fields: &str) -> u16 {
    get(gate, &format!("/-/tasks/{id}"), fields).await.status
}

#[tokio::test]
async fn a_task_is_its_users_in_every_session_and_nobody_elses() {
    let (upstream, counts) = model().await;
    let gate = vcenter(upstream, "");
    let id = clone_in(&gate, "a-1").await;
    assert_eq!(status(&gate, &id, &session("a-1")).await, 200);
    assert_eq!(
        status(&gate, &id, &session("a-2")).await,
        200,
        "another session"
    );
    assert_eq!(
        status(&gate, &id, &session("b-1")).await,
        404,
        "another user"
    );
    assert_eq!(
        status(&gate, &id, &session("made-up")).await,
        401,
        "no session"
    );
    assert_eq!(status(&gate, &id, "").await, 401, "nobody");
    assert_eq!(list(&gate, &session("a-2")).await.len(), 1);
    assert!(list(&gate, &session("b-1")).await.is_empty());
    assert_eq!(counts.whose.load(Ordering::SeqCst), 4, "each session once");
}

#[tokio::test]
async fn a_key_is_its_users_in_every_session_though_the_call_is_held() {
    let (upstream, counts) = model().await;
    let gate = vcenter(upstream, "native = false");
    let keyed = |token: &str, more: &str| {
        let fields = format!("{}{more}Idempotency-Key: k\r\n", session(token));
        post(CLONE, &fields)
    };
    id(&say(&gate, keyed("a-1", ASYNC)).await);
    assert_eq!(say(&gate, keyed("a-2", "")).await.status, 409);
    assert!(counts.clones.load(Ordering::SeqCst) <= 1);
}

#[tokio::test]
async fn a_session_that_is_none_is_refused_by_the_upstream_itself() {
    let (upstream, counts) = model().await;
    let gate = vcenter(upstream, "");
    for _ in 0..3 {
        let fields = format!("{}{ASYNC}", session("made-up"));
        let answer = say(&gate, post(CLONE, &fields)).await;
        assert_eq!(
            (answer.status, answer.header("x-by")),
            (401, Some("upstream"))
        );
    }
    assert_eq!(counts.whose.load(Ordering::SeqCst), 1);
    assert_eq!(counts.clones.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn without_credentials_a_call_goes_up_as_it_is() {
    let (upstream, counts) = model().await;
    let gate = vcenter(upstream, "");
    let answer = say(&gate, post(CLONE, ASYNC)).await;
    assert_eq!(
        (answer.status, answer.header("x-by")),
        (401, Some("upstream"))
    );
    // Nobody knows which one will hold.
    let two = format!("{}{}{ASYNC}", session("x-1"), session("x-2"));
    let answer = say(&gate, post(CLONE, &two)).await;
    assert_eq!(
        (answer.status, answer.header("x-by")),
        (401, Some("upstream"))
    );
    assert_eq!(counts.whose.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_pollers_cost_one_question_for_each_session() {
    let (upstream, counts) = model().await;
    let gate = vcenter(upstream, "");
    let id = clone_in(&gate, "a-0").await;
    let asked = counts.whose.load(Ordering::SeqCst);
    assert_eq!(asked, 1);
    let address = gate.http()[0];
    let pollers = (0..100).map(|number| {
        let target = format!("/-/tasks/{id}");
        tokio::spawn(async move {
            let fields = match number % 4 {
                0 => session("a-1"),
                1 => session("a-2"),
                2 => session("b-1"),
                _ => session("made-up"),
            };
            let mut client = Client::connect(address).await;
            let mut seen = Vec::new();
            for _ in 0..10 {
                client
                    .send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
                    .await;
                seen.push(client.answer().await.unwrap().status);
            }
            (number % 4, seen)
        })
    });
    for poller in pollers.collect::<Vec<_>>() {
        let (kind, seen) = poller.await.unwrap();
        let wanted = [200, 200, 404, 401][kind];
        assert_eq!(seen, [wanted; 10]);
    }
    assert_eq!(counts.whose.load(Ordering::SeqCst), asked + 4);
}

#[tokio::test]
async fn where_nobody_can_be_asked_the_same_credentials_are_the_owner() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let task = id(&say(&gate, post("/clone?hold", &format!("{ALICE}{ASYNC}"))).await);
    let before = origin.seen.requests();
    assert_eq!(status(&gate, &task, ALICE).await, 200);
    assert_eq!(status(&gate, &task, BOB).await, 404);
    let other_password = "Authorization: Basic YWxpY2U6Yg==\r\n";
    assert_eq!(status(&gate, &task, other_password).await, 404);
    assert_eq!(status(&gate, &task, "").await, 404);
    assert!(
        origin.seen.requests() <= before + 1,
        "nothing was asked of the upstream"
    );
    // An accepted call proves who alice is: what she had stays hers, and so does a key.
    let keyed = format!("{ALICE}{ASYNC}Idempotency-Key: k\r\n");
    let first = id(&say(&gate, post("/clone?hold", &keyed)).await);
    assert_eq!(say(&gate, post("/never", ALICE)).await.status, 200);
    assert_eq!(status(&gate, &task, ALICE).await, 200);
    assert_eq!(id(&say(&gate, post("/clone?hold", &keyed)).await), first);
}

#[tokio::test]
async fn where_anybody_may_call_an_address_is_an_owner() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let task = id(&say(&gate, post("/clone?hold", ASYNC)).await);
    assert_eq!(status(&gate, &task, "").await, 200);
    assert_eq!(status(&gate, &task, ALICE).await, 404);
}

#[tokio::test]
async fn who_cannot_be_told_is_neither_let_in_nor_told_that_nothing_is_there() {
    let answers = Arc::new(AtomicUsize::new(0));
    let counted = answers.clone();
    let upstream = scripted(move |text| {
        if text.contains("vmware-api-session-id: a-6") && text.starts_with("POST ") {
            return "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}";
        }
        if !text.starts_with("GET /api/session ") {
            return "";
        }
        match counted.fetch_add(1, Ordering::SeqCst) {
            0 => "{\"user\":\"alice@corp\"}",
            _ => "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        }
    })
    .await;
    let gate = vcenter(upstream, "");
    let id = clone_in(&gate, "a-1").await;
    assert_eq!(status(&gate, &id, &session("a-1")).await, 200);
    let doubtful = get(&gate, &format!("/-/tasks/{id}"), &session("a-2")).await;
    assert_eq!(doubtful.status, 503, "{doubtful:?}");
    assert!(doubtful.header("retry-after").is_some());
    // With a key, whose it is must be known; without, the session itself owns the task.
    let keyed = format!("{}{ASYNC}Idempotency-Key: k\r\n", session("a-3"));
    assert_eq!(say(&gate, post(CLONE, &keyed)).await.status, 503);
    let own = clone_in(&gate, "a-4").await;
    assert_eq!(status(&gate, &own, &session("a-4")).await, 200);
    assert_ne!(status(&gate, &own, &session("a-5")).await, 200);
    let listed = get(&gate, "/-/tasks", &session("a-4")).await;
    assert_eq!(listed.status, 503, "there may be more: {listed:?}");
    // A 404 of the upstream's is told to whose it is.
    let none = clone_in(&gate, "a-6").await;
    let wait = format!("{}Prefer: wait=30\r\n", session("a-6"));
    let result = get(&gate, &format!("/-/tasks/{none}/result"), &wait).await;
    assert_eq!(
        (result.status, result.header("asyncresult")),
        (404, Some("404")),
        "{result:?}"
    );
}

/// A call of VMware's SDKs in the session `a-1`, which it names before its input or behind it.
fn rpc(operation: &str, filler: usize, session_first: bool) -> String {
    let scheme = "com.vmware.vapi.std.security.session_id";
    let context =
        format!("\"ctx\":{{\"securityCtx\":{{\"schemeId\":\"{scheme}\",\"sessionId\":\"a-1\"}}}}");
    let named = format!("\"serviceId\":\"com.vmware.vcenter.VM\",\"operationId\":\"{operation}\"");
    let input = format!("\"input\":{{\"x\":\"{}\"}}", "y".repeat(filler));
    let params = if session_first {
        format!("{context},{named},{input}")
    } else {
        format!("{named},{input},{context}")
    };
    format!("{{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"invoke\",\"params\":{{{params}}}}}")
}

#[tokio::test]
async fn a_call_whose_operation_stands_in_its_body_becomes_a_task_too() {
    let (upstream, counts) = model().await;
    let gate = vcenter(upstream, "");
    for (filler, session_first) in [(1, true), (1, false), (30_000, true), (100_000, true)] {
        let body = rpc("clone", filler, session_first);
        let answer = say(&gate, request("POST", "/api", ASYNC, &body)).await;
        let id = id(&answer);
        assert_eq!(answer.json()["route"], "vm-clone-rpc");
        assert_eq!(status(&gate, &id, &session("a-2")).await, 200, "{filler}");
    }
    let asked = counts.whose.load(Ordering::SeqCst);
    assert_eq!(asked, 2, "a-1 once and a-2 once");
    // Another operation of the same service is held as ever.
    let answer = say(&gate, request("POST", "/api", ASYNC, &rpc("list", 1, true))).await;
    assert_eq!(answer.status, 200);
    // A body that says two things, or breaks off, is no task.
    let twice =
        rpc("clone", 100_000, true).replace("\"input\"", "\"operationId\":\"list\",\"input\"");
    let short = &rpc("clone", 100_000, true)[..90_000];
    for body in [&twice, short] {
        let answer = say(&gate, request("POST", "/api", ASYNC, body)).await;
        assert_eq!(answer.status, 400);
    }
    assert_eq!(list(&gate, &session("a-2")).await.len(), 4);
}
