//! Tasks that are done while their client waits: what goes up, and what comes back.

use std::time::{Duration, Instant};

use crate::rig::{ALICE, get, id, list, post, request, say, start, text};
use crate::support::client::{Answer, Client};
use crate::support::origin::{Origin, hash_of};
use crate::support::script::scripted;
use crate::support::{PATIENCE, gate, until, vcenter};

const WAITS: &str = "Prefer: respond-async, wait=50\r\n";

fn one(answer: &Answer, field: &str) -> String {
    let values = answer.received(field);
    assert_eq!(values.len(), 1, "{field}: {values:?}");
    values[0].clone()
}

#[tokio::test]
async fn a_wait_that_is_met_ends_in_what_the_upstream_said() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let body = "{\"name\":\"web\"}";
    let fields = format!(
        "{ALICE}{WAITS}Prefer: return=minimal\r\nIdempotency-Key: k\r\nTask-Start-Deadline: 60\r\n\
         Content-Type: application/json\r\nX-Own: a\r\nX-Own: b\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\n"
    );
    let asks = request("POST", "/clone?x=%20", &fields, body);
    let answer = say(&gate, &asks).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("preference-applied"), Some("wait=50"));
    assert_eq!(answer.header("asyncresult"), Some("200"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let id = answer.header("task-id").unwrap().to_owned();
    // As the upstream heard it.
    let heard = answer.json();
    assert_eq!(
        (&heard["method"], &heard["target"]),
        (&"POST".into(), &"/clone?x=%20".into())
    );
    assert_eq!(heard["body_hash"], hash_of(body.as_bytes()));
    assert_eq!(one(&answer, "host"), origin.address.to_string());
    assert_eq!(one(&answer, "content-length"), body.len().to_string());
    assert_eq!(one(&answer, "x-request-id"), id);
    assert_eq!(one(&answer, "prefer"), "return=minimal");
    assert_eq!(one(&answer, "authorization"), "Basic YWxpY2U6YQ==");
    assert_eq!(one(&answer, "via"), "1.1 tidegate");
    assert_eq!(one(&answer, "x-forwarded-for"), "127.0.0.1");
    assert_eq!(answer.received("x-own"), ["a", "b"]);
    for gone in [
        "idempotency-key",
        "task-start-deadline",
        "x-hop",
        "connection",
        "transfer-encoding",
    ] {
        assert!(answer.received(gone).is_empty(), "{gone}");
    }
    // The same again is not done again.
    let again = say(&gate, &asks).await;
    assert_eq!((again.status, &again.body), (200, &answer.body));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.header("task-id"), Some(id.as_str()));
    let ticket = say(&gate, asks.replace(", wait=50", "")).await;
    assert_eq!(
        (ticket.status, ticket.json()["state"].as_str()),
        (202, Some("COMPLETED"))
    );
    assert_eq!(origin.seen.requests(), 1);
    let result = get(&gate, &format!("/-/tasks/{id}/result"), ALICE).await;
    assert_eq!(result.header("task-state"), Some("COMPLETED"));
}

#[tokio::test]
async fn what_the_client_calls_its_request_it_stays() {
    let origin = Origin::start().await;
    let config =
        text(origin.address, "").replace("name = \"up\"", "name = \"up\"\nhost = \"client\"");
    let gate = gate(&config);
    let fields = format!("{ALICE}{WAITS}X-Request-ID: mine\r\n");
    let answer = say(&gate, post("/clone", &fields)).await;
    assert_eq!(one(&answer, "x-request-id"), "mine");
    assert_eq!(one(&answer, "host"), "gate.example");
}

#[tokio::test]
async fn a_key_goes_up_where_the_upstream_understands_it() {
    let origin = Origin::start().await;
    let config =
        text(origin.address, "").replace("fingerprint", "upstream_key = true\nfingerprint");
    let gate = gate(&config);
    let with_key = format!("{ALICE}{WAITS}Idempotency-Key: \"mine\"\r\n");
    let answer = say(&gate, post("/clone", &with_key)).await;
    assert_eq!(one(&answer, "idempotency-key"), "\"mine\"");
    let answer = say(&gate, post("/clone", &format!("{ALICE}{WAITS}"))).await;
    let own = format!("\"gw-{}\"", answer.header("task-id").unwrap());
    assert_eq!(one(&answer, "idempotency-key"), own);
}

#[tokio::test]
async fn a_task_goes_on_though_its_client_does_not_wait() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let mut client = Client::connect(gate.http()[0]).await;
    client
        .send(post("/clone?hold", &format!("{ALICE}{WAITS}")))
        .await;
    until("it runs", || origin.seen.running() == 1).await;
    drop(client);
    // The task itself is left.
    until("nobody waits", || gate.in_flight() == 1).await;
    origin.release();
    let id = list(&gate, ALICE).await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let status = get(
        &gate,
        &format!("/-/tasks/{id}"),
        &format!("{ALICE}Prefer: wait=50\r\n"),
    )
    .await;
    assert_eq!(status.json()["state"], "COMPLETED");
    assert_eq!(origin.seen.requests(), 1);
}

#[tokio::test]
async fn what_the_upstream_refuses_is_said_word_for_word() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "");
    let answer = say(
        &gate,
        post(
            "/clone?status=409&header=X-Why:taken",
            &format!("{ALICE}{WAITS}"),
        ),
    )
    .await;
    assert_eq!(
        (answer.status, answer.header("x-why")),
        (409, Some("taken"))
    );
    assert_eq!(answer.header("asyncresult"), Some("409"));
    // Without a wait the client hears of it later.
    let fields = format!("{ALICE}Prefer: respond-async\r\n");
    id(&say(&gate, post("/clone?status=409", &fields)).await);
}

#[tokio::test]
async fn what_hands_credentials_out_is_not_kept_unless_the_route_lists_it() {
    const SECRET: [&str; 6] = [
        "set-cookie",
        "x-auth-token",
        "x-subject-token",
        "vmware-api-session-id",
        "x-csrftoken",
        "x-vmware-vcloud-access-token",
    ];
    let origin = Origin::start().await;
    let lists = "keep_headers = [\"Set-Cookie\"]\nfingerprint";
    let config = text(origin.address, "").replace("fingerprint", lists);
    let gate = gate(&config);
    let query: Vec<String> = SECRET
        .iter()
        .map(|name| format!("header={name}:secret-{name}"))
        .collect();
    let query = format!(
        "?{}&header=x-own:stays&header=keep-alive:5",
        query.join("&")
    );
    for (target, kept) in [("/clone", true), ("/always", false)] {
        let target = format!("{target}{query}");
        let waited = say(&gate, post(&target, &format!("{ALICE}{WAITS}"))).await;
        assert_eq!(waited.status, 200, "{waited:?}");
        let task = waited.header("task-id").unwrap();
        let result = get(&gate, &format!("/-/tasks/{task}/result"), ALICE).await;
        for answer in [&waited, &result] {
            assert_eq!(answer.header("x-own"), Some("stays"));
            assert_eq!(answer.header("keep-alive"), None);
            for name in SECRET {
                let wanted = kept && name == "set-cookie";
                assert_eq!(answer.header(name).is_some(), wanted, "{target} {name}");
            }
        }
        let fields = format!("{ALICE}Accept: application/http\r\n");
        let enclosed = get(&gate, &format!("/-/tasks/{task}/result"), &fields).await;
        let enclosed = String::from_utf8_lossy(&enclosed.body).into_owned();
        let (head, _) = enclosed.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("x-own: stays"), "{head}");
        assert!(!head.contains("secret-x-auth-token"), "{head}");
    }
    // A call that is held is its client's own affair.
    let held = say(&gate, post(&format!("/clone{query}"), ALICE)).await;
    assert_eq!(held.header("x-auth-token"), Some("secret-x-auth-token"));
}

#[tokio::test]
async fn a_task_that_the_upstream_refused_tells_of_it_in_the_apis_words() {
    const API: &str = r#"{"error_type":"ALREADY_EXISTS","messages":[{"id":"com.vmware.vapi.std.errors.already_exists","args":[],"default_message":"no"}]}"#;
    const REST: &str =
        r#"{"type":"com.vmware.vapi.std.errors.already_exists","value":{"messages":[]}}"#;
    for (body, target) in [
        (API, "/api/vcenter/vm?action=clone"),
        (REST, "/rest/vcenter/vm?action=clone"),
    ] {
        let answer = format!(
            "HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer: &'static str = answer.leak();
        let upstream = scripted(move |text| {
            if text.starts_with("POST ") {
                answer
            } else {
                "{\"user\":\"alice@corp\",\"value\":{\"user\":\"alice@corp\"}}"
            }
        })
        .await;
        let routes = "native = false\n[[upstream.route]]\nname = \"mine\"\nclass = \"blocking\"\n\
             match = { method = \"POST\", query = { action = \"clone\" } }\n";
        let gate = vcenter(upstream, routes);
        let who = "vmware-api-session-id: a-1\r\n";
        let waits = format!("{who}{WAITS}");
        let refused = say(&gate, post(target, &waits)).await;
        assert_eq!(refused.header("asyncresult"), Some("400"), "{refused:?}");
        let task = refused.header("task-id").unwrap();
        let status = get(&gate, &format!("/-/tasks/{task}"), who).await.json();
        let error = serde_json::json!({
            "type": "/-/problems/upstream-error",
            "title": "Upstream answered 400",
            "status": 400,
            "detail": "com.vmware.vapi.std.errors.already_exists",
            "upstream_error_type": "ALREADY_EXISTS",
        });
        assert_eq!(status["error"], error, "{target}");
    }
}

#[tokio::test]
async fn what_is_more_than_a_users_share_of_finished_tasks_is_410() {
    let origin = Origin::start().await;
    let gate = start(origin.address, "max_finished_per_user = 2");
    let submission = || post("/clone", &format!("{ALICE}{WAITS}"));
    // Until the upstream has accepted her, her tasks count in the share of her address.
    assert_eq!(say(&gate, submission()).await.status, 200);
    let mut ids = Vec::new();
    for _ in 0..4 {
        let answer = say(&gate, submission()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        ids.push(answer.header("task-id").unwrap().to_owned());
    }
    let status = async |id: &String| get(&gate, &format!("/-/tasks/{id}"), ALICE).await.status;
    // It is looked every ten seconds.
    let deadline = Instant::now() + PATIENCE;
    while status(&ids[1]).await != 410 {
        assert!(Instant::now() < deadline, "they are kept");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(status(&ids[0]).await, 410);
    assert_eq!((status(&ids[2]).await, status(&ids[3]).await), (200, 200));
    assert_eq!(list(&gate, ALICE).await.len(), 3, "and the first of all");
}
